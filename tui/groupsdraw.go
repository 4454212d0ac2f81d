package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
	"ctview/model/table"
)

var (
	groupColumns = []column{
		{name: "key", title: "", min: 20, want: 27, max: 60},
		{name: "flows", title: "FLOWS", short: "FLOWS", min: 8, want: 8, right: true},
		{name: "%", title: "%", short: "%", min: 5, want: 6, right: true},
		{name: "share", title: "SHARE", short: "SHARE", min: 12, want: 24},
		{name: "unreplied", title: "UNREPLD", short: "UNREPLD", min: 8, want: 9, right: true},
		{name: "new", title: "NEW/s", short: "NEW/s", min: 7, want: 8, right: true},
		{name: "rate", title: "RATE", short: "RATE", min: 8, want: 9, right: true},
		{name: "bytes", title: "BYTES", short: "BYTES", min: 8, want: 8, right: true},
		{name: "packets", title: "PACKETS", short: "PACKETS", min: 8, want: 8, right: true},
	}
	groupDrops = []string{"packets", "bytes", "share", "new", "rate", "unreplied", "%"}
)

func (s *groups) draw(a *App, f *frame) {
	a.titleLine(f)
	a.tabsLine(f)
	extra := 0
	if b, ok := a.bar(); ok {
		extra = b.write(a, f)
	} else {
		s.statusLine(a, f)
	}
	s.keysLine(a, f)
	ps := s.placed(f.w)
	writeHeads(f, ps, s.sort.String(), s.desc)
	rows, y := max(s.rowsOn(a)-extra, 1), f.y()
	v := s.view
	if len(v.Rows) == 0 {
		t := "reading " + f.mk.ellipsis
		if s.got {
			t = a.flows.whyNone(a, v.Matched, v.Total)
		}
		for _, l := range wrap(t, f.w-4) {
			f.line(plain, "  "+l)
		}
	}
	for i := range rows {
		p := s.top + i - v.Offset
		if p < 0 || p >= len(v.Rows) {
			break
		}
		s.row(a, f, ps, &v.Rows[p], i == s.at && a.cursorShown())
	}
	f.blanks(y + rows)
	s.foot(a, f)
}

// placed lays out the columns.
func (s *groups) placed(w int) []placed {
	cols := columnsOf(groupColumns)
	first := *cols[0]
	first.title = strings.ToUpper(strings.ReplaceAll(keysText(s.keys), ",", ", "))
	first.short = first.title
	if len(s.keys) > 1 {
		first.min, first.want = 30, 40
	}
	cols[0] = &first
	return layout(cols, w, demand{order: groupDrops})
}

// whyNone says why there is nothing to group.
func (s *flows) whyNone(a *App, matched, total int) string {
	if total > 0 && matched == 0 {
		return fmt.Sprintf("0 of %d flows match %q. Esc clears the filter.", total, model.Escape(a.text))
	}
	return s.whyEmpty(a)
}

// statusLine writes the filter, how many flows and groups there are, and the order.
func (s *groups) statusLine(a *App, f *frame) {
	v := s.view
	r := count(v.Matched) + " of " + count(v.Total)
	if f.w >= wideFrom {
		r += fmt.Sprintf(" match, %d groups   sort %s %s", v.Groups, strings.ToUpper(s.sort.String()), orderWord(s.desc))
	}
	f.begin(plain)
	f.text(clip(" / "+model.Escape(a.text), f.w-width(r)-3, f.mk.ellipsis))
	f.right(plain, r)
	f.end()
}

// keysLine lists what can be grouped by.
func (s *groups) keysLine(_ *App, f *frame) {
	gap := " "
	if f.w >= wideFrom {
		gap = "  "
	}
	f.begin(plain)
	f.text(" by")
	now := keysText(s.keys)
	names := []string{now}
	for _, k := range groupChoices {
		names = append(names, k.String())
	}
	if slices.Contains(names[1:], now) {
		names = names[1:]
	}
	for _, n := range names {
		if n == now {
			n = "[" + n + "]"
		}
		if f.x+width(n)+len(gap)+1 > f.w-2 {
			break
		}
		f.text(gap)
		if n[0] == '[' {
			f.styled(strong, n)
		} else {
			f.text(n)
		}
	}
	f.right(faint, `(b next, B two: "src,dport")`)
	f.end()
}

