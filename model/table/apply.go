package table

import (
	"ctview/model"
)

// Apply merges events and dump rows in their order. now is Unix nanoseconds. It costs 0.3 to 1 µs an event and lets
// queries in between every 256.
func (t *Table) Apply(now int64, evs []model.Event) {
	for len(evs) > 0 {
		n := min(len(evs), batch)
		t.applyBatch(now, evs[:n])
		evs = evs[n:]
	}
}

func (t *Table) applyBatch(now int64, evs []model.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.history.tick(now, t.stats.Flows)
	for i := range evs {
		e := &evs[i]
		h := t.index.hash(&e.Flow.Key)
		slot := t.index.find(&e.Flow.Key, h)
		if e.Kind != model.Dump {
			t.stats.LastEvent = now
		}
		switch e.Kind {
		case model.New:
			t.applyNew(now, e, h, slot)
		case model.Update:
			t.applyUpdate(now, e, h, slot)
		case model.Destroy:
			t.applyDestroy(now, e, h, slot)
		case model.Dump:
			t.applyRow(now, e, h, slot)
		}
	}
	t.version++
}

// applyNew begins a life. A key that is still there lost its DESTROY, and is another flow from now on; only a row of
// the running dump can have told of this very life before its NEW came.
func (t *Table) applyNew(now int64, e *model.Event, h uint64, slot uint32) {
	t.stats.New++
	t.history.now().New++
	var was model.Flow
	if slot != 0 {
		t.flows.flow(slot, &was)
	}
	switch {
	case slot == 0 && t.full():
		t.stats.Left++
		t.graves.open(h, t.dump.now())
		t.note(now, e, 0, &was, &e.Flow)
		return
	case slot == 0:
		slot = t.insert(now, e, h)
	case t.dump.running && was.Book.Epoch == t.dump.epoch && sameID(was.ID, e):
		t.merge(now, slot, e)
	default:
		t.replace(now, slot, e)
	}
	t.graves.open(h, t.dump.now())
	f := t.flows.at(slot)
	f.Known |= model.KnownWhole | model.KnownEvents
	f.Book.Heard = uint8(now / second)
	t.dump.touch(f, e)
	t.noteFlow(now, e, slot, &was)
}

// applyUpdate merges a delta. Messages of one flow can swap places on their way: an UPDATE just behind the DESTROY is
// an echo and no flow. But after a loss it may be the first that is heard of a new life, and then it can be newer than
// the row of the dump that runs: it is kept for the row, and goes if none comes.
func (t *Table) applyUpdate(now int64, e *model.Event, h uint64, slot uint32) {
	t.stats.Updates++
	t.history.now().Update++
	var was model.Flow
	echo := slot == 0 && t.graves.fresh(h, now, e)
	switch {
	case echo && !t.dump.doubts(&t.stats):
		return
	case slot == 0 && t.full(): // a flow that was left out, mostly
		t.note(now, e, 0, &was, &e.Flow)
		return
	case slot == 0:
		slot = t.insert(now, e, h)
		if !echo {
			t.graves.open(h, t.dump.now())
		}
	default:
		t.flows.flow(slot, &was)
		if sameID(was.ID, e) {
			t.merge(now, slot, e)
		} else {
			t.replace(now, slot, e)
		}
	}
	f := t.flows.at(slot)
	f.Known |= model.KnownEvents
	f.Book.Heard = uint8(now / second)
	t.dump.touch(f, e)
	if echo {
		f.Book.Epoch |= suspect
	}
	t.noteFlow(now, e, slot, &was)
}

