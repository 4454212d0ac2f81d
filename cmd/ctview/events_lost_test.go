package main

import (
	"bytes"
	"testing"
	"time"
)

// TestLossesAreOneSum: a socket that overflows does so hundreds of times; what is told is the first, the sum now and then, and the sum.
func TestLossesAreOneSum(t *testing.T) {
	for _, tt := range []struct {
		name string
		gaps int
		pace time.Duration
		want string
	}{
		{"none", 0, 0, ""},
		{"one", 1, 0, "ctview: events: 7 lost in 1 gap: the socket buffer was full\n"},
		{"many, quickly", 231, 10 * time.Millisecond, "ctview: events: 7 lost in 1 gap: the socket buffer was full\n" +
			"ctview: events: 1617 lost in 231 gaps: the socket buffer was full\n"},
		{"many, slowly", 3, 12 * time.Second, "ctview: events: 7 lost in 1 gap: the socket buffer was full\n" +
			"ctview: events: 14 lost in 2 gaps: the socket buffer was full\nctview: events: 21 lost in 3 gaps: the socket buffer was full\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			g, l := &globals{err: &out}, lossSum{}
			for i := range tt.gaps {
				l.add(g, int64(i)*int64(tt.pace), 7)
			}
			l.end(g)
			if out.String() != tt.want {
				t.Errorf("told %q, want %q", out.String(), tt.want)
			}
		})
	}
}
