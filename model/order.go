package model

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// A keyFunc turns what a column sorts by into a number below 1<<63, or noKey where the flow has no such value. Where
// 63 bits do not hold it all, a column has a second and third keyFunc that tell flows apart whose first are equal.
type keyFunc func(f *Flow, slot uint32) uint64

const (
	maxKey = 1<<63 - 1
	noKey  = 1 << 63 // flows without a value come last, whichever way the others are sorted
)

var columnKeys = [NumColumns][]keyFunc{
	ColProto:      {func(f *Flow, _ uint32) uint64 { return uint64(f.Proto) }},
	ColState:      {func(f *Flow, _ uint32) uint64 { return uint64(stateRanks[f.Proto][stateClass(f)]) }},
	ColSrc:        endpointKeys(func(f *Flow) (*[16]byte, uint16) { return &f.Src, f.Sport }),
	ColDst:        endpointKeys(func(f *Flow) (*[16]byte, uint16) { return &f.Dst, f.Dport }),
	ColReplySrc:   endpointKeys(func(f *Flow) (*[16]byte, uint16) { return &f.ReplySrc, f.ReplySport }),
	ColReplyDst:   endpointKeys(func(f *Flow) (*[16]byte, uint16) { return &f.ReplyDst, f.ReplyDport }),
	ColSport:      {func(f *Flow, _ uint32) uint64 { return uint64(f.Sport) }},
	ColDport:      {func(f *Flow, _ uint32) uint64 { return uint64(f.Dport) }},
	ColReplySport: {func(f *Flow, _ uint32) uint64 { return uint64(f.ReplySport) }},
	ColReplyDport: {func(f *Flow, _ uint32) uint64 { return uint64(f.ReplyDport) }},
	ColNAT:        {func(f *Flow, _ uint32) uint64 { return uint64(natClass(f)) }},
	ColZone:       {func(f *Flow, _ uint32) uint64 { return uint64(f.Zone) }},
	ColFlags:      {func(f *Flow, _ uint32) uint64 { return uint64(flagBits(f)) }},
	ColTimeout: {func(f *Flow, _ uint32) uint64 {
		if f.Known&KnownTimeout == 0 {
			return noKey
		}
		return uint64(max(f.Expires, 0))
	}},
	ColAge:          {func(f *Flow, _ uint32) uint64 { return maxKey - uint64(max(f.First, 0)) }},
	ColStart:        {func(f *Flow, _ uint32) uint64 { return uint64(max(f.First, 0)) }},
	ColMark:         {func(f *Flow, _ uint32) uint64 { return uint64(f.Mark) }},
	ColID:           {func(f *Flow, _ uint32) uint64 { return uint64(f.ID) }},
	ColFamily:       {func(f *Flow, _ uint32) uint64 { return uint64(f.Family) }},
	ColCtState:      {func(f *Flow, _ uint32) uint64 { return uint64(f.CtState()) }},
	ColPhase:        {func(f *Flow, _ uint32) uint64 { return uint64(f.Phase()) }},
	ColStatus:       {func(f *Flow, _ uint32) uint64 { return uint64(f.Status) }},
	ColRate:         rateKey(func(f *Flow) float32 { return f.Rate[0] + f.Rate[1] }),
	ColOrigRate:     rateKey(func(f *Flow) float32 { return f.Rate[0] }),
	ColReplyRate:    rateKey(func(f *Flow) float32 { return f.Rate[1] }),
	ColPPS:          rateKey(func(f *Flow) float32 { return f.PacketRate[0] + f.PacketRate[1] }),
	ColBytes:        counterKey(func(f *Flow) uint64 { return f.Bytes[0] + f.Bytes[1] }),
	ColPackets:      counterKey(func(f *Flow) uint64 { return f.Packets[0] + f.Packets[1] }),
	ColOrigBytes:    counterKey(func(f *Flow) uint64 { return f.Bytes[0] }),
	ColReplyBytes:   counterKey(func(f *Flow) uint64 { return f.Bytes[1] }),
	ColOrigPackets:  counterKey(func(f *Flow) uint64 { return f.Packets[0] }),
	ColReplyPackets: counterKey(func(f *Flow) uint64 { return f.Packets[1] }),
	ColAvgPkt: {func(f *Flow, _ uint32) uint64 {
		if f.Known&KnownCounters == 0 || f.Packets[0]+f.Packets[1] == 0 {
			return noKey
		}
		return math.Float64bits(float64(f.Bytes[0]+f.Bytes[1]) / float64(f.Packets[0]+f.Packets[1]))
	}},
}