// applyDestroy ends a life. A DESTROY with another ID than the flow's is late news of a former life, unless events
// are missing: then the flow is the former life and the message the truth.
func (t *Table) applyDestroy(now int64, e *model.Event, h uint64, slot uint32) {
	t.stats.Ended++
	t.stats.LastEnded = now
	t.history.now().Destroy++
	told := t.queue.resolve(now, h, e)
	if slot != 0 && !sameID(t.flows.at(slot).ID, e) && !t.stats.Stale {
		t.endLate(now, e)
		if !t.noteLate(e) && !told {
			t.queue.heard(now, 0, &e.Flow, e)
		}
		return
	}
	if slot == 0 {
		t.bury(now, h, e.Flow.ID, 0)
		if !t.endLate(now, e) {
			t.endUnknown(now, e)
		}
		if !t.noteLate(e) {
			t.note(now, e, 0, &model.Flow{}, &e.Flow)
			if !told {
				t.queue.heard(now, 0, &e.Flow, e)
			}
		}
		return
	}
	var was model.Flow
	f := t.flows.at(slot)
	if !told && !sameID(f.ID, e) { // of the one the end was lost, of the other the beginning
		t.flows.flow(slot, &was)
		t.queue.unheard(now, h, slot, &was)
		t.queue.heard(now, 0, &e.Flow, e)
		told = true
	}
	t.bury(now, h, e.Flow.ID, f.Book.Gen)
	t.readCounters(now, slot, e)
	t.flows.flow(slot, &was)
	last := &t.end(now, endOf(now, e), slot, &was, false).flow
	last.Status |= e.Flow.Status // DYING
	if e.Has&model.HasProtoinfo != 0 {
		last.State, last.Known = e.Flow.State, last.Known|model.KnownState
	}
	mergeStart(&last.First, &last.Known, e)
	t.note(now, e, slot, &was, last)
	if !told {
		t.queue.heard(now, slot, last, e)
	}
	t.remove(h, slot)
}

// sameID reports whether a message can be of the life of a flow with this ID: the IDs agree, or one is not known.
func sameID(id uint32, e *model.Event) bool {
	return e.Has&model.HasID == 0 || id == 0 || id == e.Flow.ID
}

// sameLife is sameID for snapshots, which tell the start too.
func sameLife(id uint32, known model.Known, first int64, e *model.Event) bool {
	return sameID(id, e) && (known&e.Flow.Known&model.KnownStart == 0 || first == e.Flow.First)
}

// insert adds the flow of a message to the table and returns its slot.
func (t *Table) insert(now int64, e *model.Event, h uint64) uint32 {
	slot := t.flows.alloc()
	f := t.flows.at(slot)
	f.setKey(&e.Flow.Key)
	f.Book.Gen = t.births
	if v, ok := t.graves.find(h); ok && v.gen == f.Book.Gen {
		f.Book.Gen++
	}
	t.births++
	t.index.insert(h, slot)
	if t.stats.Flows++; t.stats.Flows > t.stats.Peak {
		t.stats.Peak, t.stats.PeakAt = t.stats.Flows, now
	}
	t.fill(now, slot, e)
	t.queue.told.began(now, slot)
	t.totals.add(f.Proto, f.Zone, t.flows.class(slot), 1)
	t.watches.began(slot, &e.Flow.Key)
	return slot
}

// replace begins another life of a flow in its slot.
func (t *Table) replace(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	before := t.flows.class(slot)
	if !overtaken(now, f, e) {
		t.endSilent(now, t.index.hashOf(slot), slot)
		t.queue.told.began(now, slot)
	}
	t.extra.put(slot, extraRow{})
	f.Book = model.Book{Gen: f.Book.Gen + 1}
	t.fill(now, slot, e)
	t.totals.move(f.Proto, f.Zone, before, t.flows.class(slot))
}

// overtaken reports whether a NEW is the begin of the very life f, of which an UPDATE came first.
func overtaken(now int64, f *row, e *model.Event) bool {
	return e.Kind == model.New && f.Known&model.KnownWhole == 0 && sameID(f.ID, e) && now-f.First < second
}

