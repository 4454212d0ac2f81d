package main

import (
	"context"
	"strings"

	"ctview/ctnl"
	"ctview/ctnl/trace"
	"ctview/model"
)

// A screenTrace follows packets for the screen: what tui.Tracer asks for, on top of ctnl/trace.
type screenTrace struct{ ns *ctnl.Netns }

// Trace implements tui.Tracer.
func (s screenTrace) Trace(ctx context.Context, f *model.Flow, n int, ready func([]string), fn func(*model.TracePacket)) error {
	t, err := trace.Open(s.ns, trace.Plan{Orig: f.Orig(), Reply: f.Reply(), Packets: n})
	if err != nil {
		return err
	}
	defer t.Close()
	ready(traceNotes(t))
	err = t.Run(ctx, func(p *model.TracePacket) bool {
		fn(p)
		return true
	})
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// traceNotes says what a trace cannot tell of.
func traceNotes(t *trace.Tracer) []string {
	if len(t.Legacy) == 0 {
		return nil
	}
	return []string{"legacy iptables (" + strings.Join(t.Legacy, ", ") + "): its rules are not nftables', and are not traced"}
}
