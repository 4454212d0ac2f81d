package tui

import (
	"fmt"
	"strconv"

	"ctview/model"

	"ctview/tui/draw"
)

var (
	stateColumns = []column{
		{name: "state", title: "STATE", short: "STATE", min: 11, want: 12},
		{name: "flows", title: "FLOWS", short: "FLOWS", min: 8, want: 9, right: true},
		{name: "packets", title: "PACKETS", short: "PACKETS", min: 9, want: 11, right: true},
		{name: "rate", title: "PER SEC", short: "PER SEC", min: 8, want: 9, right: true},
		{name: "meaning", title: "MEANING", short: "MEANING", min: 20, want: 60, max: 100},
	}
	stateDrops    = []string{"meaning"}
	sampleColumns = []column{
		{name: "time", title: "TIME", short: "TIME", min: 12, want: 13},
		{name: "state", title: "STATE", short: "STATE", min: 9, want: 9},
		{name: "if", title: "IN", short: "IN", min: 6, want: 8, max: 15},
		{name: "proto", title: "PROTO", short: "PRO", min: 4, want: 5},
		{name: "src", title: "SOURCE", short: "SOURCE", min: 18, want: 20, max: 47},
		{name: "dst", title: "DESTINATION", short: "DESTINATION", min: 18, want: 20, max: 47},
		{name: "flags", title: "FLAGS", short: "FLAGS", min: 7, want: 8, max: 15},
		{name: "len", title: "LEN", short: "LEN", min: 5, want: 5, right: true},
		{name: "why", title: "WHY", short: "WHY", min: 16, want: 24, max: 60},
	}
	sampleDrops = []string{"len", "if", "flags", "why", "proto", "time"}
)

func (s *packetStates) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	s.statusLine(a, f)
	ps := layout(columnsOf(stateColumns), f.W, demand{order: stateDrops})
	writeHeads(f, ps, "", false)
	for i, st := range model.CtStates {
		s.stateRow(f, ps, st, &s.counts.Of[i], !s.on)
	}
	f.Line(draw.Plain, "")
	switch {
	case s.err != nil:
		for _, l := range wrapKeep(model.Escape(s.err.Error()), f.W-4) {
			f.Line(draw.Alarm, "  "+l)
		}
	case s.got && !s.on:
		for _, l := range wrapKeep("INVALID and UNTRACKED packets have no flow. w counts packets of all five states and shows samples of those two.", f.W-4) {
			f.Line(draw.Plain, "  "+l)
		}
	case s.got:
		s.sampleRows(a, f)
	}
	a.foot(f, s.note(a), "")
}

// note is the message of the foot.
func (s *packetStates) note(a *App) string {
	if x := s.sample(); a.message() == "" && x != nil && s.on {
		return s.about(x)
	}
	return a.message()
}

func (s *packetStates) statusLine(a *App, f *draw.Frame) {
	f.Begin(draw.Plain)
	f.Text(" packets by state")
	if s.text != "" {
		f.Text("   / " + model.Escape(s.text))
	}
	t := "from " + model.Escape(s.counts.Source)
	if s.counts.HasInvalid {
		t += fmt.Sprintf("   invalid since boot %d", s.counts.Invalid)
	}
	if s.on && s.got {
		t = s.followWord() + position(s.top, s.rowsOn(a), len(s.samples)) + " samples   " + t
	}
	if s.frozen {
		t = "PAUSED   " + t
	}
	if !s.got {
		t = "reading " + a.marks.Ellipsis
	}
	f.Right(draw.Plain, t)
	f.End()
}

