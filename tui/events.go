package tui

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/table"
)

// events is the stream of changes: the newest at the bottom, or, until it follows again, the list up to one change, which
// stands still.
type events struct {
	kinds table.Kinds
	until uint64 // the newest change of the list; 0: it follows the newest there is
	cursor[uint64]

	view, spare *table.ChangeView
	seconds     []table.Second
	got         bool
	left        int // lines that the filter bar takes from the list
}

func newEvents() *events {
	s := &events{view: &table.ChangeView{}, spare: &table.ChangeView{}}
	s.restart()
	return s
}

func (s *events) unread() bool            { return !s.got }
func (s *events) name() string            { return "Events" }
func (s *events) bindings() []binding     { return eventsBindings }
func (s *events) alsoBindings() []binding { return viewBindings }

// restart follows the newest change.
func (s *events) restart() {
	s.until = 0
	s.cursor.reset()
	s.follow = true
}

// rowsOn is the number of changes that fit on the screen.
func (s *events) rowsOn(a *App) int {
	n := screenRows(a) - s.left
	if a.w >= wideFrom || a.h >= shortHeight {
		n--
	}
	return max(n, 1)
}

var eventsBindings = slices.Concat([]binding{
	{id: "follow", keys: []string{"F"}, help: "follow the newest event", hint: "follow", group: groupTime,
		run: walking("follow")},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime,
		run: inApp((*App).pause)},
	{id: "types", keys: []string{"t"}, help: "which events: new, update, destroy, expect", hint: "types", group: groupLook,
		run: does((*events).typesMenu)},
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook,
		run: inApp((*App).openBar)},
	{id: "detail", keys: []string{"enter"}, help: "flow of the event", hint: "flow", group: groupLook, row: true,
		run: on((*events).openDetail)},
	{id: "value", keys: []string{"f"}, help: "filter by a value of row", hint: "by value", narrow: "value", group: groupLook, row: true,
		run: on((*events).openValues)},
}, moves, []binding{
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime,
		run: inApp((*App).resync)},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52)", group: groupAway, row: true,
		run: does((*events).copyMenu)},
	{id: "back", keys: []string{"esc"}, help: "to the newest, then back", group: groupLook,
		run: on((*events).back)},
})

func (s *events) walk(a *App, id string) tea.Cmd {
	if id == "follow" || id == "bottom" {
		s.restart()
		return a.ask(false)
	}
	p, _ := s.aim(id, s.view.Matched, s.rowsOn(a))
	return s.moveTo(a, p)
}

func (s *events) openDetail(a *App) tea.Cmd {
	if c := s.current(); c != nil && c.Kind != 0 && c.Note != table.NoteExpect {
		return a.openFlow(c.Flow.Key, &model.Row{Flow: c.Flow})
	}
	return nil
}

func (s *events) openValues(a *App) tea.Cmd {
	if c := s.current(); c != nil && c.Kind != 0 {
		return a.pushValues(a.eventRow(c))
	}
	return nil
}

func (s *events) copyMenu(a *App) {
	if c := s.current(); c != nil && c.Kind != 0 {
		a.pushCopy(a.eventRow(c))
	}
}

// back returns to the newest event, then to where one came from.
func (s *events) back(a *App) tea.Cmd {
	if !s.follow {
		s.restart()
		return a.ask(false)
	}
	return a.backOrClear()
}

// eventRow is the flow of an event, with what few flows have if it is still there.
func (a *App) eventRow(c *table.Change) *model.Row {
	r := &model.Row{Flow: c.Flow}
	if now, ok := a.opt.Store.Get(c.Flow.Key); ok && now.Flow.ID == c.Flow.ID {
		r.Extra = now.Extra
	}
	return r
}

// first is the place of the first row that is here, counted from the oldest change of the list.
func (s *events) first() int { return s.view.Matched - s.view.Offset - len(s.view.Rows) }

// change returns the change at place p, nil for none that is here.
func (s *events) change(p int) *table.Change {
	if i := p - s.first(); i >= 0 && i < len(s.view.Rows) {
		return &s.view.Rows[i]
	}
	return nil
}

// current is the change under the cursor, nil for none.
func (s *events) current() *table.Change { return s.change(s.pos()) }

