package table

import (
	"fmt"
	"slices"
	"strings"

	"ctview/model"
	"ctview/model/filter"
)

// A GroupColumn names a value of a group that can be sorted by.
type GroupColumn uint8

// The columns of groups.
const (
	GroupFlows GroupColumn = iota
	GroupUnreplied
	GroupNew // flows begun per second
	GroupRate
	GroupBytes
	GroupPackets
	GroupUsed  // share of the ports in use, by nat-ports only: see NATPorts
	GroupValue // the keys' values

	numGroupColumns
)

var groupColumnNames = [numGroupColumns]string{"flows", "unreplied", "new", "rate", "bytes", "packets", "used", "key"}

// String returns the column's name as the command line takes it.
func (c GroupColumn) String() string {
	if c < numGroupColumns {
		return groupColumnNames[c]
	}
	return ""
}

// GroupSorts returns the columns that groups can be sorted by, in the order in which they are listed to people.
func GroupSorts() []GroupColumn {
	cs := make([]GroupColumn, numGroupColumns)
	for i := range cs {
		cs[i] = GroupColumn(i)
	}
	return cs
}

// ParseGroupColumn reads a name as String writes it.
func ParseGroupColumn(s string) (GroupColumn, error) {
	w := strings.ToLower(strings.TrimSpace(s))
	for c, n := range groupColumnNames {
		if n == w {
			return GroupColumn(c), nil
		}
	}
	return 0, fmt.Errorf("unknown column of groups %q: columns are %s", s, strings.Join(groupColumnNames[:], " "))
}

// A GroupQuery asks for a window of the groups that the matching flows make.
type GroupQuery struct {
	Filter *filter.Filter // nil: every flow
	Keys   []GroupKey     // one to MaxGroupKeys
	Sort   GroupColumn
	Desc   bool
	Offset int // first row of the window
	Limit  int // rows wanted
	Now    int64
	Ranges *PortRanges // for groups by nat-ports; nil: not known

	// Anchor asks where the group with this ID is now: GroupView.AnchorAt. With Follow the window is moved so that it
	// stands AnchorRow rows below the window's top.
	Anchor    uint64
	HasAnchor bool
	Follow    bool
	AnchorRow int
}

// A GroupSum adds up flows.
type GroupSum struct {
	Flows     int
	Unreplied int     // flows that never got a reply
	NewPerSec float64 // flows there are that began in the last ten seconds, by the second
	Bytes     uint64  // of the KnownBytes flows whose counters are known, both directions
	Packets   uint64
	Rate      float64 // bytes per second of the KnownRate flows whose rate is known, both directions

	KnownBytes, KnownRate int
}

// A GroupRow is one group.
type GroupRow struct {
	ID     uint64   // the same for the same values of the same keys as long as the table lives
	Values []string // a text for each key, escaped
	Filter string   // the filter text that the group's flows match and no others
	GroupSum

	// TopDport is the destination port that more than half of the group's flows go to, TopFlows how many do. Both are 0
	// where there is none such, or where the groups are by destination port.
	TopDport uint16
	TopFlows int

	NATPorts // of groups by nat-ports
}

// A GroupView is the answer. Nothing in it refers to the table; one that is passed in again keeps its memory.
type GroupView struct {
	Rows     []GroupRow
	Offset   int // of Rows[0]; may differ from the query's
	Groups   int
	Matched  int // flows that match
	Total    int // flows in the table
	Unknown  int // see View
	Sum      GroupSum
	AnchorAt int // place of the anchor, -1 if there is no such group
	Stats    Stats
	Version  uint64
}

// newWindow is how far back NewPerSec looks.
const newWindow = 10 * second

// Group answers q. It holds the table for one pass over the flows, about 100 ns each. A query without keys, or with
// more than MaxGroupKeys, has no groups.
func (t *Table) Group(q *GroupQuery, v *GroupView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*v = GroupView{Rows: v.Rows[:0], Total: t.stats.Flows, AnchorAt: -1, Stats: t.stats, Version: t.version}
	if len(q.Keys) == 0 || len(q.Keys) > MaxGroupKeys {
		return
	}
	t.asks(q.Now, q.Filter, columnsOf(q.Keys)...)
	g := &t.groups
	if !g.same(t, q) {
		g.fill(t, q)
	}
	v.Groups, v.Matched, v.Unknown = len(g.accs), g.matched, g.unknown
	g.sum(v)
	g.order(t, q)
	offset := q.Offset
	if q.HasAnchor {
		if id, ok := g.find(q.Anchor); ok {
			v.AnchorAt = g.sorter.place(g.items, id)
			if q.Follow {
				offset = v.AnchorAt - q.AnchorRow
			}
		}
	}
	limit := max(q.Limit, 0)
	v.Offset = max(0, min(offset, v.Groups-limit))
	end := min(v.Offset+limit, v.Groups)
	g.sorter.window(g.items, v.Offset, end, 0)
	g.rows(t, q, g.items[v.Offset:end], v)
}

// sum adds the groups up.
func (g *grouping) sum(v *GroupView) {
	for i := range g.accs {
		s := g.accs[i].sum(g.newSpan)
		v.Sum.Flows += s.Flows
		v.Sum.Unreplied += s.Unreplied
		v.Sum.NewPerSec += s.NewPerSec
		v.Sum.Bytes += s.Bytes
		v.Sum.Packets += s.Packets
		v.Sum.Rate += s.Rate
		v.Sum.KnownBytes += s.KnownBytes
		v.Sum.KnownRate += s.KnownRate
	}
}

// rows copies the window's groups out.
func (g *grouping) rows(t *Table, q *GroupQuery, items []item, v *GroupView) {
	if cap(v.Rows) < len(items) {
		v.Rows = make([]GroupRow, len(items))
	}
	v.Rows = v.Rows[:len(items)]
	top, one := g.topPorts(t, items), t.flows.one()
	for i, it := range items {
		a, r := &g.accs[it.slot], &v.Rows[i]
		f := one(a.sample)
		*r = GroupRow{ID: a.hash, Values: r.Values[:0], GroupSum: a.sum(g.newSpan)}
		var terms []string
		for _, k := range q.Keys {
			r.Values = append(r.Values, k.label(t.now(), f))
			terms = append(terms, k.filter(t.now(), f))
		}
		r.Filter = strings.Join(terms, " and ")
		if top[i]*2 > r.Flows {
			r.TopDport, r.TopFlows = a.port, top[i]
		}
		if int(it.slot) < len(g.ports) {
			r.NATPorts = g.ports[it.slot].most()
		}
	}
}

// byPort reports whether the groups are by destination port themselves.
func byPort(keys []GroupKey) bool {
	return slices.ContainsFunc(keys, func(k GroupKey) bool { return k.Col == model.ColDport || k.Ports })
}
