package draw

// A Marks is the set of characters that are not text: one for UTF-8 terminals, one for the rest. Each is one cell wide.
type Marks struct {
	Cursor, Marked, Ended, Ellipsis string
	desc, asc                       string
	full, empty                     string   // of a bar
	parts                           []string // of a bar's last cell, the least first
	Bar                             string   // of a thin bar
	spark                           []string // levels of a graph, lowest first, without the blank
	H, V, TL, TR, BL, BR            string   // box
	Arrow                           string
	Orig, Reply                     string // what a column counts, where it is one direction only
}

// Unicode are the marks of terminals that can show them. Not to be changed.
var Unicode = Marks{
	Cursor: "▶", Marked: "●", Ended: "x", Ellipsis: "…", desc: "▼", asc: "▲", full: "█", empty: "·", Bar: "▬",
	parts: []string{"▏", "▎", "▍", "▌", "▋", "▊", "▉"},
	spark: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	H:     "─", V: "│", TL: "┌", TR: "┐", BL: "└", BR: "┘", Arrow: "→", Orig: "→", Reply: "←",
}

// Console are the marks of a Linux console: its fonts have the blocks and arrows of code page 437, and no eighths.
// Not to be changed.
var Console = Marks{
	Cursor: "►", Marked: "•", Ended: "x", Ellipsis: "~", desc: "▼", asc: "▲", full: "█", empty: "·", Bar: "▬",
	parts: []string{"▌"},
	spark: []string{"▄", "█"},
	H:     "─", V: "│", TL: "┌", TR: "┐", BL: "└", BR: "┘", Arrow: "→", Orig: "→", Reply: "←",
}

// ASCII are the marks of all others: bytes below 0x7f, a cell each. Not to be changed.
var ASCII = Marks{
	Cursor: ">", Marked: "*", Ended: "x", Ellipsis: "~", desc: "v", asc: "^", full: "#", empty: ".", Bar: "=",
	spark: []string{".", ":", "|"},
	H:     "-", V: "|", TL: "+", TR: "+", BL: "+", BR: "+", Arrow: "->", Orig: ">", Reply: "<",
}

// Order returns the mark of a sort direction.
func (m *Marks) Order(desc bool) string {
	if desc {
		return m.desc
	}
	return m.asc
}
