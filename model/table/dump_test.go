package table

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ctview/model"
)

// A fakeKernel keeps flows as nf_conntrack does as far as a dump can tell: in buckets, new ones at the head; a dump
// walks the buckets and remembers the first flow that did not fit; if that is gone it begins the bucket again.
type fakeKernel struct {
	rng     *rand.Rand
	now     int64
	buckets [32][]*kernelFlow
	queue   []model.Event
	room    int // events that the queue holds
	lost    uint64
	silent  bool // some flows are made that never send an event
	stamps  bool // nf_conntrack_timestamp
	serial  uint64
	lives   map[model.Key]int // there ever were since somebody listens
}

type kernelFlow struct {
	model.Flow
	labels model.Labels
	silent bool
}

// fakeKey names one of a few tuples, so that they are met again.
func fakeKey(n int) model.Key {
	k := model.Key{Proto: model.ProtoTCP, Family: model.IPv4, Sport: uint16(n), Dport: 80}
	k.Src = [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: byte(n)}
	k.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 192, 15: 1}
	if n%5 == 0 {
		k.Zone = 7
	}
	return k
}

const fakeKeys = 120

func (k *fakeKernel) bucket(key model.Key) *[]*kernelFlow {
	return &k.buckets[int(key.Sport)%len(k.buckets)]
}

func (k *fakeKernel) find(key model.Key) *kernelFlow {
	for _, f := range *k.bucket(key) {
		if f.Key == key {
			return f
		}
	}
	return nil
}

func (k *fakeKernel) send(kind model.Kind, f *kernelFlow, has model.Fields) {
	if f.silent {
		return
	}
	if len(k.queue) >= k.room {
		k.lost++
		return
	}
	k.queue = append(k.queue, k.message(kind, f, has|model.HasID|model.HasReply|model.HasStatus))
}

func (k *fakeKernel) message(kind model.Kind, f *kernelFlow, has model.Fields) model.Event {
	e := model.Event{Kind: kind, Has: has, Flow: f.Flow}
	e.Flow.Known = 0
	if has&model.HasProtoinfo != 0 {
		e.Flow.Known |= model.KnownState
	} else {
		e.Flow.State = 0
	}
	if has&model.HasHelper == 0 {
		e.Flow.Helper = 0
	}
	if has&model.HasLabels != 0 && f.labels != (model.Labels{}) {
		e.Extra.Labels = f.labels
	} else {
		e.Has &^= model.HasLabels
	}
	if has&model.HasCountersOrig != 0 {
		e.Flow.Known |= model.KnownCounters
		e.Flow.CountersAt = k.now
	} else {
		e.Flow.Bytes = [2]uint64{}
	}
	if k.stamps && has&model.HasStart != 0 {
		e.Flow.Known |= model.KnownStart
	} else {
		e.Flow.First = 0
	}
	return e
}

const rowHas = model.HasID | model.HasReply | model.HasStatus | model.HasProtoinfo | model.HasHelper | model.HasCountersOrig | model.HasStart | model.HasMark | model.HasLabels

// step changes the kernel's table at random.
func (k *fakeKernel) step() {
	k.now += int64(k.rng.IntN(20)) * 1e6
	key := fakeKey(k.rng.IntN(fakeKeys))
	f := k.find(key)
	switch {
	case f == nil:
		k.create(key)
	case f.silent && !k.silent: // keep it as it is
	case k.rng.IntN(4) == 0:
		k.destroy(f)
		if k.rng.IntN(2) == 0 {
			k.create(key)
		}
	default:
		k.change(f)
	}
}

func (k *fakeKernel) create(key model.Key) {
	f := &kernelFlow{Flow: model.Flow{Key: key}, silent: k.silent && k.rng.IntN(6) == 0}
	f.ID = uint32(key.Sport)*100 + uint32(k.rng.IntN(10)/9) // mostly the same as before: the kernel hashes it from the tuple and the memory it lies in
	f.State, f.Status, f.First = model.TCPSynSent, model.StatusConfirmed, k.now
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	f.Mark = uint32(k.rng.IntN(3))
	k.serial++
	f.Packets[1] = k.serial // no two lives have the same
	k.lives[key]++
	has := model.HasProtoinfo
	if k.rng.IntN(5) == 0 {
		f.Helper = model.HelperFor([]byte("ftp"))
		has |= model.HasHelper
	}
	b := k.bucket(key)
	*b = append([]*kernelFlow{f}, *b...)
	k.send(model.New, f, has)
}

