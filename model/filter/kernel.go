package filter

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"ctview/model"
)

// What goes into a KernelFilter: what ctnetlink compares rightly (ctnetlink_filter_match). Everything here may pass too much
// and never too little.

// kernelText names the parts of k: "ipv4, zone 5, mark 0x10/0xf0, assured, not seen_reply"; "" when it passes everything.
func kernelText(k model.KernelFilter) string {
	var parts []string
	if k.Family != 0 {
		parts = append(parts, k.Family.String())
	}
	if k.HasZone {
		parts = append(parts, "zone "+strconv.Itoa(int(k.Zone)))
	}
	if k.HasMark {
		v := val{lo: uint64(k.Mark), hi: uint64(k.Mark), mask: uint64(k.MarkMask), masked: k.MarkMask != 1<<32-1}
		parts = append(parts, "mark "+string(appendNumVal(nil, &v, 16)))
	}
	for i, t := range [...]model.KernelTuple{k.Orig, k.Reply} {
		side := [...]string{"", "reply "}[i]
		if t.Has&model.TupleProto != 0 {
			parts = append(parts, t.Proto.String())
		}
		if t.Has&model.TupleSrc != 0 {
			parts = append(parts, side+"src "+netip.AddrFrom4(t.Src).String())
		}
		if t.Has&model.TupleSport != 0 {
			parts = append(parts, side+"sport "+strconv.Itoa(int(t.Sport)))
		}
		if t.Has&model.TupleDst != 0 {
			parts = append(parts, side+"dst "+netip.AddrFrom4(t.Dst).String())
		}
		if t.Has&model.TupleDport != 0 {
			parts = append(parts, side+"dport "+strconv.Itoa(int(t.Dport)))
		}
	}
	for i, w := range statusWords() {
		if k.HasStatus && k.StatusMask>>i&1 != 0 {
			if k.Status>>i&1 == 0 {
				w = "not " + w
			}
			parts = append(parts, w)
		}
	}
	return strings.Join(parts, ", ")
}

// Kernel returns what the kernel can filter before f does. It follows from the parts that must be true together; what
// holds in each branch of an "or" counts, too.
func (f *Filter) Kernel() model.KernelFilter {
	if f == nil || f.NeedsMaster() { // the master itself need not match
		return model.KernelFilter{}
	}
	return implied(f.root, false).Sayable()
}

// implied returns what every flow has that n, or its negation, is true for.
func implied(n *node, neg bool) model.KernelFilter {
	switch n.kind {
	case nodeNot:
		return implied(n.kids[0], !neg)
	case nodePred:
		return n.pred.implied(neg != (n.pred.rel == relNe))
	}
	k := implied(n.kids[0], neg)
	for _, kid := range n.kids[1:] {
		if (n.kind == nodeAnd) != neg {
			k = k.And(implied(kid, neg))
		} else {
			k = k.Or(implied(kid, neg))
		}
	}
	return k
}

// implied returns what every flow has that p, or its negation, is true for. A comparison that nothing is known of
// passes all.
func (p *pred) implied(neg bool) model.KernelFilter {
	var k model.KernelFilter
	if p.master {
		return k
	}
	switch p.field {
	case fieldFlag:
		return p.flag.implied(neg)
	case fieldStatus:
		return p.impliedStatus(neg)
	case fieldCtState:
		return p.impliedCtState(neg)
	case fieldState:
		if neg || len(p.vals) != 1 {
			return k
		}
		switch p.vals[0].name {
		case "replied":
			return k.WithStatus(model.StatusSeenReply, model.StatusSeenReply)
		case "unreplied":
			return k.WithStatus(0, model.StatusSeenReply)
		}
	case fieldAddr:
		if neg {
			return k
		}
		k.Family = addrFamily(&p.vals[0])
		for i := range p.vals {
			if addrFamily(&p.vals[i]) != k.Family {
				return model.KernelFilter{}
			}
		}
		if a := p.vals[0].addr; len(p.vals) == 1 && k.Family == model.IPv4 && a.IsSingleIP() {
			t, src := tupleOf(&k, p.ends)
			switch {
			case t == nil:
			case src:
				t.Has, t.Src = model.TupleSrc, a.Addr().As4()
			default:
				t.Has, t.Dst = model.TupleDst, a.Addr().As4()
			}
		}
	case fieldPort:
		if v := p.vals[0]; !neg && p.rel <= relNe && len(p.vals) == 1 && !v.masked && v.lo == v.hi {
			t, src := tupleOf(&k, p.ends)
			switch {
			case t == nil:
			case src:
				t.Has, t.Sport = model.TupleSport, uint16(v.lo)
			default:
				t.Has, t.Dport = model.TupleDport, uint16(v.lo)
			}
		}
	case fieldProto:
		if !neg && len(p.vals) == 1 {
			k.Orig = model.KernelTuple{Has: model.TupleProto, Proto: model.Proto(p.vals[0].lo)}
		}
	case fieldFamily:
		if !neg && len(p.vals) == 1 {
			k.Family = model.Family(p.vals[0].lo)
		}
	case fieldMark:
		if !neg {
			return p.impliedMark()
		}
	case fieldZone:
		v := p.vals[0]
		// A zone tied to one direction leaves the other in zone 0, where CTA_ZONE still says the number.
		if !neg && p.rel <= relNe && len(p.vals) == 1 && !v.masked && v.lo == v.hi && (p.side == sideBoth || v.lo != 0) {
			k.Zone, k.HasZone = uint16(v.lo), true
		}
	}
	return k
}

