package filter

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"ctview/model"
)

// A Error says what is wrong with a filter text, where, and what would cure it.
type Error struct {
	Text        string   // the whole filter
	Pos, End    int      // byte offsets of the offending part; End > Pos except at the end of the text
	Msg         string   // e.g. `unknown state "estabilshed"`
	Cure        string   // e.g. `did you mean established?`
	Suggestions []string // texts that were perhaps meant in place of Text[Pos:End], best first
	Whole       bool     // Suggestions are whole filters, in place of Text
	Mixed       bool     // "and" and "or" without parentheses; Suggestions holds both readings
}

// Error returns the message and the cure, in one line. What it quotes of the text is escaped.
func (e *Error) Error() string {
	if e.Cure == "" {
		return model.Escape(e.Msg)
	}
	return model.Escape(e.Msg + ": " + e.Cure)
}

// Fixed returns the filter text with suggestion i in place, and the cursor's byte offset behind it.
func (e *Error) Fixed(i int) (text string, cursor int) {
	s := e.Suggestions[i]
	if e.Whole {
		return s, len(s)
	}
	return e.Text[:e.Pos] + s + e.Text[e.End:], e.Pos + len(s)
}

// Rank puts suggestions that find nothing behind the others, here and in Cure. found is how many flows each finds, -1 where that is
// not known, and is put in the same order. With tell, Cure says it where that is of help.
func (e *Error) Rank(found []int, tell bool) {
	was, at := slices.Clone(e.Suggestions), make([]int, len(found))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(x, y int) int { return cmp.Compare(min(max(found[y], 0), 1), min(max(found[x], 0), 1)) })
	tell = tell && slices.ContainsFunc(found, func(n int) bool { return n > 0 })
	counts, names := slices.Clone(found), make([]string, len(found))
	for i, from := range at {
		e.Suggestions[i], found[i] = was[from], counts[from]
		names[i] = was[from]
		switch {
		case tell && found[i] > 0:
			names[i] += " (" + model.Plural(found[i], "flow") + " here)"
		case tell && found[i] == 0:
			names[i] += " (none here)"
		}
	}
	for _, phrase := range []func([]string) string{writeOneOf, didYouMean} {
		if e.Cure == phrase(was) {
			e.Cure = phrase(names)
			return
		}
	}
}

// writeOneOf is the cure for what means nothing by itself.
func writeOneOf(tries []string) string { return "write " + strings.Join(tries, " or ") }

// Caret returns two lines: the text, and a caret with tildes under the offending part. Both begin with indent; the
// last line has no newline. The text is escaped.
func (e *Error) Caret(indent string) string {
	pos := min(max(e.Pos, 0), len(e.Text))
	end := min(max(e.End, pos), len(e.Text))
	var b strings.Builder
	b.WriteString(indent)
	b.WriteString(model.Escape(e.Text))
	b.WriteByte('\n')
	b.WriteString(indent)
	b.WriteString(strings.Repeat(" ", model.Width(model.Escape(e.Text[:pos]))))
	b.WriteByte('^')
	if n := model.Width(model.Escape(e.Text[pos:end])); n > 1 {
		b.WriteString(strings.Repeat("~", n-1))
	}
	return b.String()
}

// quote returns s for an error text: in double quotes, escaped, shortened when long.
func quote(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) > most {
		r := []rune(s)
		s = string(r[:most-1]) + "…"
	}
	return `"` + model.Escape(s) + `"`
}
