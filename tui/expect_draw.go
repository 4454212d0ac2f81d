package tui

import (
	"fmt"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"

	"ctview/tui/draw"
)

var (
	expectColumns = []column{
		{name: "helper", title: "HELPER", short: "HELPER", min: 7, want: 7, max: 12},
		{name: "src", title: "EXPECTED SOURCE", short: "EXPECTED SOURCE", min: 18, want: 22, max: addrMax},
		{name: "dst", title: "EXPECTED DESTINATION", short: "EXPECTED DEST", min: 20, want: 22, max: addrMax},
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
	watched := 0
	for _, h := range s.helpers {
		watched += h.Flows
	}
	lines := s.lines(f)
	s.layOver(a, lines, f.Y()+1, s.note, func(*App) string { return "" })
	f.Begin(draw.Plain)
	t := ""
	if s.got {
		t = " " + model.Plural(len(s.list), "expectation") + ", " + model.Plural(watched, "flow") + " with a helper"
	}
	f.Text(draw.Clip(t, f.W-draw.Width(s.position())-3, f.Marks.Ellipsis))
	f.Right(draw.Plain, s.position())
	f.End()
	s.page.draw(f, lines)
	a.foot(f, s.note(a), "")
}

// lines are what the screen has: the expectations, then helpers.
func (s *expects) lines(f *draw.Frame) []pageLine {
	if !s.got {
		return []pageLine{textLine(draw.Plain, "reading "+f.Marks.Ellipsis)}
	}
	var out []pageLine
	if s.err != nil {
		out = append(out, textLines(draw.Alarm, model.Escape(s.err.Error()), f.W)...)
	}
	ps := layout(columnsOf(expectColumns), f.W, demand{order: expectDrops})
	hasMaster := ps[len(ps)-1].name == "master"
	out = append(out, pageLine{write: func(f *draw.Frame, _ draw.Role, _ string) { writeHeads(f, ps, "", false) }})
	if len(s.list) == 0 && s.err == nil {
		out = append(out, textLine(draw.Plain, "no helper expects a connection now"))
	}
	for i := range s.list {
		x := &s.list[i]
		out = append(out, pageLine{
			row: &pageRow{id: fmt.Sprint("x", x.ID, x.Tuple), on: x, about: expectAbout(x), enter: func(a *App) tea.Cmd {
				m := x.Master
				return a.openFlow(model.Key{Src: m.Src, Dst: m.Dst, Sport: m.Sport, Dport: m.Dport, Proto: m.Proto, Family: m.Family, Zone: x.Zone}, nil)
			}},
			write: func(f *draw.Frame, base draw.Role, lead string) { s.expectRow(f, ps, base, lead, x) }})
		if !hasMaster && (i+1 == len(s.list) || s.list[i+1].Master != x.Master) {
			out = append(out, textLine(draw.Faint, "  master "+string(draw.AppendPair(nil, &x.Master))))
		}
	}
	return append(append(out, textLine(draw.Plain, "")), s.helperLines(f.W)...)
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
			return expectEnd(x, true, w, f.Marks.Ellipsis), draw.Plain
		case "dst":
			return expectEnd(x, false, w, f.Marks.Ellipsis), draw.Plain
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
		return draw.PairIn(&x.Master, w, f.Marks.Ellipsis), draw.Plain
	})
}

// flowsLines is a text for flows, which Enter shows.
func flowsLines(id, t, filter, about string, w int) []pageLine {
	ls := textLines(draw.Plain, t, w)
	ls[0].row = &pageRow{id: id, about: about, enter: func(a *App) tea.Cmd { return a.showFlows(filter) }}
	return ls
}

// helperLines list the helpers that watch flows, and flows that ought to have one.
func (s *expects) helperLines(w int) []pageLine {
	out := []pageLine{textLine(draw.Strong, "HELPERS THAT THE KERNEL ASSIGNED HERE"),
		textLine(draw.Head, padRight("HELPER", 14)+padLeft("FLOWS", 8)+padLeft("EXPECTS", 10))}
	if len(s.helpers) == 0 {
		out = append(out, textLines(draw.Plain, "none: no flow has a helper. A rule assigns them (nft: ct helper set, iptables: -j CT --helper).", w)...)
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
		out = append(out, flowsLines("h"+name, t, filter.ByValue(model.ColHelper, &model.Row{Flow: model.Flow{Helper: h.Helper}}),
			"Enter shows the flows that this helper watches", w)...)
	}
	if len(s.missing) > 0 {
		out = append(out, textLine(draw.Plain, ""))
	}
	for _, m := range s.missing {
		t := fmt.Sprintf("%s to %s port %d without %s helper: no data connection will be RELATED.", model.Plural(m.flows, "flow"), m.proto, m.port, m.name)
		filter := fmt.Sprintf("%s and dport %d and helper none and not phase closed", m.proto, m.port)
		out = append(out, flowsLines(fmt.Sprint("m", m.proto, m.port), t, filter, "Enter shows them: "+filter, w)...)
	}
	return out
}
