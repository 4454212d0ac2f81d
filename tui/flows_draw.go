package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/model"

	"ctview/tui/draw"
)

// draw writes the screen.
func (s *flows) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	s.left = 0
	if b, ok := a.bar(); ok {
		s.left = b.write(a, f)
	} else {
		s.filterLine(a, f)
	}
	s.rebuild(a)
	s.settle()
	ps := s.place(f.W)
	s.dirHead(f.Marks, ps)
	s.ageHead(a, ps)
	writeHeads(f, ps, s.sort, s.desc)
	rows := s.rowsOn(a)
	first := f.Y()
	s.prepare(a)
	if len(s.items) == 0 {
		s.emptyText(a, f, rows)
	}
	for i := range s.items {
		if i >= rows {
			break
		}
		it := &s.items[i]
		_, m := s.marks[it.row.Flow.Key]
		writeRow(f, ps, it.row, &s.c, rowState{current: i == s.at && a.cursorShown(), marked: m, ended: it.ended})
	}
	f.Blanks(first + rows)
	s.footer(a, f)
}

// dirHead puts into the heads of counters which direction they are of, where it is only one.
func (s *flows) dirHead(m *draw.Marks, ps []placed) {
	mark := [...]string{"", m.Orig, m.Reply}[s.c.dir]
	for i := range ps {
		switch p := &ps[i]; p.name {
		case "rate", "bytes", "packets", "pps":
			if mark != "" && draw.Width(p.head+mark) > p.w {
				p.head = "PKTS" // PACKETS leaves no room
			}
			p.head += mark
		}
	}
}

// ageHead puts into the head of RATE how old its values are, where that is more than a few seconds.
func (s *flows) ageHead(a *App, ps []placed) {
	oldest := a.now.UnixNano()
	for _, it := range s.items {
		if f := &it.row.Flow; f.Known&model.KnownRate != 0 && !it.ended {
			oldest = min(oldest, f.CountersAt)
		}
	}
	age := time.Duration(a.now.UnixNano() - oldest)
	if oldest == 0 || age < 4*time.Second || age < 2*a.refresh {
		return
	}
	for i := range ps {
		if ps[i].name == "rate" {
			ps[i].head += " " + string(model.AppendAge(nil, age))
		}
	}
}

// cursorShown is false while text is being typed: no row is current then.
func (a *App) cursorShown() bool {
	_, typing := a.bar()
	return !typing
}

// place lays out the columns.
func (s *flows) place(w int) []placed {
	d := s.seen
	d.wide, d.skip, d.spare = s.wide, s.skip, !s.chosen
	return layout(s.cols, w, d)
}

// prepare sets what cells are drawn with.
func (s *flows) prepare(a *App) {
	s.c.now, s.c.zone = a.now.UnixNano(), a.now.Location()
	s.c.sys = nil
	if a.hasSys {
		s.c.sys = &a.sys
	}
}

// filterLine writes the filter, how many flows match, what there is no room for, and the order.
func (s *flows) filterLine(a *App, f *draw.Frame) {
	ps, more := s.place(f.W), ""
	shown := 0 // of those that were asked for
	for _, p := range ps {
		if slices.Contains(s.cols, p.column) {
			shown++
		}
	}
	if shown < len(s.cols) {
		more = draw.Count(len(s.cols)-shown) + " more: " + keyOf(rebind(flowsBindings, a.opt.Keys), "columns")
	}
	order := "" // no head has its mark
	if f.W >= wideFrom || !slices.ContainsFunc(ps, func(p placed) bool { return p.name == s.sort }) {
		order = "sort " + strings.ToUpper(s.sort) + " " + orderWord(s.desc)
	}
	a.filterWith(f, s.matchText(a), s.unknownText(), more, order)
}

func orderWord(desc bool) string {
	if desc {
		return "desc"
	}
	return "asc"
}

