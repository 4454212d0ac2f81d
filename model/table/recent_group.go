package table

import (
	"fmt"
	"slices"
	"strings"

	"ctview/model"
)

// A RecentColumn names a value of a group of Recent that can be sorted by.
type RecentColumn uint8

// The columns of groups of Recent.
const (
	RecentChanges RecentColumn = iota // flows that began, ended or both
	RecentBegun
	RecentEnded
	RecentNow
	RecentLost // by how many flows it has less than it had
	RecentBytes
	RecentValue // the keys' values

	numRecentColumns
)

var recentColumnNames = [numRecentColumns]string{"changes", "begun", "ended", "now", "lost", "bytes", "key"}

// String returns the column's name.
func (c RecentColumn) String() string {
	if c < numRecentColumns {
		return recentColumnNames[c]
	}
	return ""
}

// RecentColumns returns the columns that groups of Recent can be sorted by.
func RecentColumns() []RecentColumn {
	cs := make([]RecentColumn, numRecentColumns)
	for i := range cs {
		cs[i] = RecentColumn(i)
	}
	return cs
}

// ParseRecentColumn reads a name as String writes it.
func ParseRecentColumn(s string) (RecentColumn, error) {
	if i := slices.Index(recentColumnNames[:], strings.ToLower(strings.TrimSpace(s))); i >= 0 {
		return RecentColumn(i), nil
	}
	return 0, fmt.Errorf("unknown column of recent groups %q: columns are %s", s, strings.Join(recentColumnNames[:], " "))
}

// A RecentGroup is what began and ended of flows that have something in common.
type RecentGroup struct {
	ID      RecentID
	Values  []string // a text for each key, escaped
	Filter  string   // the filter text that the group's flows match and no others
	Changes int      // flows that began, ended or both
	Begun   int
	Ended   int
	Now     int    // flows there are
	Then    int    // flows there were at RecentView.From; only with Lasting
	Bytes   uint64 // of the Counted flows among Changes whose counters are known, both directions
	Counted int
}

type groupChange struct {
	changes, begun, ended, now, counted uint32
	bytes                               uint64
}

// lost is by how many flows the group has less than it had.
func (c *groupChange) lost() int { return int(c.ended) - int(c.begun) }

// lasting reports whether a flow has the same value of the key for its whole life.
func (k GroupKey) lasting() bool {
	switch k.Col {
	case model.ColState, model.ColCtState, model.ColPhase, model.ColHelper, model.ColMark, model.ColPID, model.ColProc, model.ColUser, model.ColCgroup, model.ColIif, model.ColOif:
		return false
	}
	return true
}

// recentGroups answers a query with keys.
func (t *Table) recentGroups(q *RecentQuery, v *RecentView) {
	r := &t.recent
	g := &r.groups
	if g.table == nil {
		g.table = make([]uint32, 1<<10)
	}
	clear(g.table)
	g.accs, r.changes = g.accs[:0], r.changes[:0]
	hash := g.hasher(t, q.Keys, t.then())
	t.eachRecent(q, v, func(slot uint32, f *model.Flow, x *end, began bool) {
		n := g.group(hash(f), slot)
		if int(n) == len(r.changes) {
			r.changes = append(r.changes, groupChange{})
		}
		r.changes[n].add(f, x, began)
	})
	r.sorter = r.groupOrder(t, q)
	for n := range g.accs {
		if r.changes[n].changes > 0 {
			r.items = append(r.items, newItem(r.sorter.key(uint32(n), 0), uint32(n)))
		}
	}
	v.Matched = len(r.items)
	if n, ok := g.find(q.Anchor.Group); ok && q.HasAnchor && r.changes[n].changes > 0 {
		v.AnchorAt = r.sorter.place(r.items, n)
	}
	a, b := v.window(q)
	r.sorter.window(r.items, a, b, 0)
	for _, it := range r.items[a:b] {
		v.Groups = append(v.Groups, r.group(t, q, it.slot))
	}
}

func (c *groupChange) add(f *model.Flow, x *end, began bool) {
	if x != nil {
		c.ended++
	} else {
		c.now++
	}
	if began {
		c.begun++
	}
	if x == nil && !began {
		return
	}
	c.changes++
	if f.Known&model.KnownCounters != 0 {
		c.counted++
		c.bytes += f.Bytes[0] + f.Bytes[1]
	}
}

// group copies group n out.
func (r *recent) group(t *Table, q *RecentQuery, n uint32) RecentGroup {
	a, c := &r.groups.accs[n], &r.changes[n]
	f := t.flowAt(a.sample)
	out := RecentGroup{ID: RecentID{Group: a.hash}, Changes: int(c.changes), Begun: int(c.begun), Ended: int(c.ended), Now: int(c.now),
		Then: int(c.now) + c.lost(), Bytes: c.bytes, Counted: int(c.counted)}
	var terms []string
	for _, k := range q.Keys {
		out.Values = append(out.Values, k.label(t.then(), f))
		terms = append(terms, k.filter(t.then(), f))
	}
	out.Filter = strings.Join(terms, " and ")
	return out
}

// groupOrder is the order of groups: by a column, then by the keys' values.
func (r *recent) groupOrder(t *Table, q *RecentQuery) sorter {
	o := sorter{desc: q.Desc, at: func(n uint32) *model.Flow { return t.flowAt(r.groups.accs[n].sample) }}
	if q.GroupSort != RecentValue {
		o.keys = []keyFunc{func(_ *model.Flow, n uint32) uint64 { return r.changes[n].key(q.GroupSort) }}
	}
	for _, k := range q.Keys {
		o.keys = append(o.keys, k.order(t.then(), q.Desc && q.GroupSort != RecentValue)...)
	}
	return o
}

func (c *groupChange) key(col RecentColumn) uint64 {
	switch col {
	case RecentBegun:
		return uint64(c.begun)
	case RecentEnded:
		return uint64(c.ended)
	case RecentNow:
		return uint64(c.now)
	case RecentLost:
		return uint64(int64(c.lost()) + 1<<32)
	case RecentBytes:
		if c.counted == 0 {
			return noKey
		}
		return min(c.bytes, maxKey)
	}
	return uint64(c.changes)
}
