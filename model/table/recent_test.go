package table

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"ctview/model"
	"ctview/model/filter"
)

// An aLife is a flow of the slow obvious list that Recent is held against.
type aLife struct {
	key        model.Key
	bytes      uint64
	begun, end int64 // 0: it is there
	stamped    bool  // the kernel told when it began
}

// lives keeps every life that it is told of, and tells a table of them.
type lives struct {
	t   *Table
	all []*aLife
	now int64
}

func (l *lives) open(k model.Key) *aLife {
	for _, x := range slices.Backward(l.all) {
		if x.key == k && x.end == 0 {
			return x
		}
	}
	return nil
}

func (l *lives) event(kind model.Kind, x *aLife) {
	e := model.Event{Kind: kind, Has: model.HasOrig | model.HasReply | model.HasStatus}
	e.Flow.Key = x.key
	e.Flow.Bytes[0], e.Flow.Known = x.bytes, model.KnownCounters
	if x.stamped {
		e.Flow.First, e.Start = x.begun, x.begun
		e.Flow.Known |= model.KnownStart
	}
	l.t.Apply(l.now, []model.Event{e})
}

func (l *lives) begin(k model.Key, r *rand.Rand) {
	if old := l.open(k); old != nil {
		old.end = l.now // its DESTROY is lost
	}
	x := &aLife{key: k, begun: l.now, stamped: r.IntN(2) == 0, bytes: uint64(r.IntN(1e6))}
	l.all = append(l.all, x)
	l.event(model.New, x)
}

// dump tells the table of what is there; of some it does not, which have ended since without a DESTROY.
func (l *lives) dump(r *rand.Rand) {
	l.t.BeginDump(l.now)
	for _, x := range l.all {
		if x.end != 0 {
			continue
		}
		if l.t.stats.Loaded && r.IntN(20) == 0 {
			x.end = l.now
			continue
		}
		l.event(model.Dump, x)
	}
	l.t.EndDump(l.now, true)
}

func testKey(i int) model.Key {
	return model.Key{Src: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: byte(i % 7)}, Dst: [16]byte{10: 0xff, 11: 0xff, 12: 20},
		Sport: uint16(i), Dport: []uint16{443, 80, 53}[i%3], Proto: model.ProtoTCP, Family: model.IPv4}
}

