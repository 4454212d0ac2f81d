package table

import (
	"ctview/model"
)

const (
	// keepWaiting is how many flows may wait for the DESTROY of which nothing was heard, and hearIn for how long: where a flow
	// is found gone by asking for it, its DESTROY is on the way.
	keepWaiting = 1 << 15
	hearIn      = 2 * second
	// bigQueue is the longest queue whose memory is kept while it is empty.
	bigQueue = 1 << 12
)

// An Ended is a flow that is no more. It holds no pointers.
type Ended struct {
	// Flow is as it was last; the counters of one whose DESTROY was heard are the totals. Of a flow that the table did not
	// have it is what the DESTROY says: First is 0 where that does not tell the start.
	Flow   model.Flow
	At     int64  // Unix nanoseconds: when it ended by the kernel's word, else when that was heard; see Unheard
	PortID uint32 // netlink port of the process that deleted it; 0 the kernel
	// Unheard: no DESTROY came. At is when the flow was found gone, and the counters are those that were read last.
	Unheard bool
	Told    Told // what records told of the flow while it went on, see QueueActive
}

// EndStats count the ends of flows since QueueEnds.
type EndStats struct {
	Kept    int // for TakeEnds, now
	Heard   uint64
	Unheard uint64
	// Lost were thrown away because nobody took them, with the packets and bytes of both directions that no record told before.
	Lost, LostPackets, LostBytes uint64
}

// An endQueue keeps flows that ended until somebody takes them: each once, in bounded memory, what was not taken counted. (ends keep them for whoever
// looks back, and let go of the old.)
type endQueue struct {
	most  int // 0: nobody asks
	told  tellings
	ring  []Ended
	first int // of the ring
	stats EndStats

	// waiting are the flows of which no DESTROY was heard, from head on the oldest first; one that was heard after all has Family
	// 0. at finds the last of a hash: its place, counted from the first that ever waited.
	waiting []waiting
	head    int
	gone    int // how many were taken out of waiting
	at      map[uint64]int
}

type waiting struct {
	Ended
	hash uint64
}

// QueueEnds has the table keep the flows that end for TakeEnds, at most so many; when they are not taken in time those that come
// are counted and thrown away. It is called before anything is applied, or never.
func (t *Table) QueueEnds(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = endQueue{most: most, at: map[uint64]int{}, told: t.queue.told}
}

// InheritEnds takes over the ends that nobody has taken from old, with their counts; old queues nothing any more. It is called where
// QueueEnds is, when old watches nothing any more.
func (t *Table) InheritEnds(old *Table) {
	old.mu.Lock()
	q := old.queue
	old.queue = endQueue{}
	old.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	q.told = t.queue.told
	t.queue = q
}

// TakeEnds moves flows that ended into buf, the oldest first, and returns how many. now is Unix nanoseconds: one of which no end was
// heard comes when its DESTROY has not arrived within two seconds. A flow comes once.
func (t *Table) TakeEnds(now int64, buf []Ended) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &t.queue
	x.giveUp(now)
	for n < len(buf) && x.stats.Kept > 0 {
		buf[n] = x.ring[x.first]
		x.first = (x.first + 1) % len(x.ring)
		x.stats.Kept--
		n++
	}
	if x.stats.Kept == 0 && len(x.ring) > bigQueue {
		x.ring, x.first = nil, 0
	}
	return n
}

// EndStats returns the counts.
func (t *Table) EndStats() EndStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queue.stats
}

// add keeps an end.
func (x *endQueue) add(e *Ended) {
	if e.Unheard {
		x.stats.Unheard++
	} else {
		x.stats.Heard++
	}
	if x.stats.Kept == x.most {
		x.stats.Lost++
		if e.Flow.Known&model.KnownCounters != 0 {
			packets, bytes := e.Told.Since(&e.Flow)
			x.stats.LostPackets += packets[0] + packets[1]
			x.stats.LostBytes += bytes[0] + bytes[1]
		}
		return
	}
	if x.stats.Kept == len(x.ring) {
		x.grow()
	}
	x.ring[(x.first+x.stats.Kept)%len(x.ring)] = *e
	x.stats.Kept++
}

func (x *endQueue) grow() {
	bigger := make([]Ended, min(max(2*len(x.ring), 256), x.most))
	n := copy(bigger, x.ring[x.first:])
	copy(bigger[n:], x.ring[:x.first])
	x.ring, x.first = bigger, 0
}

// heard keeps the end of a flow in slot, as it was last, whose DESTROY is e.
func (x *endQueue) heard(now int64, slot uint32, last *model.Flow, e *model.Event) {
	if x.most > 0 {
		x.add(&Ended{Flow: *last, At: endOf(now, e), PortID: e.PortID, Told: x.told.before(slot)})
	}
}

// unheard has a flow wait for its DESTROY that was found gone; not one that only an UPDATE behind its DESTROY told of.
func (x *endQueue) unheard(now int64, h uint64, slot uint32, f *model.Flow) {
	if x.most == 0 || f.Book.Epoch&suspect != 0 {
		return
	}
	e := Ended{Flow: *f, At: now, Unheard: true, Told: x.told.before(slot)}
	if len(x.waiting)-x.head >= keepWaiting {
		x.add(&e)
		return
	}
	x.at[h] = x.gone + len(x.waiting)
	x.waiting = append(x.waiting, waiting{e, h})
}

// resolve gives a DESTROY to the flow that waits for it; it reports whether one did.
func (x *endQueue) resolve(now int64, h uint64, e *model.Event) bool {
	i, ok := x.at[h]
	if !ok {
		return false
	}
	w := &x.waiting[i-x.gone]
	if w.Flow.Key != e.Flow.Key || !sameLife(w.Flow.ID, w.Flow.Known, w.Flow.First, e) {
		return false
	}
	w.hear(now, e)
	x.add(&w.Ended)
	*w = waiting{}
	delete(x.at, h)
	return true
}

// hear has an end be what its DESTROY says.
func (w *Ended) hear(now int64, e *model.Event) {
	w.Unheard, w.At, w.PortID = false, endOf(now, e), e.PortID
	if f := &w.Flow; e.Has&model.HasProtoinfo != 0 {
		f.State, f.Known = e.Flow.State, f.Known|model.KnownState
	}
	lastWords(&w.Flow, e)
}

// giveUp waits no longer for what is not heard in time.
func (x *endQueue) giveUp(now int64) {
	for ; x.head < len(x.waiting); x.head++ {
		w := &x.waiting[x.head]
		if w.Flow.Family == 0 {
			continue
		}
		if age := now - w.At; age < hearIn && age > -hearIn {
			break
		}
		x.add(&w.Ended)
		if x.at[w.hash] == x.gone+x.head {
			delete(x.at, w.hash)
		}
	}
	if x.head > len(x.waiting)/2 {
		x.gone += x.head
		x.waiting, x.head = x.waiting[:copy(x.waiting, x.waiting[x.head:])], 0
	}
	if len(x.waiting) == 0 {
		x.waiting = nil
	}
}
