package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/filter"

	"ctview/tui/draw"
)

var (
	expectColumns = []column{
		{name: "helper", title: "HELPER", short: "HELPER", min: 7, want: 7, max: 12},
		{name: "src", title: "EXPECTED SOURCE", short: "EXPECTED SOURCE", min: 18, want: 22, max: 47},
		{name: "dst", title: "EXPECTED DESTINATION", short: "EXPECTED DEST", min: 20, want: 22, max: 47},
		{name: "proto", title: "PROTO", short: "PRO", min: 4, want: 5},
		{name: "zone", title: "ZONE", short: "ZONE", min: 4, want: 4, right: true},
		{name: "timeout", title: "TIMEOUT", short: "TIMEOUT", min: 7, want: 8, right: true},
		{name: "flags", title: "FLAGS", short: "FLAGS", min: 9, want: 9, max: 18},
		{name: "master", title: "MASTER FLOW", short: "MASTER FLOW", min: 30, want: 30, max: 60},
	}
	expectDrops = []string{"flags", "master", "proto", "zone", "timeout"}
)

func (s *expects) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	f.Begin(draw.Plain)
	watched := 0
	for _, h := range s.helpers {
		watched += h.Flows
	}
	f.Right(draw.Plain, draw.Plural(len(s.list), "expectation")+", "+draw.Plural(watched, "flow")+" with a helper")
	f.End()
	rows := f.H - f.Y() - 2
	id := ""
	if r := s.row(); r != nil && s.moved {
		id = r.id
	}
	lines := s.lines(a, f)
	if !s.moved {
		s.chosen = 0
	}
	for i := range s.rows {
		if s.rows[i].id == id {
			s.chosen = i
		}
	}
	s.chosen = max(min(s.chosen, len(s.rows)-1), 0)
	at, chosen := 0, ""
	if r := s.row(); r != nil {
		at, chosen = r.line, r.id
	}
	if at < s.top+1 {
		s.top = at - 1
	}
	if at >= s.top+rows {
		s.top = at - rows + 1
	}
	s.top = max(min(s.top, len(lines)-rows), 0)
	for i := s.top; i < min(len(lines), s.top+rows); i++ {
		lines[i](f, chosen)
	}
	f.Blanks(f.H - 2)
	msg := a.message()
	if r := s.row(); msg == "" && r != nil {
		msg = r.about
	}
	f.Begin(draw.Plain)
	f.Text(" ")
	f.Styled(a.noteLog, msg)
	f.End()
	a.hints(f, rebind(a.top().bindings(), a.opt.Keys))
}

// lines are what the screen has, as functions that write a line given the id of the chosen row.
func (s *expects) lines(a *App, f *draw.Frame) []func(*draw.Frame, string) {
	var out []func(*draw.Frame, string)
	text := func(look draw.Role, t string) {
		out = append(out, func(f *draw.Frame, _ string) {
			f.Begin(draw.Plain)
			f.Styled(look, "  "+t)
			f.End()
		})
	}
	choose := func(r expectRow, write func(f *draw.Frame, base draw.Role, lead string)) {
		r.line = len(out)
		s.rows = append(s.rows, r)
		out = append(out, func(f *draw.Frame, chosen string) {
			if chosen == r.id {
				write(f, draw.Selected, f.Marks.Cursor+" ")
				return
			}
			write(f, draw.Plain, "  ")
		})
	}
	s.rows = s.rows[:0]
	switch {
	case !s.got:
		text(draw.Plain, "reading "+f.Marks.Ellipsis)
		return out
	case s.err != nil:
		text(draw.Alarm, model.Escape(s.err.Error()))
	}
	ps := layout(columnsOf(expectColumns), f.W, demand{order: expectDrops})
	hasMaster := ps[len(ps)-1].name == "master"
	out = append(out, func(f *draw.Frame, _ string) { writeHeads(f, ps, "", false) })
	if len(s.list) == 0 && s.err == nil {
		text(draw.Plain, "no helper expects a connection now")
	}
	for i := range s.list {
		x := &s.list[i]
		choose(expectRow{id: fmt.Sprint("x", x.ID, x.Tuple), expect: x, about: expectAbout(x)}, func(f *draw.Frame, base draw.Role, lead string) {
			s.expectRow(f, ps, base, lead, x)
		})
		if !hasMaster && (i+1 == len(s.list) || s.list[i+1].Master != x.Master) {
			text(draw.Faint, "  master "+string(draw.AppendPair(nil, &x.Master)))
		}
	}
	text(draw.Plain, "")
	s.helperLines(text, choose)
	return out
}

