package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
)

// A SavedView is what a screen shows and how, kept under a name in the config.
type SavedView struct {
	Filter  string
	Columns []string
	Sort    string // "rate:desc"
	Group   string // keys as in :group; "" is the Flows screen
}

// useView shows a saved view.
func (a *App) useView(name string, v SavedView) (tea.Cmd, error) {
	f, err := filter.Parse(v.Filter, a.opt.Parse)
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", name, err)
	}
	cols, err := columnsFor(v.Columns)
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", name, err)
	}
	if v.Sort != "" {
		s, desc, err := parseSort(v.Sort)
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", name, err)
		}
		a.flows.sort, a.flows.desc, a.flows.auto = s, desc, false
	}
	a.flows.cols, a.flows.chosen = cols, len(v.Columns) > 0
	a.stack = a.stack[:0]
	a.turnTo(0)
	cmd := a.setFilter(f, v.Filter)
	if v.Group != "" {
		var group tea.Cmd
		if group, err = runGroup(a, v.Group); err != nil {
			return nil, fmt.Errorf("view %s: %w", name, err)
		}
		cmd = tea.Batch(cmd, group)
	}
	a.say("view " + model.Escape(name))
	return cmd, nil
}

// viewsMenu offers the saved views.
func (a *App) viewsMenu() {
	names := slices.Sorted(maps.Keys(a.opt.Views))
	if len(names) == 0 {
		a.say("no saved views. :save NAME keeps this one")
		return
	}
	m := &menu{head: "saved views   (:save NAME keeps this one)"}
	for _, n := range names {
		v := a.opt.Views[n]
		m.choices = append(m.choices, choice{text: padRight(model.Escape(n), 16) + model.Escape(strings.TrimSpace(v.Filter+"  "+v.Group))})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		cmd, err := a.useView(names[i], a.opt.Views[names[i]])
		if err != nil {
			a.fail(err.Error())
		}
		return cmd
	}
	a.push(m)
}

// present is the view on the screen.
func (a *App) present() SavedView {
	v := SavedView{Filter: a.text, Sort: a.flows.sort + ":" + orderWord(a.flows.desc)}
	for _, c := range a.flows.cols {
		v.Columns = append(v.Columns, c.name)
	}
	if g, ok := a.screen().(*groups); ok {
		v.Group = keysText(g.keys)
	}
	return v
}

// runSave keeps the view, or with "@" the filter.
func runSave(a *App, arg string) (tea.Cmd, error) {
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		return a.saveFilter(name, a.text), nil
	}
	if arg == "" || strings.ContainsAny(arg, " \"'\\") {
		return nil, fmt.Errorf("a view needs a name of one word")
	}
	if a.opt.SaveView == nil {
		return nil, fmt.Errorf("views cannot be saved here: there is no config file to write")
	}
	v, save := a.present(), a.opt.SaveView
	return func() tea.Msg {
		err := save(arg, v)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail("not saved: " + err.Error())
				return nil
			}
			if a.opt.Views == nil {
				a.opt.Views = map[string]SavedView{}
			}
			a.opt.Views[arg] = v
			a.say("saved; v lists the saved views")
			return nil
		}}
	}, nil
}