// stateRow writes one of the five states; whole: with all of its meaning, below it where the column has no room.
func (s *packetStates) stateRow(f *draw.Frame, ps []placed, st model.CtState, n *model.StateCount, whole bool) {
	meaning, below := st.Meaning(), []string(nil)
	last := &ps[len(ps)-1]
	if whole && last.name == "meaning" {
		below = wrapKeep(meaning, last.w)
		meaning, below = below[0], below[1:]
	}
	writeGrid(f, ps, draw.Plain, "  ", func(name string, _ int) (string, draw.Role) {
		switch name {
		case "state":
			return upper(st.String()), ctLook(st, n)
		case "flows":
			if !n.HasFlows {
				return "-", draw.Plain
			}
			return strconv.Itoa(n.Flows), draw.Plain
		case "packets":
			if !n.HasPackets {
				return "-", draw.Plain
			}
			return strconv.FormatUint(n.Packets, 10), draw.Plain
		case "rate":
			if !n.HasRate {
				return "-", draw.Plain
			}
			return strconv.FormatFloat(n.PacketRate, 'f', 1, 64), draw.Plain
		}
		return meaning, draw.Plain
	})
	for _, l := range below {
		f.Begin(draw.Plain)
		f.Pad(last.x)
		f.Text(l)
		f.End()
	}
}

// upper writes one of the five names in capitals.
func upper(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// ctLook is how one of the five names looks. INVALID is trouble only where there is some now; n is nil for a packet.
func ctLook(st model.CtState, n *model.StateCount) draw.Role {
	switch st {
	case model.CtNew:
		return draw.Opening
	case model.CtEstablished:
		return draw.Open
	case model.CtRelated:
		return draw.Helped
	case model.CtInvalid:
		if n == nil || n.HasRate && n.PacketRate > 0 {
			return draw.Warn
		}
	case model.CtUntracked:
		return draw.Strong
	}
	return draw.Plain
}

func (s *packetStates) sampleRows(a *App, f *draw.Frame) {
	ps := layout(columnsOf(sampleColumns), f.W, demand{order: sampleDrops})
	writeHeads(f, ps, "", false)
	if len(s.samples) == 0 {
		t := "no INVALID or UNTRACKED packet yet"
		if s.kept > 0 {
			t = "none of " + model.Plural(s.kept, "sample") + " matches"
		}
		f.Line(draw.Plain, "  "+t)
		return
	}
	s.goTo(s.pos(), len(s.samples), s.rowsOn(a)) // the terminal may have changed its size
	for i := s.top; i < min(len(s.samples), s.top+s.rowsOn(a)); i++ {
		s.sampleRow(a, f, ps, &s.samples[i], i == s.pos())
	}
}

func (s *packetStates) sampleRow(a *App, f *draw.Frame, ps []placed, x *model.Sample, current bool) {
	base, lead := draw.Plain, "  "
	if current {
		base, lead = draw.Selected, f.Marks.Cursor+" "
	}
	writeGrid(f, ps, base, lead, func(name string, w int) (string, draw.Role) {
		switch name {
		case "time":
			return draw.Clock(x.At, a.now.Location()) + fmt.Sprintf(".%03d", x.At/1e6%1000), draw.Plain
		case "state":
			return upper(x.State.String()), ctLook(x.State, nil)
		case "if":
			return dash(model.Escape(x.In + x.Out)), draw.Plain
		case "proto":
			return x.Tuple.Proto.String(), draw.Plain
		case "src":
			return draw.EndIn(x.Tuple, true, w, f.Marks.Ellipsis), draw.Plain
		case "dst":
			return draw.EndIn(x.Tuple, false, w, f.Marks.Ellipsis), draw.Plain
		case "flags":
			return dash(x.TCP), draw.Plain
		case "len":
			return strconv.Itoa(x.Len), draw.Plain
		}
		if x.State == model.CtUntracked {
			if id, ok := model.RuleFor(x, s.rules); ok {
				return "rule " + model.Escape(id), draw.Plain
			}
			return "not ctview's", draw.Plain
		}
		return dash(model.Escape(x.Reason)), draw.Plain
	})
}

// about says of a sample what may have no column.
func (s *packetStates) about(x *model.Sample) string {
	t := upper(x.State.String()) + " in " + model.HookName(x.Hook)
	if x.TCP != "" {
		t += "   flags " + x.TCP
	}
	if x.HasInner {
		t += "   ICMP error about " + string(draw.AppendPair(nil, &x.Inner))
	}
	switch {
	case x.Reason != "":
		t += "   " + model.Escape(x.Reason)
	case x.State == model.CtInvalid && !s.reasons:
		t += "   e has the kernel tell why"
	}
	return t
}
