package table

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"

	"ctview/model"
)

// A keyFunc turns what a column sorts by into a number below 1<<63, or noKey where the flow has no such value. Where
// 63 bits do not hold it all, a column has a second and third keyFunc that tell flows apart whose first are equal.
type keyFunc func(f *model.Flow, slot uint32) uint64

const (
	maxKey = 1<<63 - 1
	noKey  = 1 << 63 // flows without a value come last, whichever way the others are sorted; no other key has this bit
)

var columnKeys = [model.NumColumns][]keyFunc{
	model.ColProto:      {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Proto) }},
	model.ColState:      {func(f *model.Flow, _ uint32) uint64 { return stateKey(f) }},
	model.ColSrc:        endpointKeys(func(f *model.Flow) (*[16]byte, uint16) { return &f.Src, f.Sport }),
	model.ColDst:        endpointKeys(func(f *model.Flow) (*[16]byte, uint16) { return &f.Dst, f.Dport }),
	model.ColReplySrc:   endpointKeys(func(f *model.Flow) (*[16]byte, uint16) { return &f.ReplySrc, f.ReplySport }),
	model.ColReplyDst:   endpointKeys(func(f *model.Flow) (*[16]byte, uint16) { return &f.ReplyDst, f.ReplyDport }),
	model.ColSport:      {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Sport) }},
	model.ColDport:      {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Dport) }},
	model.ColReplySport: {func(f *model.Flow, _ uint32) uint64 { return uint64(f.ReplySport) }},
	model.ColReplyDport: {func(f *model.Flow, _ uint32) uint64 { return uint64(f.ReplyDport) }},
	model.ColNAT:        {func(f *model.Flow, _ uint32) uint64 { return uint64(natClass(f)) }},
	model.ColZone:       {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Zone) }},
	model.ColFlags:      {func(f *model.Flow, _ uint32) uint64 { return uint64(flagBits(f)) }},
	model.ColTimeout: {func(f *model.Flow, _ uint32) uint64 {
		if f.Known&model.KnownTimeout == 0 {
			return noKey
		}
		return uint64(max(f.Expires, 0))
	}},
	model.ColAge:          {func(f *model.Flow, _ uint32) uint64 { return maxKey - uint64(max(f.First, 0)) }},
	model.ColStart:        {func(f *model.Flow, _ uint32) uint64 { return uint64(max(f.First, 0)) }},
	model.ColMark:         {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Mark) }},
	model.ColID:           {func(f *model.Flow, _ uint32) uint64 { return uint64(f.ID) }},
	model.ColFamily:       {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Family) }},
	model.ColCtState:      {func(f *model.Flow, _ uint32) uint64 { return uint64(f.CtState()) }},
	model.ColPhase:        {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Phase()) }},
	model.ColStatus:       {func(f *model.Flow, _ uint32) uint64 { return uint64(f.Status) }},
	model.ColRate:         rateKey(func(f *model.Flow) float32 { return f.Rate[0] + f.Rate[1] }),
	model.ColOrigRate:     rateKey(func(f *model.Flow) float32 { return f.Rate[0] }),
	model.ColReplyRate:    rateKey(func(f *model.Flow) float32 { return f.Rate[1] }),
	model.ColPPS:          rateKey(func(f *model.Flow) float32 { return f.PacketRate[0] + f.PacketRate[1] }),
	model.ColBytes:        counterKey(func(f *model.Flow) uint64 { return f.Bytes[0] + f.Bytes[1] }),
	model.ColPackets:      counterKey(func(f *model.Flow) uint64 { return f.Packets[0] + f.Packets[1] }),
	model.ColOrigBytes:    counterKey(func(f *model.Flow) uint64 { return f.Bytes[0] }),
	model.ColReplyBytes:   counterKey(func(f *model.Flow) uint64 { return f.Bytes[1] }),
	model.ColOrigPackets:  counterKey(func(f *model.Flow) uint64 { return f.Packets[0] }),
	model.ColReplyPackets: counterKey(func(f *model.Flow) uint64 { return f.Packets[1] }),
	model.ColAvgPkt: {func(f *model.Flow, _ uint32) uint64 {
		if f.Known&model.KnownCounters == 0 || f.Packets[0]+f.Packets[1] == 0 {
			return noKey
		}
		return math.Float64bits(float64(f.Bytes[0]+f.Bytes[1]) / float64(f.Packets[0]+f.Packets[1]))
	}},
}

