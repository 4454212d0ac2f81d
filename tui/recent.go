package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

// recent is the screen of what changed: flows that began and ended within a window of time, or groups of them.
type recent struct {
	window lookback
	mark   int64 // Unix nanoseconds; 0 none is set

	keys      []table.GroupKey // none: flows
	sort      string           // of flows: "when", "lived" or a column of flows
	desc      bool
	groupSort table.RecentColumn
	groupDesc bool

	view, spare *table.RecentView
	asked       int64 // what the view was asked from
	got         bool
	cursor[table.RecentID]
}

// A lookback is how far back the screen looks.
type lookback uint8

const (
	halfMinute lookback = iota
	fiveMinutes
	sinceMark
	numWindows
)

// windowNames are what :recent calls them.
var windowNames = [numWindows]string{"30s", "5m", "mark"}

func newRecent() *recent {
	return &recent{sort: sortWhen, desc: true, groupDesc: true, view: &table.RecentView{}, spare: &table.RecentView{}}
}

// Orders of flows that only this screen has.
const (
	sortWhen  = "when"
	sortLived = "lived"
)

// recentOrder returns the order that the column called name stands for.
func recentOrder(name string) (model.Column, bool) {
	switch name {
	case sortWhen:
		return model.ColNone, true
	case sortLived:
		return model.ColAge, true
	case "age":
		return 0, false
	}
	return sortColumn(name, 0)
}

func (s *recent) unread() bool            { return !s.got }
func (s *recent) name() string            { return "Recent" }
func (s *recent) bindings() []binding     { return recentBindings }
func (s *recent) alsoBindings() []binding { return viewBindings }
func (s *recent) rowsOn(a *App) int       { return max(screenRows(a)-1, 1) }

var recentBindings = slices.Concat([]binding{
	{id: "detail", keys: []string{"enter"}, help: "flow detail; the flows of a group", hint: "detail", narrow: " ", group: groupLook, row: true,
		run: on((*recent).open)},
	{id: "window", keys: []string{"t"}, help: "how far back: 30 s, 5 min, since the mark", hint: "time", group: groupTime,
		run: on((*recent).nextWindow)},
	{id: "setmark", keys: []string{"m"}, help: "set the mark: what changed since now", hint: "mark", group: groupTime,
		run: on((*recent).setMark)},
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook,
		run: inApp((*App).openBar)},
	{id: "value", keys: []string{"f"}, help: "filter by a value of row", hint: "by value", narrow: "value", group: groupLook, row: true,
		run: on((*recent).openValues)},
	{id: "sort", keys: []string{"s", "f6"}, help: "sort by a column", hint: "sort", group: groupLook,
		run: does((*recent).sortMenu)},
	{id: "by", keys: []string{"b"}, help: "group by the next key; flows after the last", hint: "group", group: groupLook,
		run: on((*recent).nextKey)},
	{id: "by2", keys: []string{"B"}, help: "group by what is typed: \"src,dport\"; nothing: flows", group: groupLook,
		run: does((*recent).askKeys)},
}, moves, []binding{
	{id: "reverse", keys: []string{"S"}, help: "sort the other way round", group: groupLook,
		run: on((*recent).reverse)},
	{id: "and", keys: []string{"="}, help: "add \"and\" this group to the filter", group: groupLook, row: true,
		run: onRecentGroup(func(_ *recent, a *App, r *table.RecentGroup) tea.Cmd {
			return a.away(func() tea.Cmd { return a.narrowTo(r.Filter, false) })
		})},
	{id: "not", keys: []string{"x"}, help: "add \"and not\" this group", group: groupLook, row: true,
		run: onRecentGroup(func(_ *recent, a *App, r *table.RecentGroup) tea.Cmd {
			return a.away(func() tea.Cmd { return a.narrowTo(r.Filter, true) })
		})},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime,
		run: inApp((*App).pause)},
	followBinding("row"),
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime,
		run: inApp((*App).resync)},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52)", group: groupAway, row: true,
		run: on((*recent).copy)},
	{id: "back", keys: []string{"esc"}, help: "back, clear filter", group: groupLook,
		run: on((*recent).back)},
})

// onRecentGroup makes an action of what is done with the group under the cursor.
func onRecentGroup(f func(s *recent, a *App, r *table.RecentGroup) tea.Cmd) action {
	return on(func(s *recent, a *App) tea.Cmd {
		if r := s.group(); r != nil {
			return f(s, a, r)
		}
		return nil
	})
}