func rateKey(get func(*Flow) float32) []keyFunc {
	return []keyFunc{func(f *Flow, _ uint32) uint64 {
		if f.Known&KnownRate == 0 {
			return noKey
		}
		return uint64(math.Float32bits(max(get(f), 0))) // bits of floats from 0 on are in their order
	}}
}

func counterKey(get func(*Flow) uint64) []keyFunc {
	return []keyFunc{func(f *Flow, _ uint32) uint64 {
		if f.Known&KnownCounters == 0 {
			return noKey
		}
		return min(get(f), maxKey)
	}}
}

// endpointKeys sorts by family, address and port: IPv4 needs one number, IPv6 three.
func endpointKeys(get func(*Flow) (*[16]byte, uint16)) []keyFunc {
	be := binary.BigEndian
	return []keyFunc{
		func(f *Flow, _ uint32) uint64 {
			a, port := get(f)
			if f.Family == IPv4 {
				return uint64(be.Uint32(a[12:]))<<16 | uint64(port)
			}
			return 1<<62 | be.Uint64(a[:])>>2
		},
		func(f *Flow, _ uint32) uint64 {
			if f.Family == IPv4 {
				return 0
			}
			a, _ := get(f)
			return be.Uint64(a[:])&3<<61 | be.Uint64(a[8:])>>3
		},
		func(f *Flow, _ uint32) uint64 {
			if f.Family == IPv4 {
				return 0
			}
			a, port := get(f)
			return be.Uint64(a[8:])&7<<16 | uint64(port)
		},
	}
}

// flagBits puts the letters of AppendFlags into a number.
func flagBits(f *Flow) (b uint8) {
	for i, on := range [...]bool{
		f.Status&StatusDying != 0, f.Status&StatusFixedTimeout != 0,
		f.Helper != 0 || f.Status&StatusHelper != 0, f.Offloaded(), f.Status&StatusExpected != 0,
		f.Status&StatusSeenReply == 0, f.Status&StatusAssured != 0,
	} {
		if on {
			b |= 1 << i
		}
	}
	return b
}

// stateRanks puts what StateText can say into the order of the alphabet.
var stateRanks = func() (ranks [256][numStates]uint8) {
	var texts []string
	for p := range 256 {
		for s := range numStates {
			texts = append(texts, strings.ToLower(stateText(Proto(p), s)))
		}
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(texts)))
	for i, text := range texts {
		r, _ := slices.BinarySearch(sorted, text)
		ranks[i/numStates][i%numStates] = uint8(r)
	}
	return ranks
}()

// keys returns the column's keys, those that need more than the flow included. nil: the order of the slots.
func (t *Table) keys(c Column) []keyFunc {
	if c >= NumColumns {
		return nil
	}
	row := func(get func(*extraRow) uint64) keyFunc {
		return func(f *Flow, slot uint32) uint64 {
			if f.Known&KnownExtra == 0 {
				return 0
			}
			r := t.extra.rows[slot]
			return get(&r)
		}
	}
	be := binary.BigEndian
	switch c {
	case ColHelper:
		return []keyFunc{helperKey()}
	case ColSecctx:
		ranks := nameRanks(t.extra.ctxNames)
		return []keyFunc{row(func(r *extraRow) uint64 { return uint64(ranks[r.secctx]) })}
	case ColLabels:
		return []keyFunc{
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[:]) >> 1 }),
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[:])&1<<62 | be.Uint64(r.labels[8:])>>2 }),
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[8:]) & 3 }),
		}
	case ColMaster:
		// As endpointKeys of the master's source; its ports do not matter to anybody.
		return []keyFunc{
			row(func(r *extraRow) uint64 { return uint64(r.master.Family)<<55 | be.Uint64(r.master.Src[:])>>9 }),
			row(func(r *extraRow) uint64 {
				return be.Uint64(r.master.Src[:])&0x1ff<<54 | be.Uint64(r.master.Src[8:])>>10
			}),
			row(func(r *extraRow) uint64 { return be.Uint64(r.master.Src[8:])&0x3ff<<16 | uint64(r.master.Sport) }),
		}
	}
	return columnKeys[c]
}

// helperKey sorts by the helper's name; flows without one come first.
func helperKey() keyFunc {
	ranks := nameRanks(helpers.Load().names)
	return func(f *Flow, _ uint32) uint64 {
		if int(f.Helper) < len(ranks) {
			return uint64(ranks[f.Helper])
		}
		return uint64(len(ranks))
	}
}

// nameRanks returns the place of each name in their order.
func nameRanks(names []string) []uint32 {
	idx := make([]int, len(names))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int { return cmp.Compare(names[a], names[b]) })
	ranks := make([]uint32, max(len(names), 1))
	for r, i := range idx {
		ranks[i] = uint32(r)
	}
	return ranks
}