// matchText says how many flows match.
func (s *flows) matchText(a *App) string {
	v := s.view
	switch {
	case !s.got:
		return "loading " + a.marks.Ellipsis
	case a.stats.Dumping && !a.stats.Loaded:
		return "loading " + draw.Count(a.stats.DumpRows) + " " + a.marks.Ellipsis
	}
	t := s.followWord() + position(s.top, s.rowsOn(a), v.Matched)
	if v.Matched < v.Total {
		t += " match, " + draw.Count(v.Total) + " in all"
	}
	return t
}

// unknownText says of how many flows filter and order know nothing.
func (s *flows) unknownText() string {
	var out []string
	if n := s.view.Unknown; n > 0 {
		out = append(out, draw.Count(n)+" unknown")
	}
	if n := s.view.NoValue; n > 0 && s.got {
		out = append(out, draw.Count(n)+" without "+strings.ToUpper(s.sort))
	}
	return strings.Join(out, ", ")
}

// footer writes the line of the current flow, the message line and the keys.
func (s *flows) footer(a *App, f *draw.Frame) {
	msg := a.message()
	if msg == "" {
		msg = s.standing(a)
	}
	if b, typing := a.bar(); typing {
		msg = a.barText(b, s.view.Matched, s.view.Total)
	}
	a.footOf(f, s.currentText(a, f.W >= wideFrom), msg)
}

// barText is the message line while a filter is typed: what the rows are.
func (a *App) barText(b *bar, matched, total int) string {
	switch {
	case a.trying:
		return a.previewText(matched, total)
	case a.text != "" && b.line.String() == "":
		return fmt.Sprintf("the rows above are those of %q: Up brings it back, Enter takes it off", model.Escape(a.text))
	case a.text != "":
		return fmt.Sprintf("filter not applied: the rows above are still those of %q", model.Escape(a.text))
	}
	return "no filter: nothing is left out of the rows above"
}

// previewText says how many match what is typed so far.
func (a *App) previewText(matched, total int) string {
	t := fmt.Sprintf("preview: %d of %d match %q", matched, total, model.Escape(a.tryText))
	for _, n := range a.try.Notes() { // what a word means where people may expect something else
		if draw.Width(t)+draw.Width(n)+5 < a.w {
			t += "   " + n
		}
	}
	return t
}

// message is the text of the message line.
func (a *App) message() string {
	if a.note == "" {
		a.noteLog = draw.Plain
	}
	return a.note
}

// standing is what the message line says when nothing happened.
func (s *flows) standing(a *App) string {
	switch {
	case a.paused:
		return fmt.Sprintf("screen is from %s; %s newer. p goes on.", a.pausedAt.Format("15:04:05"), model.Plural(int(a.stats.New-a.pauseStats.New), "flow"))
	case len(s.marks) > 0:
		return draw.Count(len(s.marks)) + " marked"
	case s.uncounted(a):
		return "not counted, like every flow that is older than nf_conntrack_acct=1 here"
	case s.view.Unknown > 0:
		return a.filter.UnknownText(s.view.Unknown, "flow") + ": not taken for matching"
	}
	return ""
}

// uncounted reports whether the kernel is known not to count the flow under the cursor although it counts others: what is on the
// screen is asked for at each refresh.
func (s *flows) uncounted(a *App) bool {
	r, ended := s.current()
	return r != nil && !ended && r.Flow.Known&model.KnownCounters == 0 && a.hasSys && a.sys.Acct.OK && a.sys.Acct.Value != 0 &&
		a.now.UnixNano()-r.Flow.First > int64(3*a.refresh)
}

// currentText is the flow under the cursor in full.
func (s *flows) currentText(a *App, wide bool) string {
	r, ended := s.current()
	switch {
	case r == nil || !a.cursorShown():
		return ""
	case ended:
		return "ended  " + summary(r, wide)
	}
	return summary(r, wide)
}

