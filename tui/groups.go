package tui

import (
	"context"
	"slices"
	"strings"

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
	top, at     int
	id          uint64 // of the group under the cursor
	touched     bool   // the cursor was moved: it stays with its group
	want        int    // place that the cursor waits to go to, -1
}

// groupChoices are the keys that b steps through and the line of keys shows.
var groupChoices = parseGroupChoices("src", "dst", "dport", "proto", "state", "zone", "helper", "mark", "nat", "src/24", "dst/24", "sport")

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
	return &groups{keys: groupChoices[:1:1], desc: true, view: &table.GroupView{}, spare: &table.GroupView{}, want: -1}
}

func (s *groups) name() string            { return "Groups" }
func (s *groups) bindings() []binding     { return groupsBindings }
func (s *groups) alsoBindings() []binding { return viewBindings }
func (s *groups) rowsOn(a *App) int       { return max(screenRows(a)-1, 1) }
func (s *groups) restart()                { s.top, s.at, s.touched, s.want = 0, 0, false, -1 }

var groupsBindings = slices.Concat([]binding{
	{id: "flows", keys: []string{"enter"}, help: "the flows of the group", hint: "its flows", narrow: "flows", group: groupLook},
	{id: "and", keys: []string{"="}, help: "add \"and\" this group to the filter", hint: "and", group: groupLook},
	{id: "not", keys: []string{"!"}, help: "add \"and not\" this group", hint: "and not", narrow: "not", group: groupLook},
	{id: "sort", keys: []string{"s", "f6"}, help: "sort by a column", hint: "sort", group: groupLook},
	{id: "by", keys: []string{"b"}, help: "group by the next key", hint: "by", group: groupLook},
	{id: "by2", keys: []string{"B"}, help: "group by two keys: \"src,dport\"", hint: "two keys", narrow: "two", group: groupLook},
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook},
}, moves, []binding{
	{id: "reverse", keys: []string{"S"}, help: "sort the other way round", group: groupLook},
	{id: "nextsort", keys: []string{">"}, help: "sort by next column", group: groupLook},
	{id: "prevsort", keys: []string{"<"}, help: "sort by column before", group: groupLook},
	{id: "units", keys: []string{"i"}, help: "bits or bytes", group: groupLook},
	{id: "delete", keys: []string{"D", "f9"}, help: "delete the group's flows", hint: "delete group", narrow: "del", group: groupAct, writes: true},
	{id: "notrack", keys: []string{"N"}, help: "notrack rule for the group", hint: "notrack", narrow: "notrk", group: groupAct, writes: true},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime},
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime},
	{id: "copy", keys: []string{"y"}, help: "copy the group's filter (OSC 52)", group: groupAway},
	{id: "back", keys: []string{"esc"}, help: "clear filter", group: groupLook},
})

func (s *groups) do(a *App, id string) tea.Cmd {
	h := s.rowsOn(a)
	switch id {
	case "down":
		return s.moveTo(a, s.top+s.at+1)
	case "up":
		return s.moveTo(a, s.top+s.at-1)
	case "halfdown":
		return s.moveTo(a, s.top+s.at+h/2)
	case "halfup":
		return s.moveTo(a, s.top+s.at-h/2)
	case "pagedown":
		return s.moveTo(a, s.top+s.at+h)
	case "pageup":
		return s.moveTo(a, s.top+s.at-h)
	case "bottom":
		return s.moveTo(a, s.view.Groups-1)
	case "top":
		s.restart()
		return a.ask(false)
	case "filter":
		return a.openBar()
	case "pause":
		return a.pause()
	case "resync":
		return a.resync()
	case "units":
		a.flows.c.bits = !a.flows.c.bits
	case "back":
		if a.text != "" {
			return a.setFilter(nil, "")
		}
	default:
		return s.doGroup(a, id)
	}
	return nil
}

// doGroup carries out what has to do with grouping and with the group under the cursor.
func (s *groups) doGroup(a *App, id string) tea.Cmd {
	switch id {
	case "sort":
		s.sortMenu(a)
		return nil
	case "reverse":
		s.desc = !s.desc
		s.top = 0
		return a.ask(false)
	case "nextsort", "prevsort":
		n := len(table.GroupSorts())
		step := 1
		if id == "prevsort" {
			step = n - 1
		}
		s.sort, s.desc = table.GroupColumn((int(s.sort)+step)%n), true
		s.top = 0
		return a.ask(false)
	case "by":
		return s.nextKey(a)
	case "by2":
		a.push(newPrompt("group by", keysText(s.keys), s.complete, func(a *App, text string) (tea.Cmd, error) {
			keys, err := table.ParseGroupKeys(text)
			if err != nil {
				return nil, err
			}
			return s.groupBy(a, keys), nil
		}))
		return nil
	}
	r := s.current()
	if r == nil {
		return nil
	}
	switch id {
	case "flows":
		from := cameFrom{s, *s, a.filter, a.text, ""}
		a.current = 0
		cmd := a.narrowTo(r.Filter, false)
		from.now = a.text
		a.from = &from
		return cmd
	case "and":
		return a.narrowTo(r.Filter, false)
	case "not":
		return a.narrowTo(r.Filter, true)
	case "copy":
		return a.copy(r.Filter)
	case "notrack":
		return a.askNotrackFilter(filter.And(a.text, r.Filter, false))
	case "delete":
		return a.askDeleteFilter(filter.And(a.text, r.Filter, false))
	}
	return nil
}

