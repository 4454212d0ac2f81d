package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A flowsAnswer is what flows asked for.
type flowsAnswer struct {
	view   *table.View
	cursor cursor[model.Key]
	lost   string          // what became of the flow that was followed, where it is not there
	filter *filter.Filter  // that was asked with
	ended  []model.Key     // of the rows that were on the screen: flows that are gone
	dead   []model.Key     // of the marked flows
	totals table.Breakdown // where nothing matches
	from   stand           // of the screen when it was asked
	sort   string          // that it is in, where nobody chose
}

// autoOrders are the orders of a screen that nobody chose one for: the first one of which something is known.
var autoOrders = []struct {
	name string
	desc bool
}{{"rate", true}, {"bytes", true}, {"age", false}}

// order asks for the rows in the first of autoOrders that some of them have a value for. From first on: where nothing is
// counted, the others need not be tried.
func (n *flowsAnswer) order(store Store, q *table.Query, dir, first int) {
	for i := first; i < len(autoOrders); i++ {
		n.sort, q.Desc = autoOrders[i].name, autoOrders[i].desc
		q.Sort, _ = sortColumn(n.sort, dir)
		store.View(q, n.view)
		if n.view.Matched == 0 || n.view.NoValue < n.view.Matched {
			return
		}
	}
}

// A stand is what an answer's place depends on. Where it changed since the question, the operator was faster: the
// answer's place is of no use any more, its rows may be.
type stand struct {
	cursor[model.Key]
	sort string
	desc bool
	dir  int
}

func (s *flows) stand() stand { return stand{s.cursor, s.sort, s.desc, s.c.dir} }

// pausedRows is how many rows around the cursor are read when the screen is frozen, to scroll in.
const pausedRows = 2000

// ask asks for three screens of rows around the one that is shown.
func (s *flows) ask(a *App, full bool) func(context.Context) any {
	h := s.rowsOn(a)
	q := table.Query{Filter: a.active(), Desc: s.desc, Offset: max(s.top-h, 0), Limit: 3 * h, Owners: shows(s.cols, model.OwnerColumn),
		Routes: shows(s.cols, model.RouteColumn)}
	q.Sort, _ = sortColumn(s.sort, s.c.dir)
	if a.paused {
		q.Offset, q.Limit = max(s.top-pausedRows/2, 0), pausedRows
	}
	if s.follow && !s.loose {
		q.Anchor, q.HasAnchor = s.key, true
		q.Follow, q.AnchorRow = true, min(h, s.top)+s.at
	}
	ans := &flowsAnswer{view: s.spare, cursor: s.cursor, filter: a.active(), from: s.stand()}
	var shown []model.Key
	for _, it := range s.items {
		if !it.ended {
			shown = append(shown, it.row.Flow.Key)
		}
	}
	var marked []model.Key
	if full && len(s.marks) <= maxChecked {
		for k := range s.marks {
			marked = append(marked, k)
		}
	}
	store, kernel, now := a.opt.Store, a.opt.Kernel, a.opt.Now
	auto, first, dir := s.auto && !a.paused, 0, s.c.dir
	switch {
	case a.hasSys && a.sys.Acct.OK && a.sys.Acct.Value == 0:
		first = len(autoOrders) - 1
	case a.stats.Dumping && !a.stats.Loaded: // a rate takes two readings
		first = 1
	}
	return func(ctx context.Context) any {
		if full && kernel != nil && len(shown) > 0 {
			_ = kernel.Refresh(ctx, shown) // counters stay as old as their head says
		}
		q.Now = now().UnixNano()
		if auto {
			ans.order(store, &q, dir, first)
		} else {
			store.View(&q, ans.view)
		}
		ans.place(store, &q, h)
		ans.findEnded(store, shown)
		if ans.view.Matched == 0 && ans.view.Total > 0 {
			store.Breakdown(&ans.totals)
		}
		for _, k := range marked {
			if _, ok := store.Get(k); !ok {
				ans.dead = append(ans.dead, k)
			}
		}
		return ans
	}
}