// fill sets a flow to what one message says, but for its key and generation.
func (t *Table) fill(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	gen := f.Book.Gen
	t.flows.set(slot, &e.Flow)
	f.Book = model.Book{Gen: gen}
	f.Rate, f.PacketRate = [2]float32{}, [2]float32{}
	f.Known &= model.KnownState | model.KnownTimeout | model.KnownCounters | model.KnownStart
	if f.Known&model.KnownStart == 0 {
		f.First = now
		if e.Kind == model.New && e.Time != 0 {
			f.First = e.Time
		}
	}
	if f.Known&model.KnownCounters != 0 && f.CountersAt == 0 {
		f.CountersAt = now
	}
	t.setExtra(slot, e, false)
	t.flows.dueBy(slot, f)
}

// merge applies a delta (ctnetlink_conntrack_event sends CTA_MARK only where it is not 0): a mark that is missing is 0, whatever else is missing has not changed.
func (t *Table) merge(now int64, slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	before := t.flows.class(slot)
	f.Mark = e.Flow.Mark
	if e.Has&model.HasID != 0 {
		f.ID = e.Flow.ID
	}
	t.mergeReply(slot, e)
	if e.Has&model.HasStatus != 0 {
		f.Status = e.Flow.Status
	}
	if e.Has&model.HasProtoinfo != 0 {
		f.State, f.Known = e.Flow.State, f.Known|model.KnownState
	}
	if e.Has&model.HasHelper != 0 {
		f.Helper = e.Flow.Helper
	}
	t.mergeTimeout(slot, e)
	t.readCounters(now, slot, e)
	mergeStart(&f.First, &f.Known, e)
	t.setExtra(slot, e, true)
	t.moved(slot, before)
}

func (t *Table) mergeReply(slot uint32, e *model.Event) {
	if e.Has&model.HasReply != 0 {
		t.flows.setReply(slot, &e.Flow)
	}
}

func mergeStart(first *int64, known *model.Known, e *model.Event) {
	if e.Flow.Known&model.KnownStart != 0 {
		*first, *known = e.Flow.First, *known|model.KnownStart
	}
}

func (t *Table) mergeTimeout(slot uint32, e *model.Event) {
	f := t.flows.at(slot)
	switch {
	case e.Flow.Known&model.KnownTimeout != 0:
		f.Expires, f.Known = e.Flow.Expires, f.Known|model.KnownTimeout
		t.flows.dueBy(slot, f)
	case f.Status.Offloaded(): // the flowtable keeps it alive
		f.Known &^= model.KnownTimeout
	}
}

// setExtra takes what few flows have from a message; with keep, what the message does not name stays.
func (t *Table) setExtra(slot uint32, e *model.Event, keep bool) {
	f := t.flows.at(slot)
	if e.Has&(model.HasLabels|model.HasSecctx|model.HasMaster) == 0 && (keep || f.Known&model.KnownExtra == 0) {
		return
	}
	var r extraRow
	if keep {
		r = t.extra.rows[slot]
	}
	t.mergeExtra(&r, e)
	f.Known &^= model.KnownExtra
	if t.extra.put(slot, r) {
		f.Known |= model.KnownExtra
	}
}

// mergeExtra puts into r what a message has of it.
func (t *Table) mergeExtra(r *extraRow, e *model.Event) {
	if e.Has&model.HasLabels != 0 {
		r.labels = e.Extra.Labels
	}
	if e.Has&model.HasSecctx != 0 {
		r.secctx = t.extra.secctxID(e.Extra.Secctx)
	}
	if e.Has&model.HasMaster != 0 {
		r.master, r.masterZone = e.Extra.Master, e.Extra.MasterZone
	}
}

// remove takes a flow out of the table.
func (t *Table) remove(h uint64, slot uint32) {
	f := t.flows.at(slot)
	t.totals.add(f.Proto, f.Zone, t.flows.class(slot), -1)
	t.index.remove(h, slot)
	if f.Known&model.KnownExtra != 0 {
		t.extra.put(slot, extraRow{})
	}
	t.watches.ended(slot)
	t.queue.told.left(slot)
	t.flows.release(slot)
	t.stats.Flows--
}
