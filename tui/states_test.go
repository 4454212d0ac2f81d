package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"ctview/model"
)

// fakeStates answers with what it was given.
type fakeStates struct {
	counts      model.StateCounts
	samples     []model.Sample
	on, reasons bool
	err         error
}

func (s *fakeStates) Counts(context.Context) (model.StateCounts, error) { return s.counts, nil }
func (s *fakeStates) Watching() (on, reasons bool)                      { return s.on, s.reasons }
func (s *fakeStates) Samples(dst []model.Sample) []model.Sample         { return append(dst, s.samples...) }
func (s *fakeStates) Watch(_ context.Context, on, reasons bool) error {
	if s.err == nil {
		s.on, s.reasons = on, reasons
	}
	return s.err
}

func mockStates(t testing.TB) *fakeStates {
	s := &fakeStates{on: true}
	s.counts.Source, s.counts.Invalid, s.counts.HasInvalid = "watch table", 412, true
	for i, n := range []uint64{91, 88231, 3, 40, 7001} {
		c := &s.counts.Of[i]
		c.Packets, c.HasPackets, c.PacketRate, c.HasRate = n, true, float64(n)/10, true
		if i < 3 {
			c.Flows, c.HasFlows = int(n/2), true
		}
	}
	at := start.Add(-3 * time.Second).UnixNano()
	udp, _ := mustTuple(t, "udp 192.168.1.31:51820 > 203.0.113.99:53")
	tcp, _ := mustTuple(t, "tcp 192.168.1.10:51022 > 203.0.113.7:443")
	odd, _ := mustTuple(t, "tcp [2001:db8:4::17]:60511 > [2001:db8:9::53]:443")
	s.samples = []model.Sample{
		{At: at, Seq: 3, State: model.CtUntracked, In: "lan0", Tuple: udp, HasPort: true, Len: 76},
		{At: at - 2e6, Seq: 2, State: model.CtInvalid, In: "wan0", Tuple: tcp.Invert(), HasPort: true, TCP: "RST", Len: 40, Reason: "invalid packet ignored in state NONE"},
		{At: at - 9e6, Seq: 1, State: model.CtInvalid, In: "x\x1b[31m", Tuple: odd, HasPort: true, TCP: "FIN,SYN", Len: 60, Reason: "invalid tcp flag combination"},
	}
	return s
}

func mustTuple(t testing.TB, text string) (o, r model.Tuple) {
	rule := mustRule(t, text)
	return rule.Tuples()
}

func TestStatesScreen(t *testing.T) {
	atSizes(t, "states", func(g *rig) {
		g.a.opt.States, g.a.opt.Rules = mockStates(g.t), mockRules(g.t)
		g.keys("e", "j")
	}, nil)
	atSizes(t, "states-off", func(g *rig) {
		g.a.opt.States = &fakeStates{counts: model.StateCounts{Source: "table and statistics"}}
		g.keys("e")
	}, nil)
}

func TestStatesKeys(t *testing.T) {
	st := mockStates(t)
	st.on = false
	r := mockRules(t)
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.States, o.Rules = st, r })
	g.keys("e", "w", "esc")
	if st.on {
		t.Fatal("counting without a yes")
	}
	g.keys("w", "y")
	if !st.on || st.reasons {
		t.Fatalf("on %v, reasons %v", st.on, st.reasons)
	}
	g.keys("e", "y")
	if !st.reasons {
		t.Fatal("no reasons")
	}
	g.keys("e")
	if st.reasons || !st.on {
		t.Fatal("reasons not taken back")
	}
	g.keys("/", "ctrl+u", "udp", "enter")
	if g.line("rule a1b2c3") == "" || g.line("RST") != "" {
		t.Errorf("filtered samples:\n%s", g.screen())
	}
	g.keys("enter")
	if n, ok := g.a.screen().(*notrack); !ok || n.rule() == nil || n.rule().ID != "a1b2c3" {
		t.Errorf("Enter on an UNTRACKED sample: %s", g.screen())
	}
	g.keys("e", "j", "enter")
	if d, ok := g.a.top().(*detail); !ok || d.row.Flow.Dport != 443 {
		t.Errorf("Enter on an INVALID sample:\n%s", g.screen())
	}
	g.keys("esc", "j", "enter", "N")
	if g.line("is INVALID: no rule made it so") == "" {
		t.Errorf("N on an INVALID sample:\n%s", g.screen())
	}
	g.keys("w")
	if st.on {
		t.Error("w did not stop counting")
	}
	st.err = errors.New("states: connection tracking is not active")
	g.keys("w", "y")
	if g.line("connection tracking is not active") == "" {
		t.Errorf("the refusal is not shown:\n%s", g.screen())
	}
	ro := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.States = mockStates(t); o.ReadOnly = true })
	ro.keys("e", "w", "e")
	if ro.a.opt.States.(*fakeStates).reasons {
		t.Error("--read-only changed something")
	}
	none := newRig(t, 120, 35, mockFlows(), nil)
	none.keys("e")
	none.command("states")
	if none.line("cannot be told here") == "" {
		t.Error("no text where there are no states")
	}
}

// lossRules are rules that somebody removes.
type lossRules struct {
	*fakeRules
	lost []model.NotrackLoss
}

func (r *lossRules) Failures() []error { return nil }

func (r *lossRules) Losses() []model.NotrackLoss {
	l := r.lost
	r.lost = nil
	return l
}

func TestLosses(t *testing.T) {
	r := &lossRules{fakeRules: mockRules(t)}
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	r.lost = []model.NotrackLoss{{Rules: r.list[:1], PID: 28897, Name: "nf\x1bt", At: start}}
	g.tick(time.Second)
	if g.line(`nf\x1bt (pid 28897) removed 1 NOTRACK rule`) == "" || g.line("udp any > any:53") == "" {
		t.Fatalf("not told:\n%s", g.screen())
	}
	g.keys("y")
	if len(r.applied) != 1 || r.applied[0].Rules[0].String() != "udp any > any:53" {
		t.Errorf("installed again: %+v", r.applied)
	}
	r.preview.Warnings[1].Ask = true
	r.lost = []model.NotrackLoss{{Rules: r.list[:1], PID: 28897, Name: "nft", At: start}}
	g.tick(time.Second)
	g.keys("y")
	if len(r.applied) != 1 || g.line("not installed again: inet filter/forward accepts") == "" {
		t.Errorf("installed again without a question: %+v\n%s", r.applied, g.screen())
	}
}
