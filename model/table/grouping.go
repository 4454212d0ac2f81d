package table

import (
	"math"
	"slices"

	"ctview/model"
	"ctview/model/filter"
)

// grouping is the memory of Group, and what it last worked out.
type grouping struct {
	accs   []groupAcc
	ports  []portAcc // by number of a group, of groups by nat-ports
	table  []uint32  // open addressing: 0, or the number of a group and one
	member []uint32  // by slot: 0, or the number of its group and one
	items  []item
	sorter sorter

	version          uint64
	valid            bool
	filter           *filter.Filter
	keys             []GroupKey
	ranges           *PortRanges
	now              int64
	newSpan          float64 // seconds that young flows are counted over
	matched, unknown int
}

// A groupAcc adds up one group: 64 bytes, a cache line. A group is known by the 64-bit seeded hash of its values; that
// two of a million groups agree in it has a chance of one in forty million.
type groupAcc struct {
	hash       uint64
	bytes      uint64
	packets    uint64
	rate       float64
	sample     uint32 // slot of one of its flows
	flows      uint32
	unreplied  uint32
	young      uint32
	knownRate  uint32
	knownBytes uint32
	votes      uint32 // Boyer and Moore's majority vote: port is the only one that can have more than half
	port       uint16
}

func (a *groupAcc) sum(span float64) GroupSum {
	return GroupSum{
		Flows: int(a.flows), Unreplied: int(a.unreplied), NewPerSec: float64(a.young) / span, Bytes: a.bytes,
		Packets: a.packets, Rate: a.rate, KnownBytes: int(a.knownBytes), KnownRate: int(a.knownRate),
	}
}

// groupAge is how long groups of an unchanged table may be shown again: NewPerSec falls with time.
const groupAge = 2 * second

func (g *grouping) same(t *Table, q *GroupQuery) bool {
	return g.valid && g.version == t.version && g.filter == q.Filter && slices.Equal(g.keys, q.Keys) && g.ranges == q.Ranges &&
		q.Now >= g.now && q.Now-g.now < groupAge
}

// fill makes the groups in one pass over the flows.
func (g *grouping) fill(t *Table, q *GroupQuery) {
	g.reset(t, q)
	m := t.matcher(q.Filter, q.Now)
	since := q.Now - newWindow
	if loaded := t.stats.LoadedAt; loaded > since {
		since = loaded // what the first dump found is not new
	}
	g.newSpan = max(float64(q.Now-since)/float64(second), 1)
	hash := g.hasher(t, q.Keys, t.now())
	ports, nat, f := !byPort(q.Keys), ByNATPorts(q.Keys), new(model.Flow)
	for c := range t.flows.chunks {
		used := t.flows.used(c)
		for i := range used {
			r, slot := &used[i], uint32(c*chunkFlows+i)
			if r.Family == 0 {
				continue
			}
			t.flows.whole(r, slot, f)
			if q.Filter != nil && !m.match(f, slot) {
				continue
			}
			n := g.group(hash(f), slot)
			g.member[slot] = n + 1
			g.matched++
			a := &g.accs[n]
			a.add(f, since)
			if nat {
				if int(n) == len(g.ports) {
					g.ports = append(g.ports, newPortAcc(q.Ranges, f))
				}
				g.ports[n].add(f)
			}
			if ports && f.Proto.HasPorts() {
				a.vote(f.Dport)
			}
		}
	}
	g.unknown = m.unknown
}

func (g *grouping) reset(t *Table, q *GroupQuery) {
	*g = grouping{
		accs: g.accs[:0], ports: g.ports[:0], table: g.table, member: g.member, items: g.items[:0],
		version: t.version, valid: true, filter: q.Filter, keys: append(g.keys[:0], q.Keys...), ranges: q.Ranges, now: q.Now,
	}
	if g.table == nil {
		g.table = make([]uint32, 1<<10)
	}
	clear(g.table)
	if n := int(t.flows.top); cap(g.member) < n {
		g.member = make([]uint32, n, n+n/16)
	} else {
		g.member = g.member[:n]
		clear(g.member)
	}
}

// hasher returns the function that makes a group's hash of a flow.
func (g *grouping) hasher(t *Table, keys []GroupKey, of knower) func(*model.Flow) uint64 {
	seed := t.index.seed
	one := func(v groupVal) uint64 {
		return fold(v.lo^seed[0], fold(v.hi^seed[1], uint64(v.kind)^seed[2]))
	}
	var vs []func(*model.Flow) groupVal
	for _, k := range keys {
		vs = append(vs, k.values(of)...)
	}
	var mix func(vs []func(*model.Flow) groupVal) func(*model.Flow) uint64
	mix = func(vs []func(*model.Flow) groupVal) func(*model.Flow) uint64 {
		a := vs[0]
		if len(vs) == 1 {
			return func(f *model.Flow) uint64 { return one(a(f)) }
		}
		b := vs[1]
		if len(vs) == 2 {
			return func(f *model.Flow) uint64 { return fold(one(a(f))^seed[3], one(b(f))^seed[2]) }
		}
		rest := mix(vs[1:])
		return func(f *model.Flow) uint64 { return fold(one(a(f))^seed[3], rest(f)^seed[2]) }
	}
	return mix(vs)
}

