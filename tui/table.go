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
		if p.look != nil && (base == draw.Plain || base == draw.Marked) {
			look = p.look(r, c)
		}
		f.Put(p.x, p.w, p.right, look)
	}
	f.End()
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
		if base == draw.Selected {
			look = draw.Plain
		}
		f.Put(p.x, p.w, p.right, look)
	}
	f.End()
}
