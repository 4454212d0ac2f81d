package model

// A KernelFilter is the part of a filter that the kernel itself may apply to a dump. It only narrows: who uses it
// checks every row again, because old kernels ignore what they do not know. The zero value lets everything pass.
type KernelFilter struct {
	Family Family // 0: both

	// Mark&MarkMask is compared with the flow's mark under MarkMask.
	Mark, MarkMask uint32
	HasMark        bool

	// Status&StatusMask is compared with the flow's status under StatusMask.
	Status, StatusMask Status
	HasStatus          bool

	Zone    uint16 // whatever direction the zone is tied to
	HasZone bool

	Orig, Reply KernelTuple
}

// A KernelTuple is what one direction of a flow has to be: CTA_FILTER, Linux 5.8. It has no IPv6 addresses: the kernel's
// match of those is inverted (ctnetlink_filter_match_tuple).
type KernelTuple struct {
	Has          TupleParts
	Src, Dst     [4]byte // IPv4
	Sport, Dport uint16  // the kernel compares those of TCP and UDP only
	Proto        Proto
}

// TupleParts are the parts of a tuple that are compared.
type TupleParts uint8

// The parts.
const (
	TupleSrc TupleParts = 1 << iota
	TupleDst
	TupleSport
	TupleDport
	TupleProto
)

// match reports whether a tuple passes; family is that of its addresses.
func (k *KernelTuple) match(family Family, src, dst *[16]byte, sport, dport uint16, proto Proto) bool {
	switch {
	case k.Has&(TupleSrc|TupleDst) != 0 && family != IPv4,
		k.Has&TupleSrc != 0 && k.Src != [4]byte(src[12:]),
		k.Has&TupleDst != 0 && k.Dst != [4]byte(dst[12:]),
		k.Has&TupleSport != 0 && k.Sport != sport,
		k.Has&TupleDport != 0 && k.Dport != dport,
		k.Has&TupleProto != 0 && k.Proto != proto:
		return false
	}
	return true
}

// Sayable takes out what the kernel compares only beside something that is not there: a tuple needs a family, ports need TCP
// or UDP. It also takes out the values of parts that k does not have, so that equal filters compare equal.
func (k KernelFilter) Sayable() KernelFilter {
	const ports = TupleSport | TupleDport
	k.Orig, k.Reply = k.Orig.only(k.Orig.Has), k.Reply.only(k.Reply.Has)
	if proto := k.Orig.Proto; proto != ProtoTCP && proto != ProtoUDP {
		k.Orig, k.Reply = k.Orig.only(^ports), k.Reply.only(^ports)
	} else if k.Reply.Has&ports != 0 {
		k.Reply.Has |= TupleProto
		k.Reply.Proto = proto
	}
	if k.Family == 0 {
		k.Orig, k.Reply = KernelTuple{}, KernelTuple{}
	}
	return k
}

// only returns k with no other parts than has.
func (k KernelTuple) only(has TupleParts) KernelTuple {
	out := KernelTuple{Has: k.Has & has}
	if out.Has&TupleSrc != 0 {
		out.Src = k.Src
	}
	if out.Has&TupleDst != 0 {
		out.Dst = k.Dst
	}
	if out.Has&TupleSport != 0 {
		out.Sport = k.Sport
	}
	if out.Has&TupleDport != 0 {
		out.Dport = k.Dport
	}
	if out.Has&TupleProto != 0 {
		out.Proto = k.Proto
	}
	return out
}

// and adds the parts of o that k does not have.
func (k KernelTuple) and(o KernelTuple) KernelTuple {
	o = o.only(^k.Has)
	k.Has |= o.Has
	if o.Has&TupleSrc != 0 {
		k.Src = o.Src
	}
	if o.Has&TupleDst != 0 {
		k.Dst = o.Dst
	}
	k.Sport, k.Dport, k.Proto = k.Sport|o.Sport, k.Dport|o.Dport, k.Proto|o.Proto // one of both is 0
	return k
}

// or leaves the parts that k and o have alike.
func (k KernelTuple) or(o KernelTuple) KernelTuple {
	for part := TupleSrc; part <= TupleProto; part <<= 1 {
		if k.only(part) != o.only(part) {
			k.Has &^= part
		}
	}
	return k.only(k.Has)
}

// IsZero reports whether k lets everything pass.
func (k *KernelFilter) IsZero() bool { return *k == KernelFilter{} }

// Match reports whether f passes.
func (k *KernelFilter) Match(f *Flow) bool {
	switch {
	case k.Family != 0 && k.Family != f.Family,
		k.HasMark && (k.Mark^f.Mark)&k.MarkMask != 0,
		k.HasStatus && (k.Status^f.Status)&k.StatusMask != 0,
		k.HasZone && k.Zone != f.Zone,
		k.Orig.Has != 0 && !k.Orig.match(f.Family, &f.Src, &f.Dst, f.Sport, f.Dport, f.Proto),
		k.Reply.Has != 0 && !k.Reply.match(f.Family, &f.ReplySrc, &f.ReplyDst, f.ReplySport, f.ReplyDport, f.Proto):
		return false
	}
	return true
}

// And returns a filter that passes what both pass, at least. Where they contradict each other one is dropped: the
// whole filter then matches nothing, and finds that out by itself.
func (k KernelFilter) And(o KernelFilter) KernelFilter {
	if k.Family == 0 {
		k.Family = o.Family
	}
	if o.HasMark && (k.Mark^o.Mark)&k.MarkMask&o.MarkMask == 0 {
		k = k.WithMark(k.Mark|o.Mark, k.MarkMask|o.MarkMask)
	}
	if o.HasStatus && (k.Status^o.Status)&k.StatusMask&o.StatusMask == 0 {
		k = k.WithStatus(k.Status|o.Status, k.StatusMask|o.StatusMask)
	}
	if !k.HasZone {
		k.Zone, k.HasZone = o.Zone, o.HasZone
	}
	k.Orig, k.Reply = k.Orig.and(o.Orig), k.Reply.and(o.Reply)
	return k
}

// Or returns a filter that passes what either passes: the parts that both ask for.
func (k KernelFilter) Or(o KernelFilter) KernelFilter {
	if k.Family != o.Family {
		k.Family = 0
	}
	mask := k.MarkMask & o.MarkMask &^ (k.Mark ^ o.Mark)
	k = k.WithMark(k.Mark&mask, mask)
	smask := k.StatusMask & o.StatusMask &^ (k.Status ^ o.Status)
	k = k.WithStatus(k.Status&smask, smask)
	if k.Zone != o.Zone || k.HasZone != o.HasZone {
		k.Zone, k.HasZone = 0, false
	}
	k.Orig, k.Reply = k.Orig.or(o.Orig), k.Reply.or(o.Reply)
	return k
}

// WithMark returns k with the mark compared with v under mask; a mask of 0 compares nothing.
func (k KernelFilter) WithMark(v, mask uint32) KernelFilter {
	k.Mark, k.MarkMask, k.HasMark = v, mask, mask != 0
	return k
}

// WithStatus returns k with the status compared with v under mask; a mask of 0 compares nothing.
func (k KernelFilter) WithStatus(v, mask Status) KernelFilter {
	k.Status, k.StatusMask, k.HasStatus = v, mask, mask != 0
	return k
}