func (k *fakeKernel) destroy(f *kernelFlow) {
	b := k.bucket(f.Key)
	*b = slices.DeleteFunc(*b, func(x *kernelFlow) bool { return x == f })
	k.send(model.Destroy, f, model.HasCountersOrig|model.HasStart)
	if k.rng.IntN(4) == 0 && len(k.queue) > 0 && !f.silent {
		// Two CPUs: the echo of an older UPDATE overtaken by the DESTROY.
		k.send(model.Update, f, model.HasProtoinfo)
	}
}

func (k *fakeKernel) change(f *kernelFlow) {
	has := model.Fields(0)
	switch k.rng.IntN(5) {
	case 0:
		f.Bytes[0] += 100
		return // of counters no event tells
	case 1:
		f.Status |= model.StatusSeenReply << k.rng.IntN(2)
	case 2:
		f.Mark = uint32(k.rng.IntN(3))
	case 3:
		f.State = model.State(1 + k.rng.IntN(7))
		has |= model.HasProtoinfo
	case 4:
		f.labels[k.rng.IntN(16)] = 1
		has |= model.HasLabels
	}
	if f.Helper != 0 {
		has |= model.HasHelper
	}
	k.send(model.Update, f, has)
}

// A walk is a dump that is being read.
type walk struct {
	bucket int
	resume *kernelFlow
}

// read returns up to n rows as they are now; false at the end.
func (k *fakeKernel) read(w *walk, n int) (rows []model.Event, more bool) {
	for ; w.bucket < len(k.buckets); w.bucket++ {
		b := k.buckets[w.bucket]
		from := max(0, slices.Index(b, w.resume))
		for _, f := range b[from:] {
			if len(rows) == n {
				w.resume = f
				return rows, true
			}
			rows = append(rows, k.message(model.Dump, f, rowHas))
		}
		w.resume = nil
	}
	return rows, false
}

// A sink is what takes events and dumps: the Table, and algorithms that are known to be wrong.
type sink interface {
	Apply(now int64, evs []model.Event)
	BeginDump(now int64)
	EndDump(now int64, complete bool) DumpResult
	Lost(now int64, n uint64)
	Refresh(now int64, evs []model.Event)
	Gone(now int64, keys []model.Key)
	Each(func(*model.Flow, *model.Extra) bool)
}

// A run drives one sink and one kernel through random interleavings.
type run struct {
	k     *fakeKernel
	s     sink
	told  uint64 // losses told
	asked []answer
	// real: what was queued before the last row is applied before EndDump, as a Syncer does, and answers are half a second late at most.
	real bool
}

type answer struct {
	at   int64 // when the question was sent
	due  int64
	ev   model.Event
	gone bool
}

// deliver hands over up to n events, and afterwards what was lost by then.
func (r *run) deliver(n int) {
	n = min(n, len(r.k.queue))
	for n > 0 && n < len(r.k.queue) && r.k.queue[n-1].Kind == model.Destroy {
		n++ // an echo comes at once
	}
	lost := r.k.lost
	r.s.Apply(r.k.now, r.k.queue[:n])
	r.k.queue = r.k.queue[n:]
	if lost > r.told {
		r.s.Lost(r.k.now, lost-r.told)
		r.told = lost
	}
}

// ask sends a GET; its answer comes some steps later.
func (r *run) ask() {
	key := fakeKey(r.k.rng.IntN(fakeKeys))
	late := 1900
	if r.real {
		late = 500
	}
	a := answer{at: r.k.now, due: r.k.now + int64(r.k.rng.IntN(late))*1e6}
	if f := r.k.find(key); f != nil {
		a.ev = r.k.message(model.Dump, f, rowHas)
	} else {
		a.gone, a.ev.Flow.Key = true, key
	}
	r.asked = append(r.asked, a)
}