// group returns the number of the group with hash h; a new one has the flow in slot as its sample.
func (g *grouping) group(h uint64, slot uint32) uint32 {
	mask := uint64(len(g.table) - 1)
	i := h & mask
	for ; g.table[i] != 0; i = (i + 1) & mask {
		if n := g.table[i] - 1; g.accs[n].hash == h {
			return n
		}
	}
	g.accs = append(g.accs, groupAcc{hash: h, sample: slot})
	g.table[i] = uint32(len(g.accs))
	if len(g.accs)*2 > len(g.table) {
		g.grow()
	}
	return uint32(len(g.accs) - 1)
}

func (g *grouping) grow() {
	g.table = make([]uint32, 2*len(g.table))
	mask := uint64(len(g.table) - 1)
	for n := range g.accs {
		i := g.accs[n].hash & mask
		for g.table[i] != 0 {
			i = (i + 1) & mask
		}
		g.table[i] = uint32(n + 1)
	}
}

// find returns the number of the group with an ID.
func (g *grouping) find(id uint64) (uint32, bool) {
	mask := uint64(len(g.table) - 1)
	for i := id & mask; g.table[i] != 0; i = (i + 1) & mask {
		if n := g.table[i] - 1; g.accs[n].hash == id {
			return n, true
		}
	}
	return 0, false
}

func (a *groupAcc) add(f *model.Flow, since int64) {
	a.flows++
	if f.Status&model.StatusSeenReply == 0 {
		a.unreplied++
	}
	if f.First > since {
		a.young++
	}
	if f.Known&model.KnownCounters != 0 {
		a.knownBytes++
		a.bytes += f.Bytes[0] + f.Bytes[1]
		a.packets += f.Packets[0] + f.Packets[1]
	}
	if f.Known&model.KnownRate != 0 {
		a.knownRate++
		a.rate += float64(f.Rate[0] + f.Rate[1])
	}
}

func (a *groupAcc) vote(port uint16) {
	switch {
	case a.votes == 0:
		a.port, a.votes = port, 1
	case a.port == port:
		a.votes++
	default:
		a.votes--
	}
}

// topPorts counts, for each of some groups, the flows to the port that won its vote.
func (g *grouping) topPorts(t *Table, items []item) []int {
	counts := make([]int, len(items))
	wanted := make([]uint16, len(g.accs)+1) // by number of a group and one: place in items and one
	any := false
	for i, it := range items {
		if g.accs[it.slot].votes > 0 && i < math.MaxUint16 {
			wanted[it.slot+1] = uint16(i + 1)
			any = true
		}
	}
	if !any {
		return counts
	}
	for slot, n := range g.member {
		w := wanted[n]
		if w == 0 {
			continue
		}
		if f := t.flows.at(uint32(slot)); f.Dport == g.accs[n-1].port && f.Proto.HasPorts() {
			counts[w-1]++
		}
	}
	return counts
}

// order makes the items of the groups: their keys are the column's, then the keys' values.
func (g *grouping) order(t *Table, q *GroupQuery) {
	one := t.flows.one()
	g.sorter = sorter{keys: []keyFunc{g.metric(q.Sort)}, desc: q.Desc, at: func(n uint32) *model.Flow {
		return one(g.accs[n].sample)
	}}
	if q.Sort == GroupValue {
		g.sorter.keys = nil
	}
	for _, k := range q.Keys {
		g.sorter.keys = append(g.sorter.keys, k.order(t.now(), q.Desc && q.Sort != GroupValue)...)
	}
	g.items = slices.Grow(g.items[:0], len(g.accs))
	for n := range g.accs {
		g.items = append(g.items, newItem(g.sorter.key(uint32(n), 0), uint32(n)))
	}
}

func (g *grouping) metric(c GroupColumn) keyFunc {
	return func(_ *model.Flow, n uint32) uint64 {
		a := &g.accs[n]
		switch c {
		case GroupUsed:
			if int(n) >= len(g.ports) {
				return noKey
			}
			return g.ports[n].key()
		case GroupUnreplied:
			return uint64(a.unreplied)
		case GroupNew:
			return uint64(a.young)
		case GroupRate:
			if a.knownRate == 0 {
				return noKey
			}
			return math.Float64bits(max(a.rate, 0))
		case GroupBytes:
			if a.knownBytes == 0 {
				return noKey
			}
			return min(a.bytes, maxKey)
		case GroupPackets:
			if a.knownBytes == 0 {
				return noKey
			}
			return min(a.packets, maxKey)
		}
		return uint64(a.flows)
	}
}

// order returns the keyFuncs of the key's values, in ascending order, or with flip so that a descending sort shows them
// in ascending order.
func (k GroupKey) order(of knower, flip bool) []keyFunc {
	value := k.value(of)
	switch {
	case k.Ports:
		return flipped(natPortsOrder(), flip)
	case k.Col == model.ColHelper:
		return flipped([]keyFunc{helperKey()}, flip)
	case model.RouteColumn(k.Col):
		return flipped(routeKeys(k.Col, of), flip)
	case model.OwnerColumn(k.Col):
		return flipped(ownerKeys(k.Col, of), flip)
	}
	return flipped([]keyFunc{
		func(f *model.Flow, _ uint32) uint64 { v := value(f); return uint64(v.kind)<<32 | v.hi>>32 },
		func(f *model.Flow, _ uint32) uint64 { v := value(f); return v.hi<<32>>1 | v.lo>>33 },
		func(f *model.Flow, _ uint32) uint64 { return value(f).lo & (1<<33 - 1) },
	}, flip)
}

func flipped(keys []keyFunc, flip bool) []keyFunc {
	if !flip {
		return keys
	}
	for i, k := range keys {
		keys[i] = func(f *model.Flow, slot uint32) uint64 { return maxKey - min(k(f, slot), maxKey) }
	}
	return keys
}
