package ctcompat

import (
	"encoding/binary"

	"ctview/model"
)

// match reports whether a flow is one that the command line asks for, for -L, -G, -D and -E.
func (c *command) match(e *model.Event) bool {
	return c.matchFamily(e) && c.matchNAT(&e.Flow) && c.matchMark(e) && c.matchLabel(e) && c.matchMeta(e) &&
		c.matchOrig(&e.Flow) && c.matchReply(&e.Flow)
}

// matchUpdate is match for -U, where mark, status, timeout and state are what shall be and not what is looked for.
func (c *command) matchUpdate(e *model.Event) bool {
	return c.matchFamily(e) && c.matchNAT(&e.Flow) && c.matchLabel(e) && (!c.t.has.has(hasID) || c.t.id == e.Flow.ID) &&
		c.matchZone(&e.Flow) && c.matchOrig(&e.Flow) && c.matchReply(&e.Flow)
}

func (c *command) matchFamily(e *model.Event) bool { return c.family == 0 || c.family == e.Flow.Family }

func (c *command) matchMark(e *model.Event) bool {
	if !c.opts.has(optMark) {
		return true
	}
	return e.Has.Has(model.HasMark) && e.Flow.Mark&c.t.mark.mask == c.t.mark.value
}

func (c *command) matchLabel(e *model.Event) bool {
	if c.t.label.words == 0 {
		return true
	}
	return e.Has.Has(model.HasLabels) && c.t.label.within(&e.Extra.Labels)
}

// matchMeta compares what belongs to neither direction.
func (c *command) matchMeta(e *model.Event) bool {
	t, f := &c.t, &e.Flow
	switch {
	case t.has.has(hasID) && t.id != f.ID,
		t.has.has(hasTimeout) && (!e.Has.Has(model.HasTimeout) || t.timeout != e.Timeout),
		t.has.has(hasStatus) && (!f.Status.Has(t.status) || f.Status&t.statusClear != 0),
		t.has.has(hasTCPState) && !c.hasState(e, model.ProtoTCP),
		t.has.has(hasSCTPState) && !c.hasState(e, model.ProtoSCTP),
		t.has.has(hasDCCPState) && !c.hasState(e, model.ProtoDCCP),
		t.has.has(hasVTagOrig) && swapTag(t.vtag[0]) != e.SCTP.VTag[0],
		t.has.has(hasVTagReply) && swapTag(t.vtag[1]) != e.SCTP.VTag[1]:
		return false
	}
	return c.matchZone(f)
}

func (c *command) matchZone(f *model.Flow) bool {
	t := &c.t
	return !(t.has.has(hasZone) && t.zone != zoneOf(f, model.ZoneBoth) ||
		t.has.has(hasOrigZone) && t.orig.zone != zoneOf(f, model.ZoneOrig) ||
		t.has.has(hasReplyZone) && t.reply.zone != zoneOf(f, model.ZoneReply))
}

func (c *command) hasState(e *model.Event, p model.Proto) bool {
	return e.Flow.Proto == p && e.Has.Has(model.HasProtoinfo) && e.Flow.State == c.t.state
}

// zoneOf returns the zone that f has in that direction, 0 if it has none there.
func zoneOf(f *model.Flow, dir model.ZoneDir) uint16 {
	if f.ZoneDir != dir {
		return 0
	}
	return f.Zone
}

// matchOrig compares the original direction. conntrack does not compare GRE keys.
func (c *command) matchOrig(f *model.Flow) bool {
	t, m := &c.t, &c.t.expMask
	switch {
	case t.has.has(hasOrigFamily) && t.orig.Family != f.Family,
		t.has.has(hasOrigProto) && t.orig.Proto != f.Proto,
		t.has.has(hasOrigSrc) && !sameAddr(t.orig.Src, f.Src, m.Src, m.hasSrc && c.opts.has(optMaskSrc)),
		t.has.has(hasOrigDst) && !sameAddr(t.orig.Dst, f.Dst, m.Dst, m.hasDst && c.opts.has(optMaskDst)),
		t.has.has(hasOrigSport) && t.orig.Sport != f.Sport,
		t.has.has(hasOrigDport) && t.orig.Dport != f.Dport,
		t.has.has(hasICMPID) && t.icmpID != f.Sport,
		t.has.has(hasICMPType) && t.icmpType != uint8(f.Dport>>8),
		t.has.has(hasICMPCode) && t.icmpCode != uint8(f.Dport):
		return false
	}
	return true
}

func (c *command) matchReply(f *model.Flow) bool {
	t := &c.t
	switch {
	case t.has.has(hasReplyFamily) && t.reply.Family != f.Family,
		t.has.has(hasReplyProto) && t.reply.Proto != f.Proto,
		t.has.has(hasReplySrc) && t.reply.Src != f.ReplySrc,
		t.has.has(hasReplyDst) && t.reply.Dst != f.ReplyDst,
		t.has.has(hasReplySport) && t.reply.Sport != f.ReplySport,
		t.has.has(hasReplyDport) && t.reply.Dport != f.ReplyDport:
		return false
	}
	return true
}

