package tui

import (
	"strings"
	"testing"

	"ctview/model/table"
)

func TestGroupTotalsMarkWhatIsNotCounted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known int
		want  string
	}{{"every flow is counted", 2, "336"}, {"one of two is", 1, ">336"}} {
		t.Run(tt.name, func(t *testing.T) {
			r := table.GroupRow{GroupSum: table.GroupSum{Flows: 2, Bytes: 336, KnownBytes: tt.known}}
			if got := counted(&r, r.Bytes); got != tt.want {
				t.Errorf("counted = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestGroupRateMarksWhatIsNotMeasured: the rate of a group of which not every flow's is known is the least that it can be.
func TestGroupRateMarksWhatIsNotMeasured(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	withFlood(g)
	g.keys("2")
	s := g.a.screen().(*groups)
	for _, tt := range []struct {
		known, all int
		want       string
	}{{0, 2, " - "}, {1, 2, " >5.0kB/s "}, {2, 2, " 5.0kB/s "}} {
		r := &s.view.Rows[0]
		r.Flows, r.KnownRate, r.Rate = tt.all, tt.known, 5000
		g.a.dirty = true
		if l := g.line("192.168.1.77 "); !strings.Contains(l, tt.want) {
			t.Errorf("%d of %d known: %q, want %q", tt.known, tt.all, l, tt.want)
		}
	}
}
