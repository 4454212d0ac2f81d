package tui

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

var flowsBindings = slices.Concat([]binding{
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook},
	{id: "value", keys: []string{"f"}, help: "filter by a value of row", hint: "by value", narrow: "value", group: groupLook, row: true},
	{id: "sort", keys: []string{"s", "f6"}, help: "sort by a column", hint: "sort", group: groupLook},
	{id: "group", keys: []string{"b"}, help: "group by", hint: "group", group: groupLook},
	{id: "detail", keys: []string{"enter"}, help: "flow detail", hint: "detail", narrow: " ", group: groupLook, row: true},
}, moves, []binding{
	{id: "left", keys: []string{"h", "left"}, help: "columns to the left", group: groupMove},
	{id: "right", keys: []string{"l", "right"}, help: "columns to the right", group: groupMove},
	{id: "mark", keys: []string{"space"}, help: "mark", hint: "mark", narrow: " ", group: groupMove, row: true},
	{id: "markall", keys: []string{"ctrl+a"}, help: "mark all that match", group: groupMove},
	{id: "unmark", keys: []string{"ctrl+x"}, help: "mark none", group: groupMove},
	{id: "reverse", keys: []string{"S"}, help: "sort the other way round", group: groupLook},
	{id: "nextsort", keys: []string{">"}, help: "sort by next column", group: groupLook},
	{id: "prevsort", keys: []string{"<"}, help: "sort by column before", group: groupLook},
	{id: "columns", keys: []string{"c"}, help: "columns and their order", group: groupLook},
	{id: "direction", keys: []string{"o"}, help: "bytes: sum, orig, reply", group: groupLook},
	{id: "units", keys: []string{"i"}, help: "bits or bytes", group: groupLook},
	{id: "compact", keys: []string{"z"}, help: "wide or compact", group: groupLook},
	{id: "back", keys: []string{"esc"}, help: "back, then clear filter", group: groupLook},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime},
	followBinding("flow"),
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime},
	{id: "delete", keys: []string{"D", "f9"}, help: "delete marked or current", hint: "delete", narrow: "del", group: groupAct, row: true, writes: true},
	{id: "notrack", keys: []string{"N"}, help: "notrack rule for it", hint: "notrack", narrow: "notrk", group: groupAct, row: true, writes: true},
	{id: "undo", keys: []string{"u"}, help: "undo (notrack rules)", group: groupAct, writes: true},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52)", group: groupAway, row: true},
})

func (s *flows) bindings() []binding { return flowsBindings }

// do carries out an action.
func (s *flows) do(a *App, id string) tea.Cmd {
	switch id {
	case "down":
		return s.move(a, 1)
	case "up":
		return s.move(a, -1)
	case "top":
		return s.restartCursor(a)
	case "left", "right":
		s.scroll(a, id)
	case "mark":
		return s.toggleMark(a)
	case "markall":
		return s.markAll(a)
	case "unmark":
		clear(s.marks)
	case "filter":
		return a.openBar()
	case "value":
		if r, _ := s.current(); r != nil {
			return a.pushValues(r)
		}
	case "detail":
		return s.openDetail(a)
	case "back":
		return s.back(a)
	case "delete":
		return s.askDelete(a)
	case "copy":
		s.copyMenu(a)
	case "pause":
		return a.pause()
	case "notrack":
		return s.askNotrack(a)
	case "undo":
		return a.undoRule()
	case "group":
		return a.away(func() tea.Cmd { return a.show(1) })
	default:
		if p, ok := s.aim(id, s.view.Matched, s.rowsOn(a)); ok {
			return s.moveTo(a, p)
		}
		return s.doLook(a, id)
	}
	return nil
}

// doLook carries out the actions that change how rows look, how they are ordered and how often they come.
func (s *flows) doLook(a *App, id string) tea.Cmd {
	switch id {
	case "sort":
		s.sortMenu(a)
	case "reverse":
		s.auto, s.desc = false, !s.desc
		return s.reorder(a)
	case "nextsort", "prevsort":
		return s.sortNext(a, id == "nextsort")
	case "columns":
		s.columnsMenu(a)
	case "direction":
		s.c.dir = (s.c.dir + 1) % 3
		a.say("RATE, BYTES and PACKETS are of " + [...]string{"both directions", "the original direction", "the reply direction"}[s.c.dir])
		return s.reorder(a)
	case "units":
		s.c.bits = !s.c.bits
	case "compact":
		s.wide, s.skip = !s.wide, 0
	case "follow":
		r, ended := s.current()
		s.toggle(a, "flow", r == nil || ended)
	case "resync":
		return a.resync()
	}
	return nil
}

