package table

import (
	"math/rand/v2"
	"testing"

	"ctview/model"
)

// anyFlow makes a flow as the kernel could tell it: of both families, translated or not, with a reply tuple or without.
func anyFlow(rng *rand.Rand) model.Flow {
	var f model.Flow
	addr := func() (a [16]byte) {
		if f.Family == model.IPv4 {
			return [16]byte{10: 0xff, 11: 0xff, 12: byte(rng.Uint32()), 15: byte(rng.Uint32())}
		}
		for i := range a {
			a[i] = byte(rng.Uint32())
		}
		return a
	}
	f.Family = []model.Family{model.IPv4, model.IPv6}[rng.IntN(2)]
	f.Proto = []model.Proto{model.ProtoTCP, model.ProtoICMP, model.ProtoGRE}[rng.IntN(3)]
	f.Src, f.Dst, f.Sport, f.Dport = addr(), addr(), uint16(rng.Uint32()), uint16(rng.Uint32())
	f.Zone, f.ZoneDir = uint16(rng.Uint32()), model.ZoneDir(rng.IntN(3))
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	switch rng.IntN(4) {
	case 0:
		f.ReplySrc = addr()
	case 1:
		f.ReplyDst, f.ReplyDport = addr(), uint16(rng.Uint32())
	case 2:
		if rng.IntN(8) == 0 {
			f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = [16]byte{}, [16]byte{}, 0, 0
		}
	}
	f.Known, f.State, f.Helper = model.Known(rng.Uint32()), model.State(rng.Uint32()), model.HelperID(rng.Uint32())
	f.ID, f.Mark, f.Status = rng.Uint32(), rng.Uint32(), model.Status(rng.Uint32())
	f.Book = model.Book{Gen: uint8(rng.Uint32()), Epoch: uint8(rng.Uint32()), Heard: uint8(rng.Uint32())}
	for i := range 2 {
		f.Packets[i], f.Bytes[i] = rng.Uint64(), rng.Uint64()
		f.Rate[i], f.PacketRate[i] = rng.Float32(), rng.Float32()
	}
	f.First, f.Expires, f.CountersAt = rng.Int64(), rng.Int64(), rng.Int64()
	return f
}

// TestRowIsTheFlow puts flows into the slab and takes them out again: not a bit may differ, whatever was in the slot
// before, and no reply may stay behind in far.
func TestRowIsTheFlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s slab
	want := map[uint32]model.Flow{}
	for range 20_000 {
		f := anyFlow(rng)
		slot := uint32(1 + rng.IntN(50))
		if _, there := want[slot]; !there {
			slot = s.alloc()
		}
		s.set(slot, &f)
		want[slot] = f
		if rng.IntN(10) == 0 {
			s.release(slot)
			delete(want, slot)
		}
	}
	far := 0
	for slot, f := range want {
		if got := *s.one()(slot); got != f {
			t.Fatalf("slot %d: got\n%+v\nwant\n%+v", slot, got, f)
		}
		if !s.at(slot).is(&f.Key) {
			t.Errorf("slot %d does not know its key", slot)
		}
		other := f.Key
		switch rng.IntN(5) {
		case 0:
			other.Src[15]++
		case 1:
			other.Dst[12]++
		case 2:
			other.Zone++
		case 3:
			other.ZoneDir++
		default:
			other.Dport++
		}
		if s.at(slot).is(&other) {
			t.Errorf("slot %d takes %+v for %+v", slot, other, f.Key)
		}
		if got := s.class(slot); got != classOf(&f) {
			t.Errorf("slot %d: class %+v, want %+v", slot, got, classOf(&f))
		}
		if s.at(slot).back == backFar {
			far++
		}
	}
	if far == 0 || far != len(s.far) {
		t.Errorf("%d replies kept apart, of %d flows that have one", len(s.far), far)
	}
}

// TestReserve holds a table that had room made for its flows to the same answers, and to growing beyond that room.
func TestReserve(t *testing.T) {
	for _, n := range []int{0, 1, 614, 615, 5000, 100_000} {
		tab := New()
		tab.Reserve(n)
		before := tab.index.tab.bits
		for i := range 5000 {
			tab.Apply(1, []model.Event{benchEvent(i, model.Dump)})
		}
		tab.Reserve(1 << 20) // now it is too late
		if err := tab.check(); err != nil {
			t.Errorf("room for %d: %v", n, err)
		}
		if grown := tab.index.tab.bits > before; grown != (n < 5000) {
			t.Errorf("room for %d, and 5000 came: grown %v", n, grown)
		}
	}
}
