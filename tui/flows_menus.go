package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
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

// valueMenu offers the values of the current row.
func (s *flows) valueMenu(a *App) {
	if r, _ := s.current(); r != nil {
		a.pushValues(r)
	}
}

// pushValues offers the values of r as filters.
func (a *App) pushValues(r *model.Row) {
	cs := valueChoices(r)
	m := &menu{head: "filter by a value of this flow", keys: valueKeys}
	for _, c := range cs {
		m.choices = append(m.choices, choice{key: c.key, text: c.label + strings.Repeat(" ", max(12-len(c.label), 2)) + model.Escape(c.filter)})
	}
	m.pick = func(a *App, i int, id string) tea.Cmd {
		a.pop()
		return a.away(func() tea.Cmd {
			a.stack = nil
			return a.narrowTo(cs[i].filter, id == "not")
		})
	}
	a.push(m)
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
		m.choices = m.choices[:0]
		for _, c := range all {
			m.choices = append(m.choices, choice{text: strings.ToLower(c.title), on: on[c]})
		}
		s.cols = s.cols[:0]
		for _, c := range all {
			if *on[c] {
				s.cols = append(s.cols, c)
			}
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
