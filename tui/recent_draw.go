package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/table"

	"ctview/tui/draw"
)

var (
	recentColumns = []column{
		{name: sortWhen, title: "WHEN", short: "WHEN", min: 8, want: 8},
		{name: "what", title: "WHAT", short: "WHAT", min: 5, want: 5},
		{name: "proto", title: "PROTO", short: "PRO", min: 4, want: 5, max: 7},
		{name: "state", title: "STATE", short: "STATE", min: 11, want: 11, max: 17},
		{name: "src", title: "SOURCE", short: "SOURCE", min: 19, want: endWidth, max: addrMax},
		{name: "dst", title: "DESTINATION", short: "DESTINATION", min: 19, want: endWidth, max: addrMax},
		{name: "nat", title: "NAT", short: "NAT", min: 3, want: 3},
		{name: "zone", title: "ZONE", short: "ZONE", min: 4, want: 4, max: 6, right: true},
		{name: sortLived, title: "LIVED", short: "LIVED", min: 7, want: 7, right: true},
		{name: "bytes", title: "BYTES", short: "BYTES", min: 7, want: 7, right: true},
		{name: "packets", title: "PACKETS", short: "PACKETS", min: 7, want: 7, right: true},
		{name: "helper", title: "HELPER", short: "HELPER", min: 6, want: 6, max: 12},
	}
	recentDrops = []string{"helper", "packets", "nat", "zone", "bytes", "state", "proto", sortLived, sortWhen}

	recentGroupColumns = []column{
		{name: "key", title: "", min: 18, want: 27, max: 60},
		{name: "changes", title: "CHANGED", short: "CHANGED", min: 9, want: 9, right: true},
		{name: "begun", title: "BEGUN", short: "BEGUN", min: 8, want: 8, right: true},
		{name: "ended", title: "ENDED", short: "ENDED", min: 8, want: 8, right: true},
		{name: "then", title: "WAS", short: "WAS", min: 7, want: 8, right: true},
		{name: "now", title: "NOW", short: "NOW", min: 7, want: 8, right: true},
		{name: "lost", title: "LOST", short: "LOST", min: 6, want: 7, right: true},
		{name: "bytes", title: "BYTES", short: "BYTES", min: 7, want: 8, right: true},
	}
	recentGroupDrops = []string{"bytes", "then", "changes", "now"}
)

func (s *recent) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	a.flows.prepare(a)
	c := &a.flows.c
	dir := c.dir // of Flows, whose heads tell it
	c.dir = 0
	defer func() { c.dir = dir }()
	extra := 0
	if b, ok := a.bar(); ok {
		extra = b.write(a, f)
	} else {
		s.statusLine(a, f)
	}
	f.Begin(draw.Plain)
	f.Text(" ")
	f.Styled(draw.Strong, s.compareText(a, f.W-2))
	f.End()
	ps := s.placed(f.W)
	sort, desc := s.order()
	writeHeads(f, ps, sort, desc)
	rows, y := max(s.rowsOn(a)-extra, 1), f.Y()
	if s.here() == 0 {
		for _, l := range wrap(s.whyEmpty(a), f.W-4) {
			f.Line(draw.Plain, "  "+l)
		}
	}
	for i := range rows {
		p := s.top + i - s.view.Offset
		if p < 0 || p >= s.here() {
			break
		}
		base, lead := draw.Plain, "  "
		if i == s.at && a.cursorShown() {
			base, lead = draw.Selected, f.Marks.Cursor+" "
		}
		if len(s.view.Groups) > 0 {
			r := &s.view.Groups[p]
			writeGrid(f, ps, base, lead, func(name string, _ int) (string, draw.Role) { return s.groupCell(a, r, name) })
			continue
		}
		r := &s.view.Rows[p]
		writeGrid(f, ps, base, lead, func(name string, w int) (string, draw.Role) { return recentCell(a, r, name, w) })
	}
	f.Blanks(y + rows)
	s.foot(a, f)
}

// order is the name of the column that the rows are in the order of.
func (s *recent) order() (string, bool) {
	if len(s.keys) > 0 {
		return s.groupSort.String(), s.groupDesc
	}
	return s.sort, s.desc
}

// placed lays out the columns.
func (s *recent) placed(w int) []placed {
	if len(s.keys) == 0 {
		cols := columnsOf(recentColumns)
		if w < wideFrom { // the time of day needs no more
			first := *cols[4]
			second := *cols[5]
			first.max, second.max = endWidth, endWidth
			cols[4], cols[5] = &first, &second
		}
		return layout(cols, w, demand{order: recentDrops})
	}
	cols := columnsOf(recentGroupColumns)
	cols[0] = keysColumn(cols[0], s.keys)
	return layout(cols, w, demand{order: recentGroupDrops})
}

