package ctnl

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ctview/model"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// The control path is ti-mo/conntrack's wherever that one says the whole truth; this file is all that stands between. The
// library waits without a deadline, panics on a value of another size, and keeps an answer that came too late for the
// next question: control cures the three. docs/upstream.md lists what it cannot say, which package ctnl does itself.

// control runs fn with the library's connection, alone, and ends it with ctx or after answerTimeout. A connection that
// met an error is not used again.
func (k *Kernel) control(ctx context.Context, what string, fn func(c *conntrack.Conn) error) (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ctnl: %s: %w", what, err)
	}
	if k.c == nil {
		err := k.ns.Do(func() (err error) {
			k.c, err = conntrack.Dial(nil)
			return err
		})
		if err != nil {
			return fmt.Errorf("ctnl: %s: socket: %w", what, errnoError(err))
		}
	}
	limit, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c := k.c
	stop := context.AfterFunc(limit, func() { _ = c.Close() }) // the only way to end a wait of the library's
	err = recovered(func() error { return fn(c) })
	if !stop() && err != nil {
		err = ctxError(ctx, os.ErrDeadlineExceeded)
	}
	if err != nil || limit.Err() != nil {
		_ = c.Close()
		k.c = nil
	}
	if err != nil {
		return fmt.Errorf("ctnl: %s: %w", what, errnoError(err))
	}
	return nil
}

// recovered runs fn and makes an error of its panic: netfilter.Attribute.Uint32 panics on any size but 4, an answer
// without messages is an index out of range.
func recovered(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrMalformed, p)
		}
	}()
	return fn()
}

// Count returns how many entries the namespace has, those that are dying or expired and not yet collected included,
// and the host's limit (nf_conntrack_max; 0 where the kernel does not send it, before 4.18).
func (k *Kernel) Count(ctx context.Context) (entries, limit uint32, err error) {
	err = k.control(ctx, "count", func(c *conntrack.Conn) error {
		s, err := c.StatsGlobal()
		entries, limit = s.Entries, s.MaxEntries
		return probeError(err)
	})
	return entries, limit, err
}

// ExpectStats returns the counters of expectations (CTA_STATS_EXP_*: 1 new, 2 create, 3 delete), one element a CPU. Every
// kernel sends all three (ctnetlink_exp_stat_fill_info).
func (k *Kernel) ExpectStats(ctx context.Context) (all []model.CPUStats, err error) {
	err = k.control(ctx, "statistics", func(c *conntrack.Conn) error {
		cpus, err := c.StatsExpect()
		for _, s := range cpus {
			all = append(all, model.CPUStats{CPU: int(s.CPUID), Has: 1<<1 | 1<<2 | 1<<3,
				Values: [16]uint32{1: s.New, 2: s.Create, 3: s.Delete}})
		}
		return probeError(err)
	})
	return all, err
}

// Flush deletes all flows of a family, 0 for both. The family needs Linux 5.3; there is no other filter, because kernels
// that do not know a filter's attribute empty the table.
func (k *Kernel) Flush(ctx context.Context, family model.Family) error {
	return k.control(ctx, "flush", func(c *conntrack.Conn) error {
		if family == 0 {
			return c.Flush()
		}
		return c.FlushFilter(conntrack.NewFilter().Family(netfilter.ProtoFamily(family)))
	})
}

// Create makes a flow. It needs HasTimeout; without HasReply the reply tuple is the inverse of the original. The error
// wraps ErrExists where one of its tuples is taken, ErrFull where the table has no room.
func (k *Kernel) Create(ctx context.Context, s *Spec) error {
	err := k.make(ctx, s)
	if errors.Is(err, unix.ENOMEM) {
		if entries, limit, cerr := k.Count(ctx); cerr == nil {
			err = fullError(err, entries, limit)
		}
	}
	return err
}

func (k *Kernel) make(ctx context.Context, s *Spec) error {
	if f, ok := sayable(s); ok && s.Has.Has(model.HasTimeout) && s.SrcNAT == nil && s.DstNAT == nil {
		if s.Has.Has(model.HasMaster) {
			f.TupleMaster = libraryTuple(&s.Extra.Master)
			f.TupleMaster.Zone = s.Extra.MasterZone
		}
		return k.control(ctx, "create", func(c *conntrack.Conn) error { return c.Create(f) })
	}
	return k.with(ctx, "create", func(x *exchange) error {
		x.create(s, unix.NLM_F_ACK)
		return x.ack(ctx)
	})
}