func (s *recent) walk(a *App, id string) tea.Cmd {
	switch id {
	case "top":
		s.restart()
		return a.ask(false)
	case "follow":
		s.toggle(a, "row", s.flow() == nil && s.group() == nil)
		return nil
	}
	p, _ := s.aim(id, s.view.Matched, s.rowsOn(a))
	return s.moveTo(a, p)
}

// moveTo takes the cursor to place p. Rows that are not here yet are asked for.
func (s *recent) moveTo(a *App, p int) tea.Cmd {
	first, last := s.view.Offset, s.view.Offset+s.here()
	if first == last {
		return nil
	}
	if to := max(min(p, s.view.Matched-1), 0); a.paused && (to < first || to >= last) {
		a.say("paused: only the rows that were read before can be shown. p goes on.")
		p = max(min(to, last-1), first)
	}
	if s.reach(p, s.view.Matched, s.rowsOn(a), first, last, s.id) && !a.paused {
		return a.ask(false)
	}
	return nil
}

// here is how many rows of the list are here.
func (s *recent) here() int { return max(len(s.view.Rows), len(s.view.Groups)) }

// id is what the row at place p, which is here, is known by.
func (s *recent) id(p int) table.RecentID {
	i := p - s.view.Offset
	if len(s.view.Groups) > 0 {
		return s.view.Groups[i].ID
	}
	return s.view.Rows[i].ID()
}

// flow is the flow under the cursor, nil for none.
func (s *recent) flow() *table.RecentRow {
	if i := s.pos() - s.view.Offset; !s.loose && i >= 0 && i < len(s.view.Rows) {
		return &s.view.Rows[i]
	}
	return nil
}

// group is the group under the cursor, nil for none.
func (s *recent) group() *table.RecentGroup {
	if i := s.pos() - s.view.Offset; !s.loose && i >= 0 && i < len(s.view.Groups) {
		return &s.view.Groups[i]
	}
	return nil
}

// open shows the flow in full, or the flows of a group.
func (s *recent) open(a *App) tea.Cmd {
	if r := s.flow(); r != nil {
		return a.openFlow(r.Flow.Key, &r.Row)
	}
	if r := s.group(); r != nil {
		return a.away(func() tea.Cmd {
			s.show(nil)
			return a.narrowTo(r.Filter, false)
		})
	}
	return nil
}

func (s *recent) openValues(a *App) tea.Cmd {
	if r := s.flow(); r != nil {
		return a.pushValues(&r.Row)
	}
	return nil
}

func (s *recent) copy(a *App) tea.Cmd {
	if r := s.flow(); r != nil {
		a.pushCopy(&r.Row)
	} else if g := s.group(); g != nil {
		return a.copy(g.Filter)
	}
	return nil
}

// nextWindow looks back for the next of the windows; for that of the mark only where one is set.
func (s *recent) nextWindow(a *App) tea.Cmd {
	s.window = (s.window + 1) % numWindows
	if s.window == sinceMark && s.mark == 0 {
		s.window = halfMinute
	}
	return s.again(a)
}

// setMark has the screen tell what changes from now on.
func (s *recent) setMark(a *App) tea.Cmd {
	s.mark, s.window = a.opt.Now().UnixNano(), sinceMark
	a.say("the mark is set: what begins and ends from now on")
	return s.again(a)
}

// again asks for another list.
func (s *recent) again(a *App) tea.Cmd {
	s.show(s.keys)
	return a.ask(false)
}

// show begins a list of groups by keys, or of flows for none.
func (s *recent) show(keys []table.GroupKey) {
	s.keys, s.got = keys, false
	s.view.Rows, s.view.Groups = s.view.Rows[:0], s.view.Groups[:0]
	s.restart()
}

// restart shows the top of what is asked for next.
func (s *recent) restart() { s.reset() }

// reorder asks for the same rows in their new order: from the top, or around the one that is followed.
func (s *recent) reorder(a *App) tea.Cmd {
	if !s.follow {
		s.restart()
	}
	return a.ask(false)
}

func (s *recent) reverse(a *App) tea.Cmd {
	if len(s.keys) > 0 {
		s.groupDesc = !s.groupDesc
	} else {
		s.desc = !s.desc
	}
	return s.reorder(a)
}

// sortBy orders by the column called name, the other way round if it is the order already.
func (s *recent) sortBy(a *App, name string) tea.Cmd {
	if len(s.keys) > 0 {
		c, err := table.ParseRecentColumn(name)
		switch {
		case err != nil:
			return nil
		case c == s.groupSort:
			s.groupDesc = !s.groupDesc
		default:
			s.groupSort, s.groupDesc = c, c != table.RecentValue
		}
		return s.reorder(a)
	}
	if _, ok := recentOrder(name); !ok {
		a.say("the column " + name + " has no order")
		return nil
	}
	if s.sort == name {
		s.desc = !s.desc
	} else {
		c := columnNamed(name)
		s.sort, s.desc = name, name == sortWhen || name == sortLived || c != nil && c.right && name != "zone"
	}
	return s.reorder(a)
}