// maxChecked bounds how many marked flows are looked up at each refresh.
const maxChecked = 5000

// place decides what the first row on the screen is, so that the flow that is followed is in view, and asks again if its rows
// are missing.
func (n *flowsAnswer) place(store Store, q *table.Query, h int) {
	v, c := n.view, &n.cursor
	switch {
	case q.HasAnchor && v.AnchorAt >= 0:
		c.anchor(v.AnchorAt, v.Matched, h)
	default:
		c.goTo(c.pos(), v.Matched, h)
	}
	if q.HasAnchor && v.AnchorAt < 0 {
		c.follow, n.lost = false, "has ended"
		if _, ok := store.Get(q.Anchor); ok {
			n.lost = "does not match any more"
		}
	}
	first, last := v.Offset, v.Offset+len(v.Rows)
	if c.top < first || min(c.top+h, v.Matched) > last {
		q.Offset, q.Follow = max(c.top-h, 0), false
		store.View(q, v)
	}
}

// findEnded looks which of the rows that were shown are of flows that are gone, not only out of the window.
func (n *flowsAnswer) findEnded(store Store, shown []model.Key) {
	here := make(map[model.Key]bool, len(n.view.Rows))
	for i := range n.view.Rows {
		here[n.view.Rows[i].Flow.Key] = true
	}
	for _, k := range shown {
		if here[k] {
			continue
		}
		if _, ok := store.Get(k); !ok {
			n.ended = append(n.ended, k)
		}
	}
}

// take puts an answer on the screen.
func (s *flows) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*flowsAnswer)
	if !ok {
		return nil
	}
	if n.filter != a.active() { // asked before the filter changed; the next answer is on its way
		return nil
	}
	cur := n.cursor
	if now := s.stand(); now != n.from {
		last := n.view.Offset + len(n.view.Rows)
		if now.sort != n.from.sort || now.desc != n.from.desc || now.dir != n.from.dir ||
			s.top < n.view.Offset || min(s.top+s.rowsOn(a), n.view.Matched) > last {
			return nil
		}
		cur = s.cursor
	}
	gone := make(map[model.Key]bool, len(n.ended))
	for _, k := range n.ended {
		gone[k] = true
	}
	var ghosts []ghost
	for i, it := range s.items {
		if !it.ended && gone[it.row.Flow.Key] {
			g := ghost{row: *it.row, at: i}
			g.row.Flow.Known &^= model.KnownRate
			ghosts = append(ghosts, g)
		}
	}
	for _, k := range n.dead {
		delete(s.marks, k)
	}
	s.view, s.spare = n.view, s.view
	if n.sort != "" && s.auto {
		for _, o := range autoOrders {
			if o.name == n.sort {
				s.sort, s.desc = o.name, o.desc
			}
		}
	}
	if s.loose {
		ghosts = nil
	}
	if n.lost != "" && s.follow && !cur.follow {
		a.say("the flow that was followed " + n.lost + ": the cursor stays in its place")
	}
	cur.loose = false
	s.cursor, s.ghosts, s.got, s.zones = cur, ghosts, true, n.totals.Zones
	s.learn()
	s.rebuild(a)
	s.settle()
	return a.lookVisible()
}

// learn remembers whether there is more than one zone, and any helper: the layout keeps those columns longer.
func (s *flows) learn() {
	for i := range s.view.Rows {
		f := &s.view.Rows[i].Flow
		s.seen.zones = s.seen.zones || f.Zone != 0
		s.seen.helpers = s.seen.helpers || f.Helper != 0
		t := f.Orig()
		for _, src := range []bool{true, false} {
			s.c.scratch = draw.AppendEnd(s.c.scratch[:0], &t, src, 0, "")
			s.seen.addr = max(s.seen.addr, len(s.c.scratch))
		}
	}
}
