package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/ctnl/states"
	"ctview/model"
	"ctview/model/crash"
)

// A Tracer is the table and the socket that trace messages come by. Run and Close are for one goroutine.
type Tracer struct {
	// Legacy are the tables of legacy iptables that packets meet as well and that nothing is told of.
	Legacy []string

	ns    ruleset.Namespace
	plan  Plan
	group *netlink.Conn  // of NFNLGRP_NFTRACE
	c     *nftables.Conn // owns the table
	table *nftables.Table
	rules *ruleset.Ruleset
	names *ruleset.IfNames
	open  map[uint32]*building // packets under way, by the kernel's ID
	over  []*model.TracePacket // packets whose way has ended, not handed on yet
}

// A building is a packet whose steps still come.
type building struct {
	p    model.TracePacket
	last time.Time
}

// quiet is how long a packet is waited for: its messages are sent within its way through the kernel, but a queue or a
// crowded processor may hold it.
const quiet = 150 * time.Millisecond

// Table names the table that was made.
func (t *Tracer) Table() string { return "inet " + t.table.Name }

// Close takes the table away.
func (t *Tracer) Close() error {
	var err error
	if t.group != nil {
		err = t.group.Close()
	}
	if t.c != nil {
		err = errors.Join(err, t.c.CloseLasting())
	}
	return err
}

