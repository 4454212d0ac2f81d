package tui

import (
	"testing"
)

// TestEventsOff: with events off the screen says so once, and e in Stats turns them on, never off.
func TestEventsOff(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.kernel.sys.Events.OK = true
	g.tick(3e9)
	if g.line("events are off: what changes is seen when the table is read again.") == "" {
		t.Errorf("not told:\n%s", g.screen())
	}
	for _, tt := range []struct {
		now         int64
		value, verb string
	}{{0, "1", "turn on"}, {1, "2", "default"}, {2, "1", "always on"}} {
		if value, verb := switched("nf_conntrack_events", tt.now); value != tt.value || verb != tt.verb {
			t.Errorf("events %d: %s %q, want %s %q", tt.now, value, verb, tt.value, tt.verb)
		}
	}
}
