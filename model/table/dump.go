package table

import (
	"ctview/model"
)

// A dump shows each bucket of the kernel's hash as it was at another moment, while events tell of changes all the
// time; between the two nothing says what came first. What makes the table right all the same:
//
//   - To a key that no event has touched since the dump began nothing has happened: it is what the dump says, and gone
//     if the dump says nothing.
//   - Of a key that an event has touched, the events are the truth about its presence, and about each field that they
//     told. But they are deltas: what they did not tell may have changed unseen before the dump, while events were
//     lost, so it is taken from the row.
//
// A flow's epoch keeps that without a set: the high bits are the dump's, the low ones what events told since it began.
// Keys that ended are in graves until the dump is over.

// dump is the state of the dump that runs.
type dump struct {
	running bool
	lossy   bool   // events were lost since it began: it cannot repair them all
	number  uint32 // of this dump, from 1
	epoch   uint8  // its high bits, in every flow that a row named or an event touched
	result  DumpResult
	left    int // rows for which there was no room
}

// What events told of a flow since the dump began, in the low bits of its epoch.
const (
	touched    = 1 << iota // that it is there, status, mark, reply tuple, ID: every event tells them
	toldState              // CTA_PROTOINFO
	toldHelper             // CTA_HELP
	toldLabels             // CTA_LABELS
	suspect                // nothing but an UPDATE behind the DESTROY: there only if a row names it

	epochStep = 1 << iota
	told      = epochStep - 1
	born      = told &^ suspect // its NEW came: a row can be of a former life
)

// sweepChunks is how many chunks are swept before others get a turn.
const sweepChunks = 16

// touch marks a flow that an event has changed.
func (d *dump) touch(f *row, e *model.Event) {
	if !d.running {
		return
	}
	if f.Book.Epoch&^told != d.epoch {
		f.Book.Epoch = d.epoch
	}
	if e.Kind == model.New {
		f.Book.Epoch = d.epoch | born
	}
	f.Book.Epoch |= touched
	if e.Has&model.HasProtoinfo != 0 {
		f.Book.Epoch |= toldState
	}
	if e.Has&model.HasHelper != 0 {
		f.Book.Epoch |= toldHelper
	}
	if e.Has&model.HasLabels != 0 {
		f.Book.Epoch |= toldLabels
	}
}

// now returns the number of the dump that runs, 0 for none.
func (d *dump) now() uint32 {
	if d.running {
		return d.number
	}
	return 0
}

// doubts reports whether an echo may be more than that: events were lost, and a dump is about to tell.
func (d *dump) doubts(s *Stats) bool { return d.running && s.Stale }

// told returns what events told of f since the dump began; 0 if no dump runs.
func (d *dump) told(f *row) uint8 {
	if !d.running || f.Book.Epoch&^told != d.epoch {
		return 0
	}
	return f.Book.Epoch & told
}

// BeginDump says that the rows of a dump of the whole table follow, as events of kind Dump. The caller has applied
// every event that it had received. A dump that is running is given up.
func (t *Table) BeginDump(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := &t.dump
	if d.epoch += epochStep; d.epoch == 0 || d.number == 0 {
		t.resetEpochs()
		d.epoch = epochStep
	}
	d.running, d.lossy, d.number = true, false, d.number+1
	d.result, d.left = DumpResult{Began: now}, 0
	t.stats.Dumping, t.stats.DumpRows = true, 0
	t.version++
}

// resetEpochs makes room for the numbers to begin again: no flow may carry one of a dump to come.
func (t *Table) resetEpochs() {
	for c := range t.flows.chunks {
		flows := t.flows.used(c)
		for i := range flows {
			flows[i].Book.Epoch = 0
		}
	}
}