// Update changes a flow that exists. Any success makes the kernel send an UPDATE event. The error wraps ErrGone where
// there is no such flow, ErrBusy for what cannot be changed (a status bit taken back).
func (k *Kernel) Update(ctx context.Context, s *Spec) error {
	if f, ok := sayable(s); ok {
		return k.control(ctx, "update", func(c *conntrack.Conn) error { return c.Update(f) })
	}
	return k.with(ctx, "update", func(x *exchange) error {
		x.update(s, unix.NLM_F_ACK)
		return x.ack(ctx)
	})
}

// sayable is s as the library's flow, for what Create and Update have in common. ok is false where the library would
// leave something out (a zero, a mask), add something (window scales of 0), or send it so that the kernel refuses it
// (a helper).
func sayable(s *Spec) (f conntrack.Flow, ok bool) {
	const never = model.HasHelper | model.HasSeqAdjOrig | model.HasSeqAdjReply | model.HasSynproxy
	orig, reply := s.Flow.Orig(), s.Flow.Reply()
	if !s.Has.Has(model.HasReply) {
		reply = orig.Invert()
	}
	switch {
	case s.Has&never != 0, s.HasMarkMask, orig.Proto == 0,
		s.Has.Has(model.HasTimeout) && s.Timeout == 0,
		s.Has.Has(model.HasMark) && s.Flow.Mark == 0:
		return f, false
	}
	// Both tuples in any case: the family is taken from the two (conn.go:441).
	f.TupleOrig, f.TupleReply = libraryTuple(&orig), libraryTuple(&reply)
	switch s.Flow.ZoneDir {
	case model.ZoneOrig:
		f.TupleOrig.Zone = s.Flow.Zone
	case model.ZoneReply:
		f.TupleReply.Zone = s.Flow.Zone
	default:
		f.Zone = s.Flow.Zone
	}
	if s.Has.Has(model.HasTimeout) {
		f.Timeout = s.Timeout
	}
	if s.Has.Has(model.HasStatus) {
		f.Status = conntrack.Status(s.Flow.Status | model.StatusConfirmed) // see request.change
	}
	if s.Has.Has(model.HasMark) {
		f.Mark = s.Flow.Mark
	}
	if s.Has.Has(model.HasLabels) {
		f.Labels = s.Extra.Labels[:]
		if s.HasLabelsMask {
			f.LabelsMask = s.LabelsMask[:]
		}
	}
	f.ProtoInfo, ok = libraryProtoinfo(s)
	return f, ok
}

// libraryProtoinfo is the state and what goes with it. Of TCP the library sends the window scales too, always.
func libraryProtoinfo(s *Spec) (p conntrack.ProtoInfo, ok bool) {
	if s.Has&(model.HasProtoinfo|model.HasTCPInfo|model.HasSCTPInfo|model.HasDCCPInfo) == 0 {
		return p, true
	}
	switch s.Flow.Proto {
	case model.ProtoTCP:
		t := &s.TCP
		p.TCP = &conntrack.ProtoInfoTCP{State: uint8(s.Flow.State), OriginalWindowScale: t.WScale[0], ReplyWindowScale: t.WScale[1],
			OriginalFlags: uint16(t.Flags[0])<<8 | uint16(t.Masks[0]), ReplyFlags: uint16(t.Flags[1])<<8 | uint16(t.Masks[1])}
		return p, s.Has.Has(model.HasProtoinfo | model.HasTCPInfo)
	case model.ProtoSCTP:
		p.SCTP = &conntrack.ProtoInfoSCTP{State: uint8(s.Flow.State), VTagOriginal: s.SCTP.VTag[0], VTagReply: s.SCTP.VTag[1]}
	case model.ProtoDCCP:
		p.DCCP = &conntrack.ProtoInfoDCCP{State: uint8(s.Flow.State), Role: s.DCCP.Role, HandshakeSeq: s.DCCP.HandshakeSeq}
	}
	return p, true
}

