package table

import (
	"ctview/model"
)

// Refresh merges the kernel's answers to requests for single flows (GET): counters, timeout, and all else that they
// tell. now is when they were asked for, at most three seconds ago. A flow that the table does not have is not added,
// nor one with another ID changed: the events of its end and new beginning are on their way. Of a flow that had an
// event since, or within the second before, only counters, timeout and start are taken, since the answer may be older
// than the event.
func (t *Table) Refresh(now int64, evs []model.Event) {
	for len(evs) > 0 {
		n := min(len(evs), batch)
		t.refreshBatch(now, evs[:n])
		evs = evs[n:]
	}
}

func (t *Table) refreshBatch(now int64, evs []model.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range evs {
		e := &evs[i]
		slot := t.index.find(&e.Flow.Key, t.index.hash(&e.Flow.Key))
		if slot == 0 {
			continue
		}
		f := t.flows.at(slot)
		if !sameID(f.ID, e) || newborn(f, e, now) {
			continue
		}
		if e.Flow.Known&model.KnownCounters != 0 {
			t.stats.CountersAt = max(t.stats.CountersAt, now)
		}
		switch {
		case heardLately(f, now):
			t.complete(now, slot, e)
			t.mergeTimeout(slot, e)
		case sameLife(f.ID, f.Known, f.First, e):
			t.snapshot(now, slot, e)
		case sameID(f.ID, e) && e.Flow.First < f.First: // the answer is about a former life
		default: // it ended and began again, silently
			t.replace(now, slot, e)
			f.Known |= model.KnownWhole
			t.dump.touch(f, e)
		}
	}
	t.version++
}

// newborn reports whether the NEW of f is so young that the answer can be about a former life of its key.
func newborn(f *row, e *model.Event, now int64) bool {
	if f.Known&model.KnownStart != 0 || !heardLately(f, now) || now-f.First > second {
		return false
	}
	return e.Flow.Known&model.KnownStart == 0 || e.Flow.First < f.First-second/10
}

// heardLately reports whether an event of f came from a second before now to three behind it; now may be the past. That
// a multiple of 256 s ago looks the same does no harm: the next answer counts again.
func heardLately(f *row, now int64) bool {
	d := int8(uint8(now/second) - f.Book.Heard)
	return f.Known&model.KnownEvents != 0 && d <= 1 && d >= -3
}

// Gone takes out flows of which the kernel said that it has none such (ENOENT). now is as for
// Refresh; a flow that was first seen or read since, or had an event since or within the second before, stays.
func (t *Table) Gone(now int64, keys []model.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range keys {
		h := t.index.hash(&keys[i])
		slot := t.index.find(&keys[i], h)
		if slot == 0 {
			continue
		}
		r := t.flows.at(slot)
		if max(r.First, r.CountersAt) > now || heardLately(r, now) {
			continue
		}
		var f model.Flow
		t.flows.flow(slot, &f)
		t.stats.LastEnded = now
		if t.dump.running {
			t.bury(now, h, f.ID, f.Book.Gen)
		}
		t.noteGone(now, slot, &f)
		t.end(now, now, slot, &f, true)
		t.queue.unheard(now, h, slot, &f)
		t.remove(h, slot)
	}
	t.version++
}

// grace is how long after its timeout a flow may wait for its DESTROY before it is asked for: the kernel collects late.
const grace = 2 * second

// Overdue returns flows whose timeout, as last told, ran out more than two seconds ago: either packets have renewed it,
// of which no event tells, or the flow is gone and its DESTROY is late or will never come. The caller asks the kernel
// for each and says Refresh or Gone. The keys are put into buf, at most cap(buf) of them (256 if that is 0); the next
// call goes on where this one stopped.
func (t *Table) Overdue(now int64, buf []model.Key) []model.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	buf = buf[:0]
	if cap(buf) == 0 {
		buf = make([]model.Key, 0, batch)
	}
	for range t.flows.chunks {
		if t.overdue >= len(t.flows.chunks) {
			t.overdue = 0
		}
		if t.flows.due[t.overdue] <= now-grace && !t.flows.collect(t.overdue, now-grace, &buf) {
			return buf
		}
		t.overdue++
	}
	return buf
}

// dueBy lowers the time before which nothing in the flow's chunk runs out.
func (s *slab) dueBy(slot uint32, f *row) {
	if f.Known&model.KnownTimeout != 0 {
		s.due[slot/chunkFlows] = min(s.due[slot/chunkFlows], f.Expires)
	}
}

// collect appends the keys of a chunk's flows that ran out by then, and works out when to look again; false if buf is
// full.
func (s *slab) collect(chunk int, then int64, buf *[]model.Key) bool {
	due := never
	flows := s.used(chunk)
	for i := range flows {
		f := &flows[i]
		if f.Family == 0 || f.Known&model.KnownTimeout == 0 {
			continue
		}
		due = min(due, f.Expires)
		if f.Expires > then {
			continue
		}
		if len(*buf) == cap(*buf) {
			return false
		}
		*buf = append(*buf, model.Key{})
		f.key(&(*buf)[len(*buf)-1])
	}
	s.due[chunk] = due
	return true
}
