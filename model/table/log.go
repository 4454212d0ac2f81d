package table

import (
	"ctview/model"
)

// keepChanges is how many changes the log keeps; a change is 256 bytes.
const (
	keepChanges = 20000
	logChunk    = 500
)

// A Note says what an entry of the log is.
type Note uint8

// The notes.
const (
	NoteEvent  Note = iota // an event of a flow
	NoteExpect             // an event of an expectation: Flow holds its tuple, zone, helper and ID; its master is kept as a flow's
	NoteGone               // a flow ended silently: the kernel, asked for it, had none (Kind Destroy)
	NoteLost               // events were lost: Lost
	NoteResync             // a dump changed the table: Added, Removed, Took
)

// Changed is the set of things of a flow that an event changed.
type Changed uint8

// The things.
const (
	ChangedState Changed = 1 << iota // what StateText says, or State
	ChangedStatus
	ChangedMark
	ChangedHelper
	ChangedReply  // the reply tuple
	ChangedLabels // the event carried labels
)

// A Change is one entry of the log. It holds no pointers.
type Change struct {
	Seq     uint64     // from 1, without gaps
	Time    int64      // Unix nanoseconds: the kernel's time where it gave one
	Kind    model.Kind // New, Update, Destroy; 0 for NoteLost and NoteResync
	Note    Note
	Changed Changed // of an Update
	PortID  uint32  // netlink port of the process that caused it; 0 the kernel

	// Flow is as the change left it; of a Destroy, as it was last. For Known values see there: a Destroy's counters are
	// the totals.
	Flow      model.Flow
	OldState  model.State
	OldKnown  model.Known
	OldHelper model.HelperID
	OldStatus model.Status
	OldMark   uint32
	Life      int64 // of a Destroy: nanoseconds from First to the end

	Lost           uint64 // NoteLost: how many events; 0 unknown
	Added, Removed int    // NoteResync
	Took           int64  // NoteResync: nanoseconds
	Repaired       bool   // NoteResync: after a loss
}

// OldStateText returns what StateText said before an Update.
func (c *Change) OldStateText() string {
	f := model.Flow{Key: c.Flow.Key, Known: c.OldKnown, State: c.OldState, Status: c.OldStatus}
	return f.StateText()
}

// changeLog is a ring that gets its memory as it fills.
type changeLog struct {
	chunks []*[logChunk]Change
	next   uint64              // sequence number of the next change, less one
	extra  map[uint64]extraRow // of the changes whose flow has KnownExtra, by sequence number

	silent   [256]uint64 // the last NoteGone, as a ring of sequence numbers; 0 none
	silences int
}

// add returns the entry for the next change, to be filled whole.
func (l *changeLog) add() *Change {
	at := int(l.next % keepChanges)
	if at/logChunk == len(l.chunks) {
		l.chunks = append(l.chunks, new([logChunk]Change))
	}
	l.next++
	c := &l.chunks[at/logChunk][at%logChunk]
	if len(l.extra) > 0 && c.Flow.Known&model.KnownExtra != 0 {
		delete(l.extra, c.Seq)
	}
	return c
}

// keep keeps what few flows have with a change.
func (l *changeLog) keep(c *Change, r extraRow) {
	c.Flow.Known &^= model.KnownExtra
	if r == (extraRow{}) {
		return
	}
	if l.extra == nil {
		l.extra = map[uint64]extraRow{}
	}
	l.extra[c.Seq] = r
	c.Flow.Known |= model.KnownExtra
}

// get returns a change that is kept.
func (l *changeLog) get(seq uint64) *Change {
	at := int((seq - 1) % keepChanges)
	return &l.chunks[at/logChunk][at%logChunk]
}

// first returns the oldest sequence number that is kept; next+1 if none is.
func (l *changeLog) first() uint64 {
	if l.next > keepChanges {
		return l.next - keepChanges + 1
	}
	return 1
}

// note logs an event that made a flow f of what it was; was is zero where the flow is new to the table, slot is 0 where it is not
// in it.
func (t *Table) note(now int64, e *model.Event, slot uint32, was, f *model.Flow) {
	c := t.log.event(now, e)
	c.Flow = *f
	t.noteRest(c, e, slot, was)
}

// noteFlow is note for the flow in slot, which is now what the event made of it.
func (t *Table) noteFlow(now int64, e *model.Event, slot uint32, was *model.Flow) {
	c := t.log.event(now, e)
	t.flows.flow(slot, &c.Flow)
	t.noteRest(c, e, slot, was)
}

// event returns the entry for an event, without its flow.
func (l *changeLog) event(now int64, e *model.Event) *Change {
	c := l.add()
	*c = Change{Seq: l.next, Time: now, Kind: e.Kind, PortID: e.PortID}
	if e.Time != 0 {
		c.Time = e.Time
	}
	return c
}

