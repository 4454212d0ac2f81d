package tui

import (
	"strings"

	"ctview/model"
)

// write writes the filter line with the text being typed, and under it completions or the error. It returns how many
// lines that took beyond the one of the filter.
func (b *bar) write(a *App, f *frame) int {
	first := f.y()
	right := "Enter  Esc"
	if f.w >= wideFrom {
		right = "Tab completes   Enter applies   Esc cancels"
	}
	f.begin(plain)
	lead := " / "
	e := &b.line
	if b.saving {
		lead, e, right = " save as @", &b.saveAs, "Enter saves  Esc"
	}
	f.text(lead)
	room := f.w - width(lead) - width(right) - 4
	from := writeEdit(f, e, room)
	f.right(faint, right)
	f.end()
	if b.saving {
		return 0
	}
	limit := min(8, max(f.h/4-1, 1))
	switch {
	case b.err != nil && (len(b.offers) == 0 || b.pressed || !b.atEnd()):
		b.writeError(f, len(" / ")-from, limit)
	case len(b.offers) > 0 && f.w >= wideFrom:
		b.writeBox(f, len(" / ")-from, limit)
	case len(b.offers) > 0:
		b.writeList(f, min(limit, 3))
	}
	return f.y() - first - 1
}

// writeEdit writes the text of e in at most room cells so that its cursor is among them, puts the terminal's cursor
// there, and returns how many cells are cut off at the left.
func writeEdit(f *frame, e *edit, room int) int {
	room = max(room, 4)
	from := 0
	before := width(string(e.text[:e.at]))
	text := string(e.text)
	if before > room {
		from = before - room
		r := e.text
		for w := 0; w < from && len(r) > 0; {
			w += max(width(string(r[0])), 1)
			r = r[1:]
		}
		text = string(r)
	}
	f.cursorX, f.cursorY, f.hasCursor = f.x+before-from, f.y(), true
	f.text(clip(text, room+1, f.mk.ellipsis))
	return from
}

// atEnd reports whether the error is in the word that is being typed.
func (b *bar) atEnd() bool {
	return b.err == nil || b.err.End >= len(strings.TrimRight(b.line.String(), " "))
}

// writeError puts a caret under the spot and says what is wrong and what was perhaps meant. x is where the text begins.
func (b *bar) writeError(f *frame, x, limit int) {
	at := max(x+width(b.err.Text[:min(b.err.Pos, len(b.err.Text))]), 0)
	msg := model.Escape(b.err.Error())
	f.begin(plain)
	f.pad(at)
	f.styled(alarm, "^")
	if f.left() > width(msg)+1 {
		f.text(" ")
		f.styled(strong, msg)
		f.end()
	} else {
		f.end()
		for i, l := range wrap(msg, f.w-4) {
			if i >= max(limit, 2) {
				break
			}
			f.begin(plain)
			f.text("   ")
			f.styled(strong, l)
			f.end()
		}
	}
	for i, s := range b.err.Suggestions {
		if i >= 3 {
			break
		}
		f.begin(plain)
		if i == b.chosen {
			f.styled(strong, "  Tab"+">"+" ")
		} else {
			f.text("       ")
		}
		f.text(model.Escape(s))
		f.end()
	}
}

// window returns which of n things to show in limit lines so that the chosen one is among them.
func window(chosen, n, limit int) (from, to int) {
	from = max(min(chosen-limit/2, n-limit), 0)
	return from, min(from+limit, n)
}

// writeBox shows completions in a box under the word.
func (b *bar) writeBox(f *frame, x, limit int) {
	x += width(b.line.String()[:b.offers[0].From])
	iw, hw := 0, 0
	for _, o := range b.offers {
		iw, hw = max(iw, width(model.Escape(o.Show))), max(hw, width(o.Hint))
	}
	inner := min(iw+hw+6, f.w-6)
	x = max(min(x, f.w-inner-4), 1)
	m := f.mk
	edge := strings.Repeat(m.h, inner)
	f.begin(plain)
	f.pad(x)
	f.styled(frameLine, m.tl+edge+m.tr)
	f.end()
	from, to := window(b.chosen, len(b.offers), limit)
	for i := from; i < to; i++ {
		o := b.offers[i]
		f.begin(plain)
		f.pad(x)
		f.styled(frameLine, m.v)
		look, t := plain, "  "
		if i == b.chosen {
			look, t = selected, m.cursor+" "
		}
		t += padRight(model.Escape(o.Show), iw+3) + o.Hint
		t = clip(t, inner, m.ellipsis)
		f.styled(look, t+strings.Repeat(" ", max(inner-width(t), 0)))
		f.styled(frameLine, m.v)
		f.end()
	}
	f.begin(plain)
	f.pad(x)
	f.styled(frameLine, m.bl+edge+m.br)
	f.end()
}

// writeList shows completions in lines, where there is no room for a box.
func (b *bar) writeList(f *frame, limit int) {
	from, to := window(b.chosen, len(b.offers), limit)
	for i := from; i < to; i++ {
		o := b.offers[i]
		f.begin(plain)
		t := model.Escape(o.Show)
		if o.Hint != "" {
			t += "   " + o.Hint
		}
		if i == b.chosen {
			f.styled(strong, "  Tab> "+t)
		} else {
			f.text("       " + t)
		}
		f.end()
	}
}
