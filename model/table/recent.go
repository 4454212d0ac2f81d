package table

import (
	"slices"

	"ctview/model"
	"ctview/model/filter"
)

// A RecentQuery asks for the flows that began or ended since a time: a window of their list, or, with Keys, of the groups that they make.
type RecentQuery struct {
	Filter *filter.Filter // nil: every flow; those that ended are judged as they were last (filter.MatchEnded)
	Since  int64          // Unix nanoseconds
	Now    int64
	Desc   bool
	Offset int // first row of the window
	Limit  int // rows wanted

	// Sort is the order of flows. ColNone: when they began or, if they have, ended. ColAge: how long they lived, those that have not ended last.
	Sort model.Column

	Keys      []GroupKey // one to four; none: flows
	GroupSort RecentColumn

	// Anchor asks where the flow, or the group, of that ID is now: RecentView.AnchorAt.
	Anchor    RecentID
	HasAnchor bool
}

// A RecentID names a row of a list of Recent: a life of a flow, or a group.
type RecentID struct {
	Key   model.Key
	Gen   uint8
	Group uint64
}

// A RecentRow is a flow that began or ended.
type RecentRow struct {
	model.Row       // of one that ended, as it was last
	End       int64 // Unix nanoseconds; 0 it is there
	Began     bool  // since the time asked for
	Sure      bool  // First is when it began, not only when ctview first saw it
	Silent    bool  // no event told that it ended: a dump, or a question, found it gone by End
}

// ID returns what the row is known by.
func (r *RecentRow) ID() RecentID { return RecentID{Key: r.Flow.Key, Gen: r.Flow.Book.Gen} }

// A RecentView is the answer. Nothing in it refers to the table; one that is passed in again keeps its memory.
type RecentView struct {
	Rows     []RecentRow   // without Keys
	Groups   []RecentGroup // with Keys
	Offset   int           // of the first row
	Matched  int           // rows there are: flows, or groups
	Changes  int           // flows that began, ended or both, and match
	All      int           // the same without the filter
	Begun    int           // of Changes
	Ended    int           // of Changes
	Unknown  int           // see View
	AnchorAt int           // place of the anchor, -1 if it is not there

	// From is what the answer begins with: Since, but not before the first dump was complete, and where ends since then had to make
	// room (Cut; KeepEnds are kept), not before the last of those.
	From int64
	Cut  bool

	Lasting bool       // how many flows there were at From can be reckoned: RecentGroup.Then is known; see filter.Lasting
	Port    PortChange // where it can be reckoned by the filter
	Stats   Stats
	Version uint64
}

// A PortChange tells of the destination port that lost most flows on balance, or else gained most. Both counts 0: no port did that is
// worth telling.
type PortChange struct {
	Port      uint16
	Then, Now int // flows to it: at RecentView.From, and now
}

// recent is the memory of Recent.
type recent struct {
	repaired int64 // when the last dump ended that repaired a loss
	items    []item
	sorter   sorter
	flow     model.Flow  // of flowAt
	ports    []portCount // by port
	groups   grouping
	changes  []groupChange // of groups.accs
}

type portCount struct{ now, begun, ended uint32 }

// Recent answers q. It holds the table for a pass over its flows and over those that ended.
func (t *Table) Recent(q *RecentQuery, v *RecentView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asks(q.Now, q.Filter, append(columnsOf(q.Keys), q.Sort)...)
	*v = RecentView{Rows: v.Rows[:0], Groups: v.Groups[:0], AnchorAt: -1, From: q.Since, Stats: t.stats, Version: t.version}
	if !t.stats.Loaded || len(q.Keys) > MaxGroupKeys {
		return
	}
	v.From = max(v.From, t.stats.LoadedAt)
	if drop := t.ends.dropAt; drop >= v.From {
		v.From, v.Cut = drop+1, true
	}
	v.Lasting = q.Filter.Lasting() && !slices.ContainsFunc(q.Keys, func(k GroupKey) bool { return !k.lasting() })
	r := &t.recent
	if r.ports == nil {
		r.ports = make([]portCount, 1<<16)
	}
	clear(r.ports)
	r.items = r.items[:0]
	if len(q.Keys) > 0 {
		t.recentGroups(q, v)
		return
	}
	r.sorter = sorter{keys: t.recentKeys(q.Sort), desc: q.Desc, at: t.flowAt}
	t.eachRecent(q, v, func(slot uint32, f *model.Flow, x *end, began bool) {
		if began || x != nil {
			r.items = append(r.items, newItem(r.sorter.key(slot, 0), slot))
		}
	})
	v.Matched = len(r.items)
	if q.HasAnchor {
		v.AnchorAt = r.find(t, q)
	}
	a, b := v.window(q)
	r.sorter.window(r.items, a, b, 0)
	for _, it := range r.items[a:b] {
		v.Rows = append(v.Rows, RecentRow{})
		t.recentRow(it.slot, v.From, &v.Rows[len(v.Rows)-1])
	}
}

