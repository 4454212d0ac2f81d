package table

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/filter"
)

// line says one change in a line: what tests compare.
func line(c *Change) string {
	s := fmt.Sprintf("%d ", (c.Time-at0)/1e6)
	switch c.Note {
	case NoteLost:
		return s + fmt.Sprintf("lost %d", c.Lost)
	case NoteResync:
		return s + fmt.Sprintf("resync +%d -%d in %d repaired %v", c.Added, c.Removed, c.Took/1e6, c.Repaired)
	case NoteExpect:
		return s + "expect " + c.Kind.String() + " " + c.Flow.Helper.String()
	case NoteGone:
		s += "silently "
	}
	s += c.Kind.String() + " " + c.Flow.StateText()
	if c.Changed&ChangedState != 0 {
		s += " from " + c.OldStateText()
	}
	if c.Changed&ChangedStatus != 0 {
		s += fmt.Sprintf(" status +%v", c.Flow.Status&^c.OldStatus)
	}
	if c.Changed&ChangedMark != 0 {
		s += fmt.Sprintf(" mark %d>%d", c.OldMark, c.Flow.Mark)
	}
	if c.Changed&ChangedHelper != 0 {
		s += fmt.Sprintf(" helper %q>%q", c.OldHelper, c.Flow.Helper)
	}
	if c.Changed&ChangedReply != 0 {
		s += " reply"
	}
	if c.Changed&ChangedLabels != 0 {
		s += " labels"
	}
	if c.Kind == model.Destroy {
		s += fmt.Sprintf(" %d bytes in %d", c.Flow.Bytes[0]+c.Flow.Bytes[1], c.Life/1e6)
	}
	return s
}

func lines(cs []Change) string {
	var b strings.Builder
	for i := range cs {
		b.WriteString(line(&cs[i]) + "\n")
	}
	return b.String()
}

// story is a flow's life with all that can happen to the log.
func story() *Table {
	tab := New()
	at := func(ms int64, e model.Event) { tab.Apply(at0+ms*1e6, []model.Event{e}) }
	tab.BeginDump(at0)
	tab.EndDump(at0, true)
	at(1, ev(model.New, state(1)))
	at(2, ev(model.Update, state(2), status(model.StatusSeenReply)))
	at(3, ev(model.Update, state(3), status(model.StatusSeenReply|model.StatusAssured), mark(5), helper("ftp"), label(1)))
	at(4, ev(model.Update, status(model.StatusSeenReply|model.StatusAssured)))
	tab.Lost(at0+5e6, 412)
	tab.BeginDump(at0 + 6e6)
	at(7, ev(model.Dump, func(e *model.Event) { e.Flow.Key = fakeKey(2) }, start(at0+2e6)))
	at(7, ev(model.Update, status(model.StatusSeenReply|model.StatusAssured)))
	tab.EndDump(at0+8e6, true)
	at(9, ev(model.Destroy, counters(at0+9e6, 100, 2), status(model.StatusDying)))
	tab.Gone(at0+10e6, []model.Key{fakeKey(2)})
	tab.ApplyExpect(at0+11e6, &model.Expect{Kind: model.New, Helper: "ftp"})
	return tab
}

const storyText = `1 new SYN_SENT
2 update SYN_RECV from SYN_SENT status +SEEN_REPLY
3 update ESTABLISHED from SYN_RECV status +ASSURED mark 0>5 helper "">"ftp" labels
4 update ESTABLISHED mark 5>0
5 lost 412
7 update ESTABLISHED
8 resync +1 -0 in 2 repaired true
9 destroy ESTABLISHED 150 bytes in 8
10 silently destroy unreplied 0 bytes in 8
11 expect new ftp
`

