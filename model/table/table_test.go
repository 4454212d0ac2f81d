package table

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"ctview/model"
)

const at0 = int64(1e18)

// ev makes an event of one TCP flow; edit changes it.
func ev(k model.Kind, edit ...func(*model.Event)) model.Event {
	e := model.Event{Kind: k, Has: model.HasID | model.HasReply | model.HasStatus}
	e.Flow.Key = fakeKey(1)
	e.Flow.ID, e.Flow.Status = 100, model.StatusConfirmed
	e.Flow.ReplySrc, e.Flow.ReplyDst, e.Flow.ReplySport, e.Flow.ReplyDport = e.Flow.Dst, e.Flow.Src, 80, 1
	for _, f := range edit {
		f(&e)
	}
	return e
}

func state(s model.State) func(*model.Event) {
	return func(e *model.Event) {
		e.Flow.State, e.Has = s, e.Has|model.HasProtoinfo
		e.Flow.Known |= model.KnownState
	}
}

func mark(m uint32) func(*model.Event) {
	return func(e *model.Event) { e.Flow.Mark, e.Has = m, e.Has|model.HasMark }
}

func id(n uint32) func(*model.Event) { return func(e *model.Event) { e.Flow.ID = n } }

func status(s model.Status) func(*model.Event) { return func(e *model.Event) { e.Flow.Status |= s } }

func helper(name string) func(*model.Event) {
	return func(e *model.Event) { e.Flow.Helper, e.Has = model.HelperFor([]byte(name)), e.Has|model.HasHelper }
}

func label(bit int) func(*model.Event) {
	return func(e *model.Event) { e.Extra.Labels[bit/8], e.Has = 1<<(bit%8), e.Has|model.HasLabels }
}

func timeout(at int64) func(*model.Event) {
	return func(e *model.Event) {
		e.Flow.Expires, e.Has = at, e.Has|model.HasTimeout
		e.Flow.Known |= model.KnownTimeout
	}
}

func start(at int64) func(*model.Event) {
	return func(e *model.Event) {
		e.Flow.First, e.Has = at, e.Has|model.HasStart
		e.Flow.Known |= model.KnownStart
	}
}

func counters(at int64, bytes, packets uint64) func(*model.Event) {
	return func(e *model.Event) {
		e.Flow.Bytes, e.Flow.Packets = [2]uint64{bytes, bytes / 2}, [2]uint64{packets, packets}
		e.Flow.CountersAt, e.Has = at, e.Has|model.HasCountersOrig|model.HasCountersReply
		e.Flow.Known |= model.KnownCounters
	}
}

