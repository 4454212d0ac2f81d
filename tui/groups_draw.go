package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
	"ctview/model/table"

	"ctview/tui/draw"
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
	// portColumns stand behind the keys of groups by nat-ports.
	portColumns = []column{
		{name: "in use", title: "IN USE", short: "IN USE", min: 6, want: 6, right: true},
		{name: "of", title: "OF", short: "OF", min: 5, want: 5, right: true},
		{name: "used", title: "USED", short: "USED", min: 6, want: 7, right: true},
		{name: "range", title: "RANGE", short: "RANGE", min: 11, want: 11},
	}
	portDrops = []string{"packets", "%", "bytes", "new", "rate", "unreplied", "share", "of"}

	groupDrops = []string{"packets", "bytes", "share", "new", "rate", "unreplied", "%"}
)

func (s *groups) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	extra := 0
	if b, ok := a.bar(); ok {
		extra = b.write(a, f)
	} else {
		s.statusLine(a, f)
	}
	s.keysLine(a, f)
	ps := s.placed(f.W)
	writeHeads(f, ps, s.sort.String(), s.desc)
	rows, y := max(s.rowsOn(a)-extra, 1), f.Y()
	v := s.view
	if len(v.Rows) == 0 {
		t := "reading " + f.Marks.Ellipsis
		if s.got {
			t = a.flows.whyNone(a, v.Matched, v.Total)
		}
		for _, l := range wrap(t, f.W-4) {
			f.Line(draw.Plain, "  "+l)
		}
	}
	for i := range rows {
		p := s.top + i - v.Offset
		if p < 0 || p >= len(v.Rows) {
			break
		}
		s.row(a, f, ps, &v.Rows[p], i == s.at && a.cursorShown())
	}
	f.Blanks(y + rows)
	s.foot(a, f)
}

// placed lays out the columns.
func (s *groups) placed(w int) []placed {
	cols, drops := columnsOf(groupColumns), groupDrops
	cols[0] = keysColumn(cols[0], s.keys)
	if s.byPorts() {
		cols, drops = slices.Insert(cols, 1, columnsOf(portColumns)...), portDrops
	}
	return layout(cols, w, demand{order: drops})
}

// columns is how many there are where there is room.
func (s *groups) columns() int {
	if s.byPorts() {
		return len(groupColumns) + len(portColumns)
	}
	return len(groupColumns)
}

// keysColumn returns the first column of groups with the keys as its head.
func keysColumn(c *column, keys []table.GroupKey) *column {
	first := *c
	first.title = strings.ToUpper(strings.ReplaceAll(keysText(keys), ",", ", "))
	first.short = first.title
	if len(keys) > 1 || table.ByNATPorts(keys) {
		first.min, first.want = 30, 40
	}
	return &first
}

// whyNone says why there is nothing to group.
func (s *flows) whyNone(a *App, matched, total int) string {
	if total > 0 && matched == 0 {
		return fmt.Sprintf("0 of %s match %q. Esc clears the filter.", model.Plural(total, "flow"), model.Escape(a.text))
	}
	return s.whyEmpty(a)
}

// statusLine writes the filter, how many flows and groups there are, and the order.
func (s *groups) statusLine(a *App, f *draw.Frame) {
	v := s.view
	if !s.got {
		a.filterWith(f, "reading "+f.Marks.Ellipsis)
		return
	}
	r := s.followWord() + position(s.top, s.rowsOn(a), v.Groups)
	hidden, failed := withoutRoom(s.columns(), s.placed(f.W)), ""
	if s.byPorts() {
		failed = a.ill.failedText(a.now.Location())
	}
	if f.W < wideFrom {
		a.filterWith(f, r, failed, hidden)
		return
	}
	a.filterWith(f, r+" groups", failed, fmt.Sprintf("%d of %s", v.Matched, model.Plural(v.Total, "flow")), hidden,
		"sort "+strings.ToUpper(s.sort.String())+" "+orderWord(s.desc))
}

// keysLine lists what can be grouped by.
func (s *groups) keysLine(_ *App, f *draw.Frame) {
	gap := " "
	if f.W >= wideFrom {
		gap = "  "
	}
	f.Begin(draw.Plain)
	f.Text(" by")
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
		if f.X+draw.Width(n)+len(gap)+1 > f.W-2 {
			f.Text(gap + f.Marks.Ellipsis)
			break
		}
		f.Text(gap)
		if n[0] == '[' {
			f.Styled(draw.Strong, n)
		} else {
			f.Text(n)
		}
	}
	f.Right(draw.Faint, `(B: "src,dport")`)
	f.End()
}