// restartCursor takes the cursor to the first row, where it stays whatever flow comes to stand there.
func (s *flows) restartCursor(a *App) tea.Cmd {
	s.restart()
	if s.view.Offset == 0 {
		s.loose = false
		s.rebuild(a)
		s.settle()
		return nil
	}
	return a.ask(false)
}

// sortNext sorts by the next shown column that has an order.
func (s *flows) sortNext(a *App, forward bool) tea.Cmd {
	step := 1
	if !forward {
		step = len(s.cols) - 1
	}
	at := 0
	for i, c := range s.cols {
		if c.name == s.sort {
			at = i
		}
	}
	for range s.cols {
		at = (at + step) % len(s.cols)
		if _, ok := sortColumn(s.cols[at].name, 0); ok {
			s.sort = ""
			return s.sortBy(a, s.cols[at].name)
		}
	}
	return nil
}

// scroll moves the columns by one, as long as there are more to see.
func (s *flows) scroll(a *App, id string) {
	if id == "left" {
		s.skip = max(s.skip-1, 0)
		return
	}
	ps := s.place(a.w)
	if len(ps) == 0 || ps[len(ps)-1].column == s.cols[len(s.cols)-1] && len(ps)+s.skip >= len(s.cols) {
		return
	}
	s.skip = min(s.skip+1, len(s.cols)-1)
}

// toggleMark marks the current flow and goes to the next row.
func (s *flows) toggleMark(a *App) tea.Cmd {
	r, ended := s.current()
	if r == nil || ended {
		return nil
	}
	k := r.Flow.Key
	if _, ok := s.marks[k]; ok {
		delete(s.marks, k)
	} else {
		s.marks[k] = r.Flow.ID
	}
	a.note = ""
	return s.move(a, 1)
}

// markAll marks every flow that matches, also those that are not on the screen.
func (s *flows) markAll(a *App) tea.Cmd {
	store, filter, now := a.opt.Store, a.filter, a.opt.Now().UnixNano()
	return func() tea.Msg {
		found := map[model.Key]uint32{}
		store.Each(func(f *model.Flow, x *model.Extra) bool {
			if filter.Match(f, x, now) {
				found[f.Key] = f.ID
			}
			return true
		})
		return doneMsg{func(a *App) tea.Cmd {
			s.marks = found
			a.note = ""
			return nil
		}}
	}
}

// back undoes one thing: marks, then the scrolled columns, then the step that led here, then the filter.
func (s *flows) back(a *App) tea.Cmd {
	switch {
	case len(s.marks) > 0:
		clear(s.marks)
	case s.skip > 0:
		s.skip = 0
	default:
		a.note = ""
		return a.backOrClear()
	}
	a.note = ""
	return nil
}

// pause freezes the screen, or goes on.
func (a *App) pause() tea.Cmd {
	a.paused = !a.paused
	a.note = ""
	if a.paused {
		a.pausedAt, a.pauseStats = a.now, a.stats
	}
	return a.ask(false)
}

// resync has the whole table read again.
func (a *App) resync() tea.Cmd {
	if a.opt.Kernel != nil {
		a.opt.Kernel.Resync()
		a.say("reading the whole table again")
	}
	return nil
}

// changePace steps the refresh interval.
func (a *App) changePace(slower bool) tea.Cmd {
	steps := refreshSteps
	old := a.refresh
	if slower {
		for _, d := range steps {
			if d > old {
				a.refresh = d
				break
			}
		}
	} else {
		for _, d := range steps {
			if d < old {
				a.refresh = d
			}
		}
	}
	a.say("refresh every " + interval(a.refresh))
	if a.refresh == old || !a.armed {
		return nil
	}
	return a.arm(a.refresh)
}

// click selects a row, or sorts by a head.
func (s *flows) click(a *App, x, y int) tea.Cmd {
	headY := 1 + a.headRows()
	if y == headY {
		for _, p := range s.place(a.w) {
			if x >= p.x && x < p.x+max(p.w, draw.Width(p.head)) {
				return s.sortBy(a, p.name)
			}
		}
		return nil
	}
	if i := y - headY - 1; i >= 0 && i < len(s.items) {
		if i == s.at && a.opt.Now().Sub(s.clicked) < doubleClick {
			s.clicked = time.Time{}
			return s.openDetail(a)
		}
		s.clicked = a.opt.Now()
		s.at, s.key = i, s.items[i].row.Flow.Key
	}
	return nil
}

// doubleClick is how soon a second click opens what the first one chose.
const doubleClick = 400 * time.Millisecond

func (s *flows) wheel(a *App, n int) tea.Cmd { return s.move(a, n) }