// tupleOf returns the tuple of k that has the one end that is meant, nil where several are, and whether it is the source.
func tupleOf(k *model.KernelFilter, e ends) (t *model.KernelTuple, src bool) {
	switch e {
	case origSrc, origDst:
		return &k.Orig, e == origSrc
	case replySrc, replyDst:
		return &k.Reply, e == replySrc
	}
	return nil, false
}

func addrFamily(v *val) model.Family {
	if v.addr.Addr().Is4() {
		return model.IPv4
	}
	return model.IPv6
}

// implied is the part of flags. SNAT and DNAT also hold for flows without the bit, whose tuples differ, so that only
// their negation says something of it.
func (f flag) implied(neg bool) (k model.KernelFilter) {
	bit := model.Status(0)
	set := !neg
	switch f {
	case flagAssured:
		bit = model.StatusAssured
	case flagReplied:
		bit = model.StatusSeenReply
	case flagUnreplied:
		bit, set = model.StatusSeenReply, neg
	case flagExpected:
		bit = model.StatusExpected
	case flagDying:
		bit = model.StatusDying
	case flagFixed:
		bit = model.StatusFixedTimeout
	default:
		if neg {
			bit = map[flag]model.Status{flagSNAT: model.StatusSrcNAT, flagDNAT: model.StatusDstNAT, flagNAT: model.StatusNATMask,
				flagOffload: model.StatusOffload | model.StatusHWOffload}[f]
		}
	}
	if set {
		return k.WithStatus(bit, bit)
	}
	return k.WithStatus(0, bit)
}

func (p *pred) impliedStatus(neg bool) (k model.KernelFilter) {
	all := model.Status(0)
	for _, v := range p.vals {
		all |= 1 << v.lo
	}
	switch {
	case neg:
		return k.WithStatus(0, all)
	case bits.OnesCount32(uint32(all)) == 1:
		return k.WithStatus(all, all)
	}
	return k
}

// impliedCtState joins what the states that are left stand for; see Flow.CtState. INVALID and UNTRACKED have no flow.
func (p *pred) impliedCtState(neg bool) (k model.KernelFilter) {
	first := true
	for c := model.CtNew; c <= model.CtRelated; c++ {
		in := false
		for _, v := range p.vals {
			in = in || v.lo == uint64(c)
		}
		if in == neg {
			continue
		}
		var one model.KernelFilter
		switch c {
		case model.CtNew:
			one = one.WithStatus(0, model.StatusSeenReply|model.StatusExpected)
		case model.CtEstablished:
			one = one.WithStatus(model.StatusSeenReply, model.StatusSeenReply)
		case model.CtRelated:
			one = one.WithStatus(model.StatusExpected, model.StatusSeenReply|model.StatusExpected)
		}
		if first {
			k, first = one, false
		} else {
			k = k.Or(one)
		}
	}
	return k
}

// impliedMark returns the bits that all marks of p share.
func (p *pred) impliedMark() (k model.KernelFilter) {
	for i, v := range p.vals {
		one := model.KernelFilter{}.WithMark(uint32(v.lo), uint32(v.mask))
		if !v.masked {
			lo, hi := v.lo, v.hi
			if p.rel > relNe {
				lo, hi = relRange(p.rel, v.lo, fieldInfos[fieldMark].max)
			}
			mask := ^uint32(1<<bits.Len64(lo^hi) - 1)
			one = one.WithMark(uint32(lo)&mask, mask)
		}
		if i == 0 {
			k = one
		} else {
			k = k.Or(one)
		}
	}
	return k
}