// statusLine writes the filter, what is shown of how many, and the order.
func (s *recent) statusLine(a *App, f *draw.Frame) {
	if !s.got {
		a.filterWith(f, "reading "+f.Marks.Ellipsis)
		return
	}
	v := s.view
	what := position(s.top, s.rowsOn(a), v.Matched)
	switch {
	case len(s.keys) > 0 && v.Changes < v.All:
		what += fmt.Sprintf(" groups, %d of %s", v.Changes, model.Plural(v.All, "flow"))
	case len(s.keys) > 0:
		what += " groups"
	case v.Changes < v.All:
		what += " match, " + draw.Count(v.All) + " in all"
	}
	name, desc := s.order()
	ps := s.placed(f.W)
	order := ""
	if f.W >= wideFrom || !isNamed(ps, name) {
		order = "sort " + strings.ToUpper(name) + " " + orderWord(desc)
	}
	all := len(recentColumns)
	if len(s.keys) > 0 {
		all = len(recentGroupColumns)
	}
	a.filterWith(f, s.followWord()+what, order, withoutRoom(all, ps))
}

// isNamed reports whether a column called name is on the screen.
func isNamed(ps []placed, name string) bool {
	for _, p := range ps {
		if p.name == name {
			return true
		}
	}
	return false
}

// compareText says how much changed: "since the mark (1m30s): 312 begun, 298 ended, dport 443 lost 91 % (112, now 10)", shorter where
// that is wider than w cells.
func (s *recent) compareText(a *App, w int) string {
	if !s.got || !s.view.Stats.Loaded {
		return s.spanText(a)
	}
	v := s.view
	t := fmt.Sprintf("%s begun, %s ended", thousands(v.Begun), thousands(v.Ended))
	short := t
	p := v.Port
	switch {
	case p.Then > p.Now:
		t += fmt.Sprintf(", dport %d lost %d %% (%s, now %s)", p.Port, (p.Then-p.Now)*100/p.Then, thousands(p.Then), thousands(p.Now))
		short += fmt.Sprintf(", dport %d: %s, now %s", p.Port, thousands(p.Then), thousands(p.Now))
	case p.Now > p.Then:
		t += fmt.Sprintf(", dport %d grew from %s to %s", p.Port, thousands(p.Then), thousands(p.Now))
		short += fmt.Sprintf(", dport %d: %s, now %s", p.Port, thousands(p.Then), thousands(p.Now))
	}
	span := s.spanText(a) + ": "
	for _, fits := range []string{span + t, span + short, strings.TrimPrefix(span, "since ") + short, short} {
		if draw.Width(fits) <= w {
			return fits
		}
	}
	return short
}

// spanText names the time that the screen is about: what was asked for, or how far back there is anything to tell.
func (s *recent) spanText(a *App) string {
	v, now := s.view, a.now.UnixNano()
	long := func(t int64) string { return string(model.AppendDurationLong(nil, time.Duration(now-t))) }
	if s.got && v.Stats.Loaded && v.From-s.asked >= int64(time.Second) {
		if !v.Cut {
			return "since the table was read (" + long(v.From) + ")"
		}
		return "since " + draw.Clock(v.From, a.now.Location()) + " (" + long(v.From) + ")"
	}
	switch s.window {
	case fiveMinutes:
		return "last 5 min"
	case sinceMark:
		return "since the mark (" + long(s.mark) + ")"
	}
	return "last 30 s"
}

func (s *recent) whyEmpty(a *App) string {
	v := s.view
	switch {
	case !s.got:
		return "reading " + a.marks.Ellipsis
	case !v.Stats.Loaded:
		return "reading the table " + a.marks.Ellipsis
	case v.All > 0 && a.active() != nil:
		text := a.text
		if a.trying {
			text = a.tryText
		}
		return fmt.Sprintf("0 of %s that began or ended match %q. Esc clears the filter.", model.Plural(v.All, "flow"), model.Escape(text))
	}
	return "nothing began or ended. " + keyOf(rebind(recentBindings, a.opt.Keys), "window") + " looks further back."
}

// recentCell is a cell of a flow.
func recentCell(a *App, r *table.RecentRow, name string, w int) (string, draw.Role) {
	c := &a.flows.c
	c.width = w
	switch name {
	case sortWhen:
		at := r.Flow.First
		if r.End != 0 {
			at = r.End
		}
		return draw.Clock(at, a.now.Location()), draw.Plain
	case "what":
		return whatChanged(r)
	case sortLived:
		return lived(r), draw.Plain
	case "state":
		look := stateLook(&r.Row, c)
		if r.End != 0 {
			look = draw.Finished
		}
		return string(stateCell(nil, &r.Row, c)), look
	}
	col := columnNamed(name)
	look := draw.Plain
	if col.look != nil {
		look = col.look(&r.Row, c)
	}
	return string(col.value(nil, &r.Row, c)), look
}

