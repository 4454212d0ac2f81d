package tui

import (
	"testing"

	uv "github.com/charmbracelet/ultraviolet"
)

// TestTypedCharacters: a character of however many code points is one key, and what is typed behind it is another.
func TestTypedCharacters(t *testing.T) {
	for _, c := range []string{"é", "👨‍👩‍👧", "🇩🇪", "각", "नि", "日", "🏳️‍🌈", "\u0301"} {
		for _, next := range []string{"", "x", "日"} {
			n, ev := new(uv.EventDecoder).Decode([]byte(c + next))
			if key, ok := ev.(uv.KeyPressEvent); !ok || n != len(c) || key.Text != c {
				t.Errorf("%+q before %q: %d bytes, %#v", c, next, n, ev)
			}
		}
	}
}
