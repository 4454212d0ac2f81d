package table

import (
	"fmt"
	"testing"

	"ctview/model"
)

// An activeSink is a table of which records are taken all the time, of flows that end and of those that go on. Lives are told apart
// by a number in a counter that no event changes.
type activeSink struct {
	*Table
	t      *testing.T
	totals map[uint64]uint64 // bytes by DESTROY, by life
	told   map[uint64]uint64 // bytes by records
	active int
}

func (s *activeSink) Apply(now int64, evs []model.Event) {
	for i := range evs {
		if e := &evs[i]; e.Kind == model.Destroy {
			s.totals[e.Flow.Packets[1]] = e.Flow.Bytes[0]
		}
	}
	s.Table.Apply(now, evs)
	s.take(now)
}

func (s *activeSink) take(now int64) {
	buf := make([]Active, 50)
	n := s.TakeActive(now, s.Due(now, make([]model.Key, 0, len(buf))), buf)
	s.active += n
	for i := range buf[:n] {
		s.record(&buf[i].Flow, &buf[i].Told)
	}
	ends := make([]Ended, 100)
	for _, e := range ends[:s.TakeEnds(now, ends)] {
		s.record(&e.Flow, &e.Told)
	}
}

func (s *activeSink) record(f *model.Flow, w *Told) {
	if f.Known&model.KnownCounters == 0 {
		return
	}
	_, bytes := w.Since(f)
	s.told[f.Packets[1]] += bytes[0]
}

// TestActiveAddsUp: through every kind of loss, dump and race the records of a flow add up to what its DESTROY says. Nobody can tell a flow
// from the next of its tuple and ID where all between them was lost, or comes late: of those one in a hundred may be wrong here, see
// TestQueueEnds.
func TestActiveAddsUp(t *testing.T) {
	active, wrong, all := 0, 0, 0
	for seed := range uint64(60) {
		s := &activeSink{Table: New(), t: t, totals: map[uint64]uint64{}, told: map[uint64]uint64{}}
		s.QueueEnds(1000)
		s.QueueActive(second / 1000)
		driven(seed, s, true)
		for range 5 {
			s.take(1e18 + 1e12)
		}
		for life, want := range s.totals {
			all++
			if got := s.told[life]; got != want {
				wrong++
			}
		}
		active += s.active
	}
	t.Logf("%d records of flows that go on; of %d flows %d wrong", active, all, wrong)
	if wrong > all/100 {
		t.Errorf("of %d flows %d are wrong", all, wrong)
	}
	if active < 10_000 {
		t.Errorf("%d records of flows that go on: too few to show anything", active)
	}
}

// many fills a table with n flows at a time.
func many(tab *Table, now int64, n int) {
	evs := make([]model.Event, 0, batch)
	for i := range n {
		e := ev(model.New)
		e.Flow.Src[13], e.Flow.Src[14], e.Flow.Src[15] = byte(i>>16), byte(i>>8), byte(i)
		if evs = append(evs, e); len(evs) == batch || i == n-1 {
			tab.Apply(now, evs)
			evs = evs[:0]
		}
	}
}

const tick = second / 10

// TestActivePaced: of many flows that came at once each is told in its turn, never more than the rate in a second, also where
// nobody asked for a while.
func TestActivePaced(t *testing.T) {
	for _, tt := range []struct {
		flows int
		every int64
		rate  int // a second
		held  int // ticks that nobody asks for once
	}{
		{30_000, 60 * second, 1000, 0},
		{30_000, 60 * second, 1000, 900},
		{50_000, 2 * second, tellMost, 0},
		{50, 10 * second, tellLeast, 0},
		{1, second, tellLeast, 0},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			tab := New()
			tab.QueueEnds(10)
			tab.QueueActive(tt.every)
			many(tab, at0, tt.flows)
			keys, buf := make([]model.Key, 0, 100), make([]Active, 100)
			last, records := map[model.Key]int64{}, map[model.Key]int{}
			var times []int64 // of records
			longest := tt.every + tt.every/rounds + 2*tick + int64(float64(tt.flows)/float64(tt.rate)*float64(second)) + int64(tt.held)*tick
			now := int64(at0)
			for i := 0; now < at0+2*longest; i++ {
				if now += tick; i == int(tt.every/tick)+5 {
					now += int64(tt.held) * tick
				}
				for {
					if keys = tab.Due(now, keys[:0]); len(keys) == 0 {
						break
					}
					for _, a := range buf[:tab.TakeActive(now, keys, buf)] {
						k := a.Flow.Key
						since := now - max(last[k], at0)
						if since < tt.every || since > longest {
							t.Fatalf("%v after the record before, want %v to %v", since/1e6, tt.every/1e6, longest/1e6)
						}
						if a.Told.At != last[k] {
							t.Fatalf("told at %d, the record before was at %d", a.Told.At, last[k])
						}
						last[k] = now
						records[k]++
						times = append(times, now)
					}
				}
			}
			most := tt.rate + tt.rate/4 + tt.rate/10
			for i := most; i < len(times); i++ {
				if d := times[i] - times[i-most]; d < second {
					t.Fatalf("%d records within %v ms, want %d a second at most", most+1, d/1e6, most)
				}
			}
			if len(records) != tt.flows {
				t.Errorf("%d flows were told, of %d", len(records), tt.flows)
			}
		})
	}
}

