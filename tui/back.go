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

	to  int // where it led: from another screen, or under another filter, Esc has nothing to do with it
	now string
}

// away does what leads to another screen or filter, so that Esc leads back.
func (a *App) away(do func() tea.Cmd) tea.Cmd {
	before, s := a.steps, step{current: a.current, stack: slices.Clone(a.stack), filter: a.filter, text: a.text, flows: a.flows.cursor}
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

// stepBack returns to what the last action led away from.
func (a *App) stepBack() tea.Cmd {
	if !a.canStepBack() {
		return nil
	}
	n := len(a.steps) - 1
	s := a.steps[n]
	a.steps, a.note = a.steps[:n], ""
	a.current, a.stack = s.current, s.stack
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