// TestRecent holds Recent to a list of every life that there was: what began and ended, filtered, in order and in groups.
func TestRecent(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := &lives{t: New(), now: 1e18}
		for i := range 30 {
			k := testKey(1000 + i)
			l.all = append(l.all, &aLife{key: k, begun: 1e18 - 100*second, bytes: 7})
		}
		l.dump(r)
		loaded := l.now
		for range 400 {
			l.now += r.Int64N(second)
			k := testKey(r.IntN(90))
			if r.IntN(8) == 0 {
				k = testKey(1000 + r.IntN(30))
			}
			switch x := l.open(k); {
			case r.IntN(60) == 0:
				l.dump(r)
			case x == nil || r.IntN(15) == 0:
				l.begin(k, r)
			case r.IntN(8) == 0 && l.now-x.begun > 3*second:
				l.t.Gone(l.now, []model.Key{k})
				x.end = l.now
			default:
				l.event(model.Destroy, x)
				x.end = l.now
			}
		}
		l.now += r.Int64N(second)
		for _, back := range []int64{5 * second, 30 * second, 1000 * second} {
			for _, text := range []string{"", "dport 443", "ended", "not ended", "lived < 5s", "ended 3s", "ended > 3s", "age < 4s", "not (lived > 2s or dport 80)"} {
				l.compare(t, loaded, max(l.now-back, loaded), text)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// matches is the filter, as slowly as can be.
func (x *aLife) matches(text string, now, loaded int64) bool {
	ended := x.end != 0
	end := now
	if ended {
		end = x.end
	}
	age, known := (end-x.begun)/second, x.stamped || x.begun > loaded
	past := (now - end) / second
	switch text {
	case "dport 443":
		return x.key.Dport == 443
	case "ended":
		return ended
	case "not ended":
		return !ended
	case "lived < 5s":
		return ended && known && age < 5
	case "ended 3s":
		return ended && past <= 3
	case "ended > 3s":
		return ended && past > 3
	case "age < 4s":
		return known && age < 4
	case "not (lived > 2s or dport 80)":
		return x.key.Dport != 80 && (!ended || known && age <= 2)
	}
	return true
}

func (l *lives) compare(t *testing.T, loaded, since int64, text string) {
	t.Helper()
	f, err := filter.Parse(text, filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var begun, ended, all, port443 int
	type sum struct{ begun, ended, now int }
	groups := map[string]sum{}
	for _, x := range l.all {
		began, isEnded := x.begun >= since && x.begun > loaded, x.end != 0 && x.end >= since
		if began || isEnded {
			all++
		}
		if x.end != 0 && !isEnded || !x.matches(text, l.now, loaded) {
			continue
		}
		src := fmt.Sprintf("10.0.0.%d", x.key.Src[15])
		g := groups[src]
		if began {
			begun++
			g.begun++
		}
		if isEnded {
			ended++
			g.ended++
		} else {
			g.now++
			if x.key.Dport == 443 {
				port443++
			}
		}
		groups[src] = g
		if began || isEnded {
			want = append(want, fmt.Sprint(x.key.Sport, " ", x.end, " ", began))
		}
	}
	q := RecentQuery{Filter: f, Since: since, Now: l.now, Limit: 1000, Desc: true}
	var v RecentView
	l.t.Recent(&q, &v)
	var got []string
	for i := range v.Rows {
		got = append(got, fmt.Sprint(v.Rows[i].Flow.Sport, " ", v.Rows[i].End, " ", v.Rows[i].Began))
		if i > 0 && when(&v.Rows[i]) > when(&v.Rows[i-1]) {
			t.Errorf("%q: row %d is newer than the one before", text, i)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || v.Begun != begun || v.Ended != ended || v.All != all || v.Changes != len(want) || v.Matched != len(want) {
		t.Errorf("%q since %d: begun %d ended %d of %d, want begun %d ended %d of %d; rows (-want +got):\n%s", text, since, v.Begun, v.Ended, v.All, begun, ended, all, gocmp.Diff(want, got))
	}
	l.compareOrders(t, q, f)
	if q.Filter.Lasting() && v.Port.Port == 443 && v.Port.Now != port443 {
		t.Errorf("%q: port 443 has %d flows now, want %d", text, v.Port.Now, port443)
	}
	q.Keys, _ = ParseGroupKeys("src")
	l.t.Recent(&q, &v)
	seen := 0
	for _, g := range v.Groups {
		w := groups[g.Values[0]]
		seen += w.begun + w.ended
		if g.Begun != w.begun || g.Ended != w.ended || g.Now != w.now || g.Then != w.now+w.ended-w.begun {
			t.Errorf("%q: group %v is %+v, want %+v", text, g.Values, g, w)
		}
	}
	if seen != begun+ended {
		t.Errorf("%q: the groups have %d, want %d", text, seen, begun+ended)
	}
}

func when(r *RecentRow) int64 { return max(r.End, r.Flow.First) }

// compareOrders holds windows in every order to sorted rows.
func (l *lives) compareOrders(t *testing.T, q RecentQuery, f *filter.Filter) {
	t.Helper()
	slow := map[model.Column]func(a, b *RecentRow) int{
		model.ColNone:  func(a, b *RecentRow) int { return cmp.Compare(when(a), when(b)) },
		model.ColBytes: func(a, b *RecentRow) int { return cmp.Compare(a.Flow.Bytes[0], b.Flow.Bytes[0]) },
		model.ColDport: func(a, b *RecentRow) int { return cmp.Compare(a.Flow.Dport, b.Flow.Dport) },
		model.ColAge: func(a, b *RecentRow) int {
			if a.End == 0 || b.End == 0 {
				return 0 // see below
			}
			return cmp.Compare(a.End-a.Flow.First, b.End-b.Flow.First)
		},
	}
	for col, order := range slow {
		for _, desc := range []bool{false, true} {
			q.Sort, q.Desc, q.Offset, q.Limit, q.HasAnchor = col, desc, 0, 10000, false
			var whole, part RecentView
			l.t.Recent(&q, &whole)
			for i := 1; i < len(whole.Rows); i++ {
				n := order(&whole.Rows[i-1], &whole.Rows[i])
				if col == model.ColAge && whole.Rows[i-1].End == 0 && whole.Rows[i].End != 0 {
					t.Errorf("by what it lived: one that is there comes before one that ended")
				}
				if n > 0 && !desc || n < 0 && desc {
					t.Errorf("order %v desc %v: rows %d and %d are wrong", col, desc, i-1, i)
				}
			}
			q.Offset, q.Limit = len(whole.Rows)/2, 5
			if len(whole.Rows) > 0 {
				q.Anchor, q.HasAnchor = whole.Rows[len(whole.Rows)/3].ID(), true
			}
			l.t.Recent(&q, &part)
			for i := range part.Rows {
				if part.Rows[i].ID() != whole.Rows[part.Offset+i].ID() || part.Rows[i].End != whole.Rows[part.Offset+i].End {
					t.Errorf("order %v: row %d of a window is another", col, i)
				}
			}
			if len(whole.Rows) > 0 && (part.AnchorAt < 0 || whole.Rows[part.AnchorAt].ID() != q.Anchor) {
				t.Errorf("order %v: the anchor is at %d", col, part.AnchorAt)
			}
		}
	}
}

// TestEndsRoom: what ended is kept for five minutes, or since a time that is asked for, and never more of it than there is room for, which is told.
func TestEndsRoom(t *testing.T) {
	run := func(tab *Table, from, step int64, n int) int64 {
		for i := range n {
			e := model.Event{Kind: model.Destroy}
			e.Flow.Key = testKey(i)
			from += step
			tab.Apply(from, []model.Event{e})
		}
		return from
	}
	load := func() *Table {
		tab := New()
		tab.BeginDump(1e18)
		tab.EndDump(1e18, true)
		return tab
	}
	ask := func(tab *Table, since, now int64) *RecentView {
		v := &RecentView{}
		tab.Recent(&RecentQuery{Since: since, Now: now, Limit: 1}, v)
		return v
	}
	tab := load()
	now := run(tab, 1e18, second, 20000)
	if n := tab.ends.len(); n > 300+2*endChunk || len(tab.ends.chunks) > 2 {
		t.Errorf("one a second: %d are kept", n)
	}
	if v := ask(tab, now-300*second, now); v.Ended != 301 || v.Cut {
		t.Errorf("one a second: %d ended in five minutes, cut %v", v.Ended, v.Cut)
	}
	if v := ask(tab, now-3000*second, now); v.Ended > 300+2*endChunk || !v.Cut || v.From <= now-3000*second {
		t.Errorf("of what is gone: %d, cut %v, from %d", v.Ended, v.Cut, v.From)
	}

	tab = load()
	tab.KeepEndsSince(1e18 + 10*second)
	now = run(tab, 1e18, second, 20000)
	if v := ask(tab, 1e18+10*second, now); v.Ended != 19991 || v.Cut {
		t.Errorf("since a time: %d, cut %v", v.Ended, v.Cut)
	}

	tab = load()
	now = run(tab, 1e18, 1000, KeepEnds+1000)
	v := ask(tab, 1e18, now)
	if tab.ends.len() > KeepEnds || v.Ended < KeepEnds-endChunk || !v.Cut || v.From != tab.ends.dropAt+1 {
		t.Errorf("a storm: %d kept, %d told, cut %v", tab.ends.len(), v.Ended, v.Cut)
	}
	if first := tab.ends.at(0).at; v.From > first || first-v.From > 1000 {
		t.Errorf("told from %d, the oldest kept is of %d", v.From, first)
	}
}

// TestEndsExtra: labels of a flow that ended are asked for as those of one that is there, and go with it.
func TestEndsExtra(t *testing.T) {
	tab := New()
	tab.BeginDump(1)
	tab.EndDump(1, true)
	for i := range 3 * endChunk {
		now := int64(i+2) * second
		e := model.Event{Kind: model.New, Has: model.HasLabels}
		e.Flow.Key = testKey(i)
		e.Extra.Labels.Set(i % 2)
		tab.Apply(now, []model.Event{e})
		e.Kind, e.Has = model.Destroy, 0
		tab.Apply(now, []model.Event{e})
	}
	now := int64(3*endChunk+1) * second
	f, err := filter.Parse("label 1", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var v RecentView
	tab.Recent(&RecentQuery{Filter: f, Since: now - 99*second, Now: now, Limit: 10}, &v)
	if v.Ended != 50 || len(v.Rows) != 10 || !v.Rows[0].Extra.Labels.Bit(1) {
		t.Errorf("%d of 100 have label 1, %d rows", v.Ended, len(v.Rows))
	}
	if n := len(tab.ends.extra); n != tab.ends.len() {
		t.Errorf("labels of %d are kept, of %d ends", n, tab.ends.len())
	}
}

// TestEndsOnce: a flow that was found gone before its DESTROY came ended once, as the DESTROY tells.
func TestEndsOnce(t *testing.T) {
	for _, how := range []string{"dump", "gone", "began again"} {
		tab := New()
		tab.BeginDump(1)
		tab.EndDump(1, true)
		e := model.Event{Kind: model.New, Has: model.HasID}
		e.Flow.Key, e.Flow.ID = testKey(1), 77
		tab.Apply(10*second, []model.Event{e})
		switch how {
		case "dump":
			tab.BeginDump(20 * second)
			tab.EndDump(20*second, true)
		case "gone":
			tab.Gone(20*second, []model.Key{e.Flow.Key})
		default:
			next := e
			next.Flow.ID = 78
			tab.Apply(20*second, []model.Event{next})
		}
		var v RecentView
		q := &RecentQuery{Since: 2, Now: 30 * second, Limit: 10, Sort: model.ColAge}
		tab.Recent(q, &v)
		if v.Ended != 1 || !v.Rows[0].Silent || v.Rows[0].End != 20*second {
			t.Errorf("%s: before the DESTROY %d ended: %+v", how, v.Ended, v.Rows)
		}
		e.Kind, e.Flow.Known, e.Flow.Bytes[0] = model.Destroy, model.KnownCounters, 4242
		e.Has, e.Time = e.Has|model.HasTime, 19*second
		tab.Apply(21*second, []model.Event{e})
		tab.Recent(q, &v)
		if v.Ended != 1 || v.Rows[0].Silent || v.Rows[0].End != 19*second || v.Rows[0].Flow.Bytes[0] != 4242 {
			t.Errorf("%s: after it %d ended: %+v", how, v.Ended, v.Rows[0])
		}
	}
}

// TestRecentPort: the port that lost most is told, one that gained where none lost, and none where nothing much happened.
func TestRecentPort(t *testing.T) {
	tab := New()
	tab.BeginDump(1)
	n := 0
	apply := func(kind model.Kind, port uint16, count int) {
		for i := range count {
			e := model.Event{Kind: kind}
			e.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoTCP, Dport: port, Sport: uint16(i)}
			tab.Apply(int64(10+n)*second, []model.Event{e})
		}
		n++
	}
	ask := func(text string) PortChange {
		f, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var v RecentView
		tab.Recent(&RecentQuery{Filter: f, Since: 2, Now: 100 * second}, &v)
		return v.Port
	}
	for i := range 112 {
		e := model.Event{Kind: model.Dump}
		e.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoTCP, Dport: 443, Sport: uint16(i)}
		tab.Apply(1, []model.Event{e})
	}
	tab.EndDump(1, true)
	if got := ask(""); got != (PortChange{}) {
		t.Errorf("nothing happened, and port %+v is told of", got)
	}
	apply(model.New, 25, 30)
	apply(model.New, 80, 4)
	if got := ask(""); got != (PortChange{25, 0, 30}) {
		t.Errorf("port %+v gained most", got)
	}
	apply(model.Destroy, 443, 102)
	if got := ask(""); got != (PortChange{443, 112, 10}) {
		t.Errorf("port %+v lost most", got)
	}
	if got := ask("dport {25, 80}"); got != (PortChange{25, 0, 30}) {
		t.Errorf("of two ports, %+v", got)
	}
	if got := ask("ended"); got != (PortChange{}) {
		t.Errorf("what ended has no flows now, and yet %+v is told", got)
	}
}

func BenchmarkRecent(b *testing.B) {
	for _, n := range benchSizes {
		for _, by := range []string{"", "src", "dport"} {
			b.Run(fmt.Sprintf("%d/%s", n, by), func(b *testing.B) {
				t := New()
				t.BeginDump(0)
				fillBench(t, n)
				t.EndDump(1, true)
				for i := range KeepEnds {
					t.Apply(1e18+60*second+int64(i), []model.Event{benchEvent(i, model.Destroy), benchEvent(i+n, model.New)})
				}
				q := &RecentQuery{Since: 1e18 + 50*second, Now: 1e18 + 70*second, Limit: 150, Desc: true}
				if by != "" {
					q.Keys, _ = ParseGroupKeys(by)
				}
				var v RecentView
				t.Recent(q, &v)
				b.ResetTimer()
				for range b.N {
					t.Recent(q, &v)
				}
			})
		}
	}
}
