package table

import (
	"encoding/binary"

	"ctview/model"
)

// A row is a flow as the slab keeps it: 136 bytes, against the 168 of a model.Flow. Addresses make the difference: those of
// IPv4 take 4 bytes each, and the reply's of IPv6 are the original's in nearly every flow. The other fields are a
// Flow's.
type row struct {
	addrs                  [32]byte // IPv4: source, destination, the reply's source and destination; else source and destination
	Packets, Bytes         [2]uint64
	First                  int64
	Expires                int64
	CountersAt             int64
	Rate, PacketRate       [2]float32
	ID, Mark               uint32
	Status                 model.Status
	Sport, Dport           uint16
	ReplySport, ReplyDport uint16
	Zone                   uint16
	Proto                  model.Proto
	Family                 model.Family
	ZoneDir                model.ZoneDir
	Known                  model.Known
	State                  model.State
	Helper                 model.HelperID
	Book                   model.Book
	back                   back
}

// A back says where the addresses of a row's reply are.
type back uint8

const (
	backInverse back = iota // they are those of the original, the other way round
	backHere                // in addrs
	backFar                 // in slab.far
	backUnknown             // none was told
)

// replyAddrs are the source and destination of a reply.
type replyAddrs struct{ src, dst [16]byte }

// put4 and get4 are for the i-th IPv4 address, which model.Key has behind ::ffff.
func (r *row) put4(i int, a *[16]byte) { *(*[4]byte)(r.addrs[4*i:]) = [4]byte(a[12:]) }

func (r *row) get4(i int, a *[16]byte) {
	le := binary.LittleEndian
	le.PutUint64(a[:], 0)
	le.PutUint64(a[8:], uint64(le.Uint32(r.addrs[4*i:]))<<32|0xffff0000)
}

func (r *row) setKey(k *model.Key) {
	r.Sport, r.Dport, r.Zone, r.Proto, r.Family, r.ZoneDir = k.Sport, k.Dport, k.Zone, k.Proto, k.Family, k.ZoneDir
	if k.Family == model.IPv4 {
		r.put4(0, &k.Src)
		r.put4(1, &k.Dst)
		return
	}
	*(*[16]byte)(r.addrs[:16]), *(*[16]byte)(r.addrs[16:]) = k.Src, k.Dst
}

// key puts the flow's key into k.
func (r *row) key(k *model.Key) {
	k.Sport, k.Dport, k.Zone, k.Proto, k.Family, k.ZoneDir = r.Sport, r.Dport, r.Zone, r.Proto, r.Family, r.ZoneDir
	if r.Family == model.IPv4 {
		r.get4(0, &k.Src)
		r.get4(1, &k.Dst)
		return
	}
	k.Src, k.Dst = [16]byte(r.addrs[:16]), [16]byte(r.addrs[16:])
}

// is reports whether k is the flow's key.
func (r *row) is(k *model.Key) bool {
	if r.Sport != k.Sport || r.Dport != k.Dport || r.Zone != k.Zone || r.Proto != k.Proto || r.Family != k.Family || r.ZoneDir != k.ZoneDir {
		return false
	}
	if r.Family == model.IPv4 {
		return [4]byte(r.addrs[:4]) == [4]byte(k.Src[12:]) && [4]byte(r.addrs[4:8]) == [4]byte(k.Dst[12:])
	}
	return [16]byte(r.addrs[:16]) == k.Src && [16]byte(r.addrs[16:]) == k.Dst
}

// setReply sets the reply tuple of the flow in slot to that of f, whose key is the flow's.
func (s *slab) setReply(slot uint32, f *model.Flow) {
	r := s.at(slot)
	if r.back == backFar {
		delete(s.far, slot)
	}
	r.ReplySport, r.ReplyDport = f.ReplySport, f.ReplyDport
	switch {
	case f.ReplySrc == f.Dst && f.ReplyDst == f.Src:
		r.back = backInverse
	case f.ReplySrc == [16]byte{} && f.ReplyDst == [16]byte{}:
		r.back = backUnknown
	case r.Family == model.IPv4:
		r.back = backHere
		r.put4(2, &f.ReplySrc)
		r.put4(3, &f.ReplyDst)
	default:
		if s.far == nil {
			s.far = map[uint32]replyAddrs{}
		}
		r.back, s.far[slot] = backFar, replyAddrs{f.ReplySrc, f.ReplyDst}
	}
}

// facts puts into f all of the flow in r but its addresses.
func (r *row) facts(f *model.Flow) {
	f.Sport, f.Dport, f.ReplySport, f.ReplyDport = r.Sport, r.Dport, r.ReplySport, r.ReplyDport
	f.Zone, f.Proto, f.Family, f.ZoneDir = r.Zone, r.Proto, r.Family, r.ZoneDir
	f.Known, f.State, f.ID, f.Mark, f.Status, f.Helper, f.Book = r.Known, r.State, r.ID, r.Mark, r.Status, r.Helper, r.Book
	f.Packets, f.Bytes, f.First, f.Expires, f.CountersAt = r.Packets, r.Bytes, r.First, r.Expires, r.CountersAt
	f.Rate, f.PacketRate = r.Rate, r.PacketRate
}

// flow puts the whole flow in slot into f.
func (s *slab) flow(slot uint32, f *model.Flow) { s.whole(s.at(slot), slot, f) }

// whole is flow for the row of the slot.
func (s *slab) whole(r *row, slot uint32, f *model.Flow) {
	r.facts(f)
	if r.Family == model.IPv4 {
		r.get4(0, &f.Src)
		r.get4(1, &f.Dst)
	} else {
		f.Src, f.Dst = [16]byte(r.addrs[:16]), [16]byte(r.addrs[16:])
	}
	switch r.back {
	case backInverse:
		f.ReplySrc, f.ReplyDst = f.Dst, f.Src
	case backHere:
		r.get4(2, &f.ReplySrc)
		r.get4(3, &f.ReplyDst)
	case backFar:
		far := s.far[slot]
		f.ReplySrc, f.ReplyDst = far.src, far.dst
	case backUnknown:
		f.ReplySrc, f.ReplyDst = [16]byte{}, [16]byte{}
	}
}

// set makes the flow in slot what f is.
func (s *slab) set(slot uint32, f *model.Flow) {
	r := s.at(slot)
	r.setKey(&f.Key)
	r.Known, r.State, r.ID, r.Mark, r.Status, r.Helper, r.Book = f.Known, f.State, f.ID, f.Mark, f.Status, f.Helper, f.Book
	r.Packets, r.Bytes, r.First, r.Expires, r.CountersAt = f.Packets, f.Bytes, f.First, f.Expires, f.CountersAt
	r.Rate, r.PacketRate = f.Rate, f.PacketRate
	s.setReply(slot, f)
}

// one returns a function that gives the flow in a slot, good until the next call.
func (s *slab) one() func(slot uint32) *model.Flow {
	f := new(model.Flow)
	return func(slot uint32) *model.Flow {
		s.flow(slot, f)
		return f
	}
}