func (t *Table) noteRest(c *Change, e *model.Event, slot uint32, was *model.Flow) {
	if slot == 0 || c.Flow.Known&model.KnownExtra != 0 {
		t.noteExtra(c, slot, e)
	}
	switch e.Kind {
	case model.Update:
		c.compare(was, e)
	case model.Destroy:
		c.Life = life(e, c)
	}
	t.watches.note(c)
}

// noteExtra keeps what few flows have with a change: what the table knows, or, of a flow that is not in it, what the message says.
func (t *Table) noteExtra(c *Change, slot uint32, e *model.Event) {
	var r extraRow
	if slot != 0 {
		r = t.extra.rows[slot]
	} else {
		t.mergeExtra(&r, e)
	}
	t.log.keep(c, r)
}

// compare works out what an UPDATE changed.
func (c *Change) compare(was *model.Flow, e *model.Event) {
	f := &c.Flow
	c.OldState, c.OldKnown, c.OldHelper = was.State, was.Known, was.Helper
	c.OldStatus, c.OldMark = was.Status, was.Mark
	if was.Family == 0 {
		return
	}
	for _, d := range [...]struct {
		differs bool
		what    Changed
	}{
		{classOf(was).state != classOf(f).state, ChangedState},
		{was.Status != f.Status, ChangedStatus},
		{was.Mark != f.Mark, ChangedMark},
		{was.Helper != f.Helper, ChangedHelper},
		{was.Reply() != f.Reply(), ChangedReply},
		{e.Has&model.HasLabels != 0, ChangedLabels},
	} {
		if d.differs {
			c.Changed |= d.what
		}
	}
}

// life returns how long a flow lived: by the kernel's own times, or from when it was first seen.
func life(e *model.Event, c *Change) int64 {
	end := c.Time
	if e.Has&model.HasStop != 0 && e.Stop != 0 {
		end = e.Stop
	}
	if c.Flow.First == 0 || end < c.Flow.First {
		return 0
	}
	return end - c.Flow.First
}

func (t *Table) noteGone(now int64, slot uint32, f *model.Flow) {
	c := t.log.add()
	*c = Change{Seq: t.log.next, Time: now, Kind: model.Destroy, Note: NoteGone, Flow: *f, Life: max(now-f.First, 0)}
	if f.Known&model.KnownExtra != 0 {
		t.log.keep(c, t.extra.rows[slot])
	}
	t.log.silent[t.log.silences%len(t.log.silent)] = c.Seq
	t.log.silences++
	t.watches.note(c)
}

// noteLate has a DESTROY take the place of the NoteGone of the same life, which said too early that none would come. It
// reports whether there was one.
func (t *Table) noteLate(e *model.Event) bool {
	l := &t.log
	for i, seq := range l.silent[:min(l.silences, len(l.silent))] {
		if seq < l.first() {
			continue
		}
		c := l.get(seq)
		if c.Flow.Key != e.Flow.Key || !sameID(c.Flow.ID, e) {
			continue
		}
		f := &c.Flow
		if e.Flow.Known&model.KnownCounters != 0 {
			f.Bytes, f.Packets, f.Known = e.Flow.Bytes, e.Flow.Packets, f.Known|model.KnownCounters
		}
		f.Status |= e.Flow.Status
		mergeStart(&f.First, &f.Known, e)
		c.Note, c.PortID, c.Life = 0, e.PortID, life(e, c)
		t.watches.renew(c)
		l.silent[i] = 0
		return true
	}
	return false
}

// noteLost logs a loss; one right behind another is the same.
func (t *Table) noteLost(now int64, n uint64) {
	if t.log.next > 0 {
		if c := t.log.get(t.log.next); c.Note == NoteLost && (c.Lost == 0) == (n == 0) {
			c.Lost += n
			return
		}
	}
	c := t.log.add()
	*c = Change{Seq: t.log.next, Time: now, Note: NoteLost, Lost: n}
}

func (t *Table) noteResync(now int64, r DumpResult, repaired bool) {
	c := t.log.add()
	*c = Change{Seq: t.log.next, Time: now, Note: NoteResync, Added: r.Added, Removed: r.Removed,
		Took: r.Ended - r.Began, Repaired: repaired}
}

// ApplyExpect logs an event of an expectation.
func (t *Table) ApplyExpect(now int64, e *model.Expect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.log.add()
	*c = Change{Seq: t.log.next, Time: now, Kind: e.Kind, Note: NoteExpect, PortID: e.PortID}
	f, x := &c.Flow, &e.Tuple
	f.Key = model.Key{Src: x.Src, Dst: x.Dst, Sport: x.Sport, Dport: x.Dport, Zone: e.Zone, Proto: x.Proto, Family: x.Family}
	f.ID = e.ID
	f.Helper = model.HelperFor([]byte(e.Helper))
	t.log.keep(c, extraRow{master: e.Master, masterZone: e.Zone})
	t.version++
}
