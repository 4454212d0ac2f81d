package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model/filter"
	"ctview/model/table"
)

// groups is the screen of top talkers: flows put together by what they have in common.
type groups struct {
	keys []table.GroupKey
	sort table.GroupColumn
	desc bool

	view, spare *table.GroupView
	got         bool
	cursor[uint64]
}

// groupChoices are the keys that b steps through and the line of keys shows.
var groupChoices = parseGroupChoices("src", "dst", "dport", "proto", "state", "zone", "helper", "mark", "nat", "nat-ports", "src/24", "dst/24", "sport")

// natPorts are the keys of groups that tell how far the ports of NAT are used up.
var natPorts = parseGroupChoices("nat-ports")

func parseGroupChoices(names ...string) []table.GroupKey {
	out := make([]table.GroupKey, 0, len(names))
	for _, n := range names {
		if k, err := table.ParseGroupKey(n); err == nil {
			out = append(out, k)
		}
	}
	return out
}

func newGroups() *groups {
	return &groups{keys: groupChoices[:1:1], desc: true, view: &table.GroupView{}, spare: &table.GroupView{}}
}

func (s *groups) unread() bool            { return !s.got }
func (s *groups) name() string            { return "Groups" }
func (s *groups) bindings() []binding     { return groupsBindings }
func (s *groups) alsoBindings() []binding { return viewBindings }
func (s *groups) rowsOn(a *App) int       { return max(screenRows(a)-1, 1) }

var groupsBindings = slices.Concat([]binding{
	{id: "flows", keys: []string{"enter"}, help: "the flows of the group", hint: "its flows", narrow: "flows", group: groupLook, row: true,
		run: onGroup((*groups).openFlows)},
	{id: "and", keys: []string{"="}, help: "add \"and\" this group to the filter", hint: "and", group: groupLook, row: true,
		run: onGroup(func(_ *groups, a *App, r *table.GroupRow) tea.Cmd {
			return a.away(func() tea.Cmd { return a.narrowTo(r.Filter, false) })
		})},
	{id: "not", keys: []string{"x"}, help: "add \"and not\" this group", hint: "and not", narrow: "not", group: groupLook, row: true,
		run: onGroup(func(_ *groups, a *App, r *table.GroupRow) tea.Cmd {
			return a.away(func() tea.Cmd { return a.narrowTo(r.Filter, true) })
		})},
	{id: "sort", keys: []string{"s", "f6"}, help: "sort by a column", hint: "sort", group: groupLook,
		run: does((*groups).sortMenu)},
	{id: "by", keys: []string{"b"}, help: "group by the next key", hint: "by", group: groupLook,
		run: on((*groups).nextKey)},
	{id: "by2", keys: []string{"B"}, help: "group by up to four keys: \"src,dport\"", hint: "keys", narrow: "keys", group: groupLook,
		run: does((*groups).askKeys)},
	{id: "natports", keys: []string{"P"}, help: "ports that NAT has in use, against their range", hint: "NAT", group: groupLook,
		run: on(func(s *groups, a *App) tea.Cmd { return s.groupBy(a, natPorts) })},
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook,
		run: inApp((*App).openBar)},
}, moves, []binding{
	{id: "reverse", keys: []string{"S"}, help: "sort the other way round", group: groupLook,
		run: on((*groups).reverse)},
	{id: "nextsort", keys: []string{">"}, help: "sort by next column", group: groupLook,
		run: on(func(s *groups, a *App) tea.Cmd { return s.sortNext(a, 1) })},
	{id: "prevsort", keys: []string{"<"}, help: "sort by column before", group: groupLook,
		run: on(func(s *groups, a *App) tea.Cmd { return s.sortNext(a, -1) })},
	{id: "units", keys: []string{"i"}, help: "bits or bytes", group: groupLook,
		run: inApp(toggleUnits)},
	{id: "delete", keys: []string{"D", "f9"}, help: "delete the group's flows", hint: "delete group", narrow: "del", group: groupAct, row: true, writes: true,
		run: onGroup(func(_ *groups, a *App, r *table.GroupRow) tea.Cmd {
			return a.askDeleteFilter(filter.And(a.text, r.Filter, false))
		})},
	{id: "notrack", keys: []string{"N"}, help: "notrack rule for the group", hint: "notrack", narrow: "notrk", group: groupAct, row: true, writes: true,
		run: onGroup(func(_ *groups, a *App, r *table.GroupRow) tea.Cmd {
			return a.askNotrackFilter(filter.And(a.text, r.Filter, false))
		})},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime,
		run: inApp((*App).pause)},
	followBinding("group"),
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime,
		run: inApp((*App).resync)},
	{id: "copy", keys: []string{"y"}, help: "copy the group's filter (OSC 52)", group: groupAway, row: true,
		run: onGroup(func(_ *groups, a *App, r *table.GroupRow) tea.Cmd { return a.copy(r.Filter) })},
	{id: "back", keys: []string{"esc"}, help: "back, clear filter", group: groupLook,
		run: inApp((*App).backOrClear)},
})

