package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

// A step is what an action led away from: a screen, what lay over it, its filter and its place. Esc returns there.
type step struct {
	current int
	stack   []mode
	filter  *filter.Filter
	text    string
	flows   cursor[model.Key]
	groups  cursor[uint64]
	events  cursor[uint64]
	until   uint64 // of events
	recent  cursor[table.RecentID]
	keys    []table.GroupKey // of recent
	trail   []visit

	to  int // where it led: from another screen, or under another filter, Esc has nothing to do with it
	now string
}

// A visit is a view that was left for another one by its key, and under which filter. Esc returns there once nothing else is to be
// gone back from. Flows is home: who goes there begins anew.
type visit struct {
	from int
	text string
}

// turnTo goes to view i. A view that one came over before is where one returns to, so that Esc never goes in circles.
func (a *App) turnTo(i int) {
	switch n := slices.IndexFunc(a.trail, func(v visit) bool { return v.from == i }); {
	case i == 0:
		a.trail = nil
	case n >= 0:
		a.trail = a.trail[:n:n]
	case i != a.current:
		a.trail = append(slices.Clip(a.trail), visit{a.current, a.text})
	}
	a.current = i
}

// cameBy reports whether Esc has a view to return to, and whether the filter is still that of when it was left.
func (a *App) cameBy() (back, same bool) {
	n := len(a.trail)
	return n > 0, n > 0 && a.trail[n-1].text == a.text
}

// away does what leads to another screen or filter, so that Esc leads back.
func (a *App) away(do func() tea.Cmd) tea.Cmd {
	before, s := a.steps, step{current: a.current, stack: slices.Clone(a.stack), filter: a.filter, text: a.text, flows: a.flows.cursor, trail: a.trail}
	for _, m := range a.screens {
		switch m := m.(type) {
		case *groups:
			s.groups = m.cursor
		case *events:
			s.events, s.until = m.cursor, m.until
		case *recent:
			s.recent, s.keys = m.cursor, m.keys
		}
	}
	cmd := do()
	a.steps = before
	if s.to, s.now = a.current, a.text; s.to != s.current || s.now != s.text {
		a.steps = append(a.steps[max(len(a.steps)-maxSteps, 0):], s)
	}
	return cmd
}

// maxSteps is how many steps Esc can go back, and one.
const maxSteps = 30

// canStepBack reports whether an action led to what is on the screen.
func (a *App) canStepBack() bool {
	n := len(a.steps)
	return n > 0 && a.steps[n-1].to == a.current && a.steps[n-1].now == a.text
}

// stepBack returns to what the last action led away from, else to the view that was left for this one.
func (a *App) stepBack() tea.Cmd {
	if back, _ := a.cameBy(); !a.canStepBack() && back {
		last := len(a.trail) - 1
		a.current, a.trail, a.note = a.trail[last].from, a.trail[:last:last], ""
		return a.ask(true)
	}
	if !a.canStepBack() {
		return nil
	}
	n := len(a.steps) - 1
	s := a.steps[n]
	a.steps, a.note = a.steps[:n], ""
	a.current, a.stack, a.trail = s.current, s.stack, s.trail
	a.filter, a.text, a.trying = s.filter, s.text, false
	s.flows.loose, s.groups.loose, s.events.loose, s.recent.loose = true, true, true, true
	cmd := a.refilter()
	a.flows.cursor = s.flows
	for _, m := range a.screens {
		switch m := m.(type) {
		case *groups:
			m.cursor = s.groups
		case *events:
			m.cursor, m.until = s.events, s.until
		case *recent:
			m.show(s.keys)
			m.cursor = s.recent
		}
	}
	return tea.Batch(cmd, a.ask(true))
}