// Run calls fn for each packet, in the order in which they came, until ctx ends or fn returns false. It returns nil for
// the latter, and where both directions have had all the packets of the plan.
func (t *Tracer) Run(ctx context.Context, fn func(*model.TracePacket) bool) error {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer crash.Guard()
		defer close(woken)
		_ = t.group.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	var orig, reply uint32
	for {
		if ctx.Err() == nil {
			_ = t.group.SetReadDeadline(time.Now().Add(quiet / 3))
		}
		ms, err := t.group.Receive()
		now := time.Now()
		switch {
		case err == nil:
			for _, m := range ms {
				if m.Header.Type == ruleset.MsgType(unix.NFT_MSG_TRACE) && len(m.Data) >= 4 {
					t.message(m.Data, now)
				}
			}
		case errors.Is(err, unix.ENOBUFS):
			for _, b := range t.open {
				b.p.Cut = true
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("trace: %w", err)
		}
		for _, p := range t.done(now, ctx.Err() != nil) {
			if p.Reply {
				reply++
			} else {
				orig++
			}
			if !fn(p) {
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if min(orig, reply) >= t.plan.packets() {
			return nil
		}
	}
}

// done takes the packets that nothing more is expected of, the oldest first.
func (t *Tracer) done(now time.Time, all bool) (out []*model.TracePacket) {
	out, t.over = t.over, nil
	for {
		var first uint32
		var oldest *building
		for id, b := range t.open {
			if oldest == nil || b.p.At < oldest.p.At {
				first, oldest = id, b
			}
		}
		if oldest == nil || !all && now.Sub(oldest.last) < quiet {
			return out
		}
		delete(t.open, first)
		out = append(out, &oldest.p)
	}
}

// Numbers of <linux/netfilter/nf_tables.h>: enum nft_trace_attributes are in unix, NF_* are not.
const (
	nfStolen = 2
	nfQueue  = 3
	nfStop   = 5
)

// A message is one NFT_MSG_TRACE.
type message struct {
	step    model.TraceStep
	family  uint8
	id      uint32
	headers []byte // of network and transport, as far as the kernel tells them: no payload is looked at
}

// message adds a step to its packet. A rule of our own table begins one: the kernel may give a later packet the number of
// an earlier one, and what other programs trace has no such beginning.
func (t *Tracer) message(b []byte, now time.Time) {
	m, err := t.decode(b[4:])
	m.family = b[0] // of the table
	m.step.Family = ruleset.FamilyName(b[0])
	if err != nil {
		for _, b := range t.open {
			b.p.Cut = true
		}
		return
	}
	if m.step.Table == t.table.Name && m.step.Family == "inet" {
		if m.step.Kind == model.TraceRule {
			t.begin(&m, now)
		}
		return
	}
	if b := t.open[m.id]; b != nil {
		b.last = now
		m.step.Rule = t.ruleText(&m)
		b.p.Steps = append(b.p.Steps, m.step)
	}
}

func (t *Tracer) begin(m *message, now time.Time) {
	if b := t.open[m.id]; b != nil {
		t.over = append(t.over, &b.p) // its number is in use again
	}
	var s model.Sample
	states.Decode(m.headers, &s)
	p := model.TracePacket{At: now.UnixNano(), Tuple: s.Tuple, TCP: s.TCP, Len: s.Len, In: m.step.In,
		Reply: s.Tuple != t.plan.Orig && s.Tuple == t.plan.replies()}
	t.open[m.id] = &building{p: p, last: now}
}

// decode reads one message; what it keeps is copied.
func (t *Tracer) decode(b []byte) (m message, err error) {
	var verdict, l4 []byte
	policy := uint32(ruleset.VerdictAccept)
	err = ctnl.EachAttr(b, func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_TRACE_TABLE:
			m.step.Table = ruleset.CString(v)
		case unix.NFTA_TRACE_CHAIN:
			m.step.Chain = ruleset.CString(v)
		case unix.NFTA_TRACE_RULE_HANDLE:
			if len(v) == 8 {
				m.step.Handle = binary.BigEndian.Uint64(v)
			}
		case unix.NFTA_TRACE_TYPE:
			m.step.Kind = model.TraceKind(ruleset.U32(v))
		case unix.NFTA_TRACE_VERDICT:
			verdict = v
		case unix.NFTA_TRACE_ID:
			m.id = ruleset.U32(v)
		case unix.NFTA_TRACE_NETWORK_HEADER:
			m.headers = append([]byte(nil), v...)
		case unix.NFTA_TRACE_TRANSPORT_HEADER:
			l4 = v
		case unix.NFTA_TRACE_IIF:
			m.step.In = t.names.Name(v)
		case unix.NFTA_TRACE_OIF:
			m.step.Out = t.names.Name(v)
		case unix.NFTA_TRACE_MARK:
			m.step.Mark = ruleset.U32(v)
		case unix.NFTA_TRACE_POLICY:
			policy = ruleset.U32(v)
		}
	})
	if err != nil {
		return m, err
	}
	if m.step.Kind == model.TraceRule && m.step.Handle == 0 {
		m.step.Kind = model.TraceReturn // Linux 6.x tells the end of a chain so
	}
	m.headers = append(m.headers, l4...)
	var s model.Sample
	if states.Decode(m.headers, &s) {
		m.step.Tuple, m.step.HasTuple = s.Tuple, true
	}
	if m.step.Kind == model.TracePolicy {
		m.step.Verdict = verdictText(&ruleset.Verdict{Code: int32(policy)})
	} else if verdict != nil {
		m.step.Verdict = verdictText(ruleset.ParseVerdict(verdict))
	}
	return m, nil
}

// verdictText is a verdict in nft's words. The upper half of a code is the queue's number or the error of a drop.
func verdictText(v *ruleset.Verdict) string {
	switch v.Code {
	case unix.NFT_CONTINUE, unix.NFT_BREAK:
		return "continue"
	case unix.NFT_RETURN:
		return "return"
	case unix.NFT_JUMP:
		return "jump " + v.Chain
	case unix.NFT_GOTO:
		return "goto " + v.Chain
	}
	switch v.Code & 0xff { // NF_VERDICT_MASK
	case ruleset.VerdictAccept, nfStop:
		return "accept"
	case ruleset.VerdictDrop:
		return "drop"
	case nfStolen:
		return "stolen"
	case nfQueue:
		return "queue"
	}
	return fmt.Sprint("verdict ", v.Code)
}
