package tui

import (
	"strings"

	"ctview/model"

	"ctview/tui/draw"
)

// write writes the filter line with the text being typed, and under it completions or the error. It returns how many
// lines that took beyond the one of the filter.
func (b *bar) write(a *App, f *draw.Frame) int {
	first := f.Y()
	right := "Enter  Esc"
	if f.W >= wideFrom {
		right = "Tab completes   Enter applies   Esc cancels"
	}
	f.Begin(draw.Plain)
	lead := " / "
	e := &b.line
	if b.saving {
		lead, e, right = " save as @", &b.saveAs, "Enter saves  Esc"
	}
	f.Text(lead)
	room := f.W - draw.Width(lead) - draw.Width(right) - 4
	from := writeEdit(f, e, room)
	f.Right(draw.Faint, right)
	f.End()
	if b.saving {
		return 0
	}
	limit := min(8, max(f.H/4-1, 1))
	switch {
	case b.errorShown():
		b.writeError(f, len(" / ")-from, limit)
	case len(b.offers) > 0 && f.W >= wideFrom:
		b.writeBox(f, len(" / ")-from, limit)
	case len(b.offers) > 0:
		b.writeList(f, min(limit, 3))
	}
	return f.Y() - first - 1
}

// writeEdit writes the text of e in at most room cells so that its cursor is among them, puts the terminal's cursor
// there, and returns how many cells are cut off at the left.
func writeEdit(f *draw.Frame, e *edit, room int) int {
	room = max(room, 4)
	from := 0
	shown := e.shown()
	before := draw.Width(string(shown[:e.at]))
	text := string(shown)
	if before > room {
		from = before - room
		r := shown
		for w := 0; w < from && len(r) > 0; {
			w += max(draw.Width(string(r[0])), 1)
			r = r[1:]
		}
		text = string(r)
	}
	f.CursorX, f.CursorY, f.HasCursor = f.X+before-from, f.Y(), true
	f.Text(draw.Clip(text, room+1, f.Marks.Ellipsis))
	return from
}

// atEnd reports whether the error is in the word that is being typed.
func (b *bar) atEnd() bool {
	return b.err == nil || b.err.End >= len(strings.TrimRight(b.line.String(), " "))
}

// writeError puts a caret under the spot and says what is wrong and what was perhaps meant. x is where the text begins.
func (b *bar) writeError(f *draw.Frame, x, limit int) {
	at := max(x+draw.Width(b.err.Text[:min(b.err.Pos, len(b.err.Text))]), 0)
	msg := model.Escape(b.err.Error())
	if len(b.found) > 1 && !b.err.Mixed { // the lines below say it better
		msg = model.Escape(b.err.Msg) + ": perhaps"
	}
	f.Begin(draw.Plain)
	f.Pad(at)
	f.Styled(draw.Alarm, "^")
	if f.Left() > draw.Width(msg)+1 {
		f.Text(" ")
		f.Styled(draw.Strong, msg)
		f.End()
	} else {
		f.End()
		for i, l := range wrap(msg, f.W-4) {
			if i >= max(limit, 2) {
				break
			}
			f.Begin(draw.Plain)
			f.Text("   ")
			f.Styled(draw.Strong, l)
			f.End()
		}
	}
	for i, s := range b.err.Suggestions {
		if i >= 3 {
			break
		}
		f.Begin(draw.Plain)
		if i == b.chosen {
			f.Styled(draw.Strong, "  Tab"+">"+" ")
		} else {
			f.Text("       ")
		}
		f.Text(model.Escape(s))
		if i < len(b.found) && b.found[i] >= 0 {
			f.Styled(draw.Faint, "   "+model.Plural(b.found[i], "flow")+" here")
		}
		f.End()
	}
}

// window returns which of n things to show in limit lines so that the chosen one is among them.
func window(chosen, n, limit int) (from, to int) {
	from = max(min(chosen-limit/2, n-limit), 0)
	return from, min(from+limit, n)
}

// writeBox shows completions in a box under the word.
func (b *bar) writeBox(f *draw.Frame, x, limit int) {
	x += draw.Width(b.line.String()[:b.offers[0].From])
	iw, hw := 0, 0
	for _, o := range b.offers {
		iw, hw = max(iw, draw.Width(model.Escape(o.Show))), max(hw, draw.Width(o.Hint))
	}
	inner := min(iw+hw+6, f.W-6)
	x = max(min(x, f.W-inner-4), 1)
	m := f.Marks
	edge := strings.Repeat(m.H, inner)
	f.Begin(draw.Plain)
	f.Pad(x)
	f.Styled(draw.FrameLine, m.TL+edge+m.TR)
	f.End()
	from, to := window(b.chosen, len(b.offers), limit)
	for i := from; i < to; i++ {
		o := b.offers[i]
		f.Begin(draw.Plain)
		f.Pad(x)
		f.Styled(draw.FrameLine, m.V)
		look, t := draw.Plain, "  "
		if i == b.chosen {
			look, t = draw.Selected, m.Cursor+" "
		}
		t += padRight(model.Escape(o.Show), iw+3) + o.Hint
		t = draw.Clip(t, inner, m.Ellipsis)
		f.Styled(look, t+strings.Repeat(" ", max(inner-draw.Width(t), 0)))
		f.Styled(draw.FrameLine, m.V)
		f.End()
	}
	f.Begin(draw.Plain)
	f.Pad(x)
	f.Styled(draw.FrameLine, m.BL+edge+m.BR)
	f.End()
}

// writeList shows completions in lines, where there is no room for a box.
func (b *bar) writeList(f *draw.Frame, limit int) {
	from, to := window(b.chosen, len(b.offers), limit)
	for i := from; i < to; i++ {
		o := b.offers[i]
		f.Begin(draw.Plain)
		t := model.Escape(o.Show)
		if o.Hint != "" {
			t += "   " + o.Hint
		}
		if i == b.chosen {
			f.Styled(draw.Strong, "  Tab> "+t)
		} else {
			f.Text("       " + t)
		}
		f.End()
	}
}
