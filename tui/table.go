package tui

import (
	"ctview/model"
)

// A rowState is how a row stands out.
type rowState struct {
	current, marked, ended bool
}

// heads writes the head of a table, with the mark of the column that it is sorted by.
func (f *frame) heads(ps []placed, sort string, desc bool) {
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

// order returns the mark of a sort direction.
func (m *marks) order(desc bool) string {
	if desc {
		return m.desc
	}
	return m.asc
}

// row writes one flow. A row that stands out as a whole keeps one style from edge to edge; in others the cells that
// mean something have their own.
func (f *frame) row(ps []placed, r *model.Row, c *cells, st rowState) {
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
		f.buf = append(f.buf, f.th[ended]...)
	}
	f.rowMarks(st)
	for i := range ps {
		p := &ps[i]
		c.width = p.w
		f.cell = p.value(f.cell[:0], r, c)
		look := plain
		if p.look != nil && (base == plain || base == marked) {
			look = p.look(r, c)
		}
		f.put(p, look)
	}
	f.end()
}

// rowMarks writes the two cells at the left of a row.
func (f *frame) rowMarks(st rowState) {
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

// put writes f.cell into the place of p, cut to its width.
func (f *frame) put(p *placed, look role) {
	n := 0
	ascii := true
	for _, b := range f.cell {
		if b >= 0x80 {
			ascii = false
			break
		}
	}
	if n = len(f.cell); !ascii {
		n = width(string(f.cell))
	}
	if n > p.w {
		t := clip(string(f.cell), p.w, f.mk.ellipsis)
		f.cell = append(f.cell[:0], t...)
		n = width(t)
	}
	f.pad(p.x)
	if p.right {
		f.pad(p.x + p.w - n)
	}
	if f.x+n > f.w {
		return
	}
	if look != plain && f.th[look] != "" {
		f.buf = append(f.buf, f.th[look]...)
		f.buf = append(f.buf, f.cell...)
		f.buf = append(f.buf, sgrReset...)
		f.buf = append(f.buf, f.th[f.base]...)
	} else {
		f.buf = append(f.buf, f.cell...)
	}
	f.x += n
}

// grid writes a row of a table whose cells come from fill: their text, and how it stands out.
func (f *frame) grid(ps []placed, base role, lead string, fill func(name string, w int) (string, role)) {
	f.begin(base)
	f.text(lead)
	for i := range ps {
		p := &ps[i]
		t, look := fill(p.name, p.w)
		f.cell = append(f.cell[:0], t...)
		if base == selected {
			look = plain
		}
		f.put(p, look)
	}
	f.end()
}
