package tui

import (
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestWidthsOfTerminals: what the renderer takes for the columns of a text is what terminals advance by that know no clusters.
func TestWidthsOfTerminals(t *testing.T) {
	for text, want := range map[string]int{"abc": 3, "é": 1, "e\u0301": 1, "日本": 4, "ﾊﾛ": 2, "─▲●": 3, "👨‍👩‍👧": 6, "🇩🇪": 2, "स्ते": 2, "\u200b": 0, "한": 2, "…": 1} {
		if got := ansi.WcWidth.StringWidth(text); got != want {
			t.Errorf("%+q: %d columns, want %d", text, got, want)
		}
	}
}