// EndDump says that the dump is over. If it is complete, flows that neither a row named nor an event touched are taken
// out; after an error, or when the kernel's hash was resized meanwhile, nothing is. Others get a turn while it sweeps.
// The table is whole after a complete dump during which nothing was lost.
func (t *Table) EndDump(now int64, complete bool) DumpResult {
	removed := 0
	if complete {
		for c := 0; t.sweep(now, c, &removed); c += sweepChunks {
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := &t.dump
	if !d.running {
		return DumpResult{}
	}
	d.running = false
	d.result.Ended, d.result.Removed = now, removed
	t.stats.Dumping = false
	t.version++
	if !complete {
		return d.result
	}
	t.stats.Left = d.left
	repaired := t.stats.Stale && !d.lossy
	if repaired {
		t.stats.Stale = false
		t.stats.Resyncs++
		t.recent.repaired = now
	}
	if t.stats.Loaded && (repaired || d.result.Added+removed > 0) {
		t.noteResync(now, d.result, repaired)
	}
	if !t.stats.Loaded {
		t.stats.Loaded, t.stats.LoadedAt, t.stats.LoadedFrom = true, now, d.result.Began
	}
	t.stats.LastResync = d.result
	return d.result
}

// sweep takes the flows out of some chunks that the dump did not find; false when there are no more.
func (t *Table) sweep(now int64, chunk int, removed *int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := &t.dump
	if !d.running || chunk >= len(t.flows.chunks) {
		return false
	}
	for c := chunk; c < min(chunk+sweepChunks, len(t.flows.chunks)); c++ {
		flows := t.flows.used(c)
		for i := range flows {
			f := &flows[i]
			if f.Family == 0 || f.Book.Epoch&^told == d.epoch && f.Book.Epoch&suspect == 0 {
				continue
			}
			*removed++
			t.stats.LastEnded = now
			slot := uint32(c*chunkFlows + i)
			h := t.index.hashOf(slot)
			t.endSilent(now, h, slot)
			t.remove(h, slot)
		}
	}
	return true
}

// applyRow merges a row of a dump.
func (t *Table) applyRow(now int64, e *model.Event, h uint64, slot uint32) {
	d := &t.dump
	if d.running {
		d.result.Rows++
		t.stats.DumpRows++
		if t.graves.during(h, d.number) {
			return
		}
	}
	if e.Flow.Known&model.KnownCounters != 0 {
		t.stats.CountersAt = now
	}
	if slot == 0 && t.full() {
		d.left++
		t.stats.Left = max(t.stats.Left, d.left)
		return
	}
	if slot == 0 {
		slot = t.insert(now, e, h)
		d.result.Added++
	} else {
		f := t.flows.at(slot)
		switch d.told(f) {
		case 0:
			if sameLife(f.ID, f.Known, f.First, e) {
				t.snapshot(now, slot, e)
			} else {
				t.replace(now, slot, e)
			}
		case born:
			if e.Flow.Known&model.KnownStart != 0 && e.Flow.First >= f.First-second {
				t.complete(now, slot, e)
			}
			return
		default:
			t.completeDelta(now, slot, e)
			return
		}
	}
	f := t.flows.at(slot)
	f.Known |= model.KnownWhole
	if d.running {
		f.Book.Epoch = d.epoch
	}
}

// completeDelta merges a row into a flow of which events have told something since the dump began. No DESTROY was
// among them, so the row is of this life, and right in all that they did not tell.
func (t *Table) completeDelta(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	before, has := t.flows.class(slot), t.dump.told(f)
	if !sameLife(f.ID, f.Known, f.First, e) { // it began again before the dump, and that was lost
		t.queue.unheard(now, t.index.hashOf(slot), slot, t.flows.one()(slot))
		t.queue.told.began(now, slot)
		f.Book.Gen++
		f.Known &^= model.KnownCounters | model.KnownRate | model.KnownStart
		f.First = now
	}
	t.readCounters(now, slot, e)
	mergeStart(&f.First, &f.Known, e)
	if has&toldState == 0 {
		f.State, f.Known = e.Flow.State, f.Known&^model.KnownState|e.Flow.Known&model.KnownState
	}
	if has&toldHelper == 0 {
		f.Helper = e.Flow.Helper
	}
	row := model.Event{Has: model.HasLabels | model.HasSecctx | model.HasMaster, Extra: e.Extra}
	if has&toldLabels != 0 {
		row.Has &^= model.HasLabels
	}
	if f.Known&model.KnownExtra != 0 || e.Has&row.Has != 0 {
		t.setExtra(slot, &row, true)
	}
	f.Known |= model.KnownWhole
	f.Book.Epoch &^= suspect
	t.moved(slot, before)
}

// snapshot sets a flow to what a dump row or the answer to a GET says of it, which is everything; it keeps what only
// the table knows.
func (t *Table) snapshot(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	before := t.flows.class(slot)
	t.readCounters(now, slot, e)
	mergeStart(&f.First, &f.Known, e)
	t.mergeReply(slot, e)
	f.Mark, f.Status, f.State, f.Helper = e.Flow.Mark, e.Flow.Status, e.Flow.State, e.Flow.Helper
	if e.Has&model.HasID != 0 {
		f.ID = e.Flow.ID
	}
	f.Known = f.Known&^(model.KnownState|model.KnownTimeout) | e.Flow.Known&model.KnownState | model.KnownWhole
	t.mergeTimeout(slot, e)
	t.setExtra(slot, e, false)
	t.moved(slot, before)
}

// complete adds to a flow what events do not tell, from a snapshot that may be older than the last event.
func (t *Table) complete(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	t.readCounters(now, slot, e)
	mergeStart(&f.First, &f.Known, e)
	if f.Known&model.KnownWhole != 0 {
		return
	}
	before := t.flows.class(slot)
	if f.Known&model.KnownState == 0 && e.Flow.Known&model.KnownState != 0 {
		f.State, f.Known = e.Flow.State, f.Known|model.KnownState
	}
	if f.Helper == 0 {
		f.Helper = e.Flow.Helper
	}
	if f.Known&model.KnownExtra == 0 {
		t.setExtra(slot, e, true)
	}
	f.Known |= model.KnownWhole
	t.moved(slot, before)
}

// Lost says that the kernel dropped n events because the socket was full: the table may be wrong until the next
// complete dump. An n of 0 is a loss of unknown size.
func (t *Table) Lost(now int64, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Lost += n
	t.stats.Gaps++
	t.stats.LastLost = now
	t.stats.Stale = true
	t.dump.lossy = true
	t.history.tick(now, t.stats.Flows)
	t.history.now().Lost += n
	t.noteLost(now, n)
	t.version++
}
