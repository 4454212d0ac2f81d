package table

import (
	"ctview/model"
)

// graves remember the flows that ended not long ago: for a second, because an UPDATE may come behind its DESTROY, and
// for as long as a dump runs, because a row of it may be older than the DESTROY. They are known by the 64-bit hash of
// their key alone: of a million ends against a million rows one in ten million times two agree, and then one flow is
// missing until the next dump.
type graves struct {
	cur, prev map[uint64]grave // prev is no longer added to
	since     int64            // when cur was begun
}

type grave struct {
	at   int64  // when the DESTROY came
	id   uint32 // CTA_ID, 0 if not told
	dump uint32 // number of the dump that ran, 0 if none
	gen  uint8  // Generation
}

const (
	echo       = second // an UPDATE that comes within this time of the DESTROY is old news
	bigGraves  = 1 << 15
	firstSizes = 64
)

// bury remembers an end.
func (t *Table) bury(now int64, h uint64, id uint32, gen uint8) {
	g := &t.graves
	number := uint32(0)
	if t.dump.running {
		number = t.dump.number
	} else if d := now - g.since; d > echo || d < 0 {
		g.turn(now)
	}
	if g.cur == nil {
		g.turn(now)
	}
	g.cur[h] = grave{now, id, number, gen}
	delete(g.prev, h)
}

// turn forgets what is older than cur. Maps that grew large are dropped rather than emptied: a map never shrinks.
func (g *graves) turn(now int64) {
	old := g.prev
	g.prev, g.cur, g.since = g.cur, old, now
	if old == nil || len(old) > bigGraves {
		g.cur = make(map[uint64]grave, firstSizes)
	} else {
		clear(g.cur)
	}
}

func (g *graves) find(h uint64) (grave, bool) {
	if v, ok := g.cur[h]; ok {
		return v, true
	}
	v, ok := g.prev[h]
	return v, ok
}

// open forgets an end: the key lives again. While the dump runs in which it ended (number), its rows stay suspect.
func (g *graves) open(h uint64, number uint32) {
	v, ok := g.find(h)
	if !ok { // mostly; two deletions would cost more
		return
	}
	if v.dump == number && number != 0 {
		v.at, v.id = 0, 0
		g.cur[h] = v
		delete(g.prev, h)
		return
	}
	delete(g.cur, h)
	delete(g.prev, h)
}

// fresh reports whether an UPDATE is the echo of a flow that has just ended. Another ID is another flow, whose NEW
// was lost.
func (g *graves) fresh(h uint64, now int64, e *model.Event) bool {
	v, ok := g.find(h)
	if !ok || e.Has&model.HasID != 0 && v.id != 0 && v.id != e.Flow.ID {
		return false
	}
	d := now - v.at
	return d < echo && d > -echo
}

// during reports whether the flow ended while dump number was running.
func (g *graves) during(h uint64, number uint32) bool {
	v, ok := g.find(h)
	return ok && v.dump == number
}
