package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

// A valueChoice is a value of a row as filter text.
type valueChoice struct {
	key, label, filter string
}

// valueLetters are the letters of the menu, by what a condition compares: state, zone and helper are one key away.
var valueLetters = map[string]string{"state": "s", "zone": "z", "helper": "h", "src": "a", "src/24": "n", "src/64": "n",
	"dst": "d", "dst/24": "w", "dst/64": "w", "sport": "o", "dport": "p", "proto": "r", "mark": "m", "ct state": "c",
	"nat": "t", "labels": "l", "secctx": "x", "reply src": "y", "reply dst": "u"}

// valueChoices returns what a filter can be made of.
func valueChoices(r *model.Row) []valueChoice {
	var cs []valueChoice
	for _, f := range filter.ByRow(r) {
		cs = append(cs, valueChoice{valueLetters[f.Name], f.Name, f.Text})
	}
	return cs
}

var valueKeys = []binding{
	{id: "not", keys: []string{"!"}, help: "add the opposite: and not", hint: "and not", group: groupLook},
}

// pushValues offers the values of r as filters; those of a flow without a helper are also the helpers that others have.
func (a *App) pushValues(r *model.Row) tea.Cmd {
	var cs []valueChoice
	m := &menu{head: "filter by a value of this flow", keys: valueKeys}
	offer := func(c valueChoice, more string) {
		cs = append(cs, c)
		m.choices = append(m.choices, choice{key: c.key, text: padRight(c.label, 11) + " " + model.Escape(c.filter) + more})
	}
	for _, c := range valueChoices(r) {
		offer(c, "")
	}
	m.pick = func(a *App, i int, id string) tea.Cmd {
		a.pop()
		return a.away(func() tea.Cmd {
			a.stack = nil
			return a.narrowTo(cs[i].filter, id == "not")
		})
	}
	a.push(m)
	if r.Flow.Helper != 0 {
		return nil
	}
	store := a.opt.Store
	return func() tea.Msg {
		var t table.Breakdown
		store.Breakdown(&t)
		return doneMsg{func(*App) tea.Cmd {
			for _, h := range t.Helpers {
				if h.Helper != 0 {
					f := filter.ByValue(model.ColHelper, &model.Row{Flow: model.Flow{Helper: h.Helper}})
					offer(valueChoice{"", "helper", f}, "   "+model.Plural(h.Flows, "flow")+" here")
				}
			}
			return nil
		}}
	}
}

// sortMenu offers the columns to sort by.
func (s *flows) sortMenu(a *App) {
	var cols []*column
	m := &menu{head: "sort by (again: the other way round)"}
	for i := range flowColumns {
		c := &flowColumns[i]
		if _, ok := sortColumn(c.name, 0); !ok {
			continue
		}
		cols = append(cols, c)
		t := strings.ToLower(c.title)
		if c.name == s.sort {
			t += " " + orderWord(s.desc)
		}
		if c.name == s.sort {
			m.choose(len(m.choices))
		}
		m.choices = append(m.choices, choice{text: t})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return s.sortBy(a, cols[i].name)
	}
	a.push(m)
}

var columnKeys = []binding{
	{id: "toggle", keys: []string{"space"}, help: "show or hide", hint: "show, hide", group: groupLook},
	{id: "earlier", keys: []string{"K", "<"}, help: "further to the left", hint: "left", group: groupLook},
	{id: "later", keys: []string{"J", ">"}, help: "further to the right", hint: "right", group: groupLook},
}

// columnsMenu has columns chosen and put in order.
func (s *flows) columnsMenu(a *App) {
	if !s.chosen {
		shown := slices.Clone(s.cols)
		for _, p := range s.place(a.w) {
			if !slices.Contains(shown, p.column) {
				shown = append(shown, p.column)
			}
		}
		s.cols, s.chosen = shown, true
	}
	all := append([]*column{}, s.cols...)
	on := map[*column]*bool{}
	for _, c := range s.cols {
		on[c] = ptr(true)
	}
	for i := range flowColumns {
		if c := &flowColumns[i]; on[c] == nil {
			on[c] = ptr(false)
			all = append(all, c)
		}
	}
	m := &menu{head: "columns", keys: columnKeys}
	show := func() {
		s.cols = s.cols[:0]
		for _, c := range all {
			if *on[c] {
				s.cols = append(s.cols, c)
			}
		}
		ps := s.place(a.w)
		m.choices = m.choices[:0]
		for _, c := range all {
			t := strings.ToLower(c.title)
			if *on[c] && !isPlaced(ps, c) {
				t += "   no room"
			}
			m.choices = append(m.choices, choice{text: t, on: on[c]})
		}
	}
	show()
	m.pick = func(a *App, i int, id string) tea.Cmd {
		switch id {
		case "toggle":
			if *on[all[i]] && len(s.cols) == 1 {
				a.say("one column has to stay")
				return nil
			}
			*on[all[i]] = !*on[all[i]]
		case "earlier", "later":
			j := i + 1
			if id == "earlier" {
				j = i - 1
			}
			if j >= 0 && j < len(all) {
				all[i], all[j] = all[j], all[i]
				m.choose(j)
			}
		default:
			a.pop()
		}
		show()
		return nil
	}
	a.push(m)
}

func ptr[T any](v T) *T { return &v }
