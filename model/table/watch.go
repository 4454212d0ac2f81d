package table

import (
	"slices"

	"ctview/model"
)

const (
	keepWatches  = 8   // flows watched at a time
	keepReadings = 60  // readings of counters kept of each
	keepHistory  = 200 // changes kept of each
)

// A Reading is one reading of a flow's counters with the rates since the one before.
type Reading struct {
	At               int64 // Unix nanoseconds
	Rate, PacketRate [2]float32
}

// watches are the flows of which more is kept than of others.
type watches struct {
	list []*watch // the one asked for last at the end
}

type watch struct {
	key     model.Key
	slot    uint32 // 0 while the table has no such flow
	samples []Reading
	changes []Change
}

// Watch keeps the last 60 readings of the flow's counters and the last 200 of its changes from now on, and begins with those that are kept of
// every flow, whose readings have no packet rate; of eight flows,
// then the one that was asked for longest ago goes. A flow that ends stays watched, and so does its next life.
func (t *Table) Watch(k model.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &t.watches
	for i, x := range w.list {
		if x.key == k {
			w.list = append(slices.Delete(w.list, i, i+1), x)
			return
		}
	}
	if len(w.list) == keepWatches {
		w.list = slices.Delete(w.list, 0, 1)
	}
	x := &watch{key: k, slot: t.index.find(&k, t.index.hash(&k))}
	x.changes = t.inLog(&k, nil)
	if x.slot != 0 {
		x.samples = t.pasts.of(x.slot, t.flows.at(x.slot), nil)
	}
	w.list = append(w.list, x)
}

// Readings appends to dst the readings of a flow that is watched, oldest first.
func (t *Table) Readings(k model.Key, dst []Reading) []Reading {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.watches.of(&k); w != nil {
		dst = append(dst, w.samples...)
	}
	return dst
}

func (w *watches) of(k *model.Key) *watch {
	for _, x := range w.list {
		if x.key == *k {
			return x
		}
	}
	return nil
}

func (w *watches) began(slot uint32, k *model.Key) {
	if len(w.list) == 0 {
		return
	}
	if x := w.of(k); x != nil {
		x.slot = slot
	}
}

func (w *watches) ended(slot uint32) {
	for _, x := range w.list {
		if x.slot == slot {
			x.slot = 0
		}
	}
}

func (w *watches) sample(slot uint32, f *row) {
	for _, x := range w.list {
		if x.slot == slot && f.Known&model.KnownRate != 0 {
			x.samples = appendLast(x.samples, keepReadings, Reading{f.CountersAt, f.Rate, f.PacketRate})
		}
	}
}

func (w *watches) note(c *Change) {
	if len(w.list) == 0 {
		return
	}
	if x := w.of(&c.Flow.Key); x != nil {
		x.changes = appendLast(x.changes, keepHistory, *c)
	}
}

// renew is note for a change that was noted already.
func (w *watches) renew(c *Change) {
	if x := w.of(&c.Flow.Key); x != nil {
		for i := range x.changes {
			if x.changes[i].Seq == c.Seq {
				x.changes[i] = *c
			}
		}
	}
}

// appendLast appends v to s and drops the first element when there are more than n.
func appendLast[T any](s []T, n int, v T) []T {
	if len(s) >= n {
		s = slices.Delete(s, 0, len(s)-n+1)
	}
	return append(s, v)
}