// sameAddr compares two addresses, under a mask if there is one.
func sameAddr(a, b, mask [16]byte, masked bool) bool {
	if !masked {
		return a == b
	}
	for i := range a {
		if (a[i]^b[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}

// matchNAT compares -n, -g and -j: with no address any translation, else the one to that address and port. conntrack
// looks at IPv4 addresses only, and takes every ICMP flow that went through NAT for a translated one.
func (c *command) matchNAT(f *model.Flow) bool {
	t := &c.t
	switch {
	case c.opts.has(optAnyNAT):
		return t.hasSourceNAT(f) || t.hasDestNAT(f)
	case c.opts.has(optSrcNAT) && !t.hasSourceNAT(f), c.opts.has(optDstNAT) && !t.hasDestNAT(f):
		return false
	}
	return true
}

func (t *template) hasSourceNAT(f *model.Flow) bool {
	if f.Status&model.StatusSrcNATDone == 0 {
		return false
	}
	addr, port := f.ReplyDst != f.Src, !f.Proto.IsICMP() && f.ReplyDport != f.Sport
	if f.Proto.IsICMP() {
		port = f.ReplySport != f.Sport // the identifier
	}
	return matchRange(&t.snat, t.has.has(hasSNAT), t.has.has(hasSNATPort), addr, port, f.ReplyDst, f.ReplyDport, f)
}

func (t *template) hasDestNAT(f *model.Flow) bool {
	if f.Status&model.StatusDstNATDone == 0 {
		return false
	}
	addr, port := f.ReplySrc != f.Dst, !f.Proto.IsICMP() && f.ReplySport != f.Dport
	return matchRange(&t.dnat, t.has.has(hasDNAT), t.has.has(hasDNATPort), addr, port, f.ReplySrc, f.ReplySport, f)
}

// matchRange compares what a flow is translated to with what was asked for.
func matchRange(r *natRange, hasAddr, hasPort, addr, port bool, to [16]byte, toPort uint16, f *model.Flow) bool {
	if !hasAddr {
		return addr || port
	}
	if !addr || r.family != f.Family || r.addr != to {
		return false
	}
	return !hasPort || port && r.port == toPort
}

// labelWords returns l as the kernel's 32-bit words.
func labelWords(l *model.Labels) (w [len(model.Labels{}) / 4]uint32) {
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(l[4*i:])
	}
	return w
}

// kernelFilter is the part of the filter that the kernel may apply first.
func (c *command) kernelFilter() model.KernelFilter {
	k := model.KernelFilter{Family: c.family}
	if c.op == opUpdate {
		return k
	}
	if c.opts.has(optMark) && c.t.mark.mask != 0 {
		k.Mark, k.MarkMask, k.HasMark = c.t.mark.value, c.t.mark.mask, c.t.mark.value&^c.t.mark.mask == 0
	}
	if c.opts.has(optStatus) {
		k.Status, k.StatusMask = c.t.status, c.t.status|c.t.statusClear
		k.HasStatus = k.StatusMask != 0
	}
	if c.opts.has(optZero) {
		return k // counters of more flows are set to 0 than are listed
	}
	t := &c.t
	if k.Family == 0 && t.has.has(hasOrigFamily) {
		k.Family = t.orig.Family
	}
	part := func(to *model.KernelTuple, p model.TupleParts, is bool) {
		if is {
			to.Has |= p
		}
	}
	v4 := k.Family == model.IPv4
	k.Orig = model.KernelTuple{Src: [4]byte(t.orig.Src[12:]), Dst: [4]byte(t.orig.Dst[12:]), Sport: t.orig.Sport, Dport: t.orig.Dport, Proto: t.orig.Proto}
	part(&k.Orig, model.TupleSrc, v4 && t.has.has(hasOrigSrc) && !c.opts.has(optMaskSrc))
	part(&k.Orig, model.TupleDst, v4 && t.has.has(hasOrigDst) && !c.opts.has(optMaskDst))
	part(&k.Orig, model.TupleProto, t.has.has(hasOrigProto))
	part(&k.Orig, model.TupleSport, t.has.has(hasOrigSport))
	part(&k.Orig, model.TupleDport, t.has.has(hasOrigDport))
	k.Reply = model.KernelTuple{Src: [4]byte(t.reply.Src[12:]), Dst: [4]byte(t.reply.Dst[12:])}
	part(&k.Reply, model.TupleSrc, v4 && t.has.has(hasReplySrc))
	part(&k.Reply, model.TupleDst, v4 && t.has.has(hasReplyDst))
	return k.Sayable()
}
