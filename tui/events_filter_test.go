package tui

import "testing"

// TestEventsTellWhatTheyDoNot: of events that do not tell what the filter compares it is said how many, what, and what would help.
func TestEventsTellWhatTheyDoNot(t *testing.T) {
	for _, size := range [][2]int{{120, 35}, {80, 24}} {
		g := newRig(t, size[0], size[1], mockFlows(), func(o *Options) { o.Filter = "rate > 1" })
		withEvents(g)
		g.keys("3")
		if g.line("events without rate: not taken for matching") == "" || g.line("nf_conntrack_acct=1") == "" {
			t.Errorf("not told:\n%s", g.screen())
		}
		g.keys("/", "ended", "enter")
		if g.line("1-5 of 5") == "" || g.line("not taken for matching") != "" { // four DESTROYs, and what was lost
			t.Errorf("what has ended:\n%s", g.screen())
		}
	}
}
