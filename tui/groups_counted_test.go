package tui

import (
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
