package draw

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A Frame is one screen being drawn: lines of styled text in one buffer that is reused. A line never gets wider than the
// frame. Text from outside must have been escaped before it comes here.
type Frame struct {
	W, H  int
	Theme *Theme
	Marks *Marks
	buf   []byte
	ends  []int  // where each finished line ends in buf
	X     int    // cells of the line being written
	base  Role   // of the line being written
	Cell  []byte // scratch for one cell of a table

	CursorX, CursorY int // where the terminal's cursor stands
	HasCursor        bool
}

// Reset makes f an empty frame of w × h cells.
func (f *Frame) Reset(w, h int) {
	f.W, f.H = w, h
	f.buf, f.ends = f.buf[:0], f.ends[:0]
	f.X, f.base, f.HasCursor = 0, Plain, false
}

// Y is the number of the line being written.
func (f *Frame) Y() int { return len(f.ends) }

// Left is the number of cells still free in the line.
func (f *Frame) Left() int { return f.W - f.X }

// Begin starts a line in the style of base.
func (f *Frame) Begin(base Role) {
	f.base = base
	f.buf = append(f.buf, f.Theme[base]...)
}

// End finishes the line. A line with a style of its own is filled to the right edge, another ends where its text does.
func (f *Frame) End() {
	if f.base != Plain && f.Theme[f.base] != "" {
		f.Pad(f.W)
		f.buf = append(f.buf, ResetSGR...)
	}
	f.ends = append(f.ends, len(f.buf))
	f.X, f.base = 0, Plain
}

// Pad writes blanks up to column x.
func (f *Frame) Pad(x int) {
	for f.X < min(x, f.W) {
		f.buf = append(f.buf, ' ')
		f.X++
	}
}

// Text writes s, cut at the right edge.
func (f *Frame) Text(s string) {
	n := f.Left()
	if n <= 0 {
		return
	}
	w := Width(s)
	if w > n {
		s = Clip(s, n, f.Marks.Ellipsis)
		w = Width(s)
	}
	f.buf = append(f.buf, s...)
	f.X += w
}

// Within writes a part of a line, up to column x, in the style of base, as Begin and End do with a whole one.
func (f *Frame) Within(base Role, x int, write func()) {
	outer := f.base
	f.base = base
	f.Turn(base)
	write()
	f.Pad(x)
	f.buf = append(f.buf, ResetSGR...)
	f.base = outer
	f.Turn(outer)
}

// inLine is how what looks like r looks in the line being written: in the current row nothing stands back, for it has no
// contrast to spare.
func (f *Frame) inLine(r Role) Role {
	if f.base == Selected && (r == Faint || r == Finished) {
		return Plain
	}
	return r
}

// Styled writes s in the style of r and returns to the line's own.
func (f *Frame) Styled(r Role, s string) {
	r = f.inLine(r)
	if r == Plain || f.Theme[r] == "" {
		f.Text(s)
		return
	}
	f.buf = append(f.buf, f.Theme[r]...)
	f.Text(s)
	f.buf = append(f.buf, ResetSGR...)
	f.buf = append(f.buf, f.Theme[f.base]...)
}

// Bar writes a meter, full in the style of r; what is empty stands back.
func (f *Frame) Bar(r Role, s string) {
	i := strings.Index(s, f.Marks.empty)
	if i < 0 {
		i = len(s)
	}
	f.Styled(r, s[:i])
	f.Styled(Faint, s[i:])
}

// Right writes s so that it ends one cell before the right edge, if it fits behind what is there.
func (f *Frame) Right(r Role, s string) {
	x := f.W - 1 - Width(s)
	if x <= f.X {
		return
	}
	f.Pad(x)
	f.Styled(r, s)
}

// Line writes a whole line.
func (f *Frame) Line(base Role, s string) {
	f.Begin(base)
	f.Text(s)
	f.End()
}

// Blanks writes empty lines until line y is next.
func (f *Frame) Blanks(y int) {
	for f.Y() < y {
		f.End()
	}
}

// Lines returns the finished lines.
func (f *Frame) Lines() []string {
	out := make([]string, len(f.ends))
	from := 0
	for i, e := range f.ends {
		out[i] = string(f.buf[from:e])
		from = e
	}
	return out
}

// String returns the frame as one text of lines joined by newlines, at most h of them.
func (f *Frame) String() string {
	var b strings.Builder
	b.Grow(len(f.buf) + len(f.ends))
	from := 0
	for i, e := range f.ends[:min(len(f.ends), f.H)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.Write(f.buf[from:e])
		from = e
	}
	return b.String()
}

// Overlay puts the lines of box, each w cells wide, over the frame at column x and line y.
func (f *Frame) Overlay(x, y, w int, box []string) {
	lines := f.Lines()
	for len(lines) < min(f.H, y+len(box)) {
		lines = append(lines, "")
	}
	for i, b := range box {
		if y+i < 0 || y+i >= len(lines) {
			continue
		}
		old := lines[y+i]
		n := ansi.StringWidth(old)
		if n < x+w {
			old += ResetSGR + strings.Repeat(" ", x+w-n)
			n = x + w
		}
		left, right := ansi.Truncate(old, x, ""), ansi.TruncateLeft(old, x+w, "")
		if k := ansi.StringWidth(left); k < x { // a wide character stood across the edge
			left += strings.Repeat(" ", x-k)
		}
		if k := ansi.StringWidth(right); k != n-x-w {
			right = " " + ansi.TruncateLeft(old, x+w+1, "")
		}
		lines[y+i] = left + ResetSGR + b + ResetSGR + right
	}
	f.buf, f.ends = f.buf[:0], f.ends[:0]
	for _, l := range lines {
		f.buf = append(f.buf, l...)
		f.ends = append(f.ends, len(f.buf))
	}
}

// Width returns the cells that s takes. s may hold no escape sequences if it is not ASCII.
func Width(s string) int {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

// Clip cuts s to n cells, the last of which is then the mark for "more".
func Clip(s string, n int, more string) string {
	if Width(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	return ansi.Truncate(s, n, more)
}

// Turn changes to the style of r within a line.
func (f *Frame) Turn(r Role) { f.buf = append(f.buf, f.Theme[r]...) }

// Put writes f.cell into the w cells from column x on, cut to them; right aligns it to their end.
func (f *Frame) Put(x, w int, right bool, look Role) {
	n := 0
	ascii := true
	for _, b := range f.Cell {
		if b >= 0x80 {
			ascii = false
			break
		}
	}
	if n = len(f.Cell); !ascii {
		n = Width(string(f.Cell))
	}
	if n > w {
		t := Clip(string(f.Cell), w, f.Marks.Ellipsis)
		f.Cell = append(f.Cell[:0], t...)
		n = Width(t)
	}
	f.Pad(x)
	if right {
		f.Pad(x + w - n)
	}
	if f.X+n > f.W {
		return
	}
	if look >= Low {
		f.Bar(look, string(f.Cell))
		return
	}
	if look = f.inLine(look); look != Plain && f.Theme[look] != "" {
		f.buf = append(f.buf, f.Theme[look]...)
		f.buf = append(f.buf, f.Cell...)
		f.buf = append(f.buf, ResetSGR...)
		f.buf = append(f.buf, f.Theme[f.base]...)
	} else {
		f.buf = append(f.buf, f.Cell...)
	}
	f.X += n
}