func (r *run) answers() {
	for len(r.asked) > 0 && r.asked[0].due <= r.k.now {
		if a := &r.asked[0]; a.gone {
			r.s.Gone(a.at, []model.Key{a.ev.Flow.Key})
		} else {
			r.s.Refresh(a.at, []model.Event{a.ev})
		}
		r.asked = r.asked[1:]
	}
}

// dump reads the kernel's table while it changes; rows wait in the reader for a while.
func (r *run) dump(complete bool) {
	rng := r.k.rng
	r.deliver(len(r.k.queue))
	r.s.BeginDump(r.k.now)
	var w walk
	var rows []model.Event
	for more := true; more || len(rows) > 0; {
		for range rng.IntN(6) {
			r.k.step()
		}
		if rng.IntN(4) == 0 {
			r.ask()
		}
		if rng.IntN(2) == 0 {
			r.deliver(rng.IntN(12))
		}
		r.answers()
		if more && rng.IntN(2) == 0 {
			var got []model.Event
			got, more = r.k.read(&w, 1+rng.IntN(6))
			rows = append(rows, got...)
		}
		if n := rng.IntN(len(rows) + 1); n > 0 {
			r.s.Apply(r.k.now, rows[:n])
			rows = rows[n:]
		}
		if !complete && rng.IntN(20) == 0 {
			break
		}
	}
	if r.real {
		r.deliver(len(r.k.queue))
	}
	r.s.EndDump(r.k.now, complete)
}

// drive lets everything happen and then compares: the last dump is complete and loses nothing.
func drive(seed uint64, s sink) (ghosts, missing, wrong int) {
	return compare(driven(seed, s, false), s)
}

func driven(seed uint64, s sink, real bool) *fakeKernel {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := &run{k: &fakeKernel{rng: rng, now: 1e18, room: 40, silent: true, stamps: seed%2 == 0, lives: map[model.Key]int{}}, s: s, real: real}
	for range 300 {
		r.k.step() // before anybody listens
	}
	r.k.queue, r.k.lost = nil, 0
	r.k.lives = r.k.alive()
	for range 4 {
		r.dump(rng.IntN(3) > 0)
		for range rng.IntN(200) {
			r.k.step()
			if rng.IntN(10) == 0 {
				r.deliver(rng.IntN(30))
			}
			r.answers()
		}
	}
	r.k.silent = false
	r.k.now += 2e9 // answers to old questions are in
	r.answers()
	r.deliver(len(r.k.queue))
	r.k.room = 1 << 20
	r.dump(true)
	r.k.now += 2e9
	r.answers()
	r.deliver(len(r.k.queue))
	return r.k
}

// alive counts the flows of each key, 0 or 1.
func (k *fakeKernel) alive() map[model.Key]int {
	m := map[model.Key]int{}
	for _, b := range k.buckets {
		for _, f := range b {
			m[f.Key]++
		}
	}
	return m
}

func compare(k *fakeKernel, s sink) (ghosts, missing, wrong int) {
	seen := map[model.Key]bool{}
	s.Each(func(f *model.Flow, x *model.Extra) bool {
		truth := k.find(f.Key)
		switch {
		case truth == nil || seen[f.Key]:
			ghosts++
		case f.State != truth.State || f.Status != truth.Status || f.Mark != truth.Mark || f.Helper != truth.Helper ||
			f.ID != truth.ID || f.ReplySrc != truth.ReplySrc || x != nil && x.Labels != truth.labels:
			wrong++
		}
		seen[f.Key] = true
		return true
	})
	for _, b := range k.buckets {
		for _, f := range b {
			if !seen[f.Key] {
				missing++
			}
		}
	}
	return ghosts, missing, wrong
}

