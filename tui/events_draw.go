package tui

import (
	"fmt"
	"slices"
	"strconv"

	"ctview/model"
	"ctview/model/table"

	"ctview/tui/draw"
)

// eventColumns are the columns of the stream, eventDrops the order in which they go.
var (
	eventColumns = []column{
		{name: "time", title: "TIME", short: "TIME", min: 12, want: 13},
		{name: "event", title: "EVENT", short: "EV", min: 3, want: 8},
		{name: "proto", title: "PROTO", short: "PRO", min: 4, want: 5},
		{name: "state", title: "STATE", short: "STATE", min: 11, want: 11, max: 17},
		{name: "src", title: "SOURCE", short: "SOURCE", min: 20, want: 20, max: 47},
		{name: "dst", title: "DESTINATION", short: "DESTINATION", min: 20, want: 20, max: 47},
		{name: "zone", title: "ZONE", short: "ZONE", min: 4, want: 4, right: true},
		{name: "note", title: "NOTE", short: "NOTE", min: 14, want: 30, max: 60},
	}
	eventDrops = []string{"note", "zone", "proto", "state"}
)

// columnsOf returns pointers to cols, as layout takes them.
func columnsOf(cols []column) []*column {
	out := make([]*column, len(cols))
	for i := range cols {
		out[i] = &cols[i]
	}
	return out
}

// screenRows is the number of lines between the head of a table and the footer of a screen.
func screenRows(a *App) int {
	n := a.h - 5
	if a.hasTabs() {
		n = a.h - 7
	}
	return max(n-a.alarmRows(), 1)
}

func (s *events) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	cols := eventColumns
	if f.W < 60 { // seconds are enough where there is no room
		cols = slices.Clone(cols)
		cols[0].min, cols[0].want = 8, 8
	}
	ps := layout(columnsOf(cols), f.W, demand{order: eventDrops})
	s.left = 0
	if b, ok := a.bar(); ok {
		s.left = b.write(a, f)
	} else {
		s.statusLine(a, f, ps)
	}
	writeHeads(f, ps, "", false)
	first, rows := f.Y(), s.rowsOn(a)
	if s.follow {
		s.top = s.view.Matched - rows
		s.goTo(s.view.Matched-1, s.view.Matched, rows)
	} else {
		s.goTo(s.pos(), s.view.Matched, rows)
	}
	if len(s.view.Rows) == 0 {
		f.Line(draw.Plain, "  "+s.whyEmpty(a))
	}
	for p := s.top; p < s.top+rows; p++ {
		if c := s.change(p); c != nil {
			s.row(a, f, ps, c, p == s.pos() && a.cursorShown())
		}
	}
	f.Blanks(first + rows)
	s.foot(a, f)
}

func (s *events) whyEmpty(a *App) string {
	switch {
	case !s.got:
		return "reading " + a.marks.Ellipsis
	case s.view.Kept > 0:
		return "none of " + model.Plural(s.view.Kept, "event") + " kept matches."
	}
	return "no event since ctview started. Waiting " + a.marks.Ellipsis
}

// statusLine writes the filter and what is shown of the stream.
func (s *events) statusLine(a *App, f *draw.Frame, ps []placed) {
	if !s.got {
		a.filterWith(f, "reading "+f.Marks.Ellipsis)
		return
	}
	how := s.followWord() + position(s.top, s.rowsOn(a), s.view.Matched)
	if s.view.Newer > 0 {
		how += ", " + draw.Count(s.view.Newer) + " newer"
	}
	rate, hidden := strconv.Itoa(int(s.view.PerSec+0.5)), withoutRoom(len(eventColumns), ps)
	if f.W < wideFrom {
		a.filterWith(f, how, s.kindsText(false), rate+"ev/s", hidden)
		return
	}
	a.filterWith(f, how, "types "+s.kindsText(true), "kept "+draw.Count(s.view.Kept), rate+" ev/s match", hidden)
}

// row writes one change; what was lost takes the whole line.
func (s *events) row(a *App, f *draw.Frame, ps []placed, c *table.Change, current bool) {
	base, lead := draw.Plain, "  "
	if current {
		base, lead = draw.Selected, f.Marks.Cursor+" "
	}
	if c.Kind == 0 && (c.Note == table.NoteLost || c.Note == table.NoteResync) {
		f.Begin(base)
		f.Text(lead)
		look := draw.Alarm
		if c.Note == table.NoteResync {
			look = draw.Plain
		}
		f.Styled(look, "!! "+stamp(c.Time, a.now.Location(), f.W >= 60)+"  "+changeNote(c))
		f.End()
		return
	}
	fl := &c.Flow
	writeGrid(f, ps, base, lead, func(name string, w int) (string, draw.Role) {
		switch name {
		case "time":
			return stamp(c.Time, a.now.Location(), w >= 12), draw.Plain
		case "event":
			look := draw.Plain
			if c.Kind == model.New {
				look = draw.Strong
			}
			return kindWord(c, w >= 7), look
		case "proto":
			return fl.Proto.String(), draw.Plain
		case "state":
			return changeState(c), changeLook(c)
		case "src":
			return string(eventEnd(c, true, w, f.Marks.Ellipsis)), draw.Plain
		case "dst":
			return string(eventEnd(c, false, w, f.Marks.Ellipsis)), draw.Plain
		case "zone":
			look := draw.Faint
			if fl.Zone != 0 {
				look = draw.Zoned
			}
			return string(draw.AppendZone(nil, &fl.Key)), look
		}
		return changeNote(c), draw.Plain
	})
}

