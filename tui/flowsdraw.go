package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/table"
)

// draw writes the screen.
func (s *flows) draw(a *App, f *frame) {
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
	ps := s.place(f.w)
	s.ageHead(a, ps)
	writeHeads(f, ps, s.sort, s.desc)
	rows := s.rowsOn(a)
	first := f.y()
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
	f.blanks(first + rows)
	s.footer(a, f)
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

// cursorShown is false while text is being typed: the mock-ups show no row as current then.
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
	s.c.now = a.now.UnixNano()
	s.c.sys = nil
	if a.hasSys {
		s.c.sys = &a.sys
	}
}

// filterLine writes the filter, how many flows match, and the order.
func (s *flows) filterLine(a *App, f *frame) {
	f.begin(plain)
	t := " / " + model.Escape(a.text)
	r := s.matchText(a)
	if f.w >= wideFrom {
		r += "   sort " + strings.ToUpper(s.sort) + " " + orderWord(s.desc)
	}
	f.text(clip(t, f.w-width(r)-3, f.mk.ellipsis))
	f.right(plain, r)
	f.end()
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
		return "loading " + a.marks.ellipsis
	case a.stats.Dumping && !a.stats.Loaded:
		return "loading " + count(a.stats.DumpRows) + " " + a.marks.ellipsis
	}
	t := count(v.Matched) + " of " + count(v.Total)
	if a.w >= wideFrom {
		t += " match"
	}
	if v.Unknown > 0 {
		t += ", " + count(v.Unknown) + " unknown"
	}
	return t
}

// footer writes the line of the current flow, the message line and the keys.
func (s *flows) footer(a *App, f *frame) {
	msg := a.message()
	short := f.w < wideFrom && f.h < shortHeight
	if msg == "" {
		msg = s.standing(a)
	}
	if _, typing := a.bar(); typing {
		msg = a.barText(s.view)
	}
	lines := wrapKeep(msg, f.w-2)
	switch {
	case short && msg != "":
		lines = []string{msg}
	case short:
		lines = nil
	case len(lines) > 1: // the message takes the line of the current flow, too
		lines = []string{lines[0], strings.Join(lines[1:], " ")}
	}
	if len(lines) < 2 && (!short || msg == "") {
		s.currentLine(f, a)
	}
	for _, l := range lines {
		f.begin(plain)
		f.text(" ")
		f.styled(a.noteLog, l)
		f.end()
	}
	a.hints(f, s.hintBindings(a))
}

// hintBindings are those of the mode that has the keys.
func (s *flows) hintBindings(a *App) []binding {
	return rebind(a.top().bindings(), a.opt.Keys)
}

// barText is the message line while a filter is typed: what the rows are.
func (a *App) barText(v *table.View) string {
	switch {
	case a.trying:
		return a.previewText(v.Matched, v.Total)
	case a.text != "":
		return fmt.Sprintf("filter not applied: the rows above are still those of %q", model.Escape(a.text))
	}
	return "no filter: the rows above are all flows"
}

// previewText says how many match what is typed so far.
func (a *App) previewText(matched, total int) string {
	if !a.trying {
		return ""
	}
	t := fmt.Sprintf("preview: %d of %d match %q", matched, total, model.Escape(a.tryText))
	for _, n := range a.try.Notes() { // what a word means where people may expect something else
		if width(t)+width(n)+5 < a.w {
			t += "   " + n
		}
	}
	return t
}

// message is the text of the message line.
func (a *App) message() string {
	if a.note == "" {
		a.noteLog = plain
	}
	return a.note
}

// standing is what the message line says when nothing happened.
func (s *flows) standing(a *App) string {
	switch {
	case a.paused:
		return fmt.Sprintf("screen is from %s; %d flows newer. p goes on.", a.pausedAt.Format("15:04:05"), a.stats.New-a.pauseStats.New)
	case len(s.marks) > 0:
		return count(len(s.marks)) + " marked"
	case s.view.Unknown > 0:
		return count(s.view.Unknown) + " flows have no " + a.filter.UnknownNoun() + ": they do not match"
	case s.follow:
		return "following the flow under the cursor; F stops"
	}
	return ""
}

// currentLine writes the flow under the cursor in full.
func (s *flows) currentLine(f *frame, a *App) {
	f.begin(plain)
	if r, ended := s.current(); r != nil && a.cursorShown() {
		f.text(" ")
		if ended {
			f.styled(strong, "ended  ")
		}
		f.text(summary(r, f.w >= wideFrom))
	}
	f.end()
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
	b = appendPair(b, &t)
	if fl.SNAT() {
		b = appendEnd(append(append(b, gap...), "snat "...), &rep, false, 0, "")
	}
	if fl.DNAT() {
		b = appendEnd(append(append(b, gap...), "dnat "...), &rep, true, 0, "")
	}
	b = append(append(b, gap...), "mark "...)
	if fl.Mark > 9 {
		b = strconv.AppendUint(append(b, "0x"...), uint64(fl.Mark), 16)
	} else {
		b = appendInt(b, fl.Mark)
	}
	if m := r.Extra.Master; m.Family != 0 {
		b = append(append(b, gap...), "expected by "...)
		b = appendEnd(b, &m, true, 0, "")
	}
	if fl.Helper != 0 {
		b = append(append(b, gap...), "helper "...)
		b = model.AppendEscaped(b, fl.Helper.String())
	}
	return string(b)
}

// emptyText says why there are no rows.
func (s *flows) emptyText(a *App, f *frame, rows int) {
	for _, l := range wrap(s.whyEmpty(a), f.w-4) {
		if rows--; rows < 0 {
			return
		}
		f.line(plain, "  "+l)
	}
}

func (s *flows) whyEmpty(a *App) string {
	st, v := &a.stats, s.view
	switch {
	case a.sysErr != nil && v.Total == 0:
		return model.Escape(a.sysErr.Error())
	case !s.got, st.Dumping && !st.Loaded, !st.Loaded && v.Total == 0:
		return "reading the table " + a.marks.ellipsis
	case v.Total > 0 && a.text != "":
		return fmt.Sprintf("0 of %d flows match %q.%s Esc clears the filter.", v.Total, model.Escape(a.text), s.zonesHere())
	case v.Total > 0:
		return ""
	case st.New+st.Updates+st.Ended == 0 && st.LastEnded == 0:
		return `No flows. Nothing in this namespace seems to use connection tracking: it starts when a rule needs it, e.g. ` +
			`"nft add rule inet filter input ct state established,related accept", or NAT. Waiting for the first event ` + a.marks.ellipsis
	}
	limit := "0"
	if a.hasSys && a.sys.Max.OK {
		limit += " of " + strconv.FormatInt(a.sys.Max.Value, 10)
	}
	t := "The table is empty (" + limit + ")."
	if st.LastEnded > 0 {
		t += " Last flow ended " + clock(st.LastEnded, a.now.Location()) + "."
	}
	return t
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
		case width(line)+1+width(word) <= w:
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
