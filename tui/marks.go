package tui

// A marks is the set of characters that are not text: one for UTF-8 terminals, one for the rest. Each is one cell wide.
type marks struct {
	cursor, marked, ended, ellipsis string
	desc, asc                       string
	full, empty                     string   // of a bar
	spark                           []string // levels of a graph, lowest first, without the blank
	h, v, tl, tr, bl, br            string   // box
	arrow                           string
}

var unicodeMarks = marks{
	cursor: "▶", marked: "●", ended: "x", ellipsis: "…", desc: "▼", asc: "▲", full: "█", empty: "░",
	spark: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	h:     "─", v: "│", tl: "┌", tr: "┐", bl: "└", br: "┘", arrow: "→",
}

var asciiMarks = marks{
	cursor: ">", marked: "*", ended: "x", ellipsis: "~", desc: "v", asc: "^", full: "#", empty: ".",
	spark: []string{".", ":", "|"},
	h:     "-", v: "|", tl: "+", tr: "+", bl: "+", br: "+", arrow: "->",
}

// order returns the mark of a sort direction.
func (m *marks) order(desc bool) string {
	if desc {
		return m.desc
	}
	return m.asc
}
