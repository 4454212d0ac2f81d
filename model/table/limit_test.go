package table

import (
	"fmt"
	"testing"

	"ctview/model"
)

// TestLimit: a table that is full keeps what it has, right in everything, tells how much is left out, logs the events of all,
// and takes others where there is room again.
func TestLimit(t *testing.T) {
	const room = 5
	tab := New()
	tab.LimitTo(room * FlowBytes)
	row := func(i int, kind model.Kind) []model.Event {
		e := model.Event{Kind: kind, Has: model.HasOrig | model.HasID | model.HasStatus}
		e.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoUDP, Sport: uint16(i)}
		e.Flow.ID = uint32(i + 1)
		return []model.Event{e}
	}
	dump := func(now int64, flows ...int) {
		tab.BeginDump(now)
		for _, i := range flows {
			tab.Apply(now, row(i, model.Dump))
		}
		tab.EndDump(now, true)
	}
	check := func(when string, left int, flows ...int) {
		t.Helper()
		has := []int{}
		tab.Each(func(f *model.Flow, _ *model.Extra) bool { has = append(has, int(f.Sport)); return true })
		in := map[int]bool{}
		for _, i := range has {
			in[i] = true
		}
		ok := len(has) == len(flows)
		for _, i := range flows {
			ok = ok && in[i]
		}
		if s := tab.Stats(); !ok || s.Left != left || s.Flows != len(flows) || !s.Loaded && when != "while it loads" {
			t.Errorf("%s: %v, left %d; want %v, left %d", when, has, s.Left, flows, left)
		}
	}
	dump(second, 0, 1, 2, 3, 4, 5, 6, 7)
	check("after the first dump", 3, 0, 1, 2, 3, 4)
	tab.Apply(2*second, row(8, model.New))
	check("one more began", 4, 0, 1, 2, 3, 4)
	tab.Apply(3*second, row(7, model.Update))
	tab.Apply(3*second, row(2, model.Update))
	check("one that is left out changed", 4, 0, 1, 2, 3, 4)
	tab.Apply(4*second, row(2, model.Destroy))
	tab.Apply(4*second, row(6, model.Destroy))
	check("two ended", 4, 0, 1, 3, 4)
	tab.Apply(5*second, row(9, model.New))
	check("another has the place", 4, 0, 1, 3, 4, 9)
	tab.Apply(6*second, row(0, model.Destroy))
	dump(7*second, 1, 3, 4, 5, 7, 8, 9)
	check("after the next dump", 2, 1, 3, 4, 5, 9)
	for _, i := range []int{1, 3, 4} {
		tab.Apply(8*second, row(i, model.Destroy))
	}
	dump(9*second, 5, 7, 8, 9)
	check("when all fit", 0, 5, 7, 8, 9)

	var v ChangeView
	tab.Changes(&ChangeQuery{Limit: 100, Now: 9 * second}, &v)
	var log string
	for i := range v.Rows {
		if c := &v.Rows[i]; c.Kind != 0 {
			log += fmt.Sprint(c.Kind, c.Flow.Sport, " ")
		}
	}
	if want := "new 8 update 7 update 2 destroy 2 destroy 6 new 9 destroy 0 destroy 1 destroy 3 destroy 4 "; log != want {
		t.Errorf("logged %q, want %q", log, want)
	}
}