func TestApply(t *testing.T) {
	type step struct {
		at int64 // milliseconds
		e  model.Event
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  string // see describe
	}{
		{"new", []step{{0, ev(model.New, state(1), mark(3), helper("ftp"))}},
			"SYN_SENT mark 3 helper ftp status CONFIRMED gen 0 known whole,events first 0"},
		{"an update without protoinfo, helper and labels leaves them",
			[]step{{0, ev(model.New, state(1), mark(3), helper("ftp"), label(5))}, {10, ev(model.Update, mark(3), status(model.StatusAssured))}},
			"SYN_SENT mark 3 helper ftp label 5 status ASSURED|CONFIRMED gen 0 known whole,events first 0"},
		{"an update without a mark clears it", []step{{0, ev(model.New, mark(3))}, {10, ev(model.Update)}},
			"unreplied status CONFIRMED gen 0 known whole,events first 0"},
		{"update of an unknown flow", []step{{5, ev(model.Update, state(3))}},
			"ESTABLISHED status CONFIRMED gen 0 known events first 5"},
		{"a row completes a partial flow", []step{{5, ev(model.Update)}, {9, ev(model.Dump, state(3), label(1))}},
			"ESTABLISHED label 1 status CONFIRMED gen 0 known whole,events first 5"},
		{"destroy", []step{{0, ev(model.New)}, {5, ev(model.Destroy)}}, "gone"},
		{"an update just behind the destroy is its echo",
			[]step{{0, ev(model.New)}, {5, ev(model.Destroy)}, {900, ev(model.Update)}}, "gone"},
		{"an echo of a flow that was never seen", []step{{5, ev(model.Destroy)}, {900, ev(model.Update)}}, "gone"},
		{"an update a second behind the destroy is a flow",
			[]step{{0, ev(model.New)}, {5, ev(model.Destroy)}, {1006, ev(model.Update)}},
			"unreplied status CONFIRMED gen 1 known events first 1006"},
		{"an update with another ID is no echo",
			[]step{{0, ev(model.New)}, {5, ev(model.Destroy)}, {6, ev(model.Update, id(7))}},
			"unreplied status CONFIRMED gen 1 known events first 6"},
		{"reborn", []step{{0, ev(model.New, mark(1), label(3))}, {5, ev(model.Destroy)}, {6, ev(model.New)}, {7, ev(model.Update, state(2))}},
			"SYN_RECV status CONFIRMED gen 1 known whole,events first 6"},
		{"reborn without a destroy",
			[]step{{0, ev(model.New, state(3), mark(1), label(3), helper("ftp"), start(at0-9))}, {6, ev(model.New, state(1))}},
			"SYN_SENT status CONFIRMED gen 1 known whole,events first 6"},
		{"update of another life", []step{{0, ev(model.New, helper("ftp"))}, {6, ev(model.Update, id(7))}},
			"unreplied status CONFIRMED gen 1 known events first 6"},
		{"a late destroy of a former life", []step{{0, ev(model.New)}, {6, ev(model.Destroy, id(7))}},
			"unreplied status CONFIRMED gen 0 known whole,events first 0"},
		{"the kernel's event time is when a flow began", []step{{50, ev(model.New, func(e *model.Event) { e.Time = at0 + 3e6 })}},
			"unreplied status CONFIRMED gen 0 known whole,events first 3"},
		{"the row tells the start", []step{{50, ev(model.New)}, {60, ev(model.Dump, start(at0+40e6))}},
			"unreplied status CONFIRMED gen 0 known start,whole,events first 40"},
		{"a row with another start is another life",
			[]step{{0, ev(model.Dump, start(at0), mark(1))}, {60, ev(model.Dump, start(at0+40e6))}},
			"unreplied status CONFIRMED gen 1 known start,whole first 40"},
		{"a row that lacks labels and helper takes them away",
			[]step{{0, ev(model.Dump, label(1), helper("ftp"), mark(1))}, {60, ev(model.Dump)}},
			"unreplied status CONFIRMED gen 0 known whole first 0"},
		{"an offloaded flow has no timeout",
			[]step{{0, ev(model.New, timeout(at0))}, {60, ev(model.Update, status(model.StatusOffload))}},
			"offload status CONFIRMED|OFFLOAD gen 0 known whole,events first 0"},
	} {
		tab := New()
		for _, s := range tt.steps {
			tab.Apply(at0+s.at*1e6, []model.Event{s.e})
		}
		if got := describe(tab); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
		if err := tab.check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// describe says what the table has of the flow that ev makes.
func describe(tab *Table) string {
	r, ok := tab.Get(fakeKey(1))
	if !ok {
		return "gone"
	}
	f := &r.Flow
	s := f.StateText()
	if f.Mark != 0 {
		s += fmt.Sprint(" mark ", f.Mark)
	}
	if f.Helper != 0 {
		s += " helper " + f.Helper.String()
	}
	for bit := range 128 {
		if r.Extra.Labels[bit/8]&(1<<(bit%8)) != 0 {
			s += fmt.Sprint(" label ", bit)
		}
	}
	s += fmt.Sprintf(" status %v gen %d known ", f.Status, f.Generation())
	sep := ""
	for i, name := range []string{"", "timeout", "counters", "start", "rate", "", "whole", "events"} {
		if f.Known&(1<<i) != 0 && name != "" {
			s, sep = s+sep+name, ","
		}
	}
	return s + fmt.Sprintf(" first %d", (f.First-at0)/1e6)
}

func TestRates(t *testing.T) {
	type reading struct {
		at             int64 // milliseconds
		bytes, packets uint64
	}
	for _, tt := range []struct {
		name     string
		readings []reading
		known    bool
		rate     float32 // original direction
		pps      float32
		bytes    uint64
	}{
		{"one reading", []reading{{0, 500, 5}}, false, 0, 0, 500},
		{"two", []reading{{0, 500, 5}, {2000, 1500, 15}}, true, 500, 5, 1500},
		{"nothing moved", []reading{{0, 500, 5}, {2000, 500, 5}}, true, 0, 0, 500},
		{"too close to tell", []reading{{0, 500, 5}, {100, 900, 9}}, false, 0, 0, 500},
		{"the close one is left out", []reading{{0, 500, 5}, {2000, 1500, 15}, {2100, 9000, 15}}, true, 500, 5, 1500},
		{"zeroed by somebody", []reading{{0, 500, 5}, {1000, 600, 6}, {1100, 20, 1}}, false, 0, 0, 20},
		{"after that", []reading{{0, 500, 5}, {1000, 20, 1}, {2000, 40, 2}}, true, 20, 1, 40},
		{"clock set back", []reading{{0, 500, 5}, {1000, 600, 6}, {-9000, 700, 7}}, true, 100, 1, 700},
		{"after that too", []reading{{0, 500, 5}, {-9000, 600, 6}, {-8000, 900, 8}}, true, 300, 2, 900},
	} {
		tab := New()
		for _, r := range tt.readings {
			at := at0 + r.at*1e6
			tab.Apply(at, []model.Event{ev(model.Dump, counters(at, r.bytes, r.packets))})
		}
		r, _ := tab.Get(fakeKey(1))
		f := &r.Flow
		if known := f.Known&model.KnownRate != 0; known != tt.known || f.Rate[0] != tt.rate || f.PacketRate[0] != tt.pps ||
			f.Bytes[0] != tt.bytes {
			t.Errorf("%s: known %v, rate %v, pps %v, bytes %d; want %v, %v, %v, %d", tt.name, known, f.Rate[0],
				f.PacketRate[0], f.Bytes[0], tt.known, tt.rate, tt.pps, tt.bytes)
		}
	}
}

// TestClosedHasNoRate: what a flow moved while it lived is no rate of one that has closed, and does not put it above those
// that live; what it moves later is.
func TestClosedHasNoRate(t *testing.T) {
	const living = 2
	for _, tt := range []struct {
		name string
		end  model.Event
	}{
		{"an event tells", ev(model.Update, state(model.TCPClose))},
		{"TIME_WAIT", ev(model.Update, state(model.TCPTimeWait))},
		{"the answer to a GET tells", ev(model.Dump, state(model.TCPClose), counters(at0+1300*1e6, 9e8, 9e5))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := New()
			read := func(ms int64, closing, lives uint64, s model.State) {
				at := at0 + ms*1e6
				tab.Apply(at, []model.Event{ev(model.Dump, state(s), counters(at, closing, closing/1000)),
					ev(model.Dump, state(model.TCPEstablished), counters(at, lives, lives/1000), func(e *model.Event) { e.Flow.Key = fakeKey(living) })})
			}
			check := func(when, want string) {
				t.Helper()
				for _, c := range []model.Column{model.ColRate, model.ColReplyRate, model.ColPPS} {
					var v View
					tab.View(&Query{Sort: c, Desc: true, Limit: 2}, &v)
					got := ""
					for _, r := range v.Rows {
						switch {
						case r.Flow.Key == fakeKey(living):
							got += " living"
						default:
							got += " closed"
						}
						if r.Flow.Known&model.KnownRate == 0 {
							got += "(-)"
						}
					}
					if got != want {
						t.Errorf("%s, by %v:%s, want%s", when, c, got, want)
					}
				}
			}
			read(0, 1e6, 1e5, model.TCPEstablished)
			read(1000, 5e8, 2e5, model.TCPEstablished)
			check("before", " closed living")
			tab.Apply(at0+1300*1e6, []model.Event{tt.end})
			check("closed", " living closed(-)")
			read(2000, 9e8, 3e5, tt.end.Flow.State)
			check("the reading across its end", " living closed(-)")
			read(3000, 9e8, 4e5, tt.end.Flow.State)
			check("the one after", " living closed")
			read(4000, 18e8, 5e5, tt.end.Flow.State) // a RST that the ends did not take: their packets go on in CLOSE
			check("packets in CLOSE", " closed living")
		})
	}
}

func TestLossAndResync(t *testing.T) {
	tab := New()
	tab.BeginDump(at0)
	tab.Apply(at0, []model.Event{ev(model.Dump)})
	if st := tab.Stats(); !st.Dumping || st.DumpRows != 1 || st.Loaded {
		t.Errorf("while loading: %+v", st)
	}
	if r := tab.EndDump(at0+5, true); r != (DumpResult{Began: at0, Ended: at0 + 5, Rows: 1, Added: 1}) {
		t.Errorf("first dump: %+v", r)
	}
	tab.Lost(at0+10, 7)
	tab.Lost(at0+20, 3)
	if st := tab.Stats(); !st.Stale || st.Lost != 10 || st.Gaps != 2 || st.LastLost != at0+20 || !st.Loaded {
		t.Errorf("after a loss: %+v", st)
	}

	tab.BeginDump(at0 + 30)
	if r := tab.EndDump(at0+40, false); r.Removed != 0 {
		t.Errorf("an incomplete dump removed %d flows", r.Removed)
	}
	if st := tab.Stats(); !st.Stale || st.Flows != 1 || st.Dumping {
		t.Errorf("after an incomplete dump: %+v", st)
	}

	tab.BeginDump(at0 + 50)
	tab.Lost(at0+55, 1)
	if r := tab.EndDump(at0+60, true); r.Removed != 1 {
		t.Errorf("a complete dump of nothing removed %d flows, want 1", r.Removed)
	}
	if st := tab.Stats(); !st.Stale || st.Resyncs != 0 {
		t.Errorf("a dump with a loss in it repaired: %+v", st)
	}

	tab.BeginDump(at0 + 70)
	tab.EndDump(at0+80, true)
	if st := tab.Stats(); st.Stale || st.Resyncs != 1 || st.LastResync.Ended != at0+80 {
		t.Errorf("after the repair: %+v", st)
	}
	if r := tab.EndDump(at0+90, true); r != (DumpResult{}) {
		t.Errorf("an end without a begin: %+v", r)
	}
}

// TestManyDumps goes round the dump numbers twice: a flow that survives only incomplete dumps is never mistaken for one
// that the present dump named.
func TestManyDumps(t *testing.T) {
	tab := New()
	tab.Apply(at0, []model.Event{ev(model.Dump)})
	for i := range int64(40) {
		tab.BeginDump(at0 + i)
		if i%13 == 12 {
			tab.Apply(at0+i, []model.Event{ev(model.Dump)})
		}
		tab.EndDump(at0+i, false)
	}
	tab.BeginDump(at0)
	if r := tab.EndDump(at0, true); r.Removed != 1 {
		t.Errorf("removed %d, want 1", r.Removed)
	}
}

func TestOverdue(t *testing.T) {
	tab := New()
	const n = 10_000
	for i := range n {
		e := benchEvent(i, model.Dump)
		e.Flow.Expires = at0 + int64(i)*1e6 // one each millisecond
		if i%10 == 9 {
			e.Flow.Known &^= model.KnownTimeout
		}
		tab.Apply(at0, []model.Event{e})
	}
	if got := tab.Overdue(at0+2e9-1, nil); len(got) != 0 {
		t.Fatalf("%d overdue, want none", len(got))
	}
	now := at0 + 2e9 + 5000e6 // 0 to 5000, without every tenth
	seen := map[model.Key]bool{}
	buf := make([]model.Key, 0, 300)
	for {
		keys := tab.Overdue(now, buf)
		if len(keys) == 0 {
			break
		}
		if len(keys) > 300 {
			t.Fatalf("%d keys in a buffer for 300", len(keys))
		}
		var renewed []model.Event
		for i, k := range keys {
			if seen[k] {
				t.Fatalf("asked twice for %v", k)
			}
			seen[k] = true
			if i%2 == 0 {
				tab.Gone(now, []model.Key{k})
				continue
			}
			r, _ := tab.Get(k)
			e := model.Event{Kind: model.Dump, Has: model.HasTimeout, Flow: r.Flow}
			e.Flow.Known, e.Flow.Expires = model.KnownTimeout, now+60e9
			renewed = append(renewed, e)
		}
		tab.Refresh(now, renewed)
	}
	if len(seen) != 4501 {
		t.Errorf("asked for %d flows, want 4501", len(seen))
	}
	if err := tab.check(); err != nil {
		t.Error(err)
	}
}

func TestRefreshAndGone(t *testing.T) {
	tab := New()
	tab.Refresh(at0, []model.Event{ev(model.Dump)})
	if got := describe(tab); got != "gone" {
		t.Errorf("refresh inserted: %s", got)
	}
	tab.Apply(at0, []model.Event{ev(model.New, state(1))})
	tab.Refresh(at0+5e8, []model.Event{ev(model.Dump, state(3))})
	tab.Gone(at0+5e8, []model.Key{fakeKey(1)})
	if got, want := describe(tab), "SYN_SENT status CONFIRMED gen 0 known whole,events first 0"; got != want {
		t.Errorf("answers that may be older than the event:\n got %s\nwant %s", got, want)
	}
	tab.Refresh(at0+3e9, []model.Event{ev(model.Dump, state(3), id(7))})
	tab.Refresh(at0+3e9, []model.Event{ev(model.Dump, state(3), mark(4), start(at0))})
	if got, want := describe(tab), "ESTABLISHED mark 4 status CONFIRMED gen 0 known start,whole,events first 0"; got != want {
		t.Errorf("an answer:\n got %s\nwant %s", got, want)
	}
	tab.Gone(at0+3e9, []model.Key{fakeKey(1), fakeKey(2)})
	if got := describe(tab); got != "gone" {
		t.Errorf("after Gone: %s", got)
	}
}

// TestIndex adds and removes at random while the index grows, against a map.
func TestIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	tab, want := New(), map[model.Key]bool{}
	for i := range 30_000 {
		k := model.Event{Kind: model.New, Has: model.HasID}
		n := rng.IntN(20_000)
		k.Flow.Key = benchEvent(n, model.New).Flow.Key
		if rng.IntN(5) < 2 {
			k.Kind = model.Destroy
			delete(want, k.Flow.Key)
		} else {
			want[k.Flow.Key] = true
		}
		tab.Apply(at0, []model.Event{k})
		if i%5000 == 0 {
			if err := tab.check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 20_000 {
		k := benchEvent(i, model.New).Flow.Key
		if _, ok := tab.Get(k); ok != want[k] {
			t.Fatalf("flow %d there %v, want %v", i, ok, want[k])
		}
	}
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
}

// TestRace lets everything happen at once; the race detector judges.
func TestRace(t *testing.T) {
	tab := New()
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 300 {
				e := randomEvent(rng, rng.IntN(50))
				e.Kind = model.Kind(1 + rng.IntN(3))
				tab.Apply(at0+int64(i), []model.Event{e})
				if i%50 == 0 {
					tab.Lost(at0, 1)
				}
			}
		})
	}
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(9, 1))
		for range 20 {
			tab.BeginDump(at0)
			for range 20 {
				e := randomEvent(rng, rng.IntN(50))
				tab.Apply(at0, []model.Event{e})
				tab.Refresh(at0, []model.Event{e})
			}
			tab.EndDump(at0, true)
			tab.Gone(at0, tab.Overdue(2*at0, nil))
		}
	})
	wg.Go(func() {
		var v View
		var b Breakdown
		var c ChangeView
		for i := range 200 {
			tab.View(&Query{Sort: model.Column(i % int(model.NumColumns)), Limit: 20, Offset: i}, &v)
			tab.Breakdown(&b)
			tab.Changes(&ChangeQuery{Limit: 20}, &c)
			if len(v.Rows) > 0 {
				tab.Watch(v.Rows[0].Flow.Key)
				tab.History(v.Rows[0].Flow.Key, nil)
				tab.Readings(v.Rows[0].Flow.Key, nil)
			}
			tab.Seconds(at0, nil)
			tab.Stats()
		}
	})
	wg.Wait()
	if err := tab.check(); err != nil {
		t.Error(err)
	}
}

