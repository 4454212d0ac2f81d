package table

import (
	"cmp"
	"slices"

	"ctview/model"
)

// An item stands for a flow while its place is sought. The key is in two halves to make it 12 bytes: of a million
// flows that is 4 MB less.
type item struct {
	hi, lo uint32
	slot   uint32
}

func newItem(key uint64, slot uint32) item { return item{uint32(key >> 32), uint32(key), slot} }

func (x item) key() uint64 { return uint64(x.hi)<<32 | uint64(x.lo) }

func (x *item) setKey(key uint64) { x.hi, x.lo = uint32(key>>32), uint32(key) }

// A sorter puts the items of a window in their places and leaves the others where they fall: a screen of a million
// rows needs a few passes, not a sort. Items whose keys agree are told apart by the next key, in the end by slot, so
// that rows do not flicker.
type sorter struct {
	keys []keyFunc
	desc bool
	at   func(slot uint32) *model.Flow
}

// key returns an item's key of a level; past the last key that is the slot.
func (o *sorter) key(slot uint32, level int) uint64 {
	if level >= len(o.keys) {
		return uint64(slot)
	}
	return o.turn(o.keys[level](o.at(slot), slot))
}

// turn reverses a key if the order is descending.
func (o *sorter) turn(k uint64) uint64 {
	if o.desc && k != noKey {
		return maxKey - k
	}
	return k
}

// window arranges items, whose keys are of a level, so that those of [a, b) are the ones that a sort would put there.
// It may be called again with another window.
func (o *sorter) window(items []item, a, b, level int) {
	for {
		a, b = max(a, 0), min(b, len(items))
		if a >= b || len(items) < 2 {
			return
		}
		if len(items) <= 24 || a == 0 && b == len(items) {
			o.sort(items, a, b, level)
			return
		}
		i, j := partition(items, pivot(items, a, b))
		if a < i {
			o.window(items[:i], a, b, level)
		}
		if a < j && b > i {
			o.ties(items[i:j], a-i, b-i, level)
		}
		items, a, b = items[j:], a-j, b-j
	}
}

// sort sorts all items and what of [a, b) is tied.
func (o *sorter) sort(items []item, a, b, level int) {
	slices.SortFunc(items, func(x, y item) int { return cmp.Compare(x.key(), y.key()) })
	for i := 0; i < b; {
		j := i + 1
		for j < len(items) && items[j].key() == items[i].key() {
			j++
		}
		if j > a {
			o.ties(items[i:j], a-i, b-i, level)
		}
		i = j
	}
}

// ties arranges items whose keys agree, by the next key, and gives them their key back.
func (o *sorter) ties(items []item, a, b, level int) {
	if len(items) < 2 || level >= len(o.keys) {
		return
	}
	tied := items[0].key()
	for i := range items {
		items[i].setKey(o.key(items[i].slot, level+1))
	}
	o.window(items, a, b, level+1)
	for i := range items {
		items[i].setKey(tied)
	}
}

// pivot picks a key near the window from a sample, so that one pass leaves little: a window at the very top of a
// million needs not much more than one look at each.
func pivot(items []item, a, b int) uint64 {
	const most = 127
	n := len(items)
	count := most
	if n < 4*most {
		count = 9
	}
	var sample [most]uint64
	for i := range count {
		sample[i] = items[i*(n/count)+i%(n/count)].key()
	}
	s := sample[:count]
	slices.Sort(s)
	// Cut behind the window if more lies there, else before it.
	if n-b > a {
		return s[min(b*count/n+2, count-1)]
	}
	return s[max(a*count/n-2, 0)]
}

// partition moves the items below p to the front and those above it to the back, and returns where the ones equal to
// it begin and end.
func partition(items []item, p uint64) (i, j int) {
	j = len(items)
	for k := 0; k < j; {
		x := items[k]
		switch key := x.key(); {
		case key < p:
			items[i], items[k] = x, items[i]
			i++
			k++
		case key > p:
			j--
			items[k], items[j] = items[j], x
		default:
			k++
		}
	}
	return i, j
}

// place returns how many items come before the one of slot.
func (o *sorter) place(items []item, slot uint32) int {
	n, key := 0, o.key(slot, 0)
	for i := range items {
		x := items[i]
		switch k := x.key(); {
		case k < key:
			n++
		case k == key && x.slot != slot && o.before(x.slot, slot):
			n++
		}
	}
	return n
}

// before compares two slots whose first keys agree.
func (o *sorter) before(x, y uint32) bool {
	for level := 1; level < len(o.keys); level++ {
		if a, b := o.key(x, level), o.key(y, level); a != b {
			return a < b
		}
	}
	return x < y
}
