package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

// events is the stream of changes: the newest at the bottom, or a window of the past that stands still.
type events struct {
	kinds  table.Kinds
	follow bool   // show the newest
	until  uint64 // the newest change shown where follow is off
	offset int    // changes between until and the last row
	seq    uint64 // of the change under the cursor where follow is off

	want int // which row of the answer the cursor goes to

	view, spare *table.ChangeView
	seconds     []table.Second
	got         bool
}

// Where the cursor goes when the window was moved.
const (
	wantNothing = iota
	wantFirst
	wantLast
)

func newEvents() *events {
	return &events{follow: true, view: &table.ChangeView{}, spare: &table.ChangeView{}}
}

func (s *events) name() string            { return "Events" }
func (s *events) bindings() []binding     { return eventsBindings }
func (s *events) alsoBindings() []binding { return viewBindings }
func (s *events) restart()                { s.follow, s.until, s.offset = true, 0, 0 }

// hasRows is the number of changes that fit on the screen.
func (s *events) hasRows(a *App) int {
	if a.w < wideFrom && a.h < shortHeight {
		return screenRows(a)
	}
	return max(screenRows(a)-1, 1)
}

var eventsBindings = []binding{
	{id: "follow", keys: []string{"F"}, help: "follow the newest event", hint: "follow", group: groupTime},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime},
	{id: "types", keys: []string{"t"}, help: "which events: new, update, destroy, expect", hint: "types", group: groupLook},
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook},
	{id: "detail", keys: []string{"enter"}, help: "flow of the event", hint: "flow", group: groupLook},
	{id: "value", keys: []string{"f"}, help: "filter by a value of row", hint: "by value", narrow: "value", group: groupLook},
	{id: "down", keys: []string{"j", "down"}, help: "one row down", group: groupMove},
	{id: "up", keys: []string{"k", "up"}, help: "one row up", group: groupMove},
	{id: "halfdown", keys: []string{"ctrl+d"}, help: "half a page down", group: groupMove},
	{id: "halfup", keys: []string{"ctrl+u"}, help: "half a page up", group: groupMove},
	{id: "pagedown", keys: []string{"pgdown", "ctrl+f"}, help: "page down", group: groupMove},
	{id: "pageup", keys: []string{"pgup", "ctrl+b"}, help: "page up", group: groupMove},
	{id: "top", keys: []string{"g", "home"}, help: "oldest event kept", group: groupMove},
	{id: "bottom", keys: []string{"G", "end"}, help: "newest, and follow", group: groupMove},
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52)", group: groupAway},
	{id: "back", keys: []string{"esc"}, help: "back to the newest, then clear filter", group: groupLook},
}

func (s *events) do(a *App, id string) tea.Cmd {
	h := s.hasRows(a)
	switch id {
	case "follow", "bottom":
		s.restart()
		return a.ask(false)
	case "down":
		return s.move(a, 1)
	case "up":
		return s.move(a, -1)
	case "halfdown":
		return s.move(a, h/2)
	case "halfup":
		return s.move(a, -h/2)
	case "pagedown":
		return s.move(a, h)
	case "pageup":
		return s.move(a, -h)
	case "top":
		return s.move(a, -s.view.Matched)
	case "types":
		s.typesMenu(a)
	case "filter":
		return a.openBar()
	case "detail":
		if c := s.current(); c != nil && c.Kind != 0 && c.Note != table.NoteExpect {
			return a.openFlow(c.Flow.Key, &model.Row{Flow: c.Flow})
		}
	case "value":
		if c := s.current(); c != nil && c.Kind != 0 {
			a.pushValues(&model.Row{Flow: c.Flow})
		}
	case "copy":
		if c := s.current(); c != nil && c.Kind != 0 {
			a.pushCopy(&model.Row{Flow: c.Flow})
		}
	case "pause":
		return a.pause()
	case "resync":
		return a.resync()
	case "back":
		switch {
		case !s.follow:
			s.restart()
			return a.ask(false)
		case a.text != "":
			return a.setFilter(nil, "")
		}
	}
	return nil
}

// at is the row of the cursor, len(Rows)-1 while following.
func (s *events) at() int {
	if !s.follow {
		for i := range s.view.Rows {
			if s.view.Rows[i].Seq == s.seq {
				return i
			}
		}
	}
	return len(s.view.Rows) - 1
}

// current is the change under the cursor, nil for none.
func (s *events) current() *table.Change {
	if i := s.at(); i >= 0 && i < len(s.view.Rows) {
		return &s.view.Rows[i]
	}
	return nil
}

// move takes the cursor n rows down. The window stands still from then on.
func (s *events) move(a *App, n int) tea.Cmd {
	rows := s.view.Rows
	if len(rows) == 0 {
		return nil
	}
	i := s.at() + n
	if s.follow {
		if n > 0 {
			return nil
		}
		s.follow, s.until, s.offset = false, s.view.Last, 0
	}
	switch {
	case i < 0:
		older := max(s.view.Matched-s.offset-len(rows), 0)
		s.offset += min(-i, older)
		s.seq = 0
		s.want = wantFirst
		return a.ask(false)
	case i >= len(rows):
		over := i - len(rows) + 1
		if over > s.offset {
			if s.view.Newer > 0 || s.offset > 0 {
				s.until, s.offset = 0, 0 // the newest again
				s.restart()
				return a.ask(false)
			}
			over = s.offset
		}
		s.offset -= over
		s.seq = 0
		s.want = wantLast
		return a.ask(false)
	}
	s.seq = rows[i].Seq
	return nil
}

func (s *events) query(a *App) table.ChangeQuery {
	q := table.ChangeQuery{Filter: a.active(), Kinds: s.kinds, Limit: s.hasRows(a), Now: a.opt.Now().UnixNano()}
	if !s.follow {
		q.Until, q.Offset = s.until, s.offset
	}
	return q
}

type eventsAnswer struct {
	view    *table.ChangeView
	seconds []table.Second
	until   uint64
	offset  int
	filter  *filter.Filter
}

func (s *events) ask(a *App, _ bool) func(context.Context) any {
	q, v, store := s.query(a), s.spare, a.opt.Store
	return func(context.Context) any {
		store.Changes(&q, v)
		return &eventsAnswer{view: v, seconds: store.Seconds(q.Now, nil), until: q.Until, offset: q.Offset, filter: q.Filter}
	}
}

func (s *events) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*eventsAnswer)
	if !ok || n.filter != a.active() || !s.follow && (n.until != s.until || n.offset != s.offset) {
		return nil
	}
	s.view, s.spare, s.seconds, s.got = n.view, s.view, n.seconds, true
	if rows := s.view.Rows; len(rows) > 0 && s.want != wantNothing {
		s.seq = rows[0].Seq
		if s.want == wantLast {
			s.seq = rows[len(rows)-1].Seq
		}
	}
	s.want = wantNothing
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
	first := 3
	if a.hasTabs() {
		first = 4
	}
	from := max(len(s.view.Rows)-s.hasRows(a), 0)
	if i := y - first; i >= 0 && from+i < len(s.view.Rows) {
		return s.move(a, from+i-s.at())
	}
	return nil
}

func (s *events) wheel(a *App, n int) tea.Cmd { return s.move(a, n) }
