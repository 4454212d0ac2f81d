package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A statLine is a line of one column of the screen. row is set where it can be chosen.
type statLine struct {
	spans []span
	row   *pageRow
}

// statText is a line that looks one way.
func statText(look draw.Role, t string) statLine { return statLine{spans: []span{{t, look}}} }

// fact is a line of a value, which is what one looks for, and what it is of.
func fact(name string, w int, value string) statLine {
	return statLine{spans: []span{{padRight(name, w), draw.Faint}, {value, draw.Plain}}}
}

// lookOfState is how a state of a protocol's flows looks.
func lookOfState(p model.Proto, state string) draw.Role {
	f := model.Flow{Key: model.Key{Proto: p}}
	switch i := slices.Index(model.StateNames(p), state); {
	case i >= 0:
		f.State, f.Known = model.State(i), model.KnownState
	case state == "offload":
		f.Status = model.StatusOffload
	case state == "replied":
		f.Status = model.StatusSeenReply
	}
	return draw.StateRole(&f)
}

// number is a value in a column of w cells; none stands back.
func number(t string, w int) span {
	look := draw.Plain
	if nothing([]byte(t)) {
		look = draw.Faint
	}
	return span{padLeft(t, w), look}
}

func (s *stats) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	if !s.got {
		a.tabsLine(f)
		f.Line(draw.Plain, "  reading "+f.Marks.Ellipsis)
	} else {
		s.body(a, f)
	}
	a.foot(f, s.note(a), a.withoutTabs(s.position()))
}

// note is the message of the foot.
func (s *stats) note(a *App) string {
	return cmp.Or(a.message(), s.aboutRow(), s.striking(a))
}

// body writes one or two columns of lines, scrolled so that the chosen row is visible.
func (s *stats) body(a *App, f *draw.Frame) {
	two := f.W >= 76
	cw := f.W - 2
	if two {
		cw = (f.W - 3) / 2
	}
	gap := []statLine{{}}
	left := slices.Concat(s.tableLines(a, cw), gap)
	right := slices.Concat(s.stateLines(a, cw), gap, s.ctviewLines(a, cw), gap, s.sysctlLines(a, cw))
	if two {
		left = slices.Concat(left, s.counterLines(a, cw))
	} else {
		left, right = slices.Concat(left, right, gap, s.counterLines(a, cw)), nil
	}
	left, right = folded(left, cw-2), folded(right, cw-2)
	found := s.rows[:0]
	for n, col := range [][]statLine{right, left} {
		for i := range col {
			if r := col[i].row; r != nil {
				r.line, r.x = i, (1-n)*(cw+2)
				found = append(found, *r)
			}
		}
	}
	n := max(len(left), len(right))
	s.follow = s.pos() > 0
	s.settle(found, n, a.headRows(), f.H-a.headRows()-1-len(a.notes(s.note(a), a.withoutTabs(s.position()))))
	s.follow = false
	a.tabsWith(f, s.position())
	id := ""
	if r := s.row(); r != nil {
		id = r.id
	}
	for i := s.from; i < min(n, s.from+s.size); i++ {
		f.Begin(draw.Plain)
		f.Text(" ")
		if i < len(left) {
			s.cell(f, left[i], cw, id)
		}
		if i < len(right) {
			f.Pad(cw + 2)
			s.cell(f, right[i], cw, id)
		}
		f.End()
	}
}

// cell writes a line of a column, in cw cells.
func (s *stats) cell(f *draw.Frame, l statLine, cw int, id string) {
	if l.row != nil && l.row.id == id {
		f.Within(draw.Selected, f.X+cw-1, func() {
			f.Text(f.Marks.Cursor)
			writeSpans(f, l.spans, cw-2)
		})
		return
	}
	f.Text(" ")
	writeSpans(f, l.spans, cw-2)
}

// folded is lines with each in at most w cells: what is wider goes on below, at its gaps, else at its blanks. No value is cut.
func folded(lines []statLine, w int) (out []statLine) {
	for _, l := range lines {
		n := 0
		for _, s := range l.spans {
			n += draw.Width(s.text)
		}
		if n <= w {
			out = append(out, l)
		} else {
			out = append(out, l.fold(w)...)
		}
	}
	return out
}

