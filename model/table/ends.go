package table

import (
	"ctview/model"
)

const (
	// KeepEnds is how many flows that ended are kept at most: 12 MB.
	KeepEnds = 1 << 16
	// KeepEndsFor is how long one is kept, in nanoseconds, where nobody asks for more (KeepEndsSince).
	KeepEndsFor = 300 * second

	endChunk  = 512
	endChunks = KeepEnds / endChunk
)

// An end is a flow that ended. 184 bytes, no pointers.
type end struct {
	flow   model.Flow // as it was last; of Known's KnownExtra see ends.extra
	at     int64      // Unix nanoseconds: as the kernel told, else when it was heard of
	silent bool       // no DESTROY told: a dump or a question found it gone
}

// ends are the flows that ended last, in the order in which that was heard of. Memory comes with them, and what is too old makes room for what
// is new, so that a quiet namespace keeps a few.
type ends struct {
	chunks []*[endChunk]end // the oldest first
	n      int              // in the last chunk
	gone   uint64           // ends in chunks that made room; the sequence number of chunks[0][0]
	dropAt int64            // the end of the last one that made room; 0 none
	since  int64            // ends from here on are wanted, however old; 0 none
	extra  map[uint64]extraRow
	owners map[lifeID]model.Owner // of those that somebody here held

	silent   [256]uint64 // sequence numbers, and one, of the last silent ones, as a ring
	silences int
	hushed   int64 // when the last one was found
}

// KeepEndsSince has ends from a time on kept longer than KeepEndsFor, as long as there is room; 0 for none.
func (t *Table) KeepEndsSince(since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends.since = since
}

func (r *ends) len() int {
	if len(r.chunks) == 0 {
		return 0
	}
	return (len(r.chunks)-1)*endChunk + r.n
}

// at returns end i, counted from the oldest one.
func (r *ends) at(i int) *end { return &r.chunks[i/endChunk][i%endChunk] }

// next returns the place of one more end, to be filled whole.
func (r *ends) next(now int64) *end {
	if len(r.chunks) == 0 || r.n == endChunk {
		r.begin(now)
	}
	r.n++
	return &r.chunks[len(r.chunks)-1][r.n-1]
}

// begin begins a chunk: in the memory of the oldest one where that is too old, or where there is no more.
func (r *ends) begin(now int64) {
	r.n = 0
	if len(r.chunks) == 0 {
		r.chunks = append(r.chunks, new([endChunk]end))
		return
	}
	old := r.chunks[0]
	last := old[endChunk-1].at
	if len(r.chunks) < endChunks && (last >= now-KeepEndsFor || r.since != 0 && last >= r.since) {
		r.chunks = append(r.chunks, new([endChunk]end))
		return
	}
	r.dropAt = last
	for seq := r.gone; len(r.extra) > 0 && seq < r.gone+endChunk; seq++ {
		delete(r.extra, seq)
	}
	for i := 0; len(r.owners) > 0 && i < endChunk; i++ {
		delete(r.owners, lifeOf(&old[i].flow))
	}
	r.gone += endChunk
	copy(r.chunks, r.chunks[1:])
	r.chunks[len(r.chunks)-1] = old
}

// end keeps the flow f of a slot, or of none (0), which ended at a time.
func (t *Table) end(now, at int64, slot uint32, f *model.Flow, silent bool) *end {
	r := &t.ends
	e := r.next(now)
	e.flow, e.at, e.silent = *f, at, silent
	t.endOwner(f)
	if !silent && f.Known&model.KnownExtra == 0 {
		return e
	}
	seq := r.gone + uint64(r.len()) - 1
	e.flow.Known &^= model.KnownExtra
	if slot != 0 && f.Known&model.KnownExtra != 0 {
		r.keep(seq, e, t.extra.rows[slot])
	}
	if silent {
		r.silent[r.silences%len(r.silent)] = seq + 1
		r.silences++
		r.hushed = now
	}
	return e
}

// endSilent is end for the flow in slot, whose key has the hash h: no DESTROY told of it.
func (t *Table) endSilent(now int64, h uint64, slot uint32) {
	var f model.Flow
	t.flows.flow(slot, &f)
	t.end(now, now, slot, &f, true)
	t.queue.unheard(now, h, slot, &f)
}

// keep keeps what few flows have with an end.
func (r *ends) keep(seq uint64, e *end, x extraRow) {
	if x == (extraRow{}) {
		return
	}
	if r.extra == nil {
		r.extra = map[uint64]extraRow{}
	}
	r.extra[seq] = x
	e.flow.Known |= model.KnownExtra
}

// lateDestroy is how long a DESTROY may come behind the question, or the dump, that found its flow gone.
const lateDestroy = 10 * second

// endLate has a DESTROY tell of the flow that was found gone before it came; false if there was none.
func (t *Table) endLate(now int64, e *model.Event) bool {
	r := &t.ends
	if r.silences == 0 || now-r.hushed > lateDestroy {
		return false
	}
	for i, seq := range r.silent[:min(r.silences, len(r.silent))] {
		if seq <= r.gone {
			continue
		}
		x := r.at(int(seq - 1 - r.gone))
		if x.flow.Key != e.Flow.Key || !sameID(x.flow.ID, e) {
			continue
		}
		lastWords(&x.flow, e)
		x.at, x.silent, r.silent[i] = endOf(now, e), false, 0
		return true
	}
	return false
}

// endUnknown keeps the end of a flow that the table does not have: there was no room for it, or its NEW was lost.
func (t *Table) endUnknown(now int64, e *model.Event) {
	r := &t.ends
	x := t.end(now, endOf(now, e), 0, &e.Flow, false)
	if e.Has&(model.HasLabels|model.HasSecctx|model.HasMaster) != 0 {
		var row extraRow
		t.mergeExtra(&row, e)
		r.keep(r.gone+uint64(r.len())-1, x, row)
	}
}

// lastWords puts into a flow that is gone what its DESTROY says: the totals, and when it began.
func lastWords(f *model.Flow, e *model.Event) {
	if e.Flow.Known&model.KnownCounters != 0 {
		f.Bytes, f.Packets, f.Known = e.Flow.Bytes, e.Flow.Packets, f.Known|model.KnownCounters
	}
	f.Status |= e.Flow.Status
	mergeStart(&f.First, &f.Known, e)
}

// endOf is when the flow of a DESTROY ended.
func endOf(now int64, e *model.Event) int64 {
	switch {
	case e.Has&model.HasStop != 0 && e.Stop != 0:
		return e.Stop
	case e.Time != 0:
		return e.Time
	}
	return now
}
