package tui

import (
	"fmt"
	"strconv"
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
	a.tabsLine(f)
	ps := layout(columnsOf(ruleColumns), f.W, demand{order: ruleDrops})
	room := f.H - 2
	switch {
	case a.opt.Rules == nil:
		f.Line(draw.Plain, "  NOTRACK rules cannot be shown here.")
	case s.err != nil:
		for _, l := range wrap(model.Escape(s.err.Error()), f.W-4) {
			f.Line(draw.Alarm, "  "+l)
		}
	case !s.got:
		f.Line(draw.Plain, "  reading "+f.Marks.Ellipsis)
	default:
		f.Line(draw.Strong, "  RULES CTVIEW INSTALLED")
		writeHeads(f, ps, "", false)
		if len(s.rules) == 0 {
			f.Line(draw.Plain, "  none. a adds one for what a filter matches, N on a flow one for it.")
		}
		from, to := window(s.chosen, len(s.rules), max(room-f.Y()-4, 3))
		for i := from; i < to; i++ {
			s.ruleRow(a, f, ps, &s.rules[i], i == s.chosen)
		}
	}
	if s.got && f.Y() < room-2 {
		f.Line(draw.Plain, "")
		f.Line(draw.Strong, "  NOTRACK RULES OF OTHERS   (read only)")
		s.otherRows(f, ps, room)
	}
	f.Blanks(room)
	f.Begin(draw.Plain)
	f.Text(" ")
	msg := a.message()
	if r := s.rule(); msg == "" && r != nil {
		msg = s.about(a, r)
	}
	f.Styled(a.noteLog, msg)
	f.End()
	a.hints(f, rebind(a.top().bindings(), a.opt.Keys))
}

// about says of a rule what has no column.
func (s *notrack) about(_ *App, r *model.NotrackRule) string {
	t := r.Backend + ", " + model.Escape(r.Table)
	if r.Pending {
		t += "; ON TRIAL: goes unless confirmed (c)"
	}
	if r.HasLeak {
		t += fmt.Sprintf("; %d packets were tracked all the same", r.Leaked)
	}
	return t
}

func (s *notrack) ruleRow(a *App, f *draw.Frame, ps []placed, r *model.NotrackRule, current bool) {
	base, lead := draw.Plain, "  "
	if current {
		base, lead = draw.Selected, f.Marks.Cursor+" "
	}
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

// otherRows list what ctview did not make.
func (s *notrack) otherRows(f *draw.Frame, ps []placed, room int) {
	if s.othersErr != nil {
		f.Line(draw.Plain, "  "+model.Escape(s.othersErr.Error()))
		return
	}
	if len(s.others) == 0 {
		f.Line(draw.Plain, "  none")
	}
	for i := range s.others {
		if f.Y() >= room-1 && i < len(s.others)-1 {
			f.Line(draw.Faint, fmt.Sprintf("  ... and %d more", len(s.others)-i))
			return
		}
		o := &s.others[i]
		writeGrid(f, ps, draw.Plain, "  ", func(name string, _ int) (string, draw.Role) {
			switch name {
			case "id":
				return "-", draw.Plain
			case "hook":
				return model.Escape(dash(o.Hook)), draw.Plain
			case "match":
				return model.Escape(o.Place + ": " + o.Match), draw.Plain
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
}
