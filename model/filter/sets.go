package filter

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"ctview/model"
)

// An opSet is what does not fit in an op.
type opSet struct {
	addrs  [2][]addrRange // IPv4, IPv6: sorted, apart
	ranges []numRange     // sorted, apart
	masks  []numRange     // lo: value, hi: mask
	protos [4]uint64
	names  []string
	text   string
	labels model.Labels
	search *textSearch
	master *op
}

type numRange struct{ lo, hi uint64 }

// An addrRange is a range of addresses as 128-bit numbers.
type addrRange struct{ lo, hi [2]uint64 }

// relRange returns the numbers that are rel to v, up to most. A range that ends before it begins holds none.
func relRange(r rel, v, most uint64) (lo, hi uint64) {
	switch r {
	case relLt:
		if v == 0 {
			return 1, 0
		}
		return 0, v - 1
	case relLe:
		return 0, v
	case relGt:
		if v == math.MaxUint64 {
			return 1, 0
		}
		return v + 1, most
	case relGe:
		return v, most
	}
	return v, v
}

// mergeRanges sorts the values that are no masks and joins those that touch.
func mergeRanges(vals []val) []numRange {
	var rs []numRange
	for _, v := range vals {
		if !v.masked {
			rs = append(rs, numRange{v.lo, v.hi})
		}
	}
	slices.SortFunc(rs, func(a, b numRange) int {
		if a.lo < b.lo {
			return -1
		}
		if a.lo > b.lo {
			return 1
		}
		return 0
	})
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && (r.lo <= out[n-1].hi || r.lo == out[n-1].hi+1) {
			out[n-1].hi = max(out[n-1].hi, r.hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// familyBit returns 1 for IPv4, 2 for IPv6, 0 for others.
func familyBit(f model.Family) uint64 {
	switch f {
	case model.IPv4:
		return 1
	case model.IPv6:
		return 2
	}
	return 0
}

// The numbers that stateSlot returns, beside the states of TCP, SCTP and DCCP at 0, 10 and 20.
const (
	slotSCTP      = 10
	slotDCCP      = 20
	slotOffload   = 30
	slotReplied   = 31
	slotUnreplied = 32
	slotOther     = 33 // a protocol without names: NONE
)

// stateSlot numbers the texts of the STATE column by protocol, so that a set of them is a bit set.
func stateSlot(f *model.Flow) uint {
	switch {
	case f.Status&(model.StatusOffload|model.StatusHWOffload) != 0:
		return slotOffload
	case f.Known&model.KnownState != 0:
		s := uint(f.State)
		if s > 9 {
			s = 0 // StateName calls it NONE
		}
		switch f.Proto {
		case model.ProtoTCP:
			return s
		case model.ProtoSCTP:
			return slotSCTP + s
		case model.ProtoDCCP:
			return slotDCCP + s
		}
		return slotOther
	case f.Status&model.StatusSeenReply != 0:
		return slotReplied
	}
	return slotUnreplied
}

// stateBits returns the classes whose text is the folded word w.
func stateBits(w string) uint64 {
	switch w {
	case "offload":
		return 1 << slotOffload
	case "replied":
		return 1 << slotReplied
	case "unreplied":
		return 1 << slotUnreplied
	}
	set := uint64(0)
	for i, p := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
		for s, n := range model.StateNames(p) {
			if foldWord(n) == w {
				set |= 1 << (10*i + s)
			}
		}
	}
	if w == "none" {
		set |= 1 << slotOther
	}
	return set
}

// addrs compiles one prefix, or a set of them as sorted ranges.
func (c *compiler) addrs(o *op, vals []val) {
	if len(vals) == 1 {
		p := vals[0].addr
		r := prefixRange(p)
		mask := [2]uint64{^(r.lo[0] ^ r.hi[0]), ^(r.lo[1] ^ r.hi[1])}
		o.code, o.lo, o.lo2, o.hi, o.hi2 = opAddr6, r.lo[0], r.lo[1], mask[0], mask[1]
		if p.Addr().Is4() {
			o.code, o.lo, o.hi = opAddr4, r.lo[1]&math.MaxUint32, mask[1]&math.MaxUint32
		}
		return
	}
	o.code, o.set = opAddrSet, &opSet{}
	for _, v := range vals {
		i := 0
		if !v.addr.Addr().Is4() {
			i = 1
		}
		o.set.addrs[i] = append(o.set.addrs[i], prefixRange(v.addr))
	}
	for i := range o.set.addrs {
		o.set.addrs[i] = mergeAddrs(o.set.addrs[i])
	}
}

// prefixRange returns the first and last address of p in the form of Key: IPv4 as 4-in-6.
func prefixRange(p netip.Prefix) addrRange {
	a := p.Addr().As16()
	n := p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	r := addrRange{lo: [2]uint64{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}}
	r.hi = r.lo
	r.hi[0] |= math.MaxUint64 >> min(n, 64)
	r.hi[1] |= math.MaxUint64 >> max(n-64, 0)
	return r
}

func mergeAddrs(rs []addrRange) []addrRange {
	slices.SortFunc(rs, func(a, b addrRange) int { return cmp128(a.lo, b.lo) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && cmp128(r.lo, out[n-1].hi) <= 0 {
			if cmp128(out[n-1].hi, r.hi) < 0 {
				out[n-1].hi = r.hi
			}
		} else {
			out = append(out, r)
		}
	}
	return out
}

// cmp128 compares two 128-bit numbers.
func cmp128(a, b [2]uint64) int {
	_, borrow := bits.Sub64(a[1], b[1], 0)
	d, borrow := bits.Sub64(a[0], b[0], borrow)
	switch {
	case borrow != 0:
		return -1
	case d|a[1]-b[1] == 0:
		return 0
	}
	return 1
}
