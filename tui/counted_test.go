package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ctview/model"
)

// uncounted is n flows of which the kernel counts those that counted says.
func uncounted(n int, counted func(i int) bool) []model.Row {
	rows := manyFlows(n)
	for i := range rows {
		if !counted(i) {
			f := &rows[i].Flow
			f.Known &^= model.KnownCounters | model.KnownRate
			f.Bytes, f.Packets, f.Rate = [2]uint64{}, [2]uint64{}, [2]float32{}
		}
	}
	return rows
}

// TestOrderOfWhatIsKnown: nobody chose an order, so the first one of which something is known is taken: rate, else bytes, else what
// is newest. What is not known is told, and comes last.
func TestOrderOfWhatIsKnown(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []model.Row
		acct int64
		want string
		told string
	}{
		{"all is known", manyFlows(9), 1, "rate true", ""},
		{"accounting was switched on lately", uncounted(9, func(i int) bool { return i == 7 }), 1, "rate true", "1-9 of 9   8 without RATE"},
		{"nothing is counted yet", uncounted(9, func(int) bool { return false }), 1, "age false", ""},
		{"accounting is off", uncounted(9, func(int) bool { return false }), 0, "age false", ""},
		{"counted, no second reading yet", func() []model.Row {
			rows := manyFlows(9)
			for i := range rows {
				rows[i].Flow.Known &^= model.KnownRate
			}
			return rows
		}(), 1, "bytes true", "1-9 of 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 80, 24, tt.rows, nil)
			g.kernel.sys.Acct.Value = tt.acct
			g.tick(5 * time.Second)
			s := g.a.flows
			if got := fmt.Sprint(s.sort, " ", s.desc); got != tt.want || g.line(tt.told) == "" {
				t.Errorf("order %s, want %s and %q\n%s", got, tt.want, tt.told, g.screen())
			}
			if tt.told != "" && !strings.Contains(g.here(), "B/s") && !strings.Contains(tt.name, "second") {
				t.Errorf("the first row is one of which nothing is known: %q", g.here())
			}
			g.keys("s", "end", "enter")
			chosen := s.sort
			g.tick(5 * time.Second)
			if s.auto || s.sort != chosen {
				t.Errorf("an order that was chosen (%s) was left for %s", chosen, s.sort)
			}
		})
	}
}

// TestAdviceGoes: the advice to switch accounting on is taken back as soon as it is on, by whomever; of a flow that is not counted
// since it is older the line of messages says so.
func TestAdviceGoes(t *testing.T) {
	g := newRig(t, 80, 24, uncounted(9, func(i int) bool { return i == 7 }), func(*Options) {})
	g.kernel.sys.Acct.Value = 0
	g.tick(3 * time.Second)
	if g.line("bytes need net.netfilter.nf_conntrack_acct=1") == "" {
		t.Fatalf("no advice:\n%s", g.screen())
	}
	g.kernel.sys.Acct.Value = 1 // somebody's sysctl
	g.tick(3 * time.Second)
	g.tick(3 * time.Second)
	if g.line("bytes need") != "" {
		t.Errorf("the advice stays:\n%s", g.screen())
	}
	if g.line("not counted, like every flow") != "" {
		t.Errorf("of a counted flow it is said that it is not:\n%s", g.screen())
	}
	g.keys("j")
	if g.line("not counted, like every flow that is older than nf_conntrack_acct=1 here") == "" {
		t.Errorf("of a flow that is not counted it is not said:\n%s", g.screen())
	}
	g.kernel.sys.Acct.Value = 0
	g.tick(3 * time.Second)
	if g.line("bytes need") == "" {
		t.Errorf("no advice after it was switched off again:\n%s", g.screen())
	}
}
