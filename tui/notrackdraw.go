package tui

import (
	"fmt"
	"strconv"
	"time"

	"ctview/model"
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

func (s *notrack) draw(a *App, f *frame) {
	a.titleLine(f)
	a.tabsLine(f)
	ps := layout(columnsOf(ruleColumns), f.w, demand{order: ruleDrops})
	room := f.h - 2
	switch {
	case a.opt.Rules == nil:
		f.line(plain, "  NOTRACK rules cannot be shown here.")
	case s.err != nil:
		for _, l := range wrap(model.Escape(s.err.Error()), f.w-4) {
			f.line(alarm, "  "+l)
		}
	case !s.got:
		f.line(plain, "  reading "+f.mk.ellipsis)
	default:
		f.line(strong, "  RULES CTVIEW INSTALLED")
		writeHeads(f, ps, "", false)
		if len(s.rules) == 0 {
			f.line(plain, "  none. a adds one for what a filter matches, N on a flow one for it.")
		}
		from, to := window(s.chosen, len(s.rules), max(room-f.y()-4, 3))
		for i := from; i < to; i++ {
			s.ruleRow(a, f, ps, &s.rules[i], i == s.chosen)
		}
	}
	if s.got && f.y() < room-2 {
		f.line(plain, "")
		f.line(strong, "  NOTRACK RULES OF OTHERS   (read only)")
		s.otherRows(f, ps, room)
	}
	f.blanks(room)
	f.begin(plain)
	f.text(" ")
	msg := a.message()
	if r := s.rule(); msg == "" && r != nil {
		msg = s.about(a, r)
	}
	f.styled(a.noteLog, msg)
	f.end()
	a.hints(f, rebind(a.top().bindings(), a.opt.Keys))
}

// about says of a rule what has no column.
func (s *notrack) about(_ *App, r *model.NotrackRule) string {
	t := r.Backend + ", " + r.Table
	if r.Pending {
		t += "; ON TRIAL: goes unless confirmed (c)"
	}
	if r.HasLeak {
		t += fmt.Sprintf("; %d packets were tracked all the same", r.Leaked)
	}
	return t
}

func (s *notrack) ruleRow(a *App, f *frame, ps []placed, r *model.NotrackRule, current bool) {
	base, lead := plain, "  "
	if current {
		base, lead = selected, f.mk.cursor+" "
	}
	writeGrid(f, ps, base, lead, func(name string, _ int) (string, role) {
		switch name {
		case "id":
			return model.Escape(r.ID), plain
		case "hook":
			return model.Escape(r.Hooks), plain
		case "match":
			return model.Escape(r.Text()), plain
		case "packets":
			return strconv.FormatUint(r.Packets[0]+r.Packets[1], 10), plain
		case "bytes":
			return string(model.AppendBytes(nil, r.Bytes[0]+r.Bytes[1])), plain
		case "left":
			return leftText(r), leftLook(r)
		}
		return model.Escape(r.Who) + " " + r.When.In(a.now.Location()).Format("15:04"), plain
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

func leftLook(r *model.NotrackRule) role {
	if r.Pending {
		return warn
	}
	return plain
}

// otherRows list what ctview did not make.
func (s *notrack) otherRows(f *frame, ps []placed, room int) {
	if s.othersErr != nil {
		f.line(plain, "  "+model.Escape(s.othersErr.Error()))
		return
	}
	if len(s.others) == 0 {
		f.line(plain, "  none")
	}
	for i := range s.others {
		if f.y() >= room-1 && i < len(s.others)-1 {
			f.line(faint, fmt.Sprintf("  ... and %d more", len(s.others)-i))
			return
		}
		o := &s.others[i]
		writeGrid(f, ps, plain, "  ", func(name string, _ int) (string, role) {
			switch name {
			case "id":
				return "-", plain
			case "hook":
				return model.Escape(dash(o.Hook)), plain
			case "match":
				return model.Escape(o.Place + ": " + o.Match), plain
			case "packets", "bytes":
				if !o.HasCounter {
					return "-", plain
				}
				if name == "packets" {
					return strconv.FormatUint(o.Packets, 10), plain
				}
				return string(model.AppendBytes(nil, o.Bytes)), plain
			case "left":
				return "(others)", plain
			}
			return "", plain
		})
	}
}
