package table

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"ctview/model"
)

// An index finds the slot of a key: open addressing with linear probing over numbers alone, the keys stay in the
// slab. An entry is 0, or the slot in its low bits with a tag of the key's hash above, so that a probe seldom visits
// a flow in vain. At most 60 % full; 5 to 14 bytes a flow.
//
// It grows a little with each insertion: entries move from old to tab a few buckets at a time, because moving a
// million at once would hold the table for too long. Meanwhile a key is in one of the two.
type index struct {
	flows *slab
	seed  [4]uint64
	tab   buckets
	old   buckets // empty unless growing
	moved int     // buckets of old that are done
	count int
}

type buckets struct {
	entries []uint32
	bits    uint // entries are 1<<bits; as many bits of an entry are slot
}

const (
	firstIndexBits = 10
	migrateStep    = 8 // buckets of the old array that an insertion moves
)

func newIndex(flows *slab) index {
	x := index{flows: flows, tab: newBuckets(firstIndexBits)}
	s := maphash.MakeSeed()
	for i := range x.seed {
		x.seed[i] = maphash.Comparable(s, i) | 1
	}
	return x
}

// reserve makes room for n flows where there are none yet.
func (x *index) reserve(n int) {
	bits := x.tab.bits
	for n > 3*(1<<bits)/5 {
		bits++
	}
	if x.count == 0 && bits > x.tab.bits {
		x.tab, x.old, x.moved = newBuckets(bits), buckets{}, 0
	}
}

func newBuckets(bits uint) buckets { return buckets{make([]uint32, 1<<bits), bits} }

// tag returns what the entries of hash h have above the slot.
func (b *buckets) tag(h uint64) uint32 { return uint32(h>>32) >> b.bits << b.bits }

func (b *buckets) mask() uint64     { return 1<<b.bits - 1 }
func (b *buckets) slotMask() uint32 { return 1<<b.bits - 1 }

// dead marks an entry of old that was moved or removed: a slot of 0 with a tag that is not.
func (b *buckets) dead() uint32 { return 1 << b.bits }

// hash mixes the whole key with the seed (wyhash's multiply and fold), so that nobody who chooses tuples chooses
// collisions. What stands before an IPv4 address is no part of it.
func (x *index) hash(k *model.Key) uint64 {
	le := binary.LittleEndian
	var h uint64
	if k.Family == model.IPv4 {
		h = fold(uint64(le.Uint32(k.Src[12:]))<<32|uint64(le.Uint32(k.Dst[12:]))^x.seed[2], x.seed[3])
	} else {
		h = fold(le.Uint64(k.Src[:8])^x.seed[0], le.Uint64(k.Src[8:])^x.seed[1])
		h = fold(le.Uint64(k.Dst[:8])^x.seed[2]^h, le.Uint64(k.Dst[8:])^x.seed[3])
	}
	rest := uint64(k.Sport)<<48 | uint64(k.Dport)<<32 | uint64(k.Zone)<<16 | uint64(k.Proto)<<8 | uint64(k.Family)<<2 |
		uint64(k.ZoneDir)&3
	return fold(rest^x.seed[0], h^x.seed[1])
}

// hashOf returns the hash of the key of the flow in a slot.
func (x *index) hashOf(slot uint32) uint64 {
	var k model.Key
	x.flows.at(slot).key(&k)
	return x.hash(&k)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// find returns the slot of k, whose hash is h, or 0.
func (x *index) find(k *model.Key, h uint64) uint32 {
	if slot := x.tab.find(x.flows, k, h); slot != 0 || x.old.entries == nil {
		return slot
	}
	return x.old.find(x.flows, k, h)
}

func (b *buckets) find(flows *slab, k *model.Key, h uint64) uint32 {
	tag, mask, slots := b.tag(h), b.mask(), b.slotMask()
	for i := h & mask; ; i = (i + 1) & mask {
		e := b.entries[i]
		if e == 0 {
			return 0
		}
		if e&^slots == tag && e&slots != 0 && flows.at(e&slots).is(k) {
			return e & slots
		}
	}
}

// insert adds a slot whose key is not in the index.
func (x *index) insert(h uint64, slot uint32) {
	if x.old.entries != nil {
		x.migrate(migrateStep)
	}
	if x.count++; x.count*5 > len(x.tab.entries)*3 {
		x.migrate(len(x.old.entries))
		x.old, x.moved = x.tab, 0
		x.tab = newBuckets(x.old.bits + 1)
	}
	x.tab.insert(h, slot)
}

func (b *buckets) insert(h uint64, slot uint32) {
	mask := b.mask()
	i := h & mask
	for b.entries[i] != 0 {
		i = (i + 1) & mask
	}
	b.entries[i] = b.tag(h) | slot
}

// migrate moves the next n buckets of old.
func (x *index) migrate(n int) {
	for ; n > 0 && x.moved < len(x.old.entries); n-- {
		e := &x.old.entries[x.moved]
		x.moved++
		if slot := *e & x.old.slotMask(); slot != 0 {
			x.tab.insert(x.hashOf(slot), slot)
			*e = x.old.dead()
		}
	}
	if x.moved == len(x.old.entries) {
		x.old, x.moved = buckets{}, 0
	}
}

// remove takes out a slot that is in the index; its flow still has its key.
func (x *index) remove(h uint64, slot uint32) {
	x.count--
	if x.tab.remove(x, h, slot) || x.old.entries == nil {
		return
	}
	b := &x.old
	mask, want := b.mask(), b.tag(h)|slot
	for i := h & mask; b.entries[i] != 0; i = (i + 1) & mask {
		if b.entries[i] == want {
			b.entries[i] = b.dead()
			return
		}
	}
}

// remove closes the gap that it leaves by moving back later entries of the run, so that probes stay short for ever.
func (b *buckets) remove(x *index, h uint64, slot uint32) bool {
	mask, want := b.mask(), b.tag(h)|slot
	i := h & mask
	for b.entries[i] != want {
		if b.entries[i] == 0 {
			return false
		}
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		e := b.entries[j]
		if e == 0 {
			break
		}
		home := x.hashOf(e&b.slotMask()) & mask
		if (j-home)&mask >= (j-i)&mask {
			b.entries[i] = e
			i = j
		}
	}
	b.entries[i] = 0
	return true
}
