package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/format"
)

// A fakeTracer tells of one packet that is dropped.
type fakeTracer struct {
	err    error
	asked  *model.Flow
	during func(ctx context.Context) // the trace
}

func (t *fakeTracer) Trace(ctx context.Context, f *model.Flow, _ int, ready func([]string), fn func(*model.TracePacket)) error {
	t.asked = f
	if t.err != nil {
		return t.err
	}
	ready([]string{"legacy iptables (nat): its rules are not nftables', and are not traced"})
	fn(&model.TracePacket{At: start.UnixNano(), Tuple: f.Orig(), TCP: "SYN", Len: 60, In: "lan0", Steps: []model.TraceStep{
		{Family: "ip", Table: "nat", Chain: "pre", Kind: model.TraceRule, Handle: 4, Rule: "tcp dport 443 meta mark set 0x7", Verdict: "continue", Mark: 7},
		{Family: "inet", Table: "fw4", Chain: "forward\x1b[31m", Kind: model.TracePolicy, Verdict: "drop", Mark: 7},
	}})
	if t.during != nil {
		t.during(ctx)
	}
	return ctx.Err()
}

// TestTrace asks first, shows what comes, and ends the trace with the screen.
func TestTrace(t *testing.T) {
	tr := &fakeTracer{}
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Tracer = tr })
	g.keys("t")
	if tr.asked != nil || g.line("Follow packets of this flow through the nftables rules?") == "" {
		t.Fatalf("t does not ask first:\n%s", g.screen())
	}
	g.keys("esc")
	if tr.asked != nil {
		t.Fatal("Esc follows packets all the same")
	}
	tr.err = errors.New("trace: there are no nftables rules")
	g.keys("t", "y")
	g.tick(time.Second)
	if g.line("there are no nftables rules") == "" {
		t.Errorf("the reason of a refusal is not shown:\n%s", g.screen())
	}
	g.keys("esc")
	if g.line("there are no nftables rules") != "" {
		t.Errorf("Esc does not leave:\n%s", g.screen())
	}
	tr.err = nil
	left := errors.New("it was not run")
	tr.during = func(ctx context.Context) {
		g.keys("esc")
		left = ctx.Err()
	}
	g.keys("t", "y")
	if !errors.Is(left, context.Canceled) {
		t.Errorf("the trace of a screen that was left: %v, want it cancelled", left)
	}
}

func TestTraceScreen(t *testing.T) {
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%dx%d", s.w, s.h), func(t *testing.T) {
			g := newRig(t, s.w, s.h, mockFlows(), func(o *Options) { o.Tracer = &fakeTracer{} })
			g.keys("t", "y")
			g.tick(time.Second)
			g.golden(fmt.Sprintf("trace-%dx%d", s.w, s.h))
		})
	}
}

// TestTraceReadOnly: what changes the kernel is off.
func TestTraceReadOnly(t *testing.T) {
	tr := &fakeTracer{}
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Tracer, o.ReadOnly = tr, true })
	g.keys("t", "y")
	if tr.asked != nil {
		t.Errorf("--read-only follows packets:\n%s", g.screen())
	}
}

// TestTraceHistory: what happens to the flow meanwhile stands between its packets, by the clock.
func TestTraceHistory(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Tracer = &fakeTracer{} })
	key := g.currentKey()
	tell := func(at time.Time, state string) {
		row, ok := g.store.Get(key)
		if !ok {
			t.Fatal("the flow is not in the table")
		}
		var e model.Event
		format.FillEvent(&e, &row.Flow, &row.Extra, at.UnixNano())
		e.Kind, e.Has = model.Update, model.HasReply|model.HasStatus|model.HasProtoinfo
		for s, name := range model.StateNames(model.ProtoTCP) {
			if name == state {
				e.Flow.State, e.Flow.Known = model.State(s), e.Flow.Known|model.KnownState
			}
		}
		g.store.Table.Apply(at.UnixNano(), []model.Event{e})
	}
	g.keys("t", "y")
	tell(start.Add(-time.Second), "FIN_WAIT")
	tell(start.Add(time.Second), "CLOSE_WAIT")
	g.tick(time.Second)
	screen := g.screen()
	before, packet, after := strings.Index(screen, "FIN_WAIT"), strings.Index(screen, "original tcp"), strings.Index(screen, "CLOSE_WAIT")
	if before < 0 || packet < before || after < packet {
		t.Errorf("the order is not event, packet, event:\n%s", screen)
	}
}