// onGroup makes an action of what is done with the group under the cursor.
func onGroup(f func(s *groups, a *App, r *table.GroupRow) tea.Cmd) action {
	return on(func(s *groups, a *App) tea.Cmd {
		if r := s.current(); r != nil {
			return f(s, a, r)
		}
		return nil
	})
}

func (s *groups) walk(a *App, id string) tea.Cmd {
	switch id {
	case "top":
		s.restart()
		return a.ask(false)
	case "follow":
		s.toggle(a, "group", s.current() == nil)
		return nil
	}
	p, _ := s.aim(id, s.view.Groups, s.rowsOn(a))
	return s.moveTo(a, p)
}

func (s *groups) reverse(a *App) tea.Cmd {
	s.desc = !s.desc
	return s.reorder(a)
}

// sortNext sorts by the column that is n further on.
func (s *groups) sortNext(a *App, n int) tea.Cmd {
	all := s.sorts()
	s.sort, s.desc = all[(slices.Index(all, s.sort)+n+len(all))%len(all)], true
	return s.reorder(a)
}

// askKeys has the keys of the groups typed.
func (s *groups) askKeys(a *App) {
	a.push(newPrompt("group by", keysText(s.keys), completeKeys, func(a *App, text string) (tea.Cmd, error) {
		keys, err := table.ParseGroupKeys(text)
		if err != nil {
			return nil, err
		}
		return s.groupBy(a, keys), nil
	}))
}

func (s *groups) openFlows(a *App, r *table.GroupRow) tea.Cmd {
	return a.away(func() tea.Cmd {
		a.turnTo(0)
		return a.narrowTo(r.Filter, false)
	})
}

// completeKeys offers the keys to group by.
func completeKeys(text string) []filter.Completion {
	from := strings.LastIndexByte(text, ',') + 1
	word := strings.TrimSpace(text[from:])
	var out []filter.Completion
	for _, k := range groupChoices {
		if n := k.String(); strings.HasPrefix(n, word) {
			out = append(out, filter.Completion{Insert: n, Show: n, From: from, To: len(text)})
		}
	}
	return out
}

// byPorts reports whether the groups tell ports in use.
func (s *groups) byPorts() bool { return table.ByNATPorts(s.keys) }

// sorts are the columns to sort by.
func (s *groups) sorts() []table.GroupColumn {
	return slices.DeleteFunc(table.GroupSorts(), func(c table.GroupColumn) bool { return c == table.GroupUsed && !s.byPorts() })
}

// groupBy groups by keys from now on. Of ports in use the scarcest are first.
func (s *groups) groupBy(a *App, keys []table.GroupKey) tea.Cmd {
	s.keys = keys
	switch {
	case s.byPorts():
		s.sort, s.desc = table.GroupUsed, true
		a.ill.readAt = time.Time{} // for the rules as they are now
	case s.sort == table.GroupUsed:
		s.sort = table.GroupFlows
	}
	s.view.Rows = s.view.Rows[:0]
	s.got = false
	s.restart()
	return a.ask(false)
}

// nextKey groups by the next of the common keys.
func (s *groups) nextKey(a *App) tea.Cmd {
	i := slices.Index(groupChoices, s.keys[0])
	return s.groupBy(a, []table.GroupKey{groupChoices[(i+1)%len(groupChoices)]})
}

func keysText(keys []table.GroupKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	return strings.Join(names, ",")
}

// sortMenu offers the columns to sort by.
func (s *groups) sortMenu(a *App) {
	m, all := &menu{head: "sort by (again: the other way round)"}, s.sorts()
	m.choose(slices.Index(all, s.sort))
	for _, c := range all {
		m.choices = append(m.choices, choice{text: c.String()})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return s.sortBy(a, all[i])
	}
	a.push(m)
}

