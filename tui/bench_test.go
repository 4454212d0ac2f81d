package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// BenchmarkFrame is the cost of drawing one frame of each screen, without Bubble Tea's renderer and without the question
// to the store.
func BenchmarkFrame(b *testing.B) {
	for _, s := range []struct{ name, key string }{{"flows", "1"}, {"groups", "2"}, {"events", "3"}, {"stats", "4"}, {"detail", "enter"}} {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 200, 60, manyFlows(2000), nil)
			withEvents(g)
			withFlood(g)
			g.keys(s.key)
			g.tick(2 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				g.a.dirty = true
				_ = g.a.View()
			}
		})
	}
}

// TestFrameAllocs: a frame of flows is drawn into memory that is reused; what is left is the text itself and a few
// strings of the title.
func TestFrameAllocs(t *testing.T) {
	g := newRig(t, 120, 35, manyFlows(2000), nil)
	n := testing.AllocsPerRun(50, func() {
		g.a.dirty = true
		_ = g.a.View()
	})
	if n > 120 {
		t.Errorf("%.0f allocations a frame, want at most 120", n)
	}
	quiet := testing.AllocsPerRun(50, func() { _, _ = g.a.Update(tea.FocusMsg{}); _ = g.a.View() })
	if quiet > 1 {
		t.Errorf("%.0f allocations for a message that changes nothing", quiet)
	}
}