// expectAbout tells of an expectation what has no column.
func expectAbout(x *model.Expect) string {
	t := "mask " + x.Mask.SrcAddr().String() + " > " + x.Mask.DstAddr().String()
	if x.Tuple.Proto.HasPorts() {
		t += fmt.Sprintf(" ports %#x > %#x", x.Mask.Sport, x.Mask.Dport)
	}
	t += fmt.Sprintf("   class %d", x.Class)
	if x.Fn != "" {
		t += "   function " + model.Escape(x.Fn)
	}
	if x.NAT.Family != 0 {
		t += "   nat to " + draw.End(x.NAT, true)
	}
	return t + "   " + expectFlags(x.Flags)
}

func (s *expects) expectRow(f *draw.Frame, ps []placed, base draw.Role, lead string, x *model.Expect) {
	writeGrid(f, ps, base, lead, func(name string, w int) (string, draw.Role) {
		switch name {
		case "helper":
			return dash(model.Escape(x.Helper)), draw.Helped
		case "src":
			return expectEnd(x, true), draw.Plain
		case "dst":
			return expectEnd(x, false), draw.Plain
		case "proto":
			return x.Tuple.Proto.String(), draw.Plain
		case "zone":
			switch {
			case !x.HasZone: // the kernel does not tell; cmd takes it from the master where that is known
				return "-", draw.Plain
			case x.Zone != 0:
				return strconv.Itoa(int(x.Zone)), draw.Zoned
			}
			return "0", draw.Plain
		case "timeout":
			if !x.HasTimeout {
				return "-", draw.Plain
			}
			return string(model.AppendDuration(nil, time.Duration(x.Timeout)*time.Second)), draw.Plain
		case "flags":
			return expectFlags(x.Flags), draw.Plain
		}
		return string(draw.AppendPair(nil, &x.Master)), draw.Plain
	})
}

// helperLines list the helpers that watch flows, and flows that ought to have one.
func (s *expects) helperLines(text func(draw.Role, string), choose func(expectRow, func(*draw.Frame, draw.Role, string))) {
	text(draw.Strong, "HELPERS THAT THE KERNEL ASSIGNED HERE")
	text(draw.Head, padRight("HELPER", 14)+padLeft("FLOWS", 8)+padLeft("EXPECTS", 10))
	if len(s.helpers) == 0 {
		text(draw.Plain, "none: no flow has a helper. A rule assigns them (nft: ct helper set, iptables: -j CT --helper).")
	}
	for _, h := range s.helpers {
		n := 0
		name := h.Helper.String()
		for i := range s.list {
			if s.list[i].Helper == name {
				n++
			}
		}
		t := padRight(model.Escape(name), 14) + padLeft(strconv.Itoa(h.Flows), 8) + padLeft(strconv.Itoa(n), 10)
		choose(expectRow{id: "h" + name, filter: filter.ByValue(model.ColHelper, &model.Row{Flow: model.Flow{Helper: h.Helper}}), about: "Enter shows the flows that this helper watches"},
			func(f *draw.Frame, base draw.Role, lead string) { f.Line(base, lead+t) })
	}
	if len(s.missing) > 0 {
		text(draw.Plain, "")
	}
	for _, m := range s.missing {
		t := fmt.Sprintf("%d flows to %s port %d have no %s helper: their data connections will not be RELATED.", m.flows, m.proto, m.port, m.name)
		if m.flows == 1 {
			t = fmt.Sprintf("1 flow to %s port %d has no %s helper: its data connections will not be RELATED.", m.proto, m.port, m.name)
		}
		filter := fmt.Sprintf("%s and dport %d and helper none and not phase closed", m.proto, m.port)
		choose(expectRow{id: fmt.Sprint("m", m.proto, m.port), filter: filter, about: "Enter shows them: " + strings.TrimSpace(filter)},
			func(f *draw.Frame, base draw.Role, lead string) { f.Line(base, lead+t) })
	}
}