// moveTo takes the cursor to place p. From then on the list stands still; beyond its end it follows again.
func (s *events) moveTo(a *App, p int) tea.Cmd {
	n := s.view.Matched
	switch {
	case len(s.view.Rows) == 0 || s.follow && p >= n:
		return nil
	case p >= n && s.pos() == n-1:
		s.restart()
		return a.ask(false)
	case s.follow:
		s.follow, s.until = false, s.view.Last
	}
	first := s.first()
	if s.reach(p, n, s.rowsOn(a), first, first+len(s.view.Rows), func(p int) uint64 { return s.change(p).Seq }) {
		return a.ask(false)
	}
	return nil
}

// query asks for three screens of rows, the one that is shown in the middle.
func (s *events) query(a *App) table.ChangeQuery {
	h := s.rowsOn(a)
	q := table.ChangeQuery{Filter: a.active(), Kinds: s.kinds, Limit: 3 * h, Until: s.until, Now: a.opt.Now().UnixNano()}
	if !s.follow {
		q.Offset = max(s.view.Matched-s.top-2*h, 0)
	}
	return q
}

type eventsAnswer struct {
	view    *table.ChangeView
	seconds []table.Second
	q       table.ChangeQuery
}

func (s *events) ask(a *App, _ bool) func(context.Context) any {
	q, v, store := s.query(a), s.spare, a.opt.Store
	return func(context.Context) any {
		store.Changes(&q, v)
		return &eventsAnswer{v, store.Seconds(q.Now, nil), q}
	}
}

func (s *events) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*eventsAnswer)
	if !ok || n.q.Filter != a.active() || n.q.Kinds != s.kinds || n.q.Until != s.until {
		return nil
	}
	old, h := s.view.Matched, s.rowsOn(a)
	s.view, s.spare, s.seconds, s.got = n.view, s.view, n.seconds, true
	p := s.view.Matched - 1
	if !s.follow { // what the log had no room for any more is gone from the other end
		p = s.pos() - max(old-s.view.Matched, 0)
		s.top -= max(old-s.view.Matched, 0)
	}
	first := s.first()
	if s.reach(p, s.view.Matched, h, first, first+len(s.view.Rows), func(p int) uint64 { return s.change(p).Seq }) && n.q.Offset != s.query(a).Offset {
		return a.ask(false)
	}
	return nil
}

// typesMenu has the kinds of events chosen.
func (s *events) typesMenu(a *App) {
	kinds := []struct {
		k    table.Kinds
		name string
		on   *bool
	}{{table.KindNew, "new", nil}, {table.KindUpdate, "update", nil}, {table.KindDestroy, "destroy", nil}, {table.KindExpect, "expect", nil}}
	m := &menu{head: "which events", keys: []binding{{id: "toggle", keys: []string{"space"}, help: "show or hide", hint: "show, hide", group: groupLook}}}
	for i := range kinds {
		kinds[i].on = ptr(s.kinds == 0 || s.kinds&kinds[i].k != 0)
		m.choices = append(m.choices, choice{key: kinds[i].name[:1], text: kinds[i].name, on: kinds[i].on})
	}
	m.pick = func(a *App, i int, id string) tea.Cmd {
		if id == "pick" && m.byEnter {
			a.pop()
			return a.ask(false)
		}
		s.top, s.at = s.view.Matched, 0 // another list: its end
		*kinds[i].on = !*kinds[i].on
		s.kinds = 0
		all := true
		for _, k := range kinds {
			if *k.on {
				s.kinds |= k.k
			} else {
				all = false
			}
		}
		if s.kinds == 0 {
			*kinds[i].on, s.kinds = true, kinds[i].k
			a.say("one kind has to stay")
		}
		if all {
			s.kinds = 0
		}
		return nil
	}
	a.push(m)
}

// kindsText names the kinds that are shown.
func (s *events) kindsText(wide bool) string {
	var out []string
	for _, k := range []struct {
		k           table.Kinds
		long, short string
	}{{table.KindNew, "NEW", "N"}, {table.KindUpdate, "UPDATE", "U"}, {table.KindDestroy, "DESTROY", "D"}, {table.KindExpect, "EXPECT", "E"}} {
		if s.kinds != 0 && s.kinds&k.k == 0 {
			continue
		}
		if wide {
			out = append(out, k.long)
		} else {
			out = append(out, k.short)
		}
	}
	return strings.Join(out, " ")
}

// click selects an event.
func (s *events) click(a *App, _, y int) tea.Cmd {
	first := 2 + a.headRows()
	if i := y - first; i >= 0 && i < s.rowsOn(a) && s.top+i < s.view.Matched {
		return s.moveTo(a, s.top+i)
	}
	return nil
}

func (s *events) wheel(a *App, n int) tea.Cmd { return s.moveTo(a, s.pos()+n) }