// libraryTuple is t as the library has it, tupleOf the way back; a tuple without addresses has Family 0.
func libraryTuple(t *model.Tuple) (l conntrack.Tuple) {
	typ, code, id := t.ICMP()
	l.IP = conntrack.IPTuple{SourceAddress: t.SrcAddr(), DestinationAddress: t.DstAddr()}
	l.Proto = conntrack.ProtoTuple{Protocol: uint8(t.Proto), SourcePort: t.Sport, DestinationPort: t.Dport}
	if t.Proto.IsICMP() {
		l.Proto = conntrack.ProtoTuple{Protocol: uint8(t.Proto), ICMPType: typ, ICMPCode: code, ICMPID: id}
	}
	return l
}

func tupleOf(l *conntrack.Tuple) (t model.Tuple, err error) {
	src, dst := l.IP.SourceAddress, l.IP.DestinationAddress
	switch {
	case !src.IsValid() && !dst.IsValid():
		return t, nil
	case src.BitLen() != dst.BitLen():
		return t, errFamilies
	}
	t = model.Tuple{Src: src.As16(), Dst: dst.As16(), Family: model.IPv4, Proto: model.Proto(l.Proto.Protocol),
		Sport: l.Proto.SourcePort, Dport: l.Proto.DestinationPort}
	if src.Is6() {
		t.Family = model.IPv6
	}
	if t.Proto.IsICMP() {
		t.Sport, t.Dport = l.Proto.ICMPID, uint16(l.Proto.ICMPType)<<8|uint16(l.Proto.ICMPCode)
	}
	return t, nil
}

// Expect decodes one message of the expectation subsystem, as Message does for flows. The kernel sends IPCTNL_MSG_EXP_NEW
// with NLM_F_CREATE|NLM_F_EXCL for a new one and without for an update. Which values came the library does not tell:
// a look at the types alone does. An
// attribute that a newer kernel adds inside another makes the library refuse the message.
func (d *Decoder) Expect(typ, flags uint16, portid uint32, payload []byte, x *model.Expect) error {
	*x = model.Expect{PortID: portid}
	var e conntrack.Event
	err := recovered(func() error {
		return e.Unmarshal(netlink.Message{Data: payload,
			Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.HeaderFlags(flags), PID: portid}})
	})
	switch {
	case err != nil && !errors.Is(err, ErrMalformed):
		return fmt.Errorf("ctnl: decode: %w: %w", ErrMalformed, err)
	case err != nil:
		return err
	case e.Expect == nil:
		return errSubsystem
	case e.Type == conntrack.EventExpDestroy:
		x.Kind = model.Destroy
	case netlink.HeaderFlags(flags)&netlink.Multi != 0:
		x.Kind = model.Dump
	case netlink.HeaderFlags(flags)&(netlink.Create|netlink.Excl) != 0:
		x.Kind = model.New
	default:
		x.Kind = model.Update
	}
	return d.expect(e.Expect, payload[nfgenLen:], x)
}

func (d *Decoder) expect(l *conntrack.Expect, attrs []byte, x *model.Expect) error {
	for _, t := range []struct {
		from *conntrack.Tuple
		to   *model.Tuple
	}{{&l.TupleMaster, &x.Master}, {&l.Tuple, &x.Tuple}, {&l.Mask, &x.Mask}, {&l.NAT.Tuple, &x.NAT}} {
		var err error
		if *t.to, err = tupleOf(t.from); err != nil {
			return err
		}
	}
	if x.Tuple.Family == 0 {
		return errNoTuple
	}
	x.ID, x.Timeout, x.Zone, x.Class, x.Flags = l.ID, l.Timeout, l.Zone, l.Class, model.ExpectFlags(l.Flags)
	x.Helper, x.Fn = d.intern(cstring([]byte(l.HelpName))), d.intern(cstring([]byte(l.Function)))
	if l.NAT.Direction {
		x.NATDir = 1
	}
	for b := attrs; len(b) > 0; {
		typ, _, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		x.HasTimeout = x.HasTimeout || typ == ctaExpectTimeout
		x.HasZone = x.HasZone || typ == ctaExpectZone
		x.HasFlags = x.HasFlags || typ == ctaExpectFlags
		x.HasClass = x.HasClass || typ == ctaExpectClass
	}
	return nil
}
