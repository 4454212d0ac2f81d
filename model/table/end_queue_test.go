package table

import (
	"slices"
	"testing"

	"ctview/model"
)

// An endSink is a table whose ends are held against the DESTROYs that it was given. The lives are told apart by a number in a
// counter that no event changes.
type endSink struct {
	*Table
	now            int64
	given, heard   map[uint64]model.Event // DESTROYs, ends; by life
	heardOf, other map[model.Key]int      // ends heard and unheard
	twice          int
}

func (s *endSink) Apply(now int64, evs []model.Event) {
	for i := range evs {
		if e := &evs[i]; e.Kind == model.Destroy {
			s.given[e.Flow.Packets[1]] = *e
		}
	}
	s.Table.Apply(now, evs)
	s.now = now
	s.take(now, 1+len(evs)%5)
}

func (s *endSink) take(now int64, n int) int {
	buf := make([]Ended, n)
	n = s.TakeEnds(now, buf)
	for _, e := range buf[:n] {
		if e.Unheard {
			s.other[e.Flow.Key]++
			continue
		}
		s.heardOf[e.Flow.Key]++
		if _, twice := s.heard[e.Flow.Packets[1]]; twice {
			s.twice++
		}
		s.heard[e.Flow.Packets[1]] = model.Event{Flow: e.Flow}
	}
	return n
}