// TestMemory holds the table to its price: 200 bytes a flow, with the memory of a View over all of them.
func TestMemory(t *testing.T) {
	const n = 200_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tab := New()
	evs := make([]model.Event, 0, batch)
	for i := range n {
		if evs = append(evs, benchEvent(i, model.Dump)); len(evs) == batch {
			tab.Apply(at0, evs)
			evs = evs[:0]
		}
	}
	tab.Apply(at0, evs)
	var v View
	tab.View(&Query{Sort: model.ColBytes, Limit: 100}, &v)
	used := heap() - before
	if per := float64(used) / n; per > 200 {
		t.Errorf("%.0f bytes a flow, want at most 200", per)
	} else {
		t.Logf("%.0f bytes a flow", per)
	}
	runtime.KeepAlive(tab)
}

func TestApplyDoesNotAllocate(t *testing.T) {
	tab := New()
	evs := make([]model.Event, 200)
	for i := range evs {
		evs[i] = benchEvent(i, model.New)
	}
	tab.Apply(at0, evs)
	for range 2 * keepChanges / len(evs) { // the log gets its memory
		tab.Apply(at0, evs)
	}
	for i := range evs {
		evs[i].Kind = model.Update
	}
	if n := testing.AllocsPerRun(100, func() { tab.Apply(at0, evs) }); n != 0 {
		t.Errorf("%v allocations for 200 updates, want none", n)
	}
}
