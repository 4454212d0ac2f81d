package table

import (
	"cmp"
	"slices"

	"ctview/model"
)

// What the STATE column can say of a protocol's flows, as small numbers: the protocol's own states first.
const (
	stateOffload = 10 + iota
	stateReplied
	stateUnreplied
	numStates
)

// A class is what the totals count a flow under, beside its protocol and zone, which never change.
type class struct {
	state  uint8
	nat    uint8 // 1 source, 2 destination, 3 both
	helper model.HelperID
	ct     model.CtState // of what has a flow: new, established, related
}

func classOf(f *model.Flow) class { return class{stateClass(f), natClass(f), f.Helper, f.CtState()} }

// class is classOf for the flow in a slot.
func (s *slab) class(slot uint32) class {
	r := s.at(slot)
	return class{r.stateClass(), s.natClass(slot), r.Helper, r.Status.CtState()}
}

func stateClass(f *model.Flow) uint8 {
	r := row{Proto: f.Proto, Known: f.Known, State: f.State, Status: f.Status}
	return r.stateClass()
}

func (r *row) stateClass() uint8 {
	switch {
	case r.Status.Offloaded():
		return stateOffload
	case r.Known&model.KnownState != 0:
		if int(r.State) < len(model.StateNames(r.Proto)) {
			return uint8(r.State)
		}
		return 0
	case r.Status&model.StatusSeenReply != 0:
		return stateReplied
	}
	return stateUnreplied
}

func natClass(f *model.Flow) (c uint8) {
	if f.SNAT() {
		c = 1
	}
	if f.DNAT() {
		c |= 2
	}
	return c
}

// natClass is that of the flow in a slot.
func (s *slab) natClass(slot uint32) uint8 {
	r := s.at(slot)
	if r.back == backInverse && r.Status&(model.StatusSrcNAT|model.StatusDstNAT) == 0 &&
		(r.ReplySport == r.Dport && r.ReplyDport == r.Sport || !r.Proto.HasPorts()) {
		return 0
	}
	var f model.Flow
	s.flow(slot, &f)
	return natClass(&f)
}

// totals are kept with every change, so that the Stats screen costs nothing at a million flows. The zones are 256 KiB
// of address space; only what is used is memory.
type totals struct {
	states  [256][numStates]int32
	helpers [256]int32
	nat     [4]int32
	ct      [model.CtRelated + 1]int32
	zones   [1 << 16]int32
}

func (t *totals) add(p model.Proto, zone uint16, c class, n int32) {
	t.states[p][c.state] += n
	t.helpers[c.helper] += n
	t.nat[c.nat] += n
	t.ct[c.ct] += n
	t.zones[zone] += n
}

func (t *totals) move(p model.Proto, zone uint16, from, to class) {
	if from != to {
		t.add(p, zone, from, -1)
		t.add(p, zone, to, 1)
	}
}

// moved counts the flow in a slot under what a message made of it; before is what it was counted under.
func (t *Table) moved(slot uint32, before class) {
	f, now := t.flows.at(slot), t.flows.class(slot)
	t.totals.move(f.Proto, f.Zone, before, now)
	if now.state != before.state && closed(f.Proto, now.state) && !closed(f.Proto, before.state) {
		f.unrate()
	}
}

// closed reports whether state, as in a class, is one in which a flow of p is over.
func closed(p model.Proto, state uint8) bool {
	f := model.Flow{Key: model.Key{Proto: p}, Known: model.KnownState, State: model.State(state)}
	return state < stateOffload && f.Phase() == model.Closed
}

// A Breakdown counts the flows of a table by kind, each list with the most flows first. One that is passed in again
// keeps its memory.
type Breakdown struct {
	Flows   int
	States  []StateFlows
	Zones   []ZoneFlows
	Helpers []HelperFlows // those without a helper too
	SNAT    int           // source translated, perhaps destination too
	DNAT    int           // destination translated, perhaps source too
	NoNAT   int

	// CtStates counts by the state of the packets that would come next; what is INVALID or UNTRACKED has no flow.
	CtStates [model.CtRelated + 1]int // by CtState
}