func (l statLine) fold(w int) (out []statLine) {
	line, x, indent := statLine{row: l.row}, 0, 2
	rest := l.spans
	if len(rest) > 1 { // what it is of
		line.spans, x = rest[:1:1], draw.Width(rest[0].text)
		if rest = rest[1:]; x <= w/2 {
			indent = x
		}
		for _, s := range rest {
			for t := range strings.FieldsSeq(s.text) {
				if draw.Width(t) > w-indent {
					indent = 2
				}
			}
		}
	}
	put := func(t string, look draw.Role, gap string) {
		if x > indent && x+draw.Width(gap)+draw.Width(t) > w {
			out = append(out, line)
			line, x = statLine{spans: []span{{strings.Repeat(" ", indent), draw.Plain}}}, indent
		}
		if x == indent {
			gap = ""
		}
		line.spans = append(line.spans, span{gap + t, look})
		x += draw.Width(gap) + draw.Width(t)
	}
	for _, s := range rest {
		for piece := range strings.SplitSeq(s.text, "  ") {
			piece = strings.TrimSpace(piece)
			words := []string{piece}
			if draw.Width(piece) > w-indent {
				words = strings.Fields(piece)
			}
			for i, t := range words {
				switch {
				case t == "":
				case i == 0:
					put(t, s.look, "  ")
				default:
					put(t, s.look, " ")
				}
			}
		}
	}
	return append(out, line)
}

func heading(t string) statLine { return statText(draw.Head, t) }

// tableLines say how full the table is and how that went.
func (s *stats) tableLines(a *App, cw int) []statLine {
	st := &a.stats
	ls := []statLine{heading("TABLE")}
	n := strconv.Itoa(st.Flows)
	if a.hasSys && a.sys.Max.OK && a.sys.Max.Value > 0 {
		n += fmt.Sprintf(" of %d    %d%%", a.sys.Max.Value, int64(st.Flows)*100/a.sys.Max.Value)
	}
	_, look := a.fill()
	flows := fact("flows", 10, n)
	flows.spans[1].look = look
	ls = append(ls, flows)
	if a.hasSys && a.sys.Max.OK {
		ls = append(ls, statText(draw.Fill(float64(st.Flows), float64(a.sys.Max.Value)),
			draw.Meter(float64(st.Flows), float64(a.sys.Max.Value), min(cw-2, 46), &a.marks)))
	}
	if a.hasSys && a.sys.Buckets.OK && a.sys.Buckets.Value > 0 {
		ls = append(ls, fact("buckets", 10, fmt.Sprintf("%d (%.2f flows each)", a.sys.Buckets.Value, float64(st.Flows)/float64(a.sys.Buckets.Value))))
	}
	x := "-"
	if s.expects >= 0 {
		x = strconv.Itoa(s.expects)
	}
	if a.sys.ExpectMax.OK {
		x += fmt.Sprintf(" of %d", a.sys.ExpectMax.Value)
	}
	ls = append(ls, fact("expects", 10, x))
	peak, peakAt := 0, int64(0)
	for _, v := range s.seconds {
		if v.Flows >= peak {
			peak, peakAt = v.Flows, v.At
		}
	}
	if peakAt > 0 {
		ls = append(ls, fact("peak", 10, fmt.Sprintf("%d at %s", peak, draw.Clock(peakAt, a.now.Location()))))
	}
	ls = append(ls, fact("growth", 10, s.growthText(a)), statLine{})
	return append(ls, s.graphs(a, cw)...)
}

