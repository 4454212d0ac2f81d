package filter

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"ctview/model"
)

// run walks the ops. A comparison that the kernel did not tell enough for counts as unk, whether it is negated or not,
// and makes seen true. at is when: of a flow that has ended that is the end, and past how long ago it was; else past is less than 0.
func (f *Filter) run(fl *model.Flow, x *model.Extra, at, past int64, unk bool) (match, seen bool) {
	pc := f.entry
	for {
		o := &f.ops[pc]
		var r bool
		switch o.code {
		case opFamily:
			r = familyBit(fl.Family)&o.lo != 0
		case opProto:
			r = uint64(fl.Proto) == o.lo
		case opStatus:
			r = uint64(fl.Status)&o.hi == o.lo
		case opState:
			r = o.lo>>stateSlot(fl)&1 != 0
		case opCtState:
			r = o.lo>>fl.CtState()&1 != 0
		case opPhase:
			r = o.lo>>fl.Phase()&1 != 0
		case opAddr4:
			r = o.addr4(fl)
		case opAddr6:
			r = o.addr6(fl)
		case opPort:
			r = o.port(fl)
		case opZone:
			z := uint64(zoneOf(fl, o.side))
			r = z >= o.lo && z <= o.hi
		case opMark:
			r = uint64(fl.Mark)&o.hi == o.lo
		case opBytes, opPackets, opAvgPkt, opRate, opPPS, opAge, opTimeout:
			v, known := o.amount(fl, at)
			r = v >= o.lo && v <= o.hi
			if !known && o.code == opAge && fl.First != 0 {
				known = o.atLeast(v)
			}
			if !known {
				r, seen = unk != o.neg, true
			}
		case opLived:
			if past >= 0 {
				v, known := age(fl, at)
				if r = v >= o.lo && v <= o.hi; !known && (fl.First == 0 || !o.atLeast(v)) {
					r, seen = unk != o.neg, true
				}
			}
		case opEnded:
			v := uint64(past / int64(time.Second))
			r = past >= 0 && v >= o.lo && v <= o.hi
		case opMaster:
			var known bool
			if r, known = o.ofMaster(fl, x); !known {
				r, seen = unk != o.neg, true
			}
		case opForwarded, opLocal, opPID, opHolder, opHolderIn:
			var known bool
			if r, known = o.ofOwner(x); !known {
				r, seen = unk != o.neg, true
			}
		case opRoute, opRouteIn:
			var known bool
			if r, known = o.ofRoute(x); !known {
				r, seen = unk != o.neg, true
			}
		default:
			r = o.slow(fl, x)
		}
		if r != o.neg {
			pc = o.yes
		} else {
			pc = o.no
		}
		if pc < 0 {
			return pc == opAccept, seen
		}
	}
}

// atLeast reports whether a comparison with a time that is known to be v or more is decided: a flow is at least as old as what
// ctview knows of it.
func (o *op) atLeast(v uint64) bool {
	return v >= o.lo && o.hi == math.MaxUint64 || v > o.hi || o.lo > o.hi
}

// age is how many seconds a flow was old at a time, and whether it can have been no more.
func age(fl *model.Flow, at int64) (v uint64, known bool) {
	return uint64(max(at-fl.First, 0) / int64(time.Second)), fl.Known&model.KnownStart != 0
}

// slow does the comparisons that are not in run, to keep that small.
func (o *op) slow(fl *model.Flow, x *model.Extra) bool {
	switch o.code {
	case opSNAT:
		return fl.SNAT()
	case opDNAT:
		return fl.DNAT()
	case opNAT:
		return fl.SNAT() || fl.DNAT()
	case opProtoSet:
		return o.set.protos[fl.Proto/64]>>(fl.Proto%64)&1 != 0
	case opAddrSet:
		return o.addrSet(fl)
	case opPortSet:
		return fl.Proto.HasPorts() &&
			(o.ends&origSrc != 0 && o.set.has(uint64(fl.Sport)) || o.ends&origDst != 0 && o.set.has(uint64(fl.Dport)) ||
				o.ends&replySrc != 0 && o.set.has(uint64(fl.ReplySport)) || o.ends&replyDst != 0 && o.set.has(uint64(fl.ReplyDport)))
	case opNum:
		v, ok := o.number(fl)
		return ok && o.set.has(v)
	case opHelper:
		return o.set.hasName(fl.Helper.String())
	case opHelperIn:
		return hasFold(fl.Helper.String(), o.set.text)
	case opLabel:
		return o.label(x)
	case opSecctx:
		s := ""
		if x != nil {
			s = x.Secctx
		}
		for _, n := range o.set.names {
			if n == s {
				return true
			}
		}
	case opSecctxIn:
		return x != nil && hasFold(x.Secctx, o.set.text)
	case opText:
		return o.set.search.in(fl, x)
	}
	return false
}

