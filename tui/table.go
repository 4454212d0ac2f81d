package tui

import (
	"ctview/model"

	"ctview/tui/draw"
)

// A rowState is how a row stands out.
type rowState struct {
	current, marked, ended bool
}

// writeHeads writes the head of a table, with the mark of the column that it is sorted by.
func writeHeads(f *draw.Frame, ps []placed, sort string, desc bool) {
	f.Begin(draw.Head)
	for i := range ps {
		p := &ps[i]
		t := p.head
		if p.name == sort {
			t += " " + f.Marks.Order(desc)
			if draw.Width(t) > p.w { // no room for the blank
				t = p.head + f.Marks.Order(desc)
			}
		}
		x := p.x
		if p.right {
			x += p.w - draw.Width(t)
		}
		f.Pad(max(x, f.X))
		f.Text(t)
	}
	f.End()
}

// writeRow writes one flow. A row that stands out as a whole keeps one style from edge to edge; in others the cells that
// mean something have their own.
func writeRow(f *draw.Frame, ps []placed, r *model.Row, c *cells, st rowState) {
	base := draw.Plain
	switch {
	case st.current:
		base = draw.Selected
	case st.ended:
		base = draw.Ended
	case st.marked:
		base = draw.Marked
	case r.Flow.Phase() == model.Closed && !r.Flow.Offloaded():
		base = draw.Finished
	}
	f.Begin(base)
	if st.current && st.ended {
		f.Turn(draw.Ended)
	}
	writeMarks(f, st)
	for i := range ps {
		p := &ps[i]
		c.width = p.w
		f.Cell = p.value(f.Cell[:0], r, c)
		look := draw.Plain
		if p.look != nil && (base == draw.Plain || base == draw.Marked || base == draw.Selected) {
			look = p.look(r, c)
		}
		look = inRow(f, base, look)
		f.Put(p.x, p.w, p.right, look)
	}
	f.End()
}

// inRow is how the cell that f has just been given looks in a row of the style base: what is not known stands back, and what is
// nothing too.
func inRow(f *draw.Frame, base, look draw.Role) draw.Role {
	if (base == draw.Plain || base == draw.Marked) && look == draw.Plain && nothing(f.Cell) {
		return draw.Faint
	}
	return look
}

// nothing reports whether a cell says that there is nothing, or nothing known.
func nothing(cell []byte) bool {
	switch string(cell) {
	case "-", "0", "0.0", "0B/s", "none":
		return true
	}
	return false
}

// writeMarks writes the two cells at the left of a row.
func writeMarks(f *draw.Frame, st rowState) {
	first, second := " ", " "
	switch {
	case st.ended:
		first = f.Marks.Ended
	case st.marked:
		first = f.Marks.Marked
	}
	if st.current {
		first, second = f.Marks.Cursor, first
	}
	f.Text(first)
	f.Text(second)
}

// writeGrid writes a row of a table whose cells come from fill: their text, and how it stands out.
func writeGrid(f *draw.Frame, ps []placed, base draw.Role, lead string, fill func(name string, w int) (string, draw.Role)) {
	f.Begin(base)
	f.Text(lead)
	for i := range ps {
		p := &ps[i]
		t, look := fill(p.name, p.w)
		f.Cell = append(f.Cell[:0], t...)
		look = inRow(f, base, look)
		f.Put(p.x, p.w, p.right, look)
	}
	f.End()
}

// A span is a piece of a line that looks one way.
type span struct {
	text string
	look draw.Role
}

// writeSpans writes pieces of a line in at most room cells.
func writeSpans(f *draw.Frame, spans []span, room int) {
	for _, s := range spans {
		if room <= 0 {
			return
		}
		t := draw.Clip(s.text, room, f.Marks.Ellipsis)
		room -= draw.Width(t)
		if s.look >= draw.Low {
			f.Bar(s.look, t)
		} else {
			f.Styled(s.look, t)
		}
	}
}