// graphs draw the last ten minutes.
func (s *stats) graphs(a *App, cw int) []statLine {
	if len(s.seconds) < 3 {
		return nil
	}
	secs := s.seconds[:len(s.seconds)-1]
	w := max(min(cw-10, 60), 10)
	pick := func(of func(*table.Second) float64) []float64 {
		vs := make([]float64, len(secs))
		for i := range secs {
			vs[i] = of(&secs[i])
		}
		return vs
	}
	vs := pick(func(x *table.Second) float64 { return float64(x.Flows) })
	top := draw.Largest(vs)
	rs := draw.Resample(vs, w)
	since := string(model.AppendDuration(nil, time.Duration(len(secs))*time.Second))
	if len(secs)%60 == 0 {
		since = strconv.Itoa(len(secs)/60) + " min"
	}
	ls := []statLine{heading("flows, last " + since)}
	h := 3
	if a.h < 30 {
		h = 1
	}
	g := draw.Graph(rs, h, top, &a.marks)
	edge := make([]string, h)
	edge[0] = string(model.AppendBytes(nil, uint64(top)))
	if h > 1 {
		edge[h-1] = "0"
	}
	for i := range g {
		ls = append(ls, statLine{spans: []span{{padLeft(edge[i], 5) + " " + a.marks.V, draw.Faint}, {g[i], draw.Curve}}})
	}
	for _, k := range []struct {
		name string
		of   func(*table.Second) float64
	}{{"new/s", func(x *table.Second) float64 { return float64(x.New) }},
		{"ended/s", func(x *table.Second) float64 { return float64(x.Destroy) }},
		{"lost/s", func(x *table.Second) float64 { return float64(x.Lost) }}} {
		vs := pick(k.of)
		if k.name == "lost/s" && draw.Largest(vs) == 0 {
			continue
		}
		top := draw.Largest(vs)
		peak := " peak " + strconv.Itoa(int(top))
		gw := max(min(w-8, cw-2-8-len(peak)), 1)
		ls = append(ls, statLine{spans: []span{{padRight(k.name, 8), draw.Faint}, {draw.Graph(draw.Resample(vs, gw), 1, top, &a.marks)[0], draw.Curve},
			{peak, draw.Plain}}})
	}
	return ls
}

// stateLines count the flows by state, zone, helper and NAT.
func (s *stats) stateLines(a *App, cw int) []statLine {
	t := &s.totals
	w, fw, pw := min(cw-20, 32), 8, 7
	for i := range min(len(t.States), 9) {
		if n := len(t.States[i].Proto.String()) + 1 + len(t.States[i].State); n > w { // SHUTDOWN_ACK_SENT
			w, fw, pw = n, 7, 6
		}
	}
	bar := cw - w - 20
	ls := []statLine{heading(padRight("BY STATE", w) + padLeft("flows", fw) + padLeft("%", pw))}
	rest := 0
	for i, x := range t.States {
		if i >= 9 {
			rest += x.Flows
			continue
		}
		pct := 100 * float64(x.Flows) / float64(max(t.Flows, 1))
		proto := x.Proto.String() + " "
		sp := []span{{proto, draw.Plain}, {padRight(x.State, w-len(proto)), lookOfState(x.Proto, x.State)}, number(strconv.Itoa(x.Flows), fw),
			number(strconv.FormatFloat(pct, 'f', 1, 64), pw)}
		half := (x.State == "SYN_SENT" || x.State == "SYN_RECV") && pct >= 20
		if half {
			sp = []span{{proto + padRight(x.State, w-len(proto)) + sp[2].text + sp[3].text + " !", draw.Warn}}
		} else if bar >= 8 {
			sp = append(sp, span{"  " + strings.Repeat(a.marks.Bar, min(int(pct/100*float64(bar-4)+0.5), bar-4)), draw.Curve})
		}
		ls = append(ls, statLine{spans: sp, row: &pageRow{id: "state" + x.Proto.String() + x.State, enter: func(a *App) tea.Cmd {
			return a.away(func() tea.Cmd {
				cmd := a.showFlows("proto " + x.Proto.String() + " and state " + strings.ToLower(x.State))
				if half { // whose are they
					group, _ := runGroup(a, "src")
					return tea.Batch(cmd, group)
				}
				return cmd
			})
		}}})
	}
	if rest > 0 {
		ls = append(ls, statText(draw.Plain, padRight("other", w)+padLeft(strconv.Itoa(rest), fw)+padLeft(strconv.FormatFloat(100*float64(rest)/float64(max(t.Flows, 1)), 'f', 1, 64), pw)))
	}
	ls = append(ls, statLine{})
	zones := ""
	for i, z := range t.Zones {
		if i < 6 {
			zones += fmt.Sprintf("%d: %d  ", z.Zone, z.Flows)
		}
	}
	zones += andMore(len(t.Zones) - 6)
	helpers := ""
	for i, h := range t.Helpers {
		n := "none"
		if h.Helper != 0 {
			n = model.Escape(h.Helper.String())
		}
		if i < 6 {
			helpers += fmt.Sprintf("%s: %d  ", n, h.Flows)
		}
	}
	helpers += andMore(len(t.Helpers) - 6)
	nat := fmt.Sprintf("snat %d  dnat %d  none %d", t.SNAT, t.DNAT, t.NoNAT)
	for _, x := range [][3]string{{"BY ZONE", zones, "zone != 0"}, {"BY HELPER", helpers, "helper != none"}, {"NAT", nat, "nat"}} {
		l := statLine{spans: []span{{padRight(x[0], 11), draw.Head}, {x[1], draw.Plain}}}
		l.row = &pageRow{id: x[0], enter: func(a *App) tea.Cmd { return a.showFlows(x[2]) }}
		ls = append(ls, l)
	}
	return ls
}