// window works out Offset, and the end of the window.
func (v *RecentView) window(q *RecentQuery) (a, b int) {
	limit := max(q.Limit, 0)
	v.Offset = max(0, min(q.Offset, v.Matched-limit))
	return v.Offset, min(v.Offset+limit, v.Matched)
}

// find returns the place of the query's anchor, -1 if it is not there.
func (r *recent) find(t *Table, q *RecentQuery) int {
	for _, it := range r.items {
		if f := t.flowAt(it.slot); f.Book.Gen == q.Anchor.Gen && f.Key == q.Anchor.Key {
			return r.sorter.place(r.items, it.slot)
		}
	}
	return -1
}

// Flows that ended have slots behind those of the table, for the time of one query: top and on, the oldest first.

// flowAt returns the flow in a slot, good until the next call.
func (t *Table) flowAt(slot uint32) *model.Flow {
	if slot >= t.flows.top {
		return &t.ends.at(int(slot - t.flows.top)).flow
	}
	f := &t.recent.flow
	t.flows.flow(slot, f)
	return f
}

// endAt returns the end of the flow in a slot, nil for one that is there.
func (t *Table) endAt(slot uint32) *end {
	if slot >= t.flows.top {
		return t.ends.at(int(slot - t.flows.top))
	}
	return nil
}

func (t *Table) extraRow(slot uint32) extraRow {
	if slot >= t.flows.top {
		return t.ends.extra[t.ends.gone+uint64(slot-t.flows.top)]
	}
	return t.extra.rows[slot]
}

func (t *Table) recentRow(slot uint32, from int64, r *RecentRow) {
	f := t.flowAt(slot)
	r.Flow, r.Began, r.Sure = *f, t.began(f, from), t.sure(f)
	if x := t.endAt(slot); x != nil {
		r.End, r.Silent = x.at, x.silent
	}
	if f.Known&model.KnownExtra != 0 {
		t.extra.fill(&r.Extra, t.extraRow(slot))
		t.seeMaster(f, &r.Extra)
	}
	t.then().fill(&r.Extra, f)
}

// began reports whether a flow began since a time: of what the first dump found without its start that is not known.
func (t *Table) began(f *model.Flow, since int64) bool {
	return f.First >= since && (f.Known&model.KnownStart != 0 || f.First > t.stats.LoadedAt)
}

// sure reports whether First is when the flow began: the kernel said so, or its NEW came. What events there were of is missing its NEW only
// where events were lost, and what a dump found has none.
func (t *Table) sure(f *model.Flow) bool {
	s := &t.stats
	switch {
	case f.Known&model.KnownStart != 0:
		return true
	case f.Known&model.KnownEvents == 0 || f.First <= s.LoadedAt:
		return false
	}
	return s.LastLost == 0 || f.First < s.LastLost-second || !s.Stale && f.First > t.recent.repaired
}