// complete offers the keys to group by.
func (s *groups) complete(text string) []filter.Completion {
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

// groupBy groups by keys from now on.
func (s *groups) groupBy(a *App, keys []table.GroupKey) tea.Cmd {
	s.keys = keys
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
	m := &menu{head: "sort by (again: the other way round)", chosen: int(s.sort)}
	for _, c := range table.GroupSorts() {
		m.choices = append(m.choices, choice{text: c.String()})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return s.sortBy(a, table.GroupSorts()[i])
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
	s.top = 0
	return a.ask(false)
}

// current is the group under the cursor, nil for none.
func (s *groups) current() *table.GroupRow {
	i := s.top + s.at - s.view.Offset
	if i < 0 || i >= len(s.view.Rows) {
		return nil
	}
	return &s.view.Rows[i]
}

// moveTo takes the cursor to place p.
func (s *groups) moveTo(a *App, p int) tea.Cmd {
	h := s.rowsOn(a)
	p = max(min(p, s.view.Groups-1), 0)
	s.touched = true
	if p < s.top {
		s.top = p
	}
	if p >= s.top+h {
		s.top = p - h + 1
	}
	s.at = p - s.top
	if r := s.current(); r != nil {
		s.id = r.ID
		if end := min(s.top+h, s.view.Groups); s.top >= s.view.Offset && end <= s.view.Offset+len(s.view.Rows) {
			return nil
		}
	} else {
		s.want = p
	}
	return a.ask(false)
}

type groupsAnswer struct {
	view   *table.GroupView
	top    int
	want   int
	filter *filter.Filter
	keys   []table.GroupKey
}

func (s *groups) ask(a *App, _ bool) func(context.Context) any {
	h := s.rowsOn(a)
	q := table.GroupQuery{Filter: a.active(), Keys: s.keys, Sort: s.sort, Desc: s.desc, Offset: max(s.top-h, 0), Limit: 3 * h}
	if s.touched && s.want < 0 {
		q.Anchor, q.HasAnchor = s.id, true
	}
	n := &groupsAnswer{view: s.spare, top: s.top, want: s.want, filter: q.Filter, keys: s.keys}
	s.want = -1
	store, now := a.opt.Store, a.opt.Now
	return func(context.Context) any {
		q.Now = now().UnixNano()
		v := n.view
		store.Group(&q, v)
		if p := v.AnchorAt; q.HasAnchor && p >= 0 {
			if p < n.top {
				n.top = p
			}
			if p >= n.top+h {
				n.top = p - h + 1
			}
		}
		n.top = max(min(n.top, v.Groups-h), 0)
		if n.top < v.Offset || min(n.top+h, v.Groups) > v.Offset+len(v.Rows) {
			q.Offset = max(n.top-h, 0)
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
	s.view, s.spare, s.top, s.got = n.view, s.view, n.top, true
	switch {
	case n.want >= 0:
		s.at = n.want - s.top
	case s.touched && s.view.AnchorAt >= 0:
		s.at = s.view.AnchorAt - s.top
	case !s.touched:
		s.at = 0
	}
	s.at = max(min(s.at, s.view.Groups-s.top-1), 0)
	if r := s.current(); r != nil {
		s.id = r.ID
	}
	return a.lookGroups(s.view.Rows)
}

// click selects a group, or sorts by a head.
func (s *groups) click(a *App, x, y int) tea.Cmd {
	headY := 3
	if a.hasTabs() {
		headY = 4
	}
	if y == headY {
		for _, p := range s.placed(a.w) {
			if c, err := table.ParseGroupColumn(p.name); err == nil && x >= p.x && x < p.x+p.w {
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

func (s *groups) wheel(a *App, n int) tea.Cmd { return s.moveTo(a, s.top+s.at+n) }

// A cameFrom is where the flows of a group were opened: Esc goes back there, with the filter and the place of then.
type cameFrom struct {
	screen *groups
	was    groups
	filter *filter.Filter
	text   string
	now    string // the filter that it led to; under another one there is no way back
}

// goBack returns to the groups.
func (a *App) goBack() tea.Cmd {
	b := a.from
	a.from, a.note = nil, ""
	for i, m := range a.screens {
		if m == mode(b.screen) {
			a.current = i
		}
	}
	a.filter, a.text, a.trying = b.filter, b.text, false
	for _, m := range a.screens {
		if r, ok := m.(interface{ restart() }); ok {
			r.restart()
		}
	}
	s := b.screen
	s.top, s.at, s.id, s.touched = b.was.top, b.was.at, b.was.id, true
	return a.ask(false)
}
