package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// asciiOnly returns s with every character that is not ASCII as question marks, as many as it has cells: names of hosts,
// helpers and processes, and whatever else comes from outside, as the last thing before the terminal.
func asciiOnly(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r > '~' })
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for rest, state := s[i:], byte(0); rest != ""; {
		seq, w, n, next := ansi.DecodeSequence(rest, state, nil)
		rest, state = rest[n:], next
		if strings.IndexFunc(seq, func(r rune) bool { return r > '~' }) < 0 {
			b.WriteString(seq)
			continue
		}
		b.WriteString(strings.Repeat("?", w))
	}
	return b.String()
}