// TestQueueEnds: through every kind of loss, dump and race each DESTROY that came is one end with its totals, and of a tuple no more
// ends are told as unheard than lives of it ended without one. Nobody can tell lives apart where the UPDATE of a former one comes
// behind a row of the next, with another ID: of that one end in a hundred may be made here, where losses and overtaking are as
// frequent as nowhere else.
func TestQueueEnds(t *testing.T) {
	unheard, excess := 0, 0
	for seed := range uint64(400) {
		s := &endSink{Table: New(), given: map[uint64]model.Event{}, heard: map[uint64]model.Event{}, heardOf: map[model.Key]int{}, other: map[model.Key]int{}}
		s.QueueEnds(1000)
		k := driven(seed, s, true)
		for s.take(s.now+1e10, 100) > 0 {
		}
		for life, d := range s.given {
			e, ok := s.heard[life]
			if !ok || e.Flow.Bytes != d.Flow.Bytes || e.Flow.Key != d.Flow.Key || e.Flow.Known&model.KnownCounters == 0 {
				t.Errorf("life %d of port %d: DESTROY of %v bytes, heard %v of %v", life, d.Flow.Sport, d.Flow.Bytes, ok, e.Flow.Bytes)
			}
			if k.stamps && e.Flow.First != d.Flow.First {
				t.Errorf("life %d of port %d: began at %d, not %d", life, d.Flow.Sport, e.Flow.First, d.Flow.First)
			}
		}
		if len(s.heard) != len(s.given) || s.twice > 0 {
			t.Errorf("%d ends heard, %d of them again, of %d", len(s.heard), s.twice, len(s.given))
		}
		alive := k.alive()
		for key, n := range s.other {
			excess += max(0, n-(k.lives[key]-alive[key]-s.heardOf[key]))
			unheard += n
		}
		if st := s.EndStats(); st.Heard != uint64(len(s.heard)) || st.Lost != 0 || st.Kept != 0 {
			t.Errorf("%+v; %d heard", st, len(s.heard))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d ends unheard, %d too many", unheard, excess)
	if unheard < 4000 || excess > unheard/100 {
		t.Errorf("%d ends unheard, too many by %d", unheard, excess)
	}
}

// TestQueueEndsLast: what an end is made of.
func TestQueueEndsLast(t *testing.T) {
	stop := func(at int64) func(*model.Event) {
		return func(e *model.Event) { e.Stop, e.Has = at, e.Has|model.HasStop }
	}
	by := func(e *model.Event) { e.PortID = 77 }
	for _, tt := range []struct {
		name string
		do   func(*Table)
		want Ended // Flow: only what is compared below
	}{
		{"a DESTROY's totals, its stop and who did it", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.New, state(1), mark(3))})
			tab.Apply(at0+1, []model.Event{ev(model.Destroy, counters(at0+1, 100, 2), stop(at0+9), start(at0-5), by, mark(3))})
		}, Ended{Flow: model.Flow{First: at0 - 5, Mark: 3, State: 1, Bytes: [2]uint64{100, 50}}, At: at0 + 9, PortID: 77}},
		{"a flow that the table did not have", func(tab *Table) {
			tab.Apply(at0+1, []model.Event{ev(model.Destroy, counters(at0+1, 100, 2))})
		}, Ended{Flow: model.Flow{Bytes: [2]uint64{100, 50}}, At: at0 + 1}},
		{"found gone, no DESTROY", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.New, state(1), counters(at0, 10, 1))})
			tab.Gone(at0+5e9, []model.Key{fakeKey(1)})
		}, Ended{Flow: model.Flow{First: at0, State: 1, Bytes: [2]uint64{10, 5}}, At: at0 + 5e9, Unheard: true}},
		{"found gone, its DESTROY behind", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.New, state(1))})
			tab.Gone(at0+5e9, []model.Key{fakeKey(1)})
			tab.Apply(at0+6e9, []model.Event{ev(model.Destroy, counters(at0+6e9, 100, 2))})
		}, Ended{Flow: model.Flow{First: at0, State: 1, Bytes: [2]uint64{100, 50}}, At: at0 + 6e9}},
		{"another NEW", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.New, state(1))})
			tab.Apply(at0+1, []model.Event{ev(model.New, state(2))})
		}, Ended{Flow: model.Flow{First: at0, State: 1}, At: at0 + 1, Unheard: true}},
		{"an UPDATE before its NEW is no end", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.Update, state(2))})
			tab.Apply(at0+1, []model.Event{ev(model.New, state(1))})
			tab.Apply(at0+2, []model.Event{ev(model.Destroy)})
		}, Ended{Flow: model.Flow{First: at0 + 1, State: 1}, At: at0 + 2}},
		{"swept by a dump", func(tab *Table) {
			tab.Apply(at0, []model.Event{ev(model.New, state(1))})
			tab.BeginDump(at0 + 1)
			tab.EndDump(at0+2, true)
		}, Ended{Flow: model.Flow{First: at0, State: 1}, At: at0 + 2, Unheard: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := New()
			tab.QueueEnds(10)
			tt.do(tab)
			buf := make([]Ended, 9)
			if n := tab.TakeEnds(at0+1e11, buf); n != 1 {
				t.Fatalf("%d ends, want 1: %+v", n, buf[:n])
			}
			got := buf[0]
			got.Flow = model.Flow{First: got.Flow.First, Mark: got.Flow.Mark, State: got.Flow.State, Bytes: got.Flow.Bytes}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestQueueEndsBounded: what nobody takes is counted with its packets and bytes, and costs no more memory; what waits for its
// DESTROY is bounded too.
func TestQueueEndsBounded(t *testing.T) {
	tab := New()
	tab.QueueEnds(300)
	for range 1000 {
		tab.Apply(at0, []model.Event{ev(model.New, state(1)), ev(model.Destroy, counters(at0, 100, 2))})
	}
	if st := tab.EndStats(); st != (EndStats{Kept: 300, Heard: 1000, Lost: 700, LostPackets: 700 * 4, LostBytes: 700 * 150}) {
		t.Errorf("%+v", st)
	}
	buf := make([]Ended, 1000)
	if n := tab.TakeEnds(at0, buf); n != 300 || slices.ContainsFunc(buf[:n], func(e Ended) bool { return e.Flow.Bytes[0] != 100 }) {
		t.Errorf("%d taken", n)
	}
	const more = keepWaiting + 500
	for i := range more {
		e := ev(model.New, state(1))
		e.Flow.Src[14], e.Flow.Src[15], e.Flow.Sport = byte(i>>8), byte(i), uint16(i>>4)
		tab.Apply(at0, []model.Event{e})
		tab.Gone(at0+5e9, []model.Key{e.Flow.Key})
	}
	if n := len(tab.queue.waiting); n != keepWaiting || len(tab.queue.at) > keepWaiting {
		t.Errorf("%d wait, %d to be found", n, len(tab.queue.at))
	}
	taken := 0
	for n := 1; n > 0; taken += n {
		n = tab.TakeEnds(at0+1e10, buf)
	}
	if st := tab.EndStats(); taken != 300 || st.Unheard != more || st.Lost != 700+more-300 || len(tab.queue.waiting)+len(tab.queue.at) > 0 {
		t.Errorf("%d taken, %+v, %d wait, %d to be found", taken, st, len(tab.queue.waiting), len(tab.queue.at))
	}
}

// TestInheritEnds: a table goes on with the ends of another: those that nobody has taken come first, what waits for its DESTROY is told in
// time, and the counts go on.
func TestInheritEnds(t *testing.T) {
	old, tab := New(), New()
	old.QueueEnds(3)
	for i := range 4 { // the fourth finds no room
		e := ev(model.New)
		e.Flow.Sport = uint16(100 + i)
		d := e
		d.Kind = model.Destroy
		old.Apply(at0, []model.Event{e, d})
	}
	old.Apply(at0, []model.Event{ev(model.New)})
	old.Gone(at0+5*second, []model.Key{fakeKey(1)})
	tab.QueueEnds(3)
	tab.InheritEnds(old)
	buf := make([]Ended, 9)
	if n := old.TakeEnds(at0+5*second, buf); n > 0 {
		t.Errorf("the old table gives %d", n)
	}
	var ports []uint16
	for _, now := range []int64{at0 + 5*second, at0 + 100*second} {
		for _, e := range buf[:tab.TakeEnds(now, buf)] {
			ports = append(ports, e.Flow.Sport)
		}
	}
	if want := []uint16{100, 101, 102, 1}; !slices.Equal(ports, want) {
		t.Errorf("ports %v, want %v", ports, want)
	}
	if st := tab.EndStats(); st.Heard != 4 || st.Unheard != 1 || st.Lost != 1 || st.Kept != 0 {
		t.Errorf("%+v", st)
	}
	tab.Apply(at0, []model.Event{ev(model.New), ev(model.Destroy)})
	if n := tab.TakeEnds(at0, buf); n != 1 {
		t.Errorf("%d ends of its own", n)
	}
}
