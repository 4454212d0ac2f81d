package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/filter"
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

func (s *expects) draw(a *App, f *frame) {
	a.titleLine(f)
	a.tabsLine(f)
	f.begin(plain)
	watched := 0
	for _, h := range s.helpers {
		watched += h.Flows
	}
	f.right(plain, plural(len(s.list), "expectation")+", "+plural(watched, "flow")+" with a helper")
	f.end()
	rows := f.h - f.y() - 2
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
	f.blanks(f.h - 2)
	msg := a.message()
	if r := s.row(); msg == "" && r != nil {
		msg = r.about
	}
	f.begin(plain)
	f.text(" ")
	f.styled(a.noteLog, msg)
	f.end()
	a.hints(f, rebind(a.top().bindings(), a.opt.Keys))
}

// lines are what the screen has, as functions that write a line given the id of the chosen row.
func (s *expects) lines(a *App, f *frame) []func(*frame, string) {
	var out []func(*frame, string)
	text := func(look role, t string) {
		out = append(out, func(f *frame, _ string) {
			f.begin(plain)
			f.styled(look, "  "+t)
			f.end()
		})
	}
	choose := func(r expectRow, write func(f *frame, base role, lead string)) {
		r.line = len(out)
		s.rows = append(s.rows, r)
		out = append(out, func(f *frame, chosen string) {
			if chosen == r.id {
				write(f, selected, f.mk.cursor+" ")
				return
			}
			write(f, plain, "  ")
		})
	}
	s.rows = s.rows[:0]
	switch {
	case !s.got:
		text(plain, "reading "+f.mk.ellipsis)
		return out
	case s.err != nil:
		text(alarm, model.Escape(s.err.Error()))
	}
	ps := layout(columnsOf(expectColumns), f.w, demand{order: expectDrops})
	hasMaster := ps[len(ps)-1].name == "master"
	out = append(out, func(f *frame, _ string) { writeHeads(f, ps, "", false) })
	if len(s.list) == 0 && s.err == nil {
		text(plain, "no helper expects a connection now")
	}
	for i := range s.list {
		x := &s.list[i]
		choose(expectRow{id: fmt.Sprint("x", x.ID, x.Tuple), expect: x, about: expectAbout(x)}, func(f *frame, base role, lead string) {
			s.expectRow(f, ps, base, lead, x)
		})
		if !hasMaster && (i+1 == len(s.list) || s.list[i+1].Master != x.Master) {
			text(faint, "  master "+string(appendPair(nil, &x.Master)))
		}
	}
	text(plain, "")
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
		t += "   nat to " + end(x.NAT, true)
	}
	return t + "   " + expectFlags(x.Flags)
}

func (s *expects) expectRow(f *frame, ps []placed, base role, lead string, x *model.Expect) {
	writeGrid(f, ps, base, lead, func(name string, w int) (string, role) {
		switch name {
		case "helper":
			return dash(model.Escape(x.Helper)), helped
		case "src":
			return expectEnd(x, true), plain
		case "dst":
			return expectEnd(x, false), plain
		case "proto":
			return x.Tuple.Proto.String(), plain
		case "zone":
			switch {
			case !x.HasZone: // the kernel does not tell; cmd takes it from the master where that is known
				return "-", plain
			case x.Zone != 0:
				return strconv.Itoa(int(x.Zone)), zoned
			}
			return "0", plain
		case "timeout":
			if !x.HasTimeout {
				return "-", plain
			}
			return string(model.AppendDuration(nil, time.Duration(x.Timeout)*time.Second)), plain
		case "flags":
			return expectFlags(x.Flags), plain
		}
		return string(appendPair(nil, &x.Master)), plain
	})
}

// helperLines list the helpers that watch flows, and flows that ought to have one.
func (s *expects) helperLines(text func(role, string), choose func(expectRow, func(*frame, role, string))) {
	text(strong, "HELPERS THAT THE KERNEL ASSIGNED HERE")
	text(head, padRight("HELPER", 14)+padLeft("FLOWS", 8)+padLeft("EXPECTS", 10))
	if len(s.helpers) == 0 {
		text(plain, "none: no flow has a helper. A rule assigns them (nft: ct helper set, iptables: -j CT --helper).")
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
			func(f *frame, base role, lead string) { f.line(base, lead+t) })
	}
	if len(s.missing) > 0 {
		text(plain, "")
	}
	for _, m := range s.missing {
		t := fmt.Sprintf("%d flows to %s port %d have no %s helper: their data connections will not be RELATED.", m.flows, m.proto, m.port, m.name)
		filter := fmt.Sprintf("%s and dport %d and helper none and not phase closed", m.proto, m.port)
		choose(expectRow{id: fmt.Sprint("m", m.proto, m.port), filter: filter, about: "Enter shows them: " + strings.TrimSpace(filter)},
			func(f *frame, base role, lead string) { f.line(base, lead+t) })
	}
}