// andMore tells of n that are not listed.
func andMore(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("and %d more", n)
}

// counterLines are the kernel's counters.
func (s *stats) counterLines(a *App, cw int) []statLine {
	w, tw, rw := min(cw-24, 24), 12, 9
	if w < 16 { // room for the names, and for the sign of trouble
		w, rw = 16, 6
		tw = max(cw-4-w-rw, 8)
	}
	ls := []statLine{heading(padRight("KERNEL COUNTERS", w) + padLeft("total", tw) + padLeft("/s", rw))}
	if s.cpuErr != nil {
		return append(ls, statText(draw.Plain, model.Escape(s.cpuErr.Error())))
	}
	if s.cpus == nil {
		return append(ls, statText(draw.Faint, "-"))
	}
	for i := 1; i < 16; i++ {
		if s.has&(1<<i) == 0 {
			continue
		}
		rate := "-"
		if s.hasRates {
			rate = strconv.FormatFloat(s.perSec[i], 'f', 0, 64)
		}
		sp := []span{{padRight(format.StatName(i, false), w), draw.Plain}, number(strconv.FormatUint(s.sums[i], 10), tw), number(rate, rw)}
		if s.marked(a, i) {
			sp = []span{{sp[0].text + sp[1].text + sp[2].text + " !", draw.Warn}}
		}
		ls = append(ls, statLine{spans: sp, row: &pageRow{id: "counter" + strconv.Itoa(i), about: s.counterAbout(i)}})
	}
	return ls
}