func TestChanges(t *testing.T) {
	tab := story()
	var v ChangeView
	tab.Changes(&ChangeQuery{Limit: 50, Now: at0 + 1e9}, &v)
	if got := lines(v.Rows); got != storyText {
		t.Errorf("got\n%swant\n%s", got, storyText)
	}
	if v.Matched != 10 || v.Kept != 10 || v.First != 1 || v.Last != 10 || v.PerSec != 0.8 {
		t.Errorf("matched %d kept %d from %d to %d, %v a second", v.Matched, v.Kept, v.First, v.Last, v.PerSec)
	}
	flt, err := filter.Parse("state established", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(strings.TrimSuffix(storyText, "\n"), "\n")
	pick := func(n ...int) string {
		s := ""
		for _, i := range n {
			s += strings.TrimSuffix(all[i], "\n") + "\n"
		}
		return s
	}
	for _, tt := range []struct {
		name           string
		q              ChangeQuery
		want           string
		matched, newer int
	}{
		{"kinds", ChangeQuery{Kinds: KindNew | KindDestroy, Limit: 9}, pick(0, 4, 6, 7, 8), 5, 0},
		{"expectations", ChangeQuery{Kinds: KindExpect, Limit: 9}, pick(4, 6, 9), 3, 0},
		{"filter", ChangeQuery{Filter: flt, Kinds: KindUpdate, Limit: 9}, pick(2, 3, 4, 5, 6), 5, 0},
		{"window", ChangeQuery{Limit: 3, Offset: 2}, pick(5, 6, 7), 10, 0},
		{"before the oldest", ChangeQuery{Limit: 3, Offset: 99}, pick(0, 1, 2), 10, 0},
		{"paused", ChangeQuery{Limit: 2, Until: 4}, pick(2, 3), 4, 6},
		{"paused, scrolled too far", ChangeQuery{Limit: 3, Until: 4, Offset: 3}, pick(0, 1, 2), 4, 6},
		{"count", ChangeQuery{}, "", 10, 0},
	} {
		tab.Changes(&tt.q, &v)
		if got := lines(v.Rows); got != tt.want || v.Matched != tt.matched || v.Newer != tt.newer {
			t.Errorf("%s: %d match, %d newer, got\n%swant %d, %d\n%s", tt.name, v.Matched, v.Newer, got, tt.matched,
				tt.newer, tt.want)
		}
	}
}

// TestChangesKnowExtras: filters of the log see what few flows have, as it was when it happened, as long as the change is kept.
func TestChangesKnowExtras(t *testing.T) {
	tab := New()
	at := func(ms int64, e model.Event) { tab.Apply(at0+ms*1e6, []model.Event{e}) }
	child := func(e *model.Event) {
		e.Extra.Master = model.Tuple{Dport: 21, Proto: model.ProtoTCP, Family: model.IPv4}
		e.Extra.Secctx, e.Has = "system_u", e.Has|model.HasMaster|model.HasSecctx
	}
	at(1, ev(model.New, child))
	at(2, ev(model.Update, label(1)))
	at(3, ev(model.Destroy))
	at(4, ev(model.New)) // the same key again, with none of that
	at(5, ev(model.Destroy, child))
	at(6, ev(model.Destroy, child, func(e *model.Event) { e.Flow.Key = fakeKey(7) })) // never heard of
	tab.ApplyExpect(at0+7e6, &model.Expect{Kind: model.New, Master: model.Tuple{Dport: 21, Proto: model.ProtoTCP, Family: model.IPv4}})
	matched := func(text string) int {
		f, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var v ChangeView
		tab.Changes(&ChangeQuery{Filter: f, Limit: 9, Now: at0 + 1e9}, &v)
		return v.Matched
	}
	for text, want := range map[string]int{"master dport 21": 5, "label 1": 2, "label none": 5, `secctx system_u`: 4, "ended": 3, "not ended": 4,
		"ended and label 1": 1} {
		if got := matched(text); got != want {
			t.Errorf("%s: %d changes match, want %d", text, got, want)
		}
	}
	for range keepChanges {
		at(9, ev(model.New, func(e *model.Event) { e.Flow.Key = fakeKey(9) }))
	}
	if got := matched("master dport 21"); got != 0 || len(tab.log.extra) != 0 {
		t.Errorf("%d match, %d extras are kept of changes that are not", got, len(tab.log.extra))
	}
}

func TestHistory(t *testing.T) {
	tab := story()
	want := "1 new SYN_SENT\n"
	if got := lines(tab.History(fakeKey(1), nil)[:1]); got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if n := len(tab.History(fakeKey(1), nil)); n != 6 {
		t.Errorf("%d changes of the flow, want 6", n)
	}
	if n := len(tab.History(fakeKey(3), nil)); n != 0 {
		t.Errorf("%d changes of no flow", n)
	}
}

// TestLogRing runs the log over: what is kept is the newest, and a watched flow keeps its own.
func TestLogRing(t *testing.T) {
	tab := New()
	tab.Apply(at0, []model.Event{ev(model.New, state(1))})
	tab.Watch(fakeKey(1))
	for i := range keepChanges + 777 {
		tab.Apply(at0+int64(i)*1e6, []model.Event{benchEvent(i, model.New)})
	}
	var v ChangeView
	tab.Changes(&ChangeQuery{Limit: 1, Until: 5}, &v)
	if len(v.Rows) != 0 || v.Matched != 0 || v.Newer != keepChanges {
		t.Errorf("paused at what is forgotten: %d rows of %d, %d newer", len(v.Rows), v.Matched, v.Newer)
	}
	tab.Changes(&ChangeQuery{Limit: keepChanges + 1}, &v)
	if v.Kept != keepChanges || v.First != 779 || v.Last != keepChanges+778 || len(v.Rows) != keepChanges {
		t.Errorf("kept %d, %d to %d, %d rows", v.Kept, v.First, v.Last, len(v.Rows))
	}
	if !slices.IsSortedFunc(v.Rows, func(a, b Change) int { return int(a.Seq) - int(b.Seq) }) {
		t.Error("rows are not in order")
	}
	if got := lines(tab.History(fakeKey(1), nil)); got != "0 new SYN_SENT\n" {
		t.Errorf("history of the watched flow: %q", got)
	}
	tab.Apply(at0+3e9, []model.Event{ev(model.Update, state(2))})
	if got := lines(tab.History(fakeKey(1), nil)); got != "0 new SYN_SENT\n3000 update SYN_RECV from SYN_SENT\n" {
		t.Errorf("history of the watched flow: %q", got)
	}
}

func TestReadings(t *testing.T) {
	tab := New()
	key := fakeKey(1)
	tab.Watch(key) // before there is such a flow
	for i := range int64(keepReadings + 12) {
		at := at0 + i*second
		tab.Apply(at, []model.Event{ev(model.Dump, counters(at, uint64(100*i*i), uint64(i)))})
	}
	got := tab.Readings(key, nil)
	if len(got) != keepReadings {
		t.Fatalf("%d readings, want %d", len(got), keepReadings)
	}
	for i, r := range got {
		n := int64(12 + i)
		if r.At != at0+n*second || r.Rate[0] != float32(100*n*n-100*(n-1)*(n-1)) || r.PacketRate[0] != 1 {
			t.Fatalf("reading %d: %+v", i, r)
		}
	}
	tab.Apply(at0+100e9, []model.Event{ev(model.Destroy)})
	if n := len(tab.Readings(key, nil)); n != keepReadings {
		t.Errorf("%d readings after the end, want %d", n, keepReadings)
	}
	for i := range keepWatches {
		tab.Watch(fakeKey(10 + i))
	}
	if n := len(tab.Readings(key, nil)); n != 0 {
		t.Errorf("%d readings of a flow that others have pushed out", n)
	}
}

func TestSeconds(t *testing.T) {
	tab := New()
	at := func(s int64, evs ...model.Event) { tab.Apply(at0+s*second, evs) }
	at(0, benchEvent(1, model.New), benchEvent(2, model.New))
	at(0, benchEvent(1, model.Update))
	at(3, benchEvent(1, model.Destroy))
	tab.Lost(at0+3*second, 9)
	got := tab.Seconds(at0+5*second, nil)
	want := []Second{
		{At: at0, New: 2, Update: 1, Flows: 2},
		{At: at0 + second, Flows: 2},
		{At: at0 + 2*second, Flows: 2},
		{At: at0 + 3*second, Destroy: 1, Lost: 9, Flows: 1},
		{At: at0 + 4*second, Flows: 1},
		{At: at0 + 5*second, Flows: 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	at(2, benchEvent(3, model.New)) // the clock was set back a little
	at(5000, benchEvent(4, model.New))
	got = tab.Seconds(at0+5000*second, nil)
	if len(got) != keepSeconds || got[0].At != at0+4401*second || got[0].Flows != 2 || got[599].New != 1 {
		t.Errorf("after a long silence: %d seconds, %+v to %+v", len(got), got[0], got[len(got)-1])
	}
	at(10, benchEvent(5, model.New)) // and a lot
	if got = tab.Seconds(at0+10*second, nil); len(got) != 1 || got[0].New != 1 {
		t.Errorf("after the clock was set back: %+v", got)
	}
}

func TestBreakdown(t *testing.T) {
	tab := New()
	udp := func(e *model.Event) { e.Flow.Proto = model.ProtoUDP }
	zone := func(e *model.Event) { e.Flow.Zone = 5 }
	port := func(p uint16) func(*model.Event) {
		return func(e *model.Event) { e.Flow.Sport, e.Flow.ReplyDport = p, p }
	}
	tab.Apply(at0, []model.Event{
		ev(model.New, state(1)), ev(model.Update, state(3)),
		ev(model.New, port(2), state(3), helper("ftp"), status(model.StatusExpected)),
		ev(model.New, port(3), state(3), status(model.StatusSrcNAT|model.StatusSeenReply)),
		ev(model.New, port(4), udp, zone, status(model.StatusSrcNAT|model.StatusDstNAT)),
		ev(model.New, port(5), udp, zone), ev(model.Destroy, port(5), udp, zone),
	})
	var b Breakdown
	for range 2 {
		tab.Breakdown(&b)
		got := fmt.Sprint(b.Flows, b.States, b.Zones, b.SNAT, b.DNAT, b.NoNAT, len(b.Helpers))
		if want := "4 [{tcp ESTABLISHED 3} {udp unreplied 1}] [{0 3} {5 1}] 2 1 2 2"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if want := [...]int{0, 2, 1, 1}; b.CtStates != want {
			t.Errorf("flows by ct state %v, want %v", b.CtStates, want)
		}
		if b.Helpers[0].Helper != 0 || b.Helpers[0].Flows != 3 || b.Helpers[1].Helper.String() != "ftp" {
			t.Errorf("helpers %+v", b.Helpers)
		}
	}
}

// TestLateDestroy: a DESTROY that comes after all takes the place of the entry that said that none came; one of another life
// does not.
func TestLateDestroy(t *testing.T) {
	tab := New()
	tab.BeginDump(at0)
	tab.EndDump(at0, true)
	tab.Watch(fakeKey(1))
	tab.Apply(at0, []model.Event{ev(model.New, state(1), id(7))})
	tab.Gone(at0+5e9, []model.Key{fakeKey(1)})
	var v ChangeView
	check := func(want string) {
		t.Helper()
		tab.Changes(&ChangeQuery{Limit: 9}, &v)
		if got := lines(v.Rows); got != want {
			t.Errorf("log:\n%swant\n%s", got, want)
		}
		if got := lines(tab.History(fakeKey(1), nil)); got != want {
			t.Errorf("history:\n%swant\n%s", got, want)
		}
	}
	born := "0 new SYN_SENT\n"
	check(born + "5000 silently destroy SYN_SENT 0 bytes in 5000\n")
	late := ev(model.Destroy, counters(at0+6e9, 100, 2), id(7))
	other := ev(model.Destroy, id(8))
	tab.Apply(at0+6e9, []model.Event{other})
	check(born + "5000 silently destroy SYN_SENT 0 bytes in 5000\n6000 destroy unreplied 0 bytes in 0\n")
	tab.Apply(at0+7e9, []model.Event{late})
	check(born + "5000 destroy SYN_SENT 150 bytes in 5000\n6000 destroy unreplied 0 bytes in 0\n")
}

// TestLossesBehindEachOther: what is lost with nothing in between is one entry of the log.
func TestLossesBehindEachOther(t *testing.T) {
	tab := New()
	tab.Lost(at0, 7)
	tab.Lost(at0+1e6, 3)
	tab.Apply(at0+2e6, []model.Event{ev(model.New)})
	tab.Lost(at0+3e6, 1)
	var v ChangeView
	tab.Changes(&ChangeQuery{Limit: 9, Now: at0 + 1e9}, &v)
	if got, want := lines(v.Rows), "0 lost 10\n2 new SYN_SENT\n3 lost 1\n"; !strings.HasPrefix(got, "0 lost 10\n") || !strings.HasSuffix(got, "\n3 lost 1\n") || v.Matched != 3 {
		t.Errorf("%d entries:\n%swant like\n%s", v.Matched, got, want)
	}
}

// TestReadingsFromTheStart: what is told of a flow that is watched from now on is what would be told had it been watched from the start, rests
// included, and nothing of a flow that had its slot before.
func TestReadingsFromTheStart(t *testing.T) {
	early, late := New(), New()
	row := func(sport int, id uint32, bytes uint64, at int64, kind model.Kind) []model.Event {
		e := model.Event{Kind: kind, Has: model.HasID | model.HasCountersOrig}
		e.Flow.Key, e.Flow.ID, e.Flow.Bytes[0], e.Flow.CountersAt, e.Flow.Known = fakeKey(sport), id, bytes, at, model.KnownCounters
		return []model.Event{e}
	}
	early.Watch(fakeKey(2))
	for _, tab := range []*Table{early, late} {
		for i := range int64(5) { // another flow in the slot
			tab.Apply((i+1)*second, row(1, 7, uint64(i*i*100), (i+1)*second, model.Dump))
		}
		tab.Apply(6*second, row(1, 7, 9999, 6*second, model.Destroy))
		bytes := uint64(0)
		for i := range int64(50) {
			if i < 10 || i > 30 {
				bytes += uint64(100 * i)
			}
			at := (10 + i) * second
			tab.Apply(at, row(2, 8, bytes, at, model.Dump))
		}
	}
	late.Watch(fakeKey(2))
	// at tells the rate at a second: a reading stands for the time since the one before.
	at := func(tab *Table, s int64) float32 {
		for _, r := range tab.Readings(fakeKey(2), nil) {
			if r.At >= s*second {
				return r.Rate[0]
			}
		}
		return 0
	}
	for s := int64(12); s < 60; s++ {
		if x, y := at(early, s), at(late, s); x != y {
			t.Errorf("second %d: %v where it was watched, %v where it was not", s, x, y)
		}
	}
	if n := len(late.Readings(fakeKey(2), nil)); n < 25 || n > 35 {
		t.Errorf("%d readings", n)
	}
	for i := range keepPasts + 10 {
		late.pasts.add(past{at: int64(i)})
	}
	if len(late.pasts.ring) != keepPasts {
		t.Errorf("%d readings are kept", len(late.pasts.ring))
	}
}