// TestActiveLives: what ended, began anew or was told in the meantime is not due, nor is what was told of another life taken off.
func TestActiveLives(t *testing.T) {
	begin := func() *Table {
		tab := New()
		tab.QueueEnds(10)
		tab.QueueActive(10 * second)
		tab.Apply(at0, []model.Event{ev(model.New, id(7))})
		return tab
	}
	due := func(tab *Table, now int64) []model.Key {
		keys := make([]model.Key, 0, 5)
		for range 20 { // a look at every slot
			keys = tab.Due(now, keys)
			now += tick
		}
		return keys
	}
	read := func(tab *Table, now int64, bytes uint64) {
		tab.Refresh(now, []model.Event{ev(model.Dump, id(7), counters(now, bytes, 2))})
	}
	const due1 = at0 + 11*second
	for _, tt := range []struct {
		name      string
		do        func(*Table, []model.Key)
		n         int
		told, all uint64 // bytes that the end tells, and what its DESTROY says
	}{
		{"it goes on", func(tab *Table, k []model.Key) { read(tab, due1, 40) }, 1, 60, 100},
		{"it ended", func(tab *Table, k []model.Key) {
			tab.Apply(due1, []model.Event{ev(model.Destroy, id(7), counters(due1, 100, 2))})
		}, 0, 100, 100},
		{"it ended and began", func(tab *Table, k []model.Key) {
			tab.Apply(due1, []model.Event{ev(model.Destroy, id(7), counters(due1, 10, 2)), ev(model.New, id(7))})
			tab.TakeEnds(due1, make([]Ended, 5))
		}, 0, 100, 100},
		{"its counters were set to 0", func(tab *Table, k []model.Key) {
			read(tab, due1, 140)
			tab.TakeActive(due1, k, make([]Active, 5))
		}, 0, 100, 100},
		{"it was told", func(tab *Table, k []model.Key) {
			read(tab, due1, 30)
			tab.TakeActive(due1, k, make([]Active, 5))
		}, 0, 70, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := begin()
			if k := due(tab, at0+5*second); len(k) > 0 {
				t.Fatalf("due: %v", k)
			}
			keys := due(tab, due1)
			if len(keys) == 0 {
				t.Fatal("none due")
			}
			tt.do(tab, keys[:1])
			if n := tab.TakeActive(due1, keys[:1], make([]Active, 5)); n != tt.n {
				t.Errorf("%d taken, want %d", n, tt.n)
			}
			tab.Apply(due1+second, []model.Event{ev(model.Destroy, id(7), counters(due1+second, tt.all, 2))})
			ends := make([]Ended, 5)
			n := tab.TakeEnds(due1+5*second, ends)
			if tt.name == "it ended" {
				n = min(n, 1) // the second DESTROY is of a flow that the table does not have
			}
			if n != 1 {
				t.Fatalf("%d ends", n)
			}
			if _, bytes := ends[0].Told.Since(&ends[0].Flow); bytes[0] != tt.told {
				t.Errorf("the end tells %d bytes, want %d", bytes[0], tt.told)
			}
		})
	}
	t.Run("the clock was set back", func(t *testing.T) {
		tab := begin()
		due(tab, at0-100*second)
		if k := due(tab, at0-80*second); len(k) == 0 {
			t.Error("not due for a hundred seconds")
		}
	})
	t.Run("nobody asked", func(t *testing.T) {
		tab := New()
		many(tab, at0, 3)
		if k := due(tab, at0+1e12); len(k) > 0 || tab.TakeActive(at0, []model.Key{fakeKey(1)}, nil) > 0 {
			t.Errorf("%v", k)
		}
	})
}
