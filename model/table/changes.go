package table

import (
	"slices"

	"ctview/model"
	"ctview/model/filter"
)

// Kinds is a set of kinds of changes. The zero value stands for all.
type Kinds uint8

// The kinds that a ChangeQuery can ask for. What was lost and what a dump repaired always comes.
const (
	KindNew Kinds = 1 << iota
	KindUpdate
	KindDestroy
	KindExpect
)

func (k Kinds) has(c *Change) bool {
	switch {
	case k == 0 || c.Note == NoteLost || c.Note == NoteResync:
		return true
	case c.Note == NoteExpect:
		return k&KindExpect != 0
	case c.Kind == model.New:
		return k&KindNew != 0
	case c.Kind == model.Update:
		return k&KindUpdate != 0
	}
	return k&KindDestroy != 0
}

// A ChangeQuery asks for a window of the log.
type ChangeQuery struct {
	Filter *filter.Filter // of flows; nil: every change
	Kinds  Kinds
	Until  uint64 // the newest change looked at, for a paused screen; 0: the newest there is
	Offset int    // matching changes to leave out, counted from the newest
	Limit  int    // changes wanted
	Now    int64
}

// A ChangeView is the answer. One that is passed in again keeps its memory.
type ChangeView struct {
	Rows    []Change // oldest first
	Offset  int      // of the last row from the newest match; less than the query's when there are not so many
	Matched int      // up to Until, lost and resync marks included
	Newer   int      // matching changes after Until
	Kept    int
	First   uint64 // sequence numbers kept; First > Last when there are none
	Last    uint64
	PerSec  float64 // matching events a second, over the last ten seconds of those kept
	Unknown int     // changes that the filter could not judge, see View
}

// Changes answers q. It costs 1 to 3 ms when the log is full.
func (t *Table) Changes(q *ChangeQuery, v *ChangeView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asks(q.Now, q.Filter)
	l := &t.log
	*v = ChangeView{Rows: v.Rows[:0], First: l.first(), Last: l.next}
	v.Kept = int(v.Last + 1 - v.First)
	until := v.Last
	if q.Until != 0 {
		until = min(q.Until, v.Last)
	}
	recent := 0
	for seq := v.Last; seq >= v.First && seq > 0; seq-- {
		c := l.get(seq)
		if !t.matchesChange(q, c, v) {
			continue
		}
		if c.Kind != 0 && c.Time > q.Now-10*second {
			recent++
		}
		if seq > until {
			v.Newer++
			continue
		}
		if v.Matched++; v.Matched > q.Offset && len(v.Rows) < q.Limit {
			v.Rows = append(v.Rows, *c)
		}
	}
	v.Offset = q.Offset
	if len(v.Rows) < q.Limit && v.Matched > len(v.Rows) {
		t.oldest(q, v, until)
	}
	slices.Reverse(v.Rows)
	v.PerSec = float64(recent) / 10
}

// oldest fills the view from the old end, for an offset that goes beyond it.
func (t *Table) oldest(q *ChangeQuery, v *ChangeView, until uint64) {
	v.Rows, v.Offset = v.Rows[:0], max(0, v.Matched-q.Limit)
	skip := v.Offset
	for seq := until; seq >= v.First && seq > 0; seq-- {
		c := t.log.get(seq)
		if !t.matchesChange(q, c, nil) {
			continue
		}
		if skip--; skip < 0 {
			v.Rows = append(v.Rows, *c)
		}
	}
}

// matchesChange reports whether the query asks for c; it counts into v, if given, what the filter could not judge.
func (t *Table) matchesChange(q *ChangeQuery, c *Change, v *ChangeView) bool {
	if !q.Kinds.has(c) {
		return false
	}
	if q.Filter == nil || c.Note == NoteLost || c.Note == NoteResync {
		return true
	}
	var x *model.Extra
	if c.Flow.Known&model.KnownExtra != 0 && q.Filter.NeedsExtra() {
		x = &model.Extra{}
		t.extra.fill(x, t.log.extra[c.Seq])
		t.seeMaster(&c.Flow, x)
	}
	if q.Filter.NeedsOwner() || q.Filter.NeedsRoute() {
		if x == nil {
			x = &model.Extra{}
		}
		t.then().fill(x, &c.Flow)
	}
	ok, unknown := q.Filter.MatchEvent(c.Kind, &c.Flow, x, c.Time)
	if unknown && v != nil {
		v.Unknown++
	}
	return ok
}

// History appends to dst what happened to the flow with this key, oldest first: what the log still has, and more of a
// flow that is watched. Former lives of the key are among it.
func (t *Table) History(k model.Key, dst []Change) []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.watches.of(&k); w != nil {
		return append(dst, w.changes...)
	}
	return t.inLog(&k, dst)
}

func (t *Table) inLog(k *model.Key, dst []Change) []Change {
	for seq := t.log.first(); seq <= t.log.next; seq++ {
		if c := t.log.get(seq); c.Flow.Key == *k && c.Note != NoteExpect {
			dst = append(dst, *c)
		}
	}
	return dst
}
