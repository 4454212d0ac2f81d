package draw

import "testing"

// TestMeter: a bar tells eighths of a cell where the marks have them; what is not nothing shows, and no bar is wider than it may.
func TestMeter(t *testing.T) {
	for _, tt := range []struct {
		name        string
		part, whole float64
		w           int
		marks       *Marks
		want        string
	}{
		{"nothing", 0, 10, 4, &Unicode, "····"},
		{"next to nothing", 1e-9, 10, 4, &Unicode, "▏···"},
		{"an eighth of a cell", 1, 32, 4, &Unicode, "▏···"},
		{"one cell", 1, 4, 4, &Unicode, "█···"},
		{"a cell and a half", 1.5, 4, 4, &Unicode, "█▌··"},
		{"all but an eighth", 31, 32, 4, &Unicode, "███▉"},
		{"all", 4, 4, 4, &Unicode, "████"},
		{"more than all", 9, 4, 4, &Unicode, "████"},
		{"of nothing", 1, 0, 4, &Unicode, "····"},
		{"halves", 1.5, 4, 4, &Console, "█▌··"},
		{"whole cells", 1.5, 4, 4, &ASCII, "##.."},
		{"whole cells, next to nothing", 0.1, 100, 4, &ASCII, "#..."},
		{"no room", 1, 2, 0, &Unicode, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Meter(tt.part, tt.whole, tt.w, tt.marks); got != tt.want {
				t.Errorf("%v of %v in %d cells: %q, want %q", tt.part, tt.whole, tt.w, got, tt.want)
			}
		})
	}
}

// TestConsoleMarks: each mark is one that the kernel's own font draws (code page 437, drivers/tty/vt/cp437.uni), one cell wide.
func TestConsoleMarks(t *testing.T) {
	const has = "►•▼▲█·▬▌▄─│┌┐└┘→←"
	m := Console
	all := append(append([]string{m.Cursor, m.Marked, m.Ended, m.Ellipsis, m.desc, m.asc, m.full, m.empty, m.Bar, m.H, m.V, m.TL, m.TR, m.BL, m.BR,
		m.Arrow, m.Orig, m.Reply}, m.parts...), m.spark...)
	for _, s := range all {
		for _, r := range s {
			found := r < 0x7f
			for _, h := range has {
				found = found || r == h
			}
			if !found || Width(s) != 1 {
				t.Errorf("%q is no mark for a console", s)
			}
		}
	}
}
