package model

import (
	"testing"
	"time"
)

// TestRatesNeedASecond: whenever a reading is asked for, the one that it is compared with is a second older, or there is none.
func TestRatesNeedASecond(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tt := range []struct {
		name string
		at   []int64 // milliseconds
		base []int64 // of each, -1 for none
	}{
		{"once a second", []int64{0, 1000, 2000, 2999}, []int64{-1, 0, 1000, 2000}},
		{"a tick that comes early", []int64{0, 990, 1995}, []int64{-1, 0, 990}},
		{"keys at any moment", []int64{0, 3, 200, 700, 1000, 1010, 1250, 1705}, []int64{-1, -1, -1, -1, 0, 0, 200, 700}},
		{"seldom", []int64{0, 60_000, 60_001}, []int64{-1, 0, 0}},
		{"the clock is set back", []int64{5000, 6000, 100, 900, 1100}, []int64{-1, 5000, -1, -1, 100}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b RateBase[int64]
			for i, at := range tt.at {
				base, span := b.Add(at*ms, at)
				got := int64(-1)
				if base != nil {
					got = *base
				}
				if got != tt.base[i] || base != nil && int64(span) != (at-got)*ms {
					t.Errorf("reading at %d ms: compared with the one at %d, %v before; want %d", at, got, span, tt.base[i])
				}
			}
		})
	}
	var b RateBase[int64]
	for at := int64(0); at < 10_000; at++ {
		b.Add(at*ms, at)
	}
	if len(b.past) > 12 {
		t.Errorf("keeps %d readings", len(b.past))
	}
}
