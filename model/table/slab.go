package table

import (
	"ctview/model"
)

// chunkFlows is the number of flows that the slab grows by: 544 KiB at a time.
const chunkFlows = 4096

// A slab holds flows in chunks, so that growth copies nothing and a flow never moves. A slot number names a place in
// it; slot 0 is never used. A free slot has Family 0 and its ID holds the next free slot.
type slab struct {
	chunks []*[chunkFlows]row
	free   uint32 // first of the chain of free slots, 0 if none
	top    uint32 // first slot never used
	// due holds for each chunk a time before which no flow in it runs out: the least Expires, or less.
	due []int64
	far map[uint32]replyAddrs // by slot, of the rows that say so
}

func (s *slab) at(slot uint32) *row { return &s.chunks[slot/chunkFlows][slot%chunkFlows] }

// alloc returns a slot whose flow is zero.
func (s *slab) alloc() uint32 {
	if s.free != 0 {
		slot := s.free
		f := s.at(slot)
		s.free, f.ID = f.ID, 0
		return slot
	}
	if s.top == 0 {
		s.top = 1
	}
	if int(s.top/chunkFlows) == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkFlows]row))
		s.due = append(s.due, never)
	}
	s.top++
	return s.top - 1
}

// release zeroes the flow and chains its slot.
func (s *slab) release(slot uint32) {
	r := s.at(slot)
	if r.back == backFar {
		delete(s.far, slot)
	}
	*r = row{ID: s.free}
	s.free = slot
}

// used returns the part of a chunk that was ever used.
func (s *slab) used(chunk int) []row {
	return s.chunks[chunk][:min(chunkFlows, int(s.top)-chunk*chunkFlows)]
}

// An extraRow is an Extra without pointers.
type extraRow struct {
	labels     model.Labels
	master     model.Tuple
	masterZone uint16
	secctx     uint16
}

// extras are what few flows have, keyed by slot. Security contexts are interned: there are as many as a policy names.
type extras struct {
	rows     map[uint32]extraRow
	ctxIDs   map[string]uint16
	ctxNames []string // by id; 0 is ""
}

// secctxID interns a security context; past 65535 names the rest share the last.
func (x *extras) secctxID(s string) uint16 {
	if s == "" {
		return 0
	}
	if id, ok := x.ctxIDs[s]; ok {
		return id
	}
	if x.ctxIDs == nil {
		x.ctxIDs, x.ctxNames = map[string]uint16{}, []string{""}
	}
	if len(x.ctxNames) > 0xffff {
		return 0xffff
	}
	id := uint16(len(x.ctxNames))
	s = string(append([]byte(nil), s...)) // the event's string may be part of something big
	x.ctxIDs[s], x.ctxNames = id, append(x.ctxNames, s)
	return id
}

// get fills e with the extra of a flow that has one.
func (x *extras) get(slot uint32, e *model.Extra) { x.fill(e, x.rows[slot]) }

// fill makes an Extra of r.
func (x *extras) fill(e *model.Extra, r extraRow) {
	*e = model.Extra{Labels: r.labels, Master: r.master, MasterZone: r.masterZone}
	if r.secctx != 0 {
		e.Secctx = x.ctxNames[r.secctx]
	}
}

// put sets the row of a slot, or takes it away when it says nothing; it reports whether one is there.
func (x *extras) put(slot uint32, r extraRow) bool {
	if r == (extraRow{}) {
		delete(x.rows, slot)
		return false
	}
	if x.rows == nil {
		x.rows = map[uint32]extraRow{}
	}
	x.rows[slot] = r
	return true
}