// sortBy orders by c, the other way round if it is the order already.
func (s *groups) sortBy(a *App, c table.GroupColumn) tea.Cmd {
	if c == s.sort {
		s.desc = !s.desc
	} else {
		s.sort, s.desc = c, c != table.GroupValue
	}
	return s.reorder(a)
}

// current is the group under the cursor, nil for none.
func (s *groups) current() *table.GroupRow {
	i := s.pos() - s.view.Offset
	if s.loose || i < 0 || i >= len(s.view.Rows) {
		return nil
	}
	return &s.view.Rows[i]
}

// moveTo takes the cursor to place p. Rows that are not here yet are asked for.
func (s *groups) moveTo(a *App, p int) tea.Cmd {
	v := s.view
	if s.reach(p, v.Groups, s.rowsOn(a), v.Offset, v.Offset+len(v.Rows), func(p int) uint64 { return v.Rows[p-v.Offset].ID }) {
		return a.ask(false)
	}
	return nil
}

// restart shows the top of what is asked for next.
func (s *groups) restart() { s.reset() }

// reorder asks for the same groups in their new order: from the top, or around the group that is followed.
func (s *groups) reorder(a *App) tea.Cmd {
	if !s.follow {
		s.restart()
	}
	return a.ask(false)
}

// A groupsAnswer is what groups asked for.
type groupsAnswer struct {
	view   *table.GroupView
	cursor cursor[uint64]
	from   cursor[uint64] // when it was asked
	lost   bool           // the group that was followed is gone
	filter *filter.Filter
	keys   []table.GroupKey
}

func (s *groups) ask(a *App, _ bool) func(context.Context) any {
	h := s.rowsOn(a)
	q := table.GroupQuery{Filter: a.active(), Keys: s.keys, Sort: s.sort, Desc: s.desc, Offset: max(s.top-h, 0), Limit: 3 * h, Ranges: a.ill.ranges}
	if s.follow && !s.loose {
		q.Anchor, q.HasAnchor = s.key, true
	}
	n := &groupsAnswer{view: s.spare, cursor: s.cursor, from: s.cursor, filter: q.Filter, keys: s.keys}
	store, now := a.opt.Store, a.opt.Now
	return func(context.Context) any {
		q.Now = now().UnixNano()
		v, c := n.view, &n.cursor
		store.Group(&q, v)
		if q.HasAnchor && v.AnchorAt >= 0 {
			c.anchor(v.AnchorAt, v.Groups, h)
		} else {
			c.goTo(c.pos(), v.Groups, h)
		}
		n.lost = q.HasAnchor && v.AnchorAt < 0
		if c.top < v.Offset || min(c.top+h, v.Groups) > v.Offset+len(v.Rows) {
			q.Offset = max(c.top-h, 0)
			store.Group(&q, v)
		}
		return n
	}
}

func (s *groups) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*groupsAnswer)
	if !ok || n.filter != a.active() || !slices.Equal(n.keys, s.keys) {
		return nil
	}
	if s.cursor != n.from { // the operator was faster: the answer's rows may be of use, its place is not
		if last := n.view.Offset + len(n.view.Rows); s.top < n.view.Offset || min(s.top+s.rowsOn(a), n.view.Groups) > last {
			return nil
		}
		n.cursor = s.cursor
	} else if n.lost {
		n.cursor.follow = false
		a.say("the group that was followed is gone: the cursor stays in its place")
	}
	s.view, s.spare, s.cursor, s.got = n.view, s.view, n.cursor, true
	s.loose = false
	if r := s.current(); r != nil {
		s.key = r.ID
	}
	return a.lookGroups(s.view.Rows)
}

// click selects a group, or sorts by a head.
func (s *groups) click(a *App, x, y int) tea.Cmd {
	headY := 2 + a.headRows()
	if y == headY {
		for _, p := range s.placed(a.w) {
			if c, err := table.ParseGroupColumn(p.name); err == nil && slices.Contains(s.sorts(), c) && x >= p.x && x < p.x+p.w {
				return s.sortBy(a, c)
			}
		}
		return nil
	}
	if i := y - headY - 1; i >= 0 && i < s.rowsOn(a) && s.top+i < s.view.Groups {
		return s.moveTo(a, s.top+i)
	}
	return nil
}

func (s *groups) wheel(a *App, n int) tea.Cmd { return s.moveTo(a, s.pos()+n) }
