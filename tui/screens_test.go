package tui

import (
	"fmt"
	"testing"
)

// sizes are those that every screen is looked at.
var sizes = []struct{ w, h int }{{40, 10}, {80, 24}, {120, 35}, {200, 60}}

// atSizes compares a screen at every size; prepare brings it up.
func atSizes(t *testing.T, name string, prepare func(*rig), change func(*Options)) {
	t.Helper()
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%s-%dx%d", name, s.w, s.h), func(t *testing.T) {
			g := newRig(t, s.w, s.h, mockFlows(), change)
			prepare(g)
			g.golden(fmt.Sprintf("%s-%dx%d", name, s.w, s.h))
		})
	}
}

func TestFlowsScreen(t *testing.T) {
	atSizes(t, "flows", func(g *rig) { g.keys("j", "space", "k") }, nil)
}
