package table

import (
	"ctview/model"
)

const (
	// tellMost and tellLeast bound how many flows Due returns a second: the first because each costs its caller a question to the
	// kernel, the second so that few flows do not wait for each other.
	tellMost  = 20_000
	tellLeast = 100
	// rounds is how often all flows are looked at while one record becomes due: it comes 1/16 too late at most, where the rate allows.
	rounds   = 16
	lookMost = 2_000_000 // slots a second
	// saved is for how long unused permission is kept, in seconds: who was held up does not make up for it at once.
	saved = 0.25
)

// A Told is what records of a flow have told: counters up to a time.
type Told struct {
	At             int64 // Unix nanoseconds; 0: there was no record
	Start          int64 // by the kernel's word; 0: not known
	Packets, Bytes [2]uint64
}

// Since returns the counters of f less those that were told. Where somebody set them back to 0 meanwhile, or another flow took the
// place of the one that was told, unheard, they count from there.
func (w *Told) Since(f *model.Flow) (packets, bytes [2]uint64) {
	if w.Start != 0 && f.Known&model.KnownStart != 0 && f.First != w.Start {
		return f.Packets, f.Bytes
	}
	for i := range 2 {
		if f.Packets[i] < w.Packets[i] || f.Bytes[i] < w.Bytes[i] {
			return f.Packets, f.Bytes
		}
		packets[i], bytes[i] = f.Packets[i]-w.Packets[i], f.Bytes[i]-w.Bytes[i]
	}
	return packets, bytes
}

// An Active is a flow that goes on. It holds no pointers.
type Active struct {
	Flow model.Flow
	At   int64 // Unix nanoseconds: when its counters were read, else when it was taken
	Told Told  // what the records before have told
}

// tellings are what was told of flows that go on, by slot; nothing where nobody asks.
type tellings struct {
	every  int64 // nanoseconds from one record to the next; 0: nobody asks
	chunks []*[chunkFlows]telling
	next   uint32  // slot that Due looks at next
	asked  int64   // when it last was
	look   float64 // slots that it may look at
	tell   float64 // flows that it may return
}

// A telling is what was told of the flow in a slot, 56 bytes.
type telling struct {
	due int64 // Unix nanoseconds: when the next record is; 0: no flow is there
	Told
}

// QueueActive has the table keep what was told of each flow, 56 bytes, so that Due finds those of which nothing was for so many
// nanoseconds. It goes with QueueEnds, and is called before anything is applied, or never.
func (t *Table) QueueActive(every int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue.told = tellings{every: every}
}

// Due appends to buf, up to its capacity, flows of which nothing was told for as long as QueueActive says. It is to be called again
// and again: however many are due, it returns in the long run no more than twice as many a second as would do (at least 100, at most
// 20,000), so that a million flows that came at once are told one after the other, and from then on stay apart.
func (t *Table) Due(now int64, buf []model.Key) []model.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.queue.told
	if l.every == 0 {
		return buf
	}
	l.allow(now, t.stats.Flows, t.flows.top)
	for ; l.look >= 1 && l.tell >= 1 && len(buf) < cap(buf); l.look-- {
		if l.next++; l.next >= t.flows.top {
			l.next = 1
		}
		x := l.of(l.next)
		if x == nil || x.due == 0 || x.due > now {
			if x != nil && x.due-now > l.every { // the clock was set back
				x.due = now + l.every
			}
			continue
		}
		l.tell--
		var k model.Key
		t.flows.at(l.next).key(&k)
		buf = append(buf, k)
	}
	return buf
}

// allow gives permission for the time since the last question.
func (l *tellings) allow(now int64, flows int, top uint32) {
	dt := min(max(float64(now-l.asked)/float64(second), 0), 1)
	l.asked = now
	every := float64(l.every) / float64(second)
	tell := min(max(2*float64(flows)/every, tellLeast), tellMost)
	look := min(rounds*float64(top)/every, lookMost)
	l.tell = min(l.tell+tell*dt, tell*saved)
	l.look = min(l.look+look*dt, max(look*saved, 1), float64(top))
}

// TakeActive copies those flows of keys that are still due to buf, which has room for them, and returns how many. They count as told,
// and are due again later.
func (t *Table) TakeActive(now int64, keys []model.Key, buf []Active) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.queue.told
	for i := range keys {
		slot := t.index.find(&keys[i], t.index.hash(&keys[i]))
		if slot == 0 {
			continue
		}
		x := l.of(slot)
		if x == nil || x.due == 0 || x.due > now {
			continue
		}
		a := &buf[n]
		n++
		t.flows.flow(slot, &a.Flow)
		a.At, a.Told = now, x.Told
		if a.Flow.Known&model.KnownCounters != 0 {
			a.At = a.Flow.CountersAt
		}
		*x = telling{now + l.every, Told{At: a.At, Packets: a.Flow.Packets, Bytes: a.Flow.Bytes}}
		if a.Flow.Known&model.KnownStart != 0 {
			x.Start = a.Flow.First
		}
	}
	return n
}

// of returns what there is of a slot; nil where there was none since QueueActive.
func (l *tellings) of(slot uint32) *telling {
	if c := int(slot / chunkFlows); c < len(l.chunks) {
		return &l.chunks[c][slot%chunkFlows]
	}
	return nil
}

// before returns what was told of the flow in slot; 0 is no flow.
func (l *tellings) before(slot uint32) Told {
	if x := l.of(slot); x != nil {
		return x.Told
	}
	return Told{}
}

// began says that another flow is in slot.
func (l *tellings) began(now int64, slot uint32) {
	if l.every == 0 {
		return
	}
	for int(slot/chunkFlows) >= len(l.chunks) {
		l.chunks = append(l.chunks, new([chunkFlows]telling))
	}
	*l.of(slot) = telling{due: now + l.every}
}

// left says that no flow is in slot any more.
func (l *tellings) left(slot uint32) {
	if x := l.of(slot); x != nil {
		*x = telling{}
	}
}
