package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A frame is one screen being drawn: lines of styled text in one buffer that is reused. A line never gets wider than the
// frame. Text from outside must have been escaped before it comes here.
type frame struct {
	w, h int
	th   *theme
	mk   *marks
	buf  []byte
	ends []int  // where each finished line ends in buf
	x    int    // cells of the line being written
	base role   // of the line being written
	cell []byte // scratch for one cell of a table

	cursorX, cursorY int // where the terminal's cursor stands
	hasCursor        bool
}

// reset makes f an empty frame of w × h cells.
func (f *frame) reset(w, h int) {
	f.w, f.h = w, h
	f.buf, f.ends = f.buf[:0], f.ends[:0]
	f.x, f.base, f.hasCursor = 0, plain, false
}

// y is the number of the line being written.
func (f *frame) y() int { return len(f.ends) }

// left is the number of cells still free in the line.
func (f *frame) left() int { return f.w - f.x }

// begin starts a line in the style of base.
func (f *frame) begin(base role) {
	f.base = base
	f.buf = append(f.buf, f.th[base]...)
}

// end finishes the line. A line with a style of its own is filled to the right edge, another ends where its text does.
func (f *frame) end() {
	if f.base != plain && f.th[f.base] != "" {
		f.pad(f.w)
		f.buf = append(f.buf, sgrReset...)
	}
	f.ends = append(f.ends, len(f.buf))
	f.x, f.base = 0, plain
}

// pad writes blanks up to column x.
func (f *frame) pad(x int) {
	for f.x < min(x, f.w) {
		f.buf = append(f.buf, ' ')
		f.x++
	}
}

// text writes s, cut at the right edge.
func (f *frame) text(s string) {
	n := f.left()
	if n <= 0 {
		return
	}
	w := width(s)
	if w > n {
		s = clip(s, n, f.mk.ellipsis)
		w = width(s)
	}
	f.buf = append(f.buf, s...)
	f.x += w
}

// styled writes s in the style of r and returns to the line's own.
func (f *frame) styled(r role, s string) {
	if r == plain || f.th[r] == "" {
		f.text(s)
		return
	}
	f.buf = append(f.buf, f.th[r]...)
	f.text(s)
	f.buf = append(f.buf, sgrReset...)
	f.buf = append(f.buf, f.th[f.base]...)
}

// right writes s so that it ends one cell before the right edge, if it fits behind what is there.
func (f *frame) right(r role, s string) {
	x := f.w - 1 - width(s)
	if x <= f.x {
		return
	}
	f.pad(x)
	f.styled(r, s)
}

// line writes a whole line.
func (f *frame) line(base role, s string) {
	f.begin(base)
	f.text(s)
	f.end()
}

// blanks writes empty lines until line y is next.
func (f *frame) blanks(y int) {
	for f.y() < y {
		f.end()
	}
}

// lines returns the finished lines.
func (f *frame) lines() []string {
	out := make([]string, len(f.ends))
	from := 0
	for i, e := range f.ends {
		out[i] = string(f.buf[from:e])
		from = e
	}
	return out
}

// String returns the frame as one text of lines joined by newlines, at most h of them.
func (f *frame) String() string {
	var b strings.Builder
	b.Grow(len(f.buf) + len(f.ends))
	from := 0
	for i, e := range f.ends[:min(len(f.ends), f.h)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.Write(f.buf[from:e])
		from = e
	}
	return b.String()
}

// overlay puts the lines of box, each w cells wide, over the frame at column x and line y.
func (f *frame) overlay(x, y, w int, box []string) {
	lines := f.lines()
	for len(lines) < min(f.h, y+len(box)) {
		lines = append(lines, "")
	}
	for i, b := range box {
		if y+i < 0 || y+i >= len(lines) {
			continue
		}
		old := lines[y+i]
		n := ansi.StringWidth(old)
		if n < x+w {
			old += sgrReset + strings.Repeat(" ", x+w-n)
			n = x + w
		}
		left, right := ansi.Truncate(old, x, ""), ansi.TruncateLeft(old, x+w, "")
		if k := ansi.StringWidth(left); k < x { // a wide character stood across the edge
			left += strings.Repeat(" ", x-k)
		}
		if k := ansi.StringWidth(right); k != n-x-w {
			right = " " + ansi.TruncateLeft(old, x+w+1, "")
		}
		lines[y+i] = left + sgrReset + b + sgrReset + right
	}
	f.buf, f.ends = f.buf[:0], f.ends[:0]
	for _, l := range lines {
		f.buf = append(f.buf, l...)
		f.ends = append(f.ends, len(f.buf))
	}
}

// width returns the cells that s takes. s may hold no escape sequences if it is not ASCII.
func width(s string) int {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

// clip cuts s to n cells, the last of which is then the mark for "more".
func clip(s string, n int, more string) string {
	if width(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	return ansi.Truncate(s, n, more)
}

// turn changes to the style of r within a line.
func (f *frame) turn(r role) { f.buf = append(f.buf, f.th[r]...) }

// put writes f.cell into the w cells from column x on, cut to them; right aligns it to their end.
func (f *frame) put(x, w int, right bool, look role) {
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
	if n > w {
		t := clip(string(f.cell), w, f.mk.ellipsis)
		f.cell = append(f.cell[:0], t...)
		n = width(t)
	}
	f.pad(x)
	if right {
		f.pad(x + w - n)
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
