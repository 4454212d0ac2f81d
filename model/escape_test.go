package model

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"eth0", "eth0"},
		{"x\x1b[31mz", `x\x1b[31mz`},
		{"evil\x1b]0;t\a", `evil\x1b]0;t\x07`},
		{"a\x7fb\nc\td", `a\x7fb\x0ac\x09d`},
		{"csi \u009b2J", `csi \x9b2J`},
		{"bad \xff\xfe", `bad \xff\xfe`},
		{"rtl \u202eabc", `rtl \u{202e}abc`},
		{"bücher 日本", "bücher 日本"},
	} {
		if got := Escape(tt.in); got != tt.want {
			t.Errorf("Escape(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("x\x1b[31mz")
	f.Add("\xc2\x9b\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Escape(%q) = %q is not UTF-8", s, got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 }); i >= 0 {
			t.Fatalf("Escape(%q) = %q keeps a control character at %d", s, got, i)
		}
	})
}