func rateKey(get func(*model.Flow) float32) []keyFunc {
	return []keyFunc{func(f *model.Flow, _ uint32) uint64 {
		if f.Known&model.KnownRate == 0 {
			return noKey
		}
		return uint64(math.Float32bits(max(get(f), 0))) // bits of floats from 0 on are in their order
	}}
}

func counterKey(get func(*model.Flow) uint64) []keyFunc {
	return []keyFunc{func(f *model.Flow, _ uint32) uint64 {
		if f.Known&model.KnownCounters == 0 {
			return noKey
		}
		return min(get(f), maxKey)
	}}
}

// endpointKeys sorts by family, address and port: IPv4 needs one number, IPv6 three.
func endpointKeys(get func(*model.Flow) (*[16]byte, uint16)) []keyFunc {
	be := binary.BigEndian
	return []keyFunc{
		func(f *model.Flow, _ uint32) uint64 {
			a, port := get(f)
			if f.Family == model.IPv4 {
				return uint64(be.Uint32(a[12:]))<<16 | uint64(port)
			}
			return 1<<62 | be.Uint64(a[:])>>2
		},
		func(f *model.Flow, _ uint32) uint64 {
			if f.Family == model.IPv4 {
				return 0
			}
			a, _ := get(f)
			return be.Uint64(a[:])&3<<61 | be.Uint64(a[8:])>>3
		},
		func(f *model.Flow, _ uint32) uint64 {
			if f.Family == model.IPv4 {
				return 0
			}
			a, port := get(f)
			return be.Uint64(a[8:])&7<<16 | uint64(port)
		},
	}
}

// flagBits puts the letters of AppendFlags into a number.
func flagBits(f *model.Flow) (b uint8) {
	for i, on := range [...]bool{
		f.Status&model.StatusDying != 0, f.Status&model.StatusFixedTimeout != 0,
		f.Helper != 0 || f.Status&model.StatusHelper != 0, f.Offloaded(), f.Status&model.StatusExpected != 0,
		f.Status&model.StatusSeenReply == 0, f.Status&model.StatusAssured != 0,
	} {
		if on {
			b |= 1 << i
		}
	}
	return b
}

// stateRanks puts what StateText can say into the order of the alphabet. It is worked out when a list is first sorted by it.
var stateRanks = sync.OnceValue(func() *[256][numStates]uint8 {
	var ranks [256][numStates]uint8
	var texts []string
	for p := range 256 {
		for s := range numStates {
			texts = append(texts, strings.ToLower(stateText(model.Proto(p), s)))
		}
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(texts)))
	for i, text := range texts {
		r, _ := slices.BinarySearch(sorted, text)
		ranks[i/numStates][i%numStates] = uint8(r)
	}
	return &ranks
})

func stateKey(f *model.Flow) uint64 { return uint64(stateRanks()[f.Proto][stateClass(f)]) }

// keys returns the column's keys, those that need more than the flow included. nil: the order of the slots.
func (t *Table) keys(c model.Column) []keyFunc {
	if c >= model.NumColumns {
		return nil
	}
	row := func(get func(*extraRow) uint64) keyFunc {
		return func(f *model.Flow, slot uint32) uint64 {
			if f.Known&model.KnownExtra == 0 {
				return 0
			}
			r := t.extraRow(slot)
			return get(&r)
		}
	}
	be := binary.BigEndian
	switch c {
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return ownerKeys(c, t.now())
	case model.ColIif, model.ColOif:
		return routeKeys(c, t.now())
	case model.ColHelper:
		return []keyFunc{helperKey()}
	case model.ColSecctx:
		ranks := nameRanks(t.extra.ctxNames)
		return []keyFunc{row(func(r *extraRow) uint64 { return uint64(ranks[r.secctx]) })}
	case model.ColLabels:
		return []keyFunc{
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[:]) >> 1 }),
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[:])&1<<62 | be.Uint64(r.labels[8:])>>2 }),
			row(func(r *extraRow) uint64 { return be.Uint64(r.labels[8:]) & 3 }),
		}
	case model.ColMaster:
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
	ranks := nameRanks(model.HelperNames())
	return func(f *model.Flow, _ uint32) uint64 {
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