// row writes one group.
func (s *groups) row(a *App, f *draw.Frame, ps []placed, r *table.GroupRow, current bool) {
	base, lead := draw.Plain, "  "
	if current {
		base, lead = draw.Selected, f.Marks.Cursor+" "
	}
	whole := float64(max(s.view.Matched, 1))
	writeGrid(f, ps, base, lead, func(name string, w int) (string, draw.Role) {
		switch name {
		case "key":
			return a.groupText(r, "  "), draw.Plain
		case "flows":
			return strconv.Itoa(r.Flows), draw.Plain
		case "in use", "of", "used", "range":
			return portCell(name, r)
		case "%":
			prec := 1
			if w < 6 {
				prec = 0
			}
			return strconv.FormatFloat(100*float64(r.Flows)/whole, 'f', prec, 64) + "%", draw.Plain
		case "share":
			return draw.Meter(float64(r.Flows), whole, w, f.Marks), draw.Fill(float64(r.Flows), whole)
		case "unreplied":
			look := draw.Plain
			if r.Unreplied*2 > r.Flows && r.Unreplied >= 10 {
				look = draw.Warn
			}
			return strconv.Itoa(r.Unreplied), look
		case "new":
			return strconv.FormatFloat(r.NewPerSec, 'f', 1, 64), draw.Plain
		case "rate":
			if r.KnownRate == 0 || r.KnownRate < r.Flows && r.Rate == 0 { // at least nothing
				return "-", draw.Plain
			}
			return string(a.flows.c.appendRate(atLeast(r.KnownRate, r.Flows), r.Rate)), lookOfRate(r.Rate)
		case "bytes":
			return counted(r, r.Bytes), draw.Plain
		}
		return counted(r, r.Packets), draw.Plain
	})
}

// portCell writes how far a range of ports is used up.
func portCell(name string, r *table.GroupRow) (string, draw.Role) {
	share := r.Share()
	look := draw.Plain
	switch {
	case share < 0:
		return "-", draw.Plain
	case share >= 0.9:
		look = draw.Alarm
	case share >= 0.7:
		look = draw.Warn
	}
	switch name {
	case "in use":
		return strconv.Itoa(r.Used), look
	case "of":
		return strconv.Itoa(r.Range.Size()), draw.Plain
	case "used":
		return strconv.FormatFloat(100*share, 'f', 1, 64) + "%", look
	}
	return r.Range.String(), draw.Plain
}

// counted writes a total, as the least that it can be where not all flows of the group are counted.
func counted(r *table.GroupRow, total uint64) string {
	if r.KnownBytes == 0 || r.KnownBytes < r.Flows && total == 0 { // at least nothing
		return "-"
	}
	return string(model.AppendBytes(atLeast(r.KnownBytes, r.Flows), total))
}

// atLeast begins the sum of what is known of so many of all flows.
func atLeast(known, all int) []byte {
	if known < all {
		return []byte{'>'}
	}
	return nil
}

// foot writes the striking sentence, the message line and the keys.
func (s *groups) foot(a *App, f *draw.Frame) {
	msg := a.message()
	if msg == "" && a.paused {
		msg = "screen is from " + a.pausedAt.Format("15:04:05") + ". p goes on."
	}
	if b, typing := a.bar(); typing {
		msg = a.barText(b, s.view.Matched, s.view.Total)
	}
	a.footOf(f, s.striking(a, f.W), msg)
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
	if share := r.Share(); share >= 0 {
		parts = append([]string{fmt.Sprintf("%d of %s (%s) in use", r.Used, model.Plural(r.Range.Size(), "port"), r.Range)}, parts...)
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
		t := fmt.Sprintf("%.0f%% of the bytes per second", 100*r.Rate/v.Sum.Rate)
		if v.Sum.KnownRate < v.Matched {
			t += " that are known"
		}
		parts = append(parts, t)
	}
	if v.Sum.NewPerSec > 1 && r.NewPerSec*2 > v.Sum.NewPerSec {
		parts = append(parts, fmt.Sprintf("%.0f%% of the new flows", 100*r.NewPerSec/v.Sum.NewPerSec))
	}
	if len(parts) == 0 {
		return name
	}
	t := name + ": " + parts[0]
	for _, p := range parts[1:] {
		if draw.Width(t)+2+draw.Width(p) <= w-2 {
			t += "; " + p
		}
	}
	return t
}