// ofMaster does a comparison for the flow that announced this one. An event other than NEW does not name it
// (ctnetlink_conntrack_event), and no message tells its helper; known is false where that is asked for.
func (o *op) ofMaster(fl *model.Flow, x *model.Extra) (r, known bool) {
	if x == nil || x.Master.Family == 0 {
		return false, fl.Status&model.StatusExpected == 0
	}
	m := o.set.master
	if m.code != opHelper && m.code != opHelperIn {
		return m.ofTuple(&x.Master), true
	}
	if !x.MasterSeen {
		return false, false
	}
	name := x.MasterHelper.String()
	return m.code == opHelper && m.set.hasName(name) || m.code == opHelperIn && hasFold(name, m.set.text), true
}

// ofTuple does a comparison of addresses or ports for the original direction of a flow of which no more is known.
func (o *op) ofTuple(t *model.Tuple) bool {
	fl := model.Flow{Key: model.Key{Src: t.Src, Dst: t.Dst, Sport: t.Sport, Dport: t.Dport, Proto: t.Proto, Family: t.Family}}
	switch o.code {
	case opAddr4:
		return o.addr4(&fl)
	case opAddr6:
		return o.addr6(&fl)
	case opAddrSet:
		return o.addrSet(&fl)
	case opPort:
		return o.port(&fl)
	case opPortSet:
		return fl.Proto.HasPorts() && (o.ends&origSrc != 0 && o.set.has(uint64(fl.Sport)) || o.ends&origDst != 0 && o.set.has(uint64(fl.Dport)))
	}
	return false
}

// v4 returns the IPv4 address in a Key's form.
func v4(a *[16]byte) uint64 { return uint64(binary.BigEndian.Uint32(a[12:])) }

func (o *op) addr4(fl *model.Flow) bool {
	return fl.Family == model.IPv4 &&
		(o.ends&origSrc != 0 && v4(&fl.Src)&o.hi == o.lo || o.ends&origDst != 0 && v4(&fl.Dst)&o.hi == o.lo ||
			o.ends&replySrc != 0 && v4(&fl.ReplySrc)&o.hi == o.lo || o.ends&replyDst != 0 && v4(&fl.ReplyDst)&o.hi == o.lo)
}

func (o *op) addr6(fl *model.Flow) bool {
	return fl.Family == model.IPv6 &&
		(o.ends&origSrc != 0 && o.in6(&fl.Src) || o.ends&origDst != 0 && o.in6(&fl.Dst) ||
			o.ends&replySrc != 0 && o.in6(&fl.ReplySrc) || o.ends&replyDst != 0 && o.in6(&fl.ReplyDst))
}

func (o *op) in6(a *[16]byte) bool {
	return binary.BigEndian.Uint64(a[:8])&o.hi == o.lo && binary.BigEndian.Uint64(a[8:])&o.hi2 == o.lo2
}

func (o *op) addrSet(fl *model.Flow) bool {
	var rs []addrRange
	switch fl.Family {
	case model.IPv4:
		rs = o.set.addrs[0]
	case model.IPv6:
		rs = o.set.addrs[1]
	}
	if len(rs) == 0 {
		return false
	}
	return o.ends&origSrc != 0 && inRanges(rs, &fl.Src) || o.ends&origDst != 0 && inRanges(rs, &fl.Dst) ||
		o.ends&replySrc != 0 && inRanges(rs, &fl.ReplySrc) || o.ends&replyDst != 0 && inRanges(rs, &fl.ReplyDst)
}

