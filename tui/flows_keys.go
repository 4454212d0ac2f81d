package tui

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

var flowsBindings = slices.Concat([]binding{
	{id: "filter", keys: []string{"/", "f4"}, help: "filter", hint: "filter", group: groupLook,
		run: inApp((*App).openBar)},
	{id: "value", keys: []string{"f"}, help: "filter by a value of row", hint: "by value", narrow: "value", group: groupLook, row: true,
		run: on((*flows).openValues)},
	{id: "sort", keys: []string{"s", "f6"}, help: "sort by a column", hint: "sort", group: groupLook,
		run: does((*flows).sortMenu)},
	{id: "group", keys: []string{"b"}, help: "group by", hint: "group", group: groupLook,
		run: inApp(func(a *App) tea.Cmd { return a.away(func() tea.Cmd { return a.show(1) }) })},
	{id: "detail", keys: []string{"enter"}, help: "flow detail", hint: "detail", narrow: " ", group: groupLook, row: true,
		run: on((*flows).openDetail)},
}, moves, []binding{
	{id: "left", keys: []string{"h", "left"}, help: "columns to the left", group: groupMove,
		run: does(func(s *flows, _ *App) { s.skip = max(s.skip-1, 0) })},
	{id: "right", keys: []string{"l", "right"}, help: "columns to the right", group: groupMove,
		run: does((*flows).scrollRight)},
	{id: "mark", keys: []string{"space"}, help: "mark", hint: "mark", narrow: " ", group: groupMove, row: true,
		run: on((*flows).toggleMark)},
	{id: "markall", keys: []string{"ctrl+a"}, help: "mark all that match", group: groupMove,
		run: on((*flows).markAll)},
	{id: "unmark", keys: []string{"ctrl+x"}, help: "mark none", group: groupMove,
		run: does(func(s *flows, _ *App) { clear(s.marks) })},
	{id: "reverse", keys: []string{"S"}, help: "sort the other way round", group: groupLook,
		run: on((*flows).reverse)},
	{id: "nextsort", keys: []string{">"}, help: "sort by next column", group: groupLook,
		run: on(func(s *flows, a *App) tea.Cmd { return s.sortNext(a, true) })},
	{id: "prevsort", keys: []string{"<"}, help: "sort by column before", group: groupLook,
		run: on(func(s *flows, a *App) tea.Cmd { return s.sortNext(a, false) })},
	{id: "columns", keys: []string{"c"}, help: "columns and their order", group: groupLook,
		run: does((*flows).columnsMenu)},
	{id: "direction", keys: []string{"o"}, help: "bytes: sum, orig, reply", group: groupLook,
		run: on((*flows).turnDirection)},
	{id: "units", keys: []string{"i"}, help: "bits or bytes", group: groupLook,
		run: inApp(toggleUnits)},
	{id: "compact", keys: []string{"z"}, help: "wide or compact", group: groupLook,
		run: does(func(s *flows, _ *App) { s.wide, s.skip = !s.wide, 0 })},
	{id: "back", keys: []string{"esc"}, help: "back, clear filter", group: groupLook,
		run: on((*flows).back)},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime,
		run: inApp((*App).pause)},
	followBinding("flow"),
	{id: "resync", keys: []string{"R"}, help: "resync now", group: groupTime,
		run: inApp((*App).resync)},
	{id: "delete", keys: []string{"D", "f9"}, help: "delete marked or current", hint: "delete", narrow: "del", group: groupAct, row: true, writes: true,
		run: on((*flows).askDelete)},
	{id: "notrack", keys: []string{"N"}, help: "notrack rule for it", hint: "notrack", narrow: "notrk", group: groupAct, row: true, writes: true,
		run: on((*flows).askNotrack)},
	{id: "trace", keys: []string{"t"}, help: "trace it through the rules", group: groupAct, row: true, writes: true,
		run: on((*flows).askTrace)},
	{id: "undo", keys: []string{"u"}, help: "undo (notrack rules)", group: groupAct, writes: true,
		run: inApp((*App).undoRule)},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52)", group: groupAway, row: true,
		run: does((*flows).copyMenu)},
})

func (s *flows) bindings() []binding { return flowsBindings }

func (s *flows) walk(a *App, id string) tea.Cmd {
	switch id {
	case "down":
		return s.move(a, 1)
	case "up":
		return s.move(a, -1)
	case "top":
		return s.restartCursor(a)
	case "follow":
		r, ended := s.current()
		s.toggle(a, "flow", r == nil || ended)
		return nil
	}
	p, _ := s.aim(id, s.view.Matched, s.rowsOn(a))
	return s.moveTo(a, p)
}

func (s *flows) openValues(a *App) tea.Cmd {
	if r, _ := s.current(); r != nil {
		return a.pushValues(r)
	}
	return nil
}

func (s *flows) askTrace(a *App) tea.Cmd {
	r, ended := s.current()
	if r == nil || ended {
		return nil
	}
	return a.askTrace(&r.Flow)
}

func (s *flows) reverse(a *App) tea.Cmd {
	s.auto, s.desc = false, !s.desc
	return s.reorder(a)
}

// turnDirection has RATE, BYTES and PACKETS be of the next direction.
func (s *flows) turnDirection(a *App) tea.Cmd {
	s.c.dir = (s.c.dir + 1) % 3
	a.say("RATE, BYTES and PACKETS are of " + [...]string{"both directions", "the original direction", "the reply direction"}[s.c.dir])
	return s.reorder(a)
}

// toggleUnits has rates in bits or bytes, on every screen.
func toggleUnits(a *App) tea.Cmd {
	a.flows.c.bits = !a.flows.c.bits
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

// scrollRight moves the columns by one, as long as there are more to see.
func (s *flows) scrollRight(a *App) {
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
