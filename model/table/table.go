package table

import (
	"math"
	"sync"

	"ctview/model"
)

// A Table holds the flows of one namespace. Events and dump rows go in by Apply, BeginDump and EndDump; questions are
// answered by View, Group, Get and the rest, with copies: nothing that comes out refers to the table. Every method is
// safe for concurrent use. There is one mutex, held for a batch or for a query. Make one with New.
//
// A flow costs 136 bytes in the slab and 7 to 14 in the index, without pointers; what few flows have (labels, security
// context, master) costs about 100 more where it is there.
type Table struct {
	mu      sync.Mutex
	flows   slab
	index   index
	extra   extras
	graves  graves
	dump    dump
	stats   Stats
	totals  totals
	history history
	log     changeLog
	queue   endQueue
	ends    ends
	recent  recent
	watches watches
	pasts   pasts
	scan    scan
	groups  grouping
	version uint64 // grows with every change that a View could show
	overdue int    // chunk that Overdue looks at next
	owners  *model.Owners
	wanted  int64 // when owners were last asked for, Unix nanoseconds
	routes  *model.Routes
	ways    waysWanted
	births  uint8 // generation of the next flow that is new to the table
	limit   int64 // bytes; 0 none. See LimitTo
}

// FlowBytes is what a flow costs at most, in bytes, with what queries keep of it between them; ExtraBytes comes to it for a
// flow that has labels, a security context or a master.
const (
	FlowBytes  = 188
	ExtraBytes = 110
)

// LimitTo has the table take no more flows than fit in so many bytes (0: as many as there are), as FlowBytes reckons. Flows
// that find no room are left out and counted in Stats.Left; their events are logged all the same. Where a flow ends, another
// gets its place: with its NEW, or in the next dump.
func (t *Table) LimitTo(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = bytes
}

// full reports whether there is no room for another flow.
func (t *Table) full() bool {
	return t.limit > 0 && int64(t.stats.Flows)*FlowBytes+int64(len(t.extra.rows))*ExtraBytes >= t.limit
}

// Reserve makes room for n flows at once, where there are none yet: as they come, nothing has to be moved.
func (t *Table) Reserve(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit > 0 {
		n = min(n, int(t.limit/FlowBytes))
	}
	t.index.reserve(n)
}

const (
	second = int64(1e9)
	never  = int64(math.MaxInt64)

	// batch is how many events are applied before others get a turn.
	batch = 256
)

// New returns an empty table.
func New() *Table {
	t := &Table{}
	t.index = newIndex(&t.flows)
	return t
}

// Get returns a copy of one flow; false if the table does not have it.
func (t *Table) Get(k model.Key) (model.Row, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.index.find(&k, t.index.hash(&k))
	if slot == 0 {
		return model.Row{}, false
	}
	var r model.Row
	t.row(slot, &r)
	return r, true
}

// row copies a flow out.
func (t *Table) row(slot uint32, r *model.Row) {
	t.flows.flow(slot, &r.Flow)
	r.Extra = model.Extra{}
	if r.Flow.Known&model.KnownExtra != 0 {
		t.extraOf(slot, &r.Flow, &r.Extra)
	}
	t.now().fill(&r.Extra, &r.Flow)
}

// extraOf fills x with the extra of a flow that has one, and with what is known of its master.
func (t *Table) extraOf(slot uint32, f *model.Flow, x *model.Extra) {
	t.extra.get(slot, x)
	t.seeMaster(f, x)
}

// seeMaster puts into the extra of a flow what is known of its master. The kernel names no zone of a master that is in the
// flow's own (ctnetlink_dump_master): an expectation is found in the zone of its packet.
func (t *Table) seeMaster(f *model.Flow, x *model.Extra) {
	if x.Master.Family == 0 {
		return
	}
	m := &x.Master
	k := model.Key{Src: m.Src, Dst: m.Dst, Sport: m.Sport, Dport: m.Dport, Zone: x.MasterZone, Proto: m.Proto, Family: m.Family}
	if k.Zone == 0 {
		k.Zone, k.ZoneDir = f.Zone, f.ZoneDir
	}
	if master := t.index.find(&k, t.index.hash(&k)); master != 0 {
		x.MasterHelper, x.MasterSeen = t.flows.at(master).Helper, true
	}
}

// Each calls fn for every flow until it returns false, in no particular order. fn must not keep what it is given nor
// call the table, which is locked meanwhile.
func (t *Table) Each(fn func(*model.Flow, *model.Extra) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var r model.Row
	for c := range t.flows.chunks {
		for i := range t.flows.used(c) {
			if t.flows.chunks[c][i].Family == 0 {
				continue
			}
			t.row(uint32(c*chunkFlows+i), &r)
			if !fn(&r.Flow, &r.Extra) {
				return
			}
		}
	}
}

// Walk calls fn for the flows in n slots, from the one that was asked for on, every stride-th of them, and returns the
// slot to go on with; 0 at the end. Begin at 0 to stride-1: with a stride of k the flows are every k-th of the table,
// whenever they began, and k walks that begin at 0 to k-1 see every flow once that is there all the time. fn must not
// keep what it is given nor call the table, which is locked for the length of one call: some 0.1 µs a slot.
func (t *Table) Walk(from, stride uint32, n int, fn func(*model.Flow)) (next uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stride = max(stride, 1)
	slot := from
	var f model.Flow
	for ; n > 0; n-- {
		if slot >= t.flows.top {
			return 0
		}
		if t.flows.at(slot).Family != 0 {
			t.flows.flow(slot, &f)
			fn(&f)
		}
		slot += stride
	}
	if slot >= t.flows.top {
		return 0
	}
	return slot
}

// Stats returns the totals.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Version returns a number that grows whenever a View could show something new.
func (t *Table) Version() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// Refuse counts messages that were refused: forged ones, which the kernel did not send, and broken ones.
func (t *Table) Refuse(forged, malformed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Forged += forged
	t.stats.Malformed += malformed
	t.version++
}