// whatChanged says whether a flow began, ended, or both.
func whatChanged(r *table.RecentRow) (string, draw.Role) {
	switch {
	case r.End == 0:
		return "begun", draw.Open
	case r.Began:
		return "both", draw.Plain
	}
	return "ended", draw.Closing
}

// lived is how long a flow that ended had lived: at least, where it is not known when it began; "-" where it is there.
func lived(r *table.RecentRow) string {
	if r.End == 0 || r.Flow.First == 0 {
		return "-"
	}
	var b []byte
	if !r.Sure {
		b = append(b, '>')
	}
	d := time.Duration(max(r.End-r.Flow.First, 0))
	if d < time.Second {
		return string(append(strconv.AppendInt(b, d.Milliseconds(), 10), "ms"...))
	}
	return string(model.AppendDuration(b, d))
}

// groupCell is a cell of a group.
func (s *recent) groupCell(a *App, r *table.RecentGroup, name string) (string, draw.Role) {
	switch name {
	case "key":
		return a.groupText(&table.GroupRow{Values: r.Values}, "  "), draw.Plain
	case "changes":
		return draw.Count(r.Changes), draw.Plain
	case "begun":
		return draw.Count(r.Begun), draw.Plain
	case "ended":
		return draw.Count(r.Ended), draw.Plain
	case "now":
		return draw.Count(r.Now), draw.Plain
	case "then":
		if s.view.Lasting {
			return draw.Count(r.Then), draw.Plain
		}
	case "lost":
		if s.view.Lasting && r.Then > r.Now {
			look := draw.Plain
			if r.Then-r.Now >= 10 && (r.Then-r.Now)*2 >= r.Then {
				look = draw.Warn
			}
			return draw.Count((r.Then-r.Now)*100/r.Then) + "%", look
		}
	case "bytes":
		if r.Counted > 0 {
			return string(model.AppendBytes(atLeast(r.Counted, r.Changes), r.Bytes)), draw.Plain
		}
	}
	return "-", draw.Plain
}

// foot writes the row under the cursor, the message line and the keys.
func (s *recent) foot(a *App, f *draw.Frame) {
	msg := a.message()
	if msg == "" {
		msg = s.standing(a)
	}
	if b, typing := a.bar(); typing {
		msg = a.barText(b, s.view.Changes, s.view.All)
	}
	a.footOf(f, s.currentText(a), msg)
}

// standing is what the message line says when nothing happened.
func (s *recent) standing(a *App) string {
	v := s.view
	switch {
	case a.paused:
		return "screen is from " + a.pausedAt.Format("15:04:05") + ". p goes on."
	case v.Cut:
		return fmt.Sprintf("kept: the last %s flows that ended, since %s", thousands(table.KeepEnds), draw.Clock(v.From, a.now.Location()))
	case v.Stats.LastLost != 0 && v.Stats.LastLost >= v.From:
		return fmt.Sprintf("events were lost at %s: what began and ended just then is missing", draw.Clock(v.Stats.LastLost, a.now.Location()))
	case a.hasSys && a.sys.Events.OK && a.sys.Events.Value == 0:
		return "net.netfilter.nf_conntrack_events is 0: what begins and ends is found late, and what lives short is missing"
	case v.Unknown > 0:
		return a.filter.UnknownText(v.Unknown, "flow") + ": not taken for matching"
	}
	return ""
}

// currentText says more of the row under the cursor.
func (s *recent) currentText(a *App) string {
	if !a.cursorShown() {
		return ""
	}
	loc := a.now.Location()
	if g := s.group(); g != nil {
		t := g.Filter + ": " + model.Plural(g.Now, "flow") + " now"
		if s.view.Lasting {
			t += ", " + draw.Count(g.Then) + " at " + draw.Clock(s.view.From, loc)
		}
		return t
	}
	r := s.flow()
	if r == nil {
		return ""
	}
	t := r.Flow.Orig()
	out := r.Flow.Proto.String() + " " + string(draw.AppendPair(nil, &t))
	switch {
	case r.Flow.First == 0:
		out += "   began -"
	case r.Sure:
		out += "   began " + draw.Clock(r.Flow.First, loc)
	default:
		out += "   first seen " + draw.Clock(r.Flow.First, loc)
	}
	switch {
	case r.Silent:
		out += "   found gone " + draw.Clock(r.End, loc) + ": no event told"
	case r.End != 0:
		out += "   ended " + draw.Clock(r.End, loc)
	}
	return out
}