// row writes one group.
func (s *groups) row(a *App, f *frame, ps []placed, r *table.GroupRow, current bool) {
	base, lead := plain, "  "
	if current {
		base, lead = selected, f.mk.cursor+" "
	}
	whole := float64(max(s.view.Matched, 1))
	writeGrid(f, ps, base, lead, func(name string, w int) (string, role) {
		switch name {
		case "key":
			return a.groupText(r, "  "), plain
		case "flows":
			return strconv.Itoa(r.Flows), plain
		case "%":
			prec := 1
			if w < 6 {
				prec = 0
			}
			return strconv.FormatFloat(100*float64(r.Flows)/whole, 'f', prec, 64) + "%", plain
		case "share":
			return meter(float64(r.Flows), whole, w, f.mk), plain
		case "unreplied":
			look := plain
			if r.Unreplied*2 > r.Flows && r.Unreplied >= 10 {
				look = warn
			}
			return strconv.Itoa(r.Unreplied), look
		case "new":
			return strconv.FormatFloat(r.NewPerSec, 'f', 1, 64), plain
		case "rate":
			if r.KnownRate == 0 {
				return "-", plain
			}
			return string(a.flows.c.appendRate(nil, r.Rate)), plain
		case "bytes":
			if r.KnownBytes == 0 {
				return "-", plain
			}
			return string(model.AppendBytes(nil, r.Bytes)), plain
		}
		if r.KnownBytes == 0 {
			return "-", plain
		}
		return string(model.AppendBytes(nil, r.Packets)), plain
	})
}

// foot writes the striking sentence, the message line and the keys.
func (s *groups) foot(a *App, f *frame) {
	msg := a.message()
	if msg == "" && a.paused {
		msg = "screen is from " + a.pausedAt.Format("15:04:05") + ". p goes on."
	}
	if _, typing := a.bar(); typing {
		msg = a.previewText(s.view.Matched, s.view.Total)
	}
	short := f.w < wideFrom && f.h < shortHeight
	say := s.striking(a, f.w)
	if !short || msg == "" {
		f.line(plain, " "+say)
	}
	if !short || msg != "" {
		f.begin(plain)
		f.text(" ")
		f.styled(a.noteLog, msg)
		f.end()
	}
	a.hints(f, rebind(a.top().bindings(), a.opt.Keys))
}

// striking says in a sentence what stands out of the group under the cursor.
func (s *groups) striking(a *App, w int) string {
	r := s.current()
	v := s.view
	if r == nil || v.Matched == 0 {
		return ""
	}
	name := a.groupText(r, " ")
	var parts []string
	if w >= wideFrom {
		of := "of all flows"
		if a.text != "" {
			of = "of these flows"
		}
		t := fmt.Sprintf("%.0f%% %s", 100*float64(r.Flows)/float64(v.Matched), of)
		if a.text != "" && v.Total > 0 && r.Flows*20 >= v.Total {
			t += fmt.Sprintf(", %.0f%% of the whole table", 100*float64(r.Flows)/float64(v.Total))
		}
		parts = append(parts, t)
	}
	if r.Unreplied*10 >= r.Flows && r.Unreplied > 0 {
		t := fmt.Sprintf("%d of %d never got a reply", r.Unreplied, r.Flows)
		if r.TopDport != 0 {
			t += fmt.Sprintf(" (dport %d: %d)", r.TopDport, r.TopFlows)
		}
		parts = append(parts, t)
	} else if r.TopDport != 0 {
		parts = append(parts, fmt.Sprintf("%d of %d to port %d", r.TopFlows, r.Flows, r.TopDport))
	}
	if v.Sum.Rate > 0 && r.Rate*2 > v.Sum.Rate && r.KnownRate > 0 {
		parts = append(parts, fmt.Sprintf("%.0f%% of the bytes per second", 100*r.Rate/v.Sum.Rate))
	}
	if v.Sum.NewPerSec > 1 && r.NewPerSec*2 > v.Sum.NewPerSec {
		parts = append(parts, fmt.Sprintf("%.0f%% of the new flows", 100*r.NewPerSec/v.Sum.NewPerSec))
	}
	if len(parts) == 0 {
		return name
	}
	t := name + ": " + parts[0]
	for _, p := range parts[1:] {
		if width(t)+2+width(p) <= w-2 {
			t += "; " + p
		}
	}
	return t
}
