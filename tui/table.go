package tui

import (
	"ctview/model"
)

// A rowState is how a row stands out.
type rowState struct {
	current, marked, ended bool
}

// writeHeads writes the head of a table, with the mark of the column that it is sorted by.
func writeHeads(f *frame, ps []placed, sort string, desc bool) {
	f.begin(head)
	for i := range ps {
		p := &ps[i]
		t := p.head
		if p.name == sort {
			t += " " + f.mk.order(desc)
			if width(t) > p.w { // no room for the blank
				t = p.head + f.mk.order(desc)
			}
		}
		x := p.x
		if p.right {
			x += p.w - width(t)
		}
		f.pad(max(x, f.x))
		f.text(t)
	}
	f.end()
}

// writeRow writes one flow. A row that stands out as a whole keeps one style from edge to edge; in others the cells that
// mean something have their own.
func writeRow(f *frame, ps []placed, r *model.Row, c *cells, st rowState) {
	base := plain
	switch {
	case st.current:
		base = selected
	case st.ended:
		base = ended
	case st.marked:
		base = marked
	case r.Flow.Phase() == model.Closed && !r.Flow.Offloaded():
		base = finished
	}
	f.begin(base)
	if st.current && st.ended {
		f.turn(ended)
	}
	writeMarks(f, st)
	for i := range ps {
		p := &ps[i]
		c.width = p.w
		f.cell = p.value(f.cell[:0], r, c)
		look := plain
		if p.look != nil && (base == plain || base == marked) {
			look = p.look(r, c)
		}
		f.put(p.x, p.w, p.right, look)
	}
	f.end()
}

// writeMarks writes the two cells at the left of a row.
func writeMarks(f *frame, st rowState) {
	first, second := " ", " "
	switch {
	case st.ended:
		first = f.mk.ended
	case st.marked:
		first = f.mk.marked
	}
	if st.current {
		first, second = f.mk.cursor, first
	}
	f.text(first)
	f.text(second)
}

// writeGrid writes a row of a table whose cells come from fill: their text, and how it stands out.
func writeGrid(f *frame, ps []placed, base role, lead string, fill func(name string, w int) (string, role)) {
	f.begin(base)
	f.text(lead)
	for i := range ps {
		p := &ps[i]
		t, look := fill(p.name, p.w)
		f.cell = append(f.cell[:0], t...)
		if base == selected {
			look = plain
		}
		f.put(p.x, p.w, p.right, look)
	}
	f.end()
}
