package table

import (
	"ctview/model"
	"ctview/model/filter"
)

// scan is what the last View gathered. Another that asks for the same order of an unchanged table uses it again: to
// page through a million flows, or to draw them once more, costs no new pass.
type scan struct {
	items   []item
	sorter  sorter
	valid   bool
	version uint64
	filter  *filter.Filter
	column  model.Column
	now     int64
	unknown int
	noValue int
	a, b    int // window that is in place
}

// scanAge is how long an answer may be used again where the filter hangs on the time.
const scanAge = second / 2

// View answers q: a window of the flows that match, in order, copied out. It holds the table for one pass over its
// flows, and at depth for a few over their keys: see doc.go for what that costs. Only if the table has not changed
// since the last View with the same filter and order is there nothing to pass over. With a Limit of 0 it counts.
func (t *Table) View(q *Query, v *View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*v = View{Rows: v.Rows[:0], Total: t.stats.Flows, AnchorAt: -1, Stats: t.stats, Version: t.version}
	if t.asks(q.Now, q.Filter, q.Sort); q.Owners {
		t.wanted = q.Now
	}
	if q.Filter == nil && q.Limit <= 0 && !q.HasAnchor {
		v.Matched = t.stats.Flows
		v.Offset = max(0, min(q.Offset, v.Matched))
		return
	}
	s := &t.scan
	t.gather(q)
	v.Matched, v.Unknown, v.NoValue = len(s.items), s.unknown, s.noValue
	offset := q.Offset
	if q.HasAnchor {
		v.AnchorAt = t.anchor(q)
		if q.Follow && v.AnchorAt >= 0 {
			offset = v.AnchorAt - q.AnchorRow
		}
	}
	limit := max(q.Limit, 0)
	offset = max(0, min(offset, v.Matched-limit))
	v.Offset = offset
	end := min(offset+limit, v.Matched)
	if s.a != offset || s.b != end {
		s.sorter.window(s.items, offset, end, 0)
		s.a, s.b = offset, end
	}
	v.Rows = t.rows(s.items[offset:end], v.Rows)
	if q.Routes {
		t.miss(q.Now, v.Rows)
	}
}

// rows copies flows out, into memory of the caller's where that reaches.
func (t *Table) rows(items []item, dst []model.Row) []model.Row {
	if cap(dst) < len(items) {
		dst = make([]model.Row, len(items))
	}
	dst = dst[:len(items)]
	for i := range items {
		t.row(items[i].slot, &dst[i])
	}
	return dst
}

// gather makes the items of the flows that match.
func (t *Table) gather(q *Query) {
	s := &t.scan
	if s.valid && s.version == t.version && s.filter == q.Filter && s.column == q.Sort && s.sorter.desc == q.Desc &&
		(!q.Filter.Timed() || q.Now-s.now < scanAge && q.Now >= s.now) {
		return
	}
	items := s.items[:0]
	if n := t.stats.Flows; q.Filter == nil && cap(items) < n || cap(items) > 8*n+chunkFlows {
		items = nil // let the old one go before the new one comes
		s.items = nil
		if q.Filter == nil {
			items = make([]item, 0, n+n/32)
		}
	}
	*s = scan{items: items, valid: true, version: t.version, filter: q.Filter, column: q.Sort, now: q.Now}
	s.sorter = sorter{keys: t.keys(q.Sort), desc: q.Desc, at: t.flows.one()}
	if q.Filter == nil {
		s.all(&t.flows)
	} else {
		s.matching(t, q)
	}
}

// first returns the function that makes an item's key, with the order's direction in it.
func (s *scan) first() keyFunc {
	o := &s.sorter
	switch {
	case len(o.keys) == 0:
		return func(_ *model.Flow, slot uint32) uint64 { return uint64(slot) }
	case !o.desc:
		return o.keys[0]
	}
	k := o.keys[0]
	return func(f *model.Flow, slot uint32) uint64 { return o.turn(k(f, slot)) }
}

// all gathers every flow.
func (s *scan) all(flows *slab) {
	key, items, none := s.first(), s.items, 0
	f, addrs := new(model.Flow), byAddress(s.column)
	for c := range flows.chunks {
		used := flows.used(c)
		for i := range used {
			if r := &used[i]; r.Family != 0 {
				slot := uint32(c*chunkFlows + i)
				if addrs {
					flows.whole(r, slot, f)
				} else {
					r.facts(f)
				}
				k := key(f, slot)
				none += int(k >> 63)
				items = append(items, newItem(k, slot))
			}
		}
	}
	s.items, s.noValue = items, none
}

// byAddress reports whether what a column sorts by can hang on addresses.
func byAddress(c model.Column) bool {
	return c >= model.NumColumns || columnKeys[c] == nil || c == model.ColSrc || c == model.ColDst || c == model.ColReplySrc || c == model.ColReplyDst || c == model.ColNAT
}

// matching gathers the flows that match the query's filter.
func (s *scan) matching(t *Table, q *Query) {
	key, items, none := s.first(), s.items, 0
	m := t.matcher(q.Filter, q.Now)
	f := new(model.Flow)
	for c := range t.flows.chunks {
		used := t.flows.used(c)
		for i := range used {
			r, slot := &used[i], uint32(c*chunkFlows+i)
			if r.Family == 0 {
				continue
			}
			if t.flows.whole(r, slot, f); m.match(f, slot) {
				k := key(f, slot)
				none += int(k >> 63)
				items = append(items, newItem(k, slot))
			}
		}
	}
	s.items, s.unknown, s.noValue = items, m.unknown, none
}

// A matcher puts flows before a filter, with what few flows have if the filter looks at that.
type matcher struct {
	t       *Table
	filter  *filter.Filter
	now     int64
	extra   bool
	know    bool // the filter asks for what is looked up
	x       model.Extra
	unknown int // flows that the filter could not judge
}

func (t *Table) matcher(f *filter.Filter, now int64) matcher {
	return matcher{t: t, filter: f, now: now, extra: f.NeedsExtra(), know: f.NeedsOwner() || f.NeedsRoute()}
}

func (m *matcher) match(f *model.Flow, slot uint32) bool {
	var x *model.Extra
	if m.extra && f.Known&model.KnownExtra != 0 {
		x = &m.x
		m.t.extraOf(slot, f, x)
	}
	if m.know {
		if x == nil {
			m.x = model.Extra{}
			x = &m.x
		}
		m.t.now().fill(x, f)
	}
	ok, unknown := m.filter.MatchKnown(f, x, m.now)
	if unknown {
		m.unknown++
	}
	return ok
}

// anchor returns the place of the query's anchor, -1 if it is not among the items.
func (t *Table) anchor(q *Query) int {
	slot := t.index.find(&q.Anchor, t.index.hash(&q.Anchor))
	if slot == 0 {
		return -1
	}
	if q.Filter != nil {
		m := t.matcher(q.Filter, t.scan.now)
		if !m.match(t.flows.one()(slot), slot) {
			return -1
		}
	}
	return t.scan.sorter.place(t.scan.items, slot)
}
