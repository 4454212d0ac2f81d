package tui

import (
	"slices"

	"ctview/model"

	"ctview/tui/draw"
)

// A placed is a column as it stands on the screen.
type placed struct {
	*column
	x, w int
	head string
}

// A demand is what the layout has to know of the flows: columns that say the same in every row go first.
type demand struct {
	zones, helpers bool     // a zone other than 0, a helper exists
	wide           bool     // show every column at its comfortable width, scrolled by hand
	skip           int      // columns scrolled out at the left
	order          []string // in which columns go; nil is dropOrder
	addr           int      // cells of the longest address and port; 0 unknown
	spare          bool     // columns that nobody chose may fill what is left
}

// addrMax is the width of the longest address with a port.
const addrMax = 47

// margin is the room of the marks at the left of a row: cursor or mark, and a blank.
const margin = 2

// layout chooses the columns of cols that fit into w cells and gives each a place. Columns go in dropOrder, then
// the state's name shrinks, then addresses do: those of IPv4 fit into the least width of their columns.
func layout(cols []*column, w int, d demand) []placed {
	room := w - margin - 1
	ps := make([]placed, 0, len(cols))
	for _, c := range cols {
		ps = append(ps, placed{column: c, w: c.min})
	}
	if d.wide || d.skip > 0 {
		ps = scrolled(ps, room, d)
	} else {
		ps = dropped(ps, room, d)
	}
	shrink(ps, "state", "", room, 5)
	shrink(ps, "src", "dst", room, 7)
	if d.spare && d.skip == 0 && !d.wide {
		ps = fill(ps, room, d)
	}
	widen(ps, room, d)
	x := margin
	for i := range ps {
		ps[i].x = x
		x += ps[i].w + 1
		ps[i].head = ps[i].title
		if draw.Width(ps[i].head) > ps[i].w || ps[i].w < ps[i].want {
			ps[i].head = ps[i].short
		}
		ps[i].head = draw.Clip(ps[i].head, ps[i].w, "")
	}
	return ps
}

// isPlaced reports whether c is on the screen.
func isPlaced(ps []placed, c *column) bool {
	return slices.ContainsFunc(ps, func(p placed) bool { return p.column == c })
}

// withoutRoom says how many of n columns are not on the screen.
func withoutRoom(n int, ps []placed) string {
	if n <= len(ps) {
		return ""
	}
	return model.Plural(n-len(ps), "more column")
}

// filterWith writes the filter, and at the right end as many of parts as leave it a third of the line; the first one always.
func (a *App) filterWith(f *draw.Frame, parts ...string) {
	t := " / " + model.Escape(a.text)
	keep, r := min(draw.Width(t), f.W/3), parts[0]
	for _, p := range parts[1:] {
		if p != "" && keep+3+draw.Width(r)+3+draw.Width(p) <= f.W {
			r += "   " + p
		}
	}
	f.Begin(draw.Plain)
	f.Text(draw.Clip(t, f.W-draw.Width(r)-3, f.Marks.Ellipsis))
	f.Right(draw.Plain, r)
	f.End()
}

// total is the room that ps take, with a blank between two.
func total(ps []placed) int {
	n := len(ps) - 1
	for _, p := range ps {
		n += p.w
	}
	return n
}

// dropped takes columns out until the rest fits.
func dropped(ps []placed, room int, d demand) []placed {
	if d.order != nil {
		for _, name := range d.order {
			if total(ps) <= room {
				break
			}
			ps = without(ps, name)
		}
		return ps
	}
	order := make([]string, 0, len(ps)+len(dropOrder)+2)
	for _, p := range ps { // those that nobody thought of
		if p.extra {
			order = append(order, p.name)
		}
	}
	if !d.zones {
		order = append(order, "zone")
	}
	if !d.helpers {
		order = append(order, "helper")
	}
	for _, n := range dropOrder {
		if n == "zone" && d.zones {
			continue
		}
		order = append(order, n)
	}
	order = append(order, "zone")
	for _, name := range order {
		if total(ps) <= room {
			return ps
		}
		ps = without(ps, name)
	}
	return ps
}

// without takes the column called name out.
func without(ps []placed, name string) []placed {
	return slices.DeleteFunc(ps, func(p placed) bool { return p.name == name })
}

// scrolled skips columns at the left and takes as many of the others, at their comfortable width, as fit.
func scrolled(ps []placed, room int, d demand) []placed {
	ps = ps[min(d.skip, len(ps)-1):]
	for i := range ps {
		ps[i].w = ps[i].want
		if d.wide && ps[i].max > 0 {
			ps[i].w = ps[i].max
			if d.addr > 0 && ps[i].max == addrMax {
				ps[i].w = max(ps[i].want, d.addr)
			}
		}
	}
	for len(ps) > 1 && total(ps) > room {
		ps = ps[:len(ps)-1]
	}
	return ps
}

// shrink takes room from the columns called a and b, down to floor each, until all fits.
func shrink(ps []placed, a, b string, room, floor int) {
	for over := total(ps) - room; over > 0; {
		widest := -1
		for i := range ps {
			if (ps[i].name == a || ps[i].name == b) && ps[i].w > floor && (widest < 0 || ps[i].w > ps[widest].w) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		ps[widest].w--
		over--
	}
}

// spareColumns are shown where there is room for everything else: where NAT sends replies, and amounts.
var spareColumns = []string{"reply-dst", "packets", "pps", "mark", "ctstate"}

// fill adds spare columns as long as the others keep the room that they want.
func fill(ps []placed, room int, d demand) []placed {
	used := len(ps) - 1
	for _, p := range ps {
		w := max(p.want, p.w)
		if p.max == addrMax {
			w = max(w, d.addr)
		}
		used += w
	}
	for _, name := range spareColumns {
		c := columnNamed(name)
		if c == nil || isPlaced(ps, c) {
			continue
		}
		w := c.want
		if c.max == addrMax {
			w = max(w, d.addr)
		}
		if used+w+1 > room {
			continue
		}
		used += w + 1
		ps = append(ps, placed{column: c, w: w})
	}
	return ps
}

// widen gives what is left to the columns: first up to what they want, then up to their largest useful width, the two
// addresses alike.
func widen(ps []placed, room int, d demand) {
	free := room - total(ps)
	for i := range ps {
		if n := min(free, ps[i].want-ps[i].w); n > 0 {
			ps[i].w += n
			free -= n
		}
	}
	if d.addr > 0 {
		for i := range ps {
			if ps[i].max == addrMax { // no wider than what there is to see
				n := max(min(free, min(d.addr, ps[i].max)-ps[i].w), 0)
				ps[i].w += n
				free -= n
			}
		}
	}
	for grown := true; grown && free > 0; {
		grown = false
		for i := range ps {
			if d.addr > 0 && ps[i].max == addrMax {
				continue
			}
			if free > 0 && ps[i].max > ps[i].w {
				ps[i].w++
				free--
				grown = true
			}
		}
	}
}
