package tui

import "testing"

func TestASCIIOnly(t *testing.T) {
	for s, want := range map[string]string{
		"plain \x1b[1mtext\x1b[m":    "plain \x1b[1mtext\x1b[m",
		"h\x1b[31mäöü\x1b[m.example": "h\x1b[31m???\x1b[m.example",
		"ネット x":                      "?????? x",
		"a\u0301|":                   "a|",
	} {
		if got := asciiOnly(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
