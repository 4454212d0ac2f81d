package table

import (
	"testing"

	"ctview/model"
)

// TestWalk: walks that begin at 0 to k-1 with a stride of k see every flow once, whatever the size of a slice.
func TestWalk(t *testing.T) {
	tab := New()
	const flows = 10_000
	for i := range flows {
		tab.Apply(1, []model.Event{ev(model.New, func(e *model.Event) { e.Flow.Key = fakeKey(i) })})
	}
	for i := range flows / 10 { // holes
		tab.Apply(2, []model.Event{ev(model.Destroy, func(e *model.Event) { e.Flow.Key = fakeKey(i * 10) })})
	}
	for _, stride := range []uint32{0, 1, 7} {
		seen := map[model.Key]int{}
		for from := range max(stride, 1) {
			for next := from; ; {
				if next = tab.Walk(next, stride, 333, func(f *model.Flow) { seen[f.Key]++ }); next == 0 {
					break
				}
			}
		}
		if len(seen) != flows*9/10 {
			t.Errorf("stride %d: %d flows seen, want %d", stride, len(seen), flows*9/10)
		}
		for k, n := range seen {
			if n != 1 {
				t.Fatalf("stride %d: %v seen %d times", stride, k, n)
			}
		}
	}
	if next := New().Walk(0, 1, 10, func(*model.Flow) { t.Error("a flow in an empty table") }); next != 0 {
		t.Errorf("an empty table goes on at %d", next)
	}
}