// A StateFlows counts the flows of one protocol and state.
type StateFlows struct {
	Proto model.Proto
	State string // as StateText says it
	Flows int
}

// A ZoneFlows counts the flows of one zone.
type ZoneFlows struct {
	Zone  uint16
	Flows int
}

// A HelperFlows counts the flows that one helper watches.
type HelperFlows struct {
	Helper model.HelperID
	Flows  int
}

// Breakdown fills b. It costs the time to look through 70,000 counters, whatever the number of flows.
func (t *Table) Breakdown(b *Breakdown) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.totals
	*b = Breakdown{
		Flows: t.stats.Flows, States: b.States[:0], Zones: b.Zones[:0], Helpers: b.Helpers[:0],
		SNAT: int(c.nat[1] + c.nat[3]), DNAT: int(c.nat[2] + c.nat[3]), NoNAT: int(c.nat[0]),
	}
	for s, n := range c.ct {
		b.CtStates[s] = int(n)
	}
	for p := range c.states {
		for s, n := range c.states[p] {
			if n > 0 {
				b.States = append(b.States, StateFlows{model.Proto(p), stateText(model.Proto(p), s), int(n)})
			}
		}
	}
	for z, n := range c.zones {
		if n > 0 {
			b.Zones = append(b.Zones, ZoneFlows{uint16(z), int(n)})
		}
	}
	for h, n := range c.helpers {
		if n > 0 {
			b.Helpers = append(b.Helpers, HelperFlows{model.HelperID(h), int(n)})
		}
	}
	slices.SortStableFunc(b.States, func(x, y StateFlows) int { return cmp.Compare(y.Flows, x.Flows) })
	slices.SortStableFunc(b.Zones, func(x, y ZoneFlows) int { return cmp.Compare(y.Flows, x.Flows) })
	slices.SortStableFunc(b.Helpers, func(x, y HelperFlows) int { return cmp.Compare(y.Flows, x.Flows) })
}

func stateText(p model.Proto, s int) string {
	switch s {
	case stateOffload:
		return "offload"
	case stateReplied:
		return "replied"
	case stateUnreplied:
		return "unreplied"
	}
	return model.StateName(p, model.State(s))
}

// keepSeconds is how long the counters per second go back.
const keepSeconds = 600

// A Second counts what one second brought.
type Second struct {
	At                   int64 // its begin, Unix nanoseconds
	New, Update, Destroy uint32
	Lost                 uint64
	Flows                int // in the table at its end
}

// history holds the last ten minutes by the second.
type history struct {
	ring  [keepSeconds]Second
	sec   int64 // the present one, seconds since 1970; 0 none yet
	first int64
}

// now returns the counters of the second of the last tick.
func (h *history) now() *Second { return &h.ring[h.sec%keepSeconds] }

// tick moves on to the second of now. A clock that was set back stays where it was, or, if that is far, begins anew.
func (h *history) tick(now int64, flows int) {
	sec := now / second
	switch {
	case sec == h.sec:
	case h.sec == 0 || sec <= h.sec-keepSeconds:
		*h = history{sec: sec, first: sec}
		h.now().At = sec * second
	case sec > h.sec:
		h.now().Flows = flows
		for s := max(h.sec+1, sec-keepSeconds+1); s <= sec; s++ {
			h.ring[s%keepSeconds] = Second{At: s * second, Flows: flows}
		}
		h.sec = sec
	}
	h.now().Flows = flows
}

// Seconds appends to dst what each of the last ten minutes' seconds brought, the oldest first and the one of now last.
func (t *Table) Seconds(now int64, dst []Second) []Second {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, flows := &t.history, t.stats.Flows
	if h.sec == 0 {
		return append(dst, Second{At: now / second * second, Flows: flows})
	}
	h.now().Flows = flows
	last := max(h.sec, now/second)
	for s := max(h.first, last-keepSeconds+1); s <= last; s++ {
		if s <= h.sec {
			dst = append(dst, h.ring[s%keepSeconds])
		} else { // nothing has come since
			dst = append(dst, Second{At: s * second, Flows: flows})
		}
	}
	return dst
}