// inRanges searches sorted ranges that do not overlap.
func inRanges(rs []addrRange, a *[16]byte) bool {
	v := [2]uint64{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
	lo, hi := 0, len(rs)
	for lo < hi {
		m := (lo + hi) / 2
		if cmp128(rs[m].hi, v) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(rs) && cmp128(rs[lo].lo, v) <= 0
}

func (o *op) port(fl *model.Flow) bool {
	lo, n := uint16(o.lo), uint16(o.hi-o.lo)
	return (o.ends&origSrc != 0 && fl.Sport-lo <= n || o.ends&origDst != 0 && fl.Dport-lo <= n ||
		o.ends&replySrc != 0 && fl.ReplySport-lo <= n || o.ends&replyDst != 0 && fl.ReplyDport-lo <= n) && fl.Proto.HasPorts()
}

// has reports whether v is in one of the ranges, or has the value of one of the masks.
func (s *opSet) has(v uint64) bool {
	lo, hi := 0, len(s.ranges)
	for lo < hi {
		m := (lo + hi) / 2
		if s.ranges[m].hi < v {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(s.ranges) && s.ranges[lo].lo <= v {
		return s.ranges[lo].hi >= v
	}
	for i := range s.masks {
		if v&s.masks[i].hi == s.masks[i].lo {
			return true
		}
	}
	return false
}

func (s *opSet) hasName(name string) bool {
	for _, n := range s.names {
		if equalFold(n, name) {
			return true
		}
	}
	return false
}

// zoneOf returns the zone of a flow in a direction as nft's "ct original zone" does (nf_ct_zone_id): the default zone
// where the flow's zone is tied to the other direction. For both directions it is the flow's zone, whatever it is
// tied to.
func zoneOf(fl *model.Flow, s side) uint16 {
	if s == sideOrig && fl.ZoneDir == model.ZoneReply || s == sideReply && fl.ZoneDir == model.ZoneOrig {
		return 0
	}
	return fl.Zone
}

// number returns the number that an opNum compares; ok is false for flows that have none.
func (o *op) number(fl *model.Flow) (v uint64, ok bool) {
	sport, dport := fl.Sport, fl.Dport
	if o.side == sideReply {
		sport, dport = fl.ReplySport, fl.ReplyDport
	}
	switch o.field {
	case fieldZone:
		return uint64(zoneOf(fl, o.side)), true
	case fieldMark:
		return uint64(fl.Mark), true
	case fieldID:
		return uint64(fl.ID), true
	case fieldICMPType:
		return uint64(dport >> 8), fl.Proto.IsICMP()
	case fieldICMPCode:
		return uint64(dport & 0xff), fl.Proto.IsICMP()
	case fieldICMPID:
		return uint64(sport), fl.Proto.IsICMP()
	case fieldSrcKey:
		return uint64(sport), fl.Proto == model.ProtoGRE
	case fieldDstKey:
		return uint64(dport), fl.Proto == model.ProtoGRE
	}
	return 0, false
}

// amount returns the amount that o compares. known is false when the kernel did not tell it; an age is then still the
// least that it can be.
func (o *op) amount(fl *model.Flow, now int64) (v uint64, known bool) {
	switch o.code {
	case opBytes:
		return pick(fl.Bytes, o.side), fl.Known&model.KnownCounters != 0
	case opPackets:
		return pick(fl.Packets, o.side), fl.Known&model.KnownCounters != 0
	case opAvgPkt:
		n := pick(fl.Packets, o.side)
		if n == 0 {
			return 0, fl.Known&model.KnownCounters != 0
		}
		return pick(fl.Bytes, o.side) / n, fl.Known&model.KnownCounters != 0
	case opRate:
		return pickRate(fl.Rate, o.side, 8), fl.Known&model.KnownRate != 0
	case opPPS:
		return pickRate(fl.PacketRate, o.side, 1), fl.Known&model.KnownRate != 0
	case opAge:
		return age(fl, now)
	}
	// The kernel tells whole seconds, rounded down, so what it told is right for a second.
	return uint64((max(fl.Expires-now, 0) + int64(time.Second) - 1) / int64(time.Second)), fl.Known&model.KnownTimeout != 0
}

// pick returns one direction of a pair or the sum, which stops at the largest number.
func pick(v [2]uint64, s side) uint64 {
	switch s {
	case sideOrig:
		return v[0]
	case sideReply:
		return v[1]
	}
	sum, carry := bits.Add64(v[0], v[1], 0)
	return sum | -carry
}

// pickRate is pick for rates, times factor, in whole numbers.
func pickRate(v [2]float32, s side, factor float64) uint64 {
	r := float64(v[0]) + float64(v[1])
	switch s {
	case sideOrig:
		r = float64(v[0])
	case sideReply:
		r = float64(v[1])
	}
	r *= factor
	if !(r > 0) { // NaN as well
		return 0
	}
	if r >= 1<<63 {
		return 1 << 63
	}
	return uint64(r)
}

// label reports whether one of the labels is set, or none is where "none" is asked for.
func (o *op) label(x *model.Extra) bool {
	if x == nil {
		return o.lo != 0
	}
	if o.lo != 0 && x.Labels == (model.Labels{}) {
		return true
	}
	for i := range x.Labels {
		if x.Labels[i]&o.set.labels[i] != 0 {
			return true
		}
	}
	return false
}