// sortMenu offers the columns to sort by.
func (s *recent) sortMenu(a *App) {
	var names []string
	now := s.sort
	if len(s.keys) > 0 {
		now = s.groupSort.String()
		for _, c := range table.RecentColumns() {
			names = append(names, c.String())
		}
	} else {
		names = append(names, sortWhen, sortLived)
		for i := range flowColumns {
			if _, ok := recentOrder(flowColumns[i].name); ok {
				names = append(names, flowColumns[i].name)
			}
		}
	}
	m := &menu{head: "sort by (again: the other way round)"}
	m.choose(max(slices.Index(names, now), 0))
	for _, n := range names {
		m.choices = append(m.choices, choice{text: n})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return s.sortBy(a, names[i])
	}
	a.push(m)
}

// groupBy shows groups by keys from now on, flows for none.
func (s *recent) groupBy(a *App, keys []table.GroupKey) tea.Cmd {
	s.keys = keys
	return s.again(a)
}

// nextKey groups by the next of the common keys; after the last come flows.
func (s *recent) nextKey(a *App) tea.Cmd {
	i := -1
	if len(s.keys) > 0 {
		i = slices.Index(groupChoices, s.keys[0])
	}
	if i+1 == len(groupChoices) {
		return s.groupBy(a, nil)
	}
	return s.groupBy(a, groupChoices[i+1:i+2:i+2])
}

// askKeys has the keys of the groups typed.
func (s *recent) askKeys(a *App) {
	a.push(newPrompt("group by", keysText(s.keys), completeKeys, func(a *App, text string) (tea.Cmd, error) {
		if strings.TrimSpace(text) == "" {
			return s.groupBy(a, nil), nil
		}
		keys, err := table.ParseGroupKeys(text)
		if err != nil {
			return nil, err
		}
		return s.groupBy(a, keys), nil
	}))
}

// back undoes one thing: the step that led here, then groups, then the filter.
func (s *recent) back(a *App) tea.Cmd {
	if len(s.keys) > 0 && !a.canStepBack() {
		return s.groupBy(a, nil)
	}
	return a.backOrClear()
}

// click selects a row, or sorts by a head.
func (s *recent) click(a *App, x, y int) tea.Cmd {
	headY := 2 + a.headRows()
	if y == headY {
		for _, p := range s.placed(a.w) {
			if x >= p.x && x < p.x+p.w {
				return s.sortBy(a, p.name)
			}
		}
		return nil
	}
	if i := y - headY - 1; i >= 0 && i < s.rowsOn(a) && s.top+i < s.view.Matched {
		return s.moveTo(a, s.top+i)
	}
	return nil
}

func (s *recent) wheel(a *App, n int) tea.Cmd { return s.moveTo(a, s.pos()+n) }

// runRecent shows the screen: "", "30s", "5m" or "mark", and "by KEYS".
func runRecent(a *App, arg string) (tea.Cmd, error) {
	i := slices.IndexFunc(a.screens, func(m mode) bool { _, ok := m.(*recent); return ok })
	s := a.screens[i].(*recent)
	word, rest, by := strings.Cut(" "+arg+" ", " by ")
	word = strings.TrimSpace(word)
	var keys []table.GroupKey
	if by {
		var err error
		if keys, err = table.ParseGroupKeys(strings.TrimSpace(rest)); err != nil {
			return nil, err
		}
	}
	w := slices.Index(windowNames[:], word)
	switch {
	case word != "" && w < 0:
		return nil, fmt.Errorf("recent 30s, 5m or mark, then perhaps by and keys: recent 5m by dport")
	case word != "":
		s.window = lookback(w)
	}
	if s.window == sinceMark && (s.mark == 0 || word != "") {
		s.mark = a.opt.Now().UnixNano()
	}
	s.keys = keys
	return tea.Batch(s.again(a), a.show(i)), nil
}

func offerRecent(a *App, arg string) []filter.Completion {
	if from := strings.LastIndex(arg, "by "); from >= 0 {
		out := offerGroups(a, arg[from+3:])
		for i := range out {
			out[i].From, out[i].To = out[i].From+from+3, out[i].To+from+3
		}
		return out
	}
	return offerWords(arg, append(windowNames[:], "by"), nil)
}