// ctviewLines say how ctview itself is doing.
func (s *stats) ctviewLines(a *App, cw int) []statLine {
	st := &a.stats
	ls := []statLine{heading("CTVIEW")}
	counted, dump := "   new %d  updates %d  ended %d", "   last dump took %.2f s"
	narrow := cw < 52
	if narrow {
		counted, dump = " +%d ~%d -%d", ", last took %.2f s"
	}
	flows, kernel := strconv.Itoa(st.Flows), ""
	if a.hasSys && a.sys.EntriesOK {
		diff := "-"          // of two moments, or of half a table, it would say nothing
		if a.sysFlows >= 0 { // as many as there were when the kernel said it
			flows = strconv.Itoa(a.sysFlows)
			diff = strconv.FormatInt(int64(a.sysFlows)-int64(a.sys.Entries), 10)
		}
		kernel = fmt.Sprintf("%d   diff %s", a.sys.Entries, diff)
	}
	switch {
	case narrow && kernel != "":
		ls = append(ls, fact("model flows", 15, flows), fact("kernel says", 15, kernel))
	case kernel != "":
		ls = append(ls, fact("model flows", 15, flows+"   kernel says "+kernel))
	default:
		ls = append(ls, fact("model flows", 15, flows))
	}
	if st.Left > 0 {
		ls = append(ls, statText(draw.Alarm, padRight("left out", 15)+thousands(a.flowsInAll()-st.Flows)+" for want of memory; --max-memory allows more"))
	}
	ls = append(ls, fact("events in", 15, fmt.Sprintf("%s/s"+counted, a.eventRateText(), st.New, st.Updates, st.Ended)))
	buf := "-"
	if a.sys.RcvBuf > 0 {
		buf = string(model.AppendBytes(nil, uint64(a.sys.RcvBuf))) + "B"
		if a.sys.RcvBufScarce {
			buf += ", an eighth of free memory"
		}
		if a.sys.RcvBufHeld {
			buf += ": net.core.rmem_max holds it down"
		}
	}
	ls = append(ls, fact("socket buffer", 15, buf))
	lost := fact("lost events", 15, strconv.FormatUint(st.Lost, 10))
	if st.Lost > 0 {
		lost.spans[1].text += fmt.Sprintf(" in %s   last %s", model.Plural(st.Gaps, "gap"), draw.Clock(st.LastLost, a.now.Location()))
		lost.spans[1].look = draw.Warn
	}
	ls = append(ls, lost)
	re := strconv.FormatUint(st.Resyncs, 10)
	if st.LastResync.Ended > st.LastResync.Began {
		re += fmt.Sprintf(dump, float64(st.LastResync.Ended-st.LastResync.Began)/1e9)
	}
	ls = append(ls, fact("resyncs", 15, re))
	if st.Forged+st.Malformed > 0 {
		ls = append(ls, statText(draw.Warn, padRight("refused", 15)+model.Plural(st.Forged, "forged message")+", "+model.Plural(st.Malformed, "broken message")))
	}
	ns := "default"
	if a.opt.Netns != "" {
		ns = model.Escape(a.opt.Netns)
	}
	return append(ls, fact("memory", 15, string(model.AppendBytes(nil, s.memory))+"B"),
		fact("namespace", 15, fmt.Sprintf("%s   uid %d", ns, a.sys.UID)))
}

// sysctlLines are the settings that matter, each with what it means where it is not as it should be.
func (s *stats) sysctlLines(a *App, cw int) []statLine {
	w, gap := 9, "   "
	if cw < 24+9+5+len("always on")+2 { // the row's message tells what the key does
		w, gap = 7, " "
	}
	ls := []statLine{heading("SYSCTLS")}
	y := &a.sys
	for _, x := range []struct {
		name   string
		v      model.Setting
		key    string
		action string // that Enter carries out, too
		about  string
	}{
		{"nf_conntrack_acct", y.Acct, "a", "acct", "1 counts packets and bytes of every flow that begins from then on"},
		{"nf_conntrack_timestamp", y.Timestamp, "t", "timestamp", "1 keeps when each flow began"},
		{"nf_conntrack_events", y.Events, "e", "events", "2 makes events for flows that begin while somebody listens, 1 for all, 0 for none: then ctview sees what dumps tell"},
		{"nf_conntrack_max", y.Max, "", "", "entries that the table of each namespace may have; packets of more flows are dropped"},
		{"nf_conntrack_buckets", y.Buckets, "", "", "hash chains, for all namespaces together; about as many as flows is good"},
		{"tcp_timeout_established", y.TCPTimeouts[model.TCPEstablished], "", "", "seconds that an idle TCP connection stays"},
		{"nf_conntrack_tcp_loose", y.TCPLoose, "", "", "1 picks up connections in the middle; 0 calls them invalid"},
	} {
		v := "-"
		if x.v.OK {
			v = strconv.FormatInt(x.v.Value, 10)
		}
		sp, about := []span{{padRight(x.name, 24), draw.Plain}, number(v, w)}, x.about
		if x.action != "" && x.v.OK {
			_, act := switched(x.name, x.v.Value)
			sp = append(sp, span{gap + x.key, draw.Strong})
			if w == 9 {
				sp = append(sp, span{" " + act, draw.Faint})
			} else {
				about = x.key + " " + act + ": " + about
			}
		}
		if x.name == "nf_conntrack_events" && x.v.OK && x.v.Value == 0 {
			sp[0].look, sp[1].look = draw.Warn, draw.Warn
		}
		r := &pageRow{id: x.name, about: about}
		if x.action != "" {
			r.enter = func(a *App) tea.Cmd { return a.run(s, named(statsBindings, x.action)) }
		}
		ls = append(ls, statLine{spans: sp, row: r})
	}
	return ls
}
