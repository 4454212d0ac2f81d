package tui

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model/table"
)

// since is what the window begins with.
func (s *recent) since(now int64) int64 {
	switch {
	case s.window == fiveMinutes:
		return now - table.KeepEndsFor
	case s.window == sinceMark && s.mark != 0:
		return s.mark
	}
	return now - int64(30*time.Second)
}

// A recentAnswer is what recent asked for.
type recentAnswer struct {
	view   *table.RecentView
	q      table.RecentQuery
	cursor cursor[table.RecentID]
	from   cursor[table.RecentID] // when it was asked
	lost   bool                   // the row that was followed is gone
	window lookback
	mark   int64
}

// query asks for three screens of rows around the one that is shown.
func (s *recent) query(a *App) table.RecentQuery {
	h := s.rowsOn(a)
	q := table.RecentQuery{Filter: a.active(), Keys: s.keys, Desc: s.desc, GroupSort: s.groupSort, Offset: max(s.top-h, 0), Limit: 3 * h}
	q.Sort, _ = recentOrder(s.sort)
	if len(s.keys) > 0 {
		q.Desc = s.groupDesc
	}
	if a.paused {
		q.Offset, q.Limit = max(s.top-pausedRows/2, 0), pausedRows
	}
	if s.follow && !s.loose {
		q.Anchor, q.HasAnchor = s.key, true
	}
	return q
}

func (s *recent) ask(a *App, _ bool) func(context.Context) any {
	h := s.rowsOn(a)
	n := &recentAnswer{view: s.spare, q: s.query(a), cursor: s.cursor, from: s.cursor, window: s.window, mark: s.mark}
	store, now, since := a.opt.Store, a.opt.Now, s.since
	return func(context.Context) any {
		store.KeepEndsSince(n.mark)
		v, c, q := n.view, &n.cursor, &n.q
		q.Now = now().UnixNano()
		q.Since = since(q.Now)
		store.Recent(q, v)
		if q.HasAnchor && v.AnchorAt >= 0 {
			c.anchor(v.AnchorAt, v.Matched, h)
		} else {
			c.goTo(c.pos(), v.Matched, h)
		}
		n.lost = q.HasAnchor && v.AnchorAt < 0
		if last := v.Offset + max(len(v.Rows), len(v.Groups)); c.top < v.Offset || min(c.top+h, v.Matched) > last {
			q.Offset = max(c.top-h, 0)
			store.Recent(q, v)
		}
		return n
	}
}

func (s *recent) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*recentAnswer)
	if !ok || n.q.Filter != a.active() || !slices.Equal(n.q.Keys, s.keys) || n.window != s.window || n.mark != s.mark {
		return nil
	}
	if q := s.query(a); q.Sort != n.q.Sort || q.Desc != n.q.Desc || q.GroupSort != n.q.GroupSort {
		return nil
	}
	if s.cursor != n.from { // the operator was faster: the answer's rows may be of use, its place is not
		if last := n.view.Offset + max(len(n.view.Rows), len(n.view.Groups)); s.top < n.view.Offset || min(s.top+s.rowsOn(a), n.view.Matched) > last {
			return nil
		}
		n.cursor = s.cursor
	} else if n.lost {
		n.cursor.follow = false
		a.say("the row that was followed is older than the window: the cursor stays in its place")
	}
	s.view, s.spare, s.cursor, s.got, s.asked = n.view, s.view, n.cursor, true, n.q.Since
	s.loose = false
	if p := s.pos(); p >= s.view.Offset && p < s.view.Offset+s.here() {
		s.key = s.id(p)
	}
	return s.lookUp(a)
}

// lookUp asks for the names of the addresses on the screen.
func (s *recent) lookUp(a *App) tea.Cmd {
	if !a.names.on {
		return nil
	}
	var rows []table.GroupRow
	for i := range s.view.Groups {
		rows = append(rows, table.GroupRow{Values: s.view.Groups[i].Values})
	}
	for i := range s.view.Rows {
		t := s.view.Rows[i].Flow.Orig()
		rows = append(rows, table.GroupRow{Values: []string{t.SrcAddr().String(), t.DstAddr().String()}})
	}
	return a.lookGroups(rows)
}