func TestDumpInterleavings(t *testing.T) {
	for seed := range uint64(400) {
		tab := New()
		ghosts, missing, wrong := drive(seed, tab)
		if ghosts+missing+wrong > 0 {
			t.Fatalf("seed %d: %d ghosts, %d missing, %d wrong; want none", seed, ghosts, missing, wrong)
		}
		if st := tab.Stats(); st.Stale || !st.Loaded || st.Dumping {
			t.Fatalf("seed %d: stale %v, loaded %v, dumping %v after a clean dump", seed, st.Stale, st.Loaded, st.Dumping)
		}
		if err := tab.check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestDumpHarness shows that the test above can fail: simpler algorithms do.
func TestDumpHarness(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func() sink
	}{
		{"upsert", func() sink { return &naive{} }},
		{"mark and sweep", func() sink { return &naive{sweep: true} }},
	} {
		bad := 0
		for seed := range uint64(100) {
			ghosts, missing, wrong := drive(seed, tt.make())
			bad += ghosts + missing + wrong
		}
		if bad == 0 {
			t.Errorf("%s: no fault found in 100 runs", tt.name)
		}
		t.Logf("%s: %d flows wrong in 100 runs", tt.name, bad)
	}
}

// naive applies events and dump rows to a map as they come; with sweep it removes what the dump did not name.
type naive struct {
	flows map[model.Key]model.Flow
	epoch uint8
	sweep bool
}

func (n *naive) Apply(_ int64, evs []model.Event) {
	if n.flows == nil {
		n.flows = map[model.Key]model.Flow{}
	}
	for _, e := range evs {
		if e.Kind == model.Destroy {
			delete(n.flows, e.Flow.Key)
			continue
		}
		f := e.Flow
		if old, ok := n.flows[f.Key]; ok && e.Kind == model.Update {
			if e.Has&model.HasProtoinfo == 0 {
				f.State = old.State
			}
			if e.Has&model.HasHelper == 0 {
				f.Helper = old.Helper
			}
		}
		f.Book.Epoch = n.epoch
		n.flows[f.Key] = f
	}
}

func (n *naive) BeginDump(int64) { n.epoch++ }

func (n *naive) EndDump(_ int64, complete bool) (r DumpResult) {
	for k, f := range n.flows {
		if complete && n.sweep && f.Book.Epoch != n.epoch {
			delete(n.flows, k)
		}
	}
	return r
}

func (n *naive) Lost(int64, uint64)           {}
func (n *naive) Refresh(int64, []model.Event) {}
func (n *naive) Gone(int64, []model.Key)      {}
func (n *naive) Each(fn func(*model.Flow, *model.Extra) bool) {
	for _, f := range n.flows {
		fn(&f, nil)
	}
}

// check compares everything that the table keeps beside its flows with the flows.
func (t *Table) check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	want := &totals{}
	flows, extra, far := 0, 0, 0
	for c := range t.flows.chunks {
		for i := range t.flows.used(c) {
			slot := uint32(c*chunkFlows + i)
			f := t.flows.one()(slot)
			if f.Family == 0 {
				continue
			}
			flows++
			if t.flows.at(slot).back == backFar {
				far++
			}
			want.add(f.Proto, f.Zone, classOf(f), 1)
			if got := t.index.find(&f.Key, t.index.hash(&f.Key)); got != slot {
				return fmt.Errorf("index has %d for the key of slot %d", got, slot)
			}
			_, has := t.extra.rows[slot]
			if has != (f.Known&model.KnownExtra != 0) {
				return fmt.Errorf("slot %d: extra row %v, known %v", slot, has, f.Known)
			}
			if has {
				extra++
			}
			if f.Known&model.KnownTimeout != 0 && f.Expires < t.flows.due[c] {
				return fmt.Errorf("slot %d runs out before its chunk is due", slot)
			}
		}
	}
	switch {
	case flows != t.stats.Flows || flows != t.index.count:
		return fmt.Errorf("%d flows; stats say %d, index %d", flows, t.stats.Flows, t.index.count)
	case extra != len(t.extra.rows):
		return fmt.Errorf("%d extra rows in use of %d", extra, len(t.extra.rows))
	case far != len(t.flows.far):
		return fmt.Errorf("%d rows with a reply of their own, of %d kept", far, len(t.flows.far))
	case *want != t.totals:
		return fmt.Errorf("totals differ from the flows")
	}
	return nil
}