func eventEnd(c *table.Change, src bool, w int, more string) []byte {
	t := c.Flow.Orig()
	return draw.AppendEnd(nil, &t, src, w, more)
}

// foot writes the rates of the last minute, the message line and the keys.
func (s *events) foot(a *App, f *draw.Frame) {
	msg := a.message()
	if msg == "" && a.paused {
		msg = "paused: events are still counted and kept. p goes on."
	}
	if b, typing := a.bar(); typing {
		msg = a.barText(b, s.view.Matched, s.view.Kept)
	}
	if msg == "" {
		msg = s.unknown(a)
	}
	short := f.W < wideFrom && f.H < shortHeight
	lines := wrapKeep(msg, f.W-2)
	if short || len(lines) < 2 {
		lines = []string{msg}
	}
	if !short && len(lines) < 2 { // a long message takes the line of the rates, too
		f.Begin(draw.Plain)
		f.Text(" " + s.lost(a))
		if s.lost(a) == "" {
			s.sparks(f)
		}
		f.End()
	}
	for _, l := range lines[:min(len(lines), 2)] {
		a.noteLine(f, l, "")
	}
	if !short {
		f.Line(draw.Plain, noteOf(s.current()))
	}
	a.keysLine(f)
}

// unknown says how many events do not tell what the filter compares, and what would make the kernel tell it.
func (s *events) unknown(a *App) string {
	if s.view.Unknown == 0 || a.filter == nil {
		return ""
	}
	t := a.filter.UnknownText(s.view.Unknown, "event") + ": not taken for matching"
	on := func(setting string) bool {
		v := a.sys.Acct
		if setting == "nf_conntrack_timestamp" {
			v = a.sys.Timestamp
		}
		return a.hasSys && v.OK && v.Value != 0
	}
	for _, cure := range a.filter.UnknownCures(on) {
		t += "; " + cure
	}
	return t
}

// noteOf says what the current change was about, for screens without the column.
func noteOf(c *table.Change) string {
	if c == nil || c.Kind == 0 {
		return ""
	}
	t := c.Flow.Orig()
	b := " " + c.Flow.Proto.String() + " " + string(draw.AppendPair(nil, &t))
	if n := changeNote(c); n != "" {
		b += "   " + n
	}
	return b
}

// lost tells of the last gap, for a minute.
func (s *events) lost(a *App) string {
	st := &a.stats
	if st.LastLost == 0 || a.now.UnixNano()-st.LastLost > 60e9 {
		return ""
	}
	t := fmt.Sprintf("!! %s  %s lost in %s", draw.Clock(st.LastLost, a.now.Location()), model.Plural(st.Lost, "event"), model.Plural(st.Gaps, "gap"))
	if !st.Stale && st.LastResync.Ended > 0 {
		t += fmt.Sprintf("; resynced in %.2f s, flows +%d -%d", float64(st.LastResync.Ended-st.LastResync.Began)/1e9, st.LastResync.Added, st.LastResync.Removed)
	}
	return t
}

// sparks draws how many events of each kind came in each of the last seconds.
func (s *events) sparks(f *draw.Frame) {
	n := len(s.seconds)
	if n < 2 {
		return
	}
	secs := s.seconds[:n-1] // the last one is not over
	w := 12
	if f.W >= wideFrom {
		w = 20
	}
	secs = secs[max(len(secs)-w, 0):]
	for _, k := range []struct {
		name string
		of   func(*table.Second) uint32
	}{{"new", func(x *table.Second) uint32 { return x.New }}, {"update", func(x *table.Second) uint32 { return x.Update }},
		{"destroy", func(x *table.Second) uint32 { return x.Destroy }}} {
		vs := make([]float64, len(secs))
		for i := range secs {
			vs[i] = float64(k.of(&secs[i]))
		}
		last := vs[len(vs)-1]
		f.Styled(draw.Faint, k.name+" ")
		f.Styled(draw.Curve, draw.Graph(vs, 1, draw.Largest(vs), f.Marks)[0])
		f.Text(" " + strconv.Itoa(int(last)) + "/s   ")
	}
}
