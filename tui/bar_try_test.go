package tui

import (
	"strings"
	"testing"

	"ctview/model"
)

// TestSuggestionsAreTried: what was perhaps meant is looked for before it is proposed; what finds nothing here does not come first.
func TestSuggestionsAreTried(t *testing.T) {
	for _, tt := range []struct {
		text        string
		sctp        bool
		first, then string
	}{
		{"closed", false, "phase closed   2 flows here", "state closed   0 flows here"},
		{"443", false, "port 443   4 flows here", "zone 443   0 flows here"},
		{"5", false, "zone 5   13 flows here", "port 5   0 flows here"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			g := newRig(t, 80, 24, mockFlows(), nil)
			if i := len(g.store.rows) - 2; tt.text == "closed" {
				g.store.rows[i].Flow.State = model.TCPClose
			}
			g.keys("/", tt.text, "enter")
			s := g.screen()
			i, j := strings.Index(s, tt.first), strings.Index(s, tt.then)
			if i < 0 || j < i || g.line("Tab> "+tt.first) == "" {
				t.Errorf("%q first, then %q:\n%s", tt.first, tt.then, s)
			}
			g.keys("tab", "enter")
			if want, _, _ := strings.Cut(tt.first, "   "); g.a.text != want {
				t.Errorf("Tab takes %q, want %q", g.a.text, want)
			}
		})
	}
}
