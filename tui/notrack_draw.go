package tui

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/model"

	"ctview/tui/draw"
)

var (
	ruleColumns = []column{
		{name: "id", title: "ID", short: "ID", min: 6, want: 6},
		{name: "hook", title: "HOOK", short: "HOOK", min: 10, want: 18},
		{name: "match", title: "MATCH", short: "MATCH", min: 24, want: 40, max: 90},
		{name: "packets", title: "PACKETS", short: "PACKETS", min: 8, want: 9, right: true},
		{name: "bytes", title: "BYTES", short: "BYTES", min: 7, want: 8, right: true},
		{name: "left", title: "LEFT", short: "LEFT", min: 12, want: 14, right: true},
		{name: "by", title: "BY", short: "BY", min: 10, want: 14},
	}
	ruleDrops = []string{"by", "bytes", "hook", "packets", "id"}
)

func (s *notrack) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	lines := s.lines(a, f)
	s.layOver(a, lines, a.headRows(), s.note, s.beside)
	if i := slices.IndexFunc(s.rows, func(r pageRow) bool { return r.id == s.wanted }); i >= 0 {
		s.goToRow(i)
		s.layOver(a, lines, a.headRows(), s.note, s.beside)
		s.wanted = ""
	}
	a.tabsWith(f, s.position())
	s.page.draw(f, lines)
	a.foot(f, s.note(a), s.beside(a))
}

// lines are what the screen has: ctview's rules, then those of others.
func (s *notrack) lines(a *App, f *draw.Frame) []pageLine {
	var out []pageLine
	switch {
	case a.opt.Rules == nil:
		return []pageLine{textLine(draw.Plain, "NOTRACK rules cannot be shown here.")}
	case !s.got:
		return []pageLine{textLine(draw.Plain, "reading "+f.Marks.Ellipsis)}
	}
	ps := layout(columnsOf(ruleColumns), f.W, demand{order: ruleDrops})
	whole := func(match, hook, more string) string { // first what its column has no room for
		for _, p := range ps {
			switch {
			case p.name == "match" && draw.Width(match) > p.w, p.name == "hook" && draw.Width(hook) > p.w:
				return strings.TrimSuffix(hook+": "+match+"; "+more, "; ")
			}
		}
		return more
	}
	if s.err != nil {
		for _, l := range wrap(model.Escape(s.err.Error()), f.W-4) {
			out = append(out, textLine(draw.Alarm, l))
		}
	} else {
		out = append(out, textLine(draw.Strong, "RULES CTVIEW INSTALLED"),
			pageLine{write: func(f *draw.Frame, _ draw.Role, _ string) { writeHeads(f, ps, "", false) }})
		if len(s.rules) == 0 {
			out = append(out, textLine(draw.Plain, "none. a adds one for what a filter matches, N on a flow one for it."))
		}
	}
	for i := range s.rules {
		r := &s.rules[i]
		out = append(out, pageLine{row: &pageRow{id: r.ID, on: r, about: whole(model.Escape(r.Text()), model.Escape(r.Hooks), s.about(a, r))},
			write: func(f *draw.Frame, base draw.Role, lead string) { s.ruleRow(a, f, ps, r, base, lead) }})
	}
	out = append(out, textLine(draw.Plain, ""), textLine(draw.Strong, "NOTRACK RULES OF OTHERS   (read only)"))
	switch {
	case s.othersErr != nil:
		out = append(out, textLines(draw.Plain, model.Escape(s.othersErr.Error()), f.W)...)
	case len(s.others) == 0:
		out = append(out, textLine(draw.Plain, "none"))
	}
	for i := range s.others {
		o := &s.others[i]
		out = append(out, pageLine{row: &pageRow{id: "others " + o.Place + o.Hook + o.Match, about: whole(otherMatch(o), model.Escape(dash(o.Hook)), "")},
			write: func(f *draw.Frame, base draw.Role, lead string) { otherRow(f, ps, o, base, lead) }})
	}
	return out
}

// about says of a rule what has no column.
func (s *notrack) about(a *App, r *model.NotrackRule) string {
	t := r.Backend + ", " + model.Escape(r.Table) + ", by " + model.Escape(r.Who) + " " + r.When.In(a.now.Location()).Format("15:04")
	if r.Pending {
		t += "; ON TRIAL: goes unless confirmed (c)"
	}
	if r.HasLeak {
		t += "; tracked all the same: " + model.Plural(r.Leaked, "packet")
	}
	return t
}

func (s *notrack) ruleRow(a *App, f *draw.Frame, ps []placed, r *model.NotrackRule, base draw.Role, lead string) {
	writeGrid(f, ps, base, lead, func(name string, _ int) (string, draw.Role) {
		switch name {
		case "id":
			return model.Escape(r.ID), draw.Plain
		case "hook":
			return model.Escape(r.Hooks), draw.Plain
		case "match":
			return model.Escape(r.Text()), draw.Plain
		case "packets":
			return strconv.FormatUint(r.Packets[0]+r.Packets[1], 10), draw.Plain
		case "bytes":
			return string(model.AppendBytes(nil, r.Bytes[0]+r.Bytes[1])), draw.Plain
		case "left":
			return leftText(r), leftLook(r)
		}
		return model.Escape(r.Who) + " " + r.When.In(a.now.Location()).Format("15:04"), draw.Plain
	})
}

// leftText says how long a rule still lives.
func leftText(r *model.NotrackRule) string {
	switch {
	case r.Pending:
		return "trial " + string(model.AppendDuration(nil, r.Left))
	case r.Limited:
		return string(model.AppendDuration(nil, r.Left.Round(time.Second)))
	case r.Keep == model.KeepSession:
		return "until quit"
	}
	return "stays"
}

func leftLook(r *model.NotrackRule) draw.Role {
	if r.Pending {
		return draw.Warn
	}
	return draw.Plain
}

// otherMatch says where a rule of others is, and what it matches.
func otherMatch(o *model.ForeignRule) string { return model.Escape(o.Place + ": " + o.Match) }

// otherRow writes a rule that ctview did not make.
func otherRow(f *draw.Frame, ps []placed, o *model.ForeignRule, base draw.Role, lead string) {
	writeGrid(f, ps, base, lead, func(name string, _ int) (string, draw.Role) {
		switch name {
		case "id":
			return "-", draw.Plain
		case "hook":
			return model.Escape(dash(o.Hook)), draw.Plain
		case "match":
			return otherMatch(o), draw.Plain
		case "packets", "bytes":
			if !o.HasCounter {
				return "-", draw.Plain
			}
			if name == "packets" {
				return strconv.FormatUint(o.Packets, 10), draw.Plain
			}
			return string(model.AppendBytes(nil, o.Bytes)), draw.Plain
		case "left":
			return "(others)", draw.Plain
		}
		return "", draw.Plain
	})
}