// eachRecent calls fn for all flows of the table that match, and for those that ended since v.From; it counts into v.
func (t *Table) eachRecent(q *RecentQuery, v *RecentView, fn func(slot uint32, f *model.Flow, x *end, began bool)) {
	m := t.matcher(q.Filter, q.Now)
	timed, ports := q.Filter.Timed(), t.recent.ports
	count := func(slot uint32, f *model.Flow, x *end) {
		began := t.began(f, v.From)
		if began || x != nil {
			v.All++
		}
		if q.Filter != nil && !m.matchRecent(slot, f, x, timed) {
			return
		}
		p := &ports[f.Dport]
		has := f.Proto.HasPorts()
		if began {
			v.Begun++
			if has {
				p.begun++
			}
		}
		if x != nil {
			v.Ended++
			if has {
				p.ended++
			}
		} else if has {
			p.now++
		}
		if began || x != nil {
			v.Changes++
		}
		fn(slot, f, x, began)
	}
	f := new(model.Flow)
	for c := range t.flows.chunks {
		used := t.flows.used(c)
		for i := range used {
			if r := &used[i]; r.Family != 0 {
				slot := uint32(c*chunkFlows + i)
				t.flows.whole(r, slot, f)
				count(slot, f, nil)
			}
		}
	}
	for i := range t.ends.len() {
		if x := t.ends.at(i); x.at >= v.From {
			count(t.flows.top+uint32(i), &x.flow, x)
		}
	}
	v.Unknown = m.unknown
	if q.Filter.Lasting() {
		v.Port = portChange(ports)
	}
}

// matchRecent puts a flow before the filter, one that ended as it was last.
func (m *matcher) matchRecent(slot uint32, f *model.Flow, x *end, timed bool) bool {
	var extra *model.Extra
	if m.extra && f.Known&model.KnownExtra != 0 {
		extra = &m.x
		m.t.extra.fill(extra, m.t.extraRow(slot))
		m.t.seeMaster(f, extra)
	}
	if m.know {
		if extra == nil {
			m.x = model.Extra{}
			extra = &m.x
		}
		m.t.then().fill(extra, f)
	}
	if timed && f.Known&model.KnownStart == 0 && m.t.sure(f) {
		whole := *f
		whole.Known |= model.KnownStart
		f = &whole
	}
	var ok, unknown bool
	if x != nil {
		ok, unknown = m.filter.MatchEnded(f, extra, x.at, m.now)
	} else {
		ok, unknown = m.filter.MatchKnown(f, extra, m.now)
	}
	if unknown {
		m.unknown++
	}
	return ok
}

// fewest is how many flows a port must have lost or gained to be worth telling.
const fewest = 5

// portChange finds the port to tell of: the one that lost most, if that is a fifth of what it had, else the one that gained most, if it has
// doubled.
func portChange(ports []portCount) (best PortChange) {
	var more PortChange
	for port, c := range ports {
		if c.begun == c.ended {
			continue
		}
		p := PortChange{uint16(port), int(c.now) + int(c.ended) - int(c.begun), int(c.now)}
		if lost := p.Then - p.Now; lost >= fewest && lost*5 >= p.Then && lost > best.Then-best.Now {
			best = p
		} else if -lost >= fewest && p.Now >= 2*p.Then && -lost > more.Now-more.Then {
			more = p
		}
	}
	if best == (PortChange{}) {
		return more
	}
	return best
}

// recentKeys returns the keys of an order.
func (t *Table) recentKeys(c model.Column) []keyFunc {
	ended := func(slot uint32, key func(*end) uint64, other uint64) uint64 {
		if x := t.endAt(slot); x != nil {
			return key(x)
		}
		return other
	}
	switch c {
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return ownerKeys(c, t.then())
	case model.ColIif, model.ColOif:
		return routeKeys(c, t.then())
	case model.ColNone:
		return []keyFunc{func(f *model.Flow, slot uint32) uint64 {
			return ended(slot, func(x *end) uint64 { return uint64(max(x.at, 0)) }, uint64(max(f.First, 0)))
		}}
	case model.ColAge:
		return []keyFunc{func(f *model.Flow, slot uint32) uint64 {
			return ended(slot, func(x *end) uint64 {
				if f.First == 0 {
					return noKey
				}
				return uint64(max(x.at-f.First, 0))
			}, noKey)
		}}
	case model.ColTimeout:
		left := columnKeys[c][0]
		return []keyFunc{func(f *model.Flow, slot uint32) uint64 {
			return ended(slot, func(*end) uint64 { return noKey }, left(f, slot))
		}}
	}
	return t.keys(c)
}
