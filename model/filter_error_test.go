package model

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

var rejected = []struct{ text, caret, want string }{}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	var fe *FilterError
	if !errors.As(err, &fe) {
		t.Fatalf("ParseFilter(%q): %T is no *FilterError", text, err)
	}
	if fe.Text != text || fe.Pos < 0 || fe.End < fe.Pos || fe.End > len(text) || fe.Msg == "" {
		t.Fatalf("ParseFilter(%q): bad error %+v", text, fe)
	}
	for i := range fe.Suggestions {
		s, at := fe.Fixed(i)
		if at < 0 || at > len(s) {
			t.Fatalf("ParseFilter(%q): Fixed(%d) = %q, %d", text, i, s, at)
		}
	}
	for _, s := range []string{fe.Error(), fe.Caret("  ")} {
		if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 }); i >= 0 || !utf8.ValidString(s) {
			t.Fatalf("ParseFilter(%q): error text %q has control characters", text, s)
		}
	}
	if strings.Contains(fe.Error(), "\n") {
		t.Fatalf("ParseFilter(%q): more than one line: %q", text, fe.Error())
	}
	if fe.Mixed {
		for _, s := range fe.Suggestions {
			if _, err := ParseFilter(s, testOptions); err != nil {
				t.Fatalf("ParseFilter(%q) suggests %q: %v", text, s, err)
			}
		}
	}
}