// summary is a flow in a line: both ends, what NAT makes of them, mark, and who expected it.
func summary(r *model.Row, wide bool) string {
	fl := &r.Flow
	t, rep := fl.Orig(), fl.Reply()
	gap := " "
	var b []byte
	if wide {
		gap = "   "
		b = append(append(b, fl.Proto.String()...), ' ')
	}
	b = draw.AppendPair(b, &t)
	if fl.SNAT() {
		b = draw.AppendEnd(append(append(b, gap...), "snat "...), &rep, false, 0, "")
	}
	if fl.DNAT() {
		b = draw.AppendEnd(append(append(b, gap...), "dnat "...), &rep, true, 0, "")
	}
	b = append(append(b, gap...), "mark "...)
	if fl.Mark > 9 {
		b = strconv.AppendUint(append(b, "0x"...), uint64(fl.Mark), 16)
	} else {
		b = draw.AppendInt(b, fl.Mark)
	}
	if m := r.Extra.Master; m.Family != 0 {
		b = append(append(b, gap...), "expected by "...)
		b = draw.AppendEnd(b, &m, true, 0, "")
	}
	if fl.Helper != 0 {
		b = append(append(b, gap...), "helper "...)
		b = model.AppendEscaped(b, fl.Helper.String())
	}
	return string(b)
}

// emptyText says why there are no rows.
func (s *flows) emptyText(a *App, f *draw.Frame, rows int) {
	for _, l := range wrap(s.whyEmpty(a), f.W-4) {
		if rows--; rows < 0 {
			return
		}
		f.Line(draw.Plain, "  "+l)
	}
}

func (s *flows) whyEmpty(a *App) string {
	st, v := &a.stats, s.view
	switch {
	case a.sysErr != nil && v.Total == 0:
		return model.Escape(a.sysErr.Error())
	case !s.got, st.Dumping && !st.Loaded, !st.Loaded && v.Total == 0:
		return "reading the table " + a.marks.Ellipsis
	case v.Total > 0 && a.text != "":
		return fmt.Sprintf("0 of %s match %q.%s Esc clears the filter.", model.Plural(v.Total, "flow"), model.Escape(a.text), s.zonesHere())
	case v.Total > 0:
		return ""
	case st.New+st.Updates+st.Ended == 0 && st.LastEnded == 0:
		return "No flows" + s.whyUnused(a) + " Waiting for the first event " + a.marks.Ellipsis
	}
	limit := "0"
	if a.hasSys && a.sys.Max.OK {
		limit += " of " + strconv.FormatInt(a.sys.Max.Value, 10)
	}
	t := "The table is empty (" + limit + ")."
	if st.LastEnded > 0 {
		t += " Last flow ended " + draw.Clock(st.LastEnded, a.now.Location()) + "."
	}
	return t
}

// whyUnused says what the rules have to do with a table in which there never was a flow.
func (s *flows) whyUnused(a *App) string {
	const begins = `it starts when a rule needs it, e.g. "nft add rule inet filter input ct state established,related accept", or NAT.`
	t := a.sys.Tracking
	switch {
	case !a.hasSys || !t.Known:
		return ". Whether a rule of this namespace uses connection tracking is not known; " + begins
	case t.IPv4 && t.IPv6:
		return " yet. Rules of this namespace use connection tracking, of IPv4 and IPv6: the first packet will show."
	case t.IPv4:
		return " yet. Rules of this namespace use connection tracking of IPv4, not of IPv6: the first packet will show."
	case t.IPv6:
		return " yet. Rules of this namespace use connection tracking of IPv6, not of IPv4: the first packet will show."
	}
	return ". No rule of this namespace uses connection tracking: " + begins
}

// zonesHere lists the zones of the table, the largest first, for a filter that matches nothing.
func (s *flows) zonesHere() string {
	if len(s.zones) == 0 {
		return ""
	}
	parts := make([]string, 0, 9)
	for i, z := range s.zones {
		if i == 8 {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, fmt.Sprintf("%d (%d)", z.Zone, z.Flows))
	}
	return " Zones here: " + strings.Join(parts, ", ") + "."
}

// wrap breaks text at blanks into lines of at most w cells.
func wrap(text string, w int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case draw.Width(line)+1+draw.Width(word) <= w:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
