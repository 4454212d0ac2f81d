package tui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A command is a word of the : line. What a key does is a command by the name of its action, too.
type command struct {
	name, args, help string
	offer            func(a *App, word string) []filter.Completion // completions of the argument; may be nil
	run              func(a *App, arg string) (tea.Cmd, error)
}

var errReadOnly = errors.New("read-only: started with --read-only")

// commands returns the words of the : line beside the actions of the bindings.
func commands() []command {
	return []command{
		{"filter", "TEXT", "show the flows that match; without text, all", offerFilter, runFilter},
		{"and", "TEXT", "narrow the filter", offerFilter, func(a *App, s string) (tea.Cmd, error) { return runNarrow(a, s, false) }},
		{"not", "TEXT", "narrow the filter by the opposite", offerFilter, func(a *App, s string) (tea.Cmd, error) { return runNarrow(a, s, true) }},
		{"sort", "COLUMN[:asc|:desc]", "order of the flows", offerColumns, runSort},
		{"cols", "A,B,...", "columns of the flows; without names, the usual ones", offerColumns, runColumns},
		{"group", "KEY[,KEY]", "group the flows, by four keys at most", offerGroups, runGroup},
		{"nat", "", "ports that NAT has in use, against their range", nil, func(a *App, _ string) (tea.Cmd, error) { return runGroup(a, "nat-ports") }},
		{"recent", "[30s|5m|mark] [by KEYS]", "what began and ended; mark: from now on", offerRecent, runRecent},
		{"view", "NAME", "go to a screen or a saved view", offerViews, runView},
		{"save", "NAME or @NAME", "keep the view, or its filter as @NAME", nil, runSave},
		{"write", "FILE", "write what the screen shows: .csv .json .txt", nil, runWrite},
		{"delete", "FILTER", "delete the flows that match; asks", offerFilter, runDelete},
		{"notrack", "FILTER", "keep packets out of tracking; asks", offerFilter, runNotrack},
		{"undo", "", "undo the last NOTRACK rule", nil, func(a *App, _ string) (tea.Cmd, error) {
			if a.opt.ReadOnly {
				return nil, errReadOnly
			}
			return a.undoRule(), nil
		}},
		{"states", "", "packets by state; samples of INVALID and UNTRACKED ones", nil, func(a *App, _ string) (tea.Cmd, error) { return a.openStates(), nil }},
		{"netns", "NAME", "watch another network namespace", offerNetns, runNetns},
		{"set", "KEY VALUE", "refresh, theme, bits, names, mouse", offerSettings, runSet},
		{"copy", "", "copy menu", nil, func(a *App, _ string) (tea.Cmd, error) { return runAction(a, "copy") }},
		{"quit", "", "quit", nil, func(a *App, _ string) (tea.Cmd, error) { return a.quitting(), nil }},
		{"q", "", "quit", nil, func(a *App, _ string) (tea.Cmd, error) { return a.quitting(), nil }},
		{"help", "", "help", nil, func(a *App, _ string) (tea.Cmd, error) { return openHelp(a), nil }},
	}
}

// openCommand starts the : line.
func (a *App) openCommand(text string) {
	a.note = ""
	p := newPrompt(":", text, a.offerCommand, nil)
	p.past = a.pastCommands
	p.yes = func(a *App, text string) (tea.Cmd, error) {
		if text == "" {
			return nil, nil
		}
		a.pastCommands = append([]string{text}, slices.DeleteFunc(a.pastCommands, func(s string) bool { return s == text })...)
		a.pop()
		cmd, err := a.runCommand(text)
		if err != nil {
			a.push(p) // with what was typed still in it
		}
		return cmd, err
	}
	a.push(p)
}

// runCommand carries out a line.
func (a *App) runCommand(text string) (tea.Cmd, error) {
	word, arg, _ := strings.Cut(text, " ")
	arg = strings.TrimSpace(arg)
	for _, c := range commands() {
		if c.name == word {
			return c.run(a, arg)
		}
	}
	if arg == "" {
		if cmd, err := runAction(a, word); err == nil || !strings.HasPrefix(err.Error(), "unknown") {
			return cmd, err
		}
	}
	if n := model.Nearest(word, a.commandNames()); n != "" {
		return nil, fmt.Errorf("unknown command %q: did you mean %s?", word, n)
	}
	return nil, fmt.Errorf("unknown command %q; Tab lists them", word)
}

// runAction carries out the action of a key by its name.
func runAction(a *App, id string) (tea.Cmd, error) {
	m := a.top()
	b := named(slices.Concat(m.bindings(), a.views, a.always), id)
	switch {
	case b == nil:
		return nil, fmt.Errorf("unknown command %q", id)
	case b.writes && a.opt.ReadOnly:
		return nil, errReadOnly
	}
	return a.run(m, b), nil
}

// commandNames are all words that can stand first.
func (a *App) commandNames() []string {
	var out []string
	for _, c := range commands() {
		out = append(out, c.name)
	}
	for _, b := range slices.Concat(a.screen().bindings(), a.views, a.always) {
		if !slices.Contains(out, b.id) {
			out = append(out, b.id)
		}
	}
	return out
}

// offerCommand completes the line.
func (a *App) offerCommand(text string) []filter.Completion {
	word, arg, more := strings.Cut(text, " ")
	var out []filter.Completion
	if !more {
		for _, c := range commands() {
			if strings.HasPrefix(c.name, word) {
				insert := c.name
				if c.args != "" {
					insert += " "
				}
				out = append(out, filter.Completion{Insert: insert, Show: strings.TrimSpace(c.name + " " + c.args), Hint: c.help, To: len(text)})
			}
		}
		for _, b := range slices.Concat(a.screen().bindings(), a.views, a.always) {
			known := slices.ContainsFunc(out, func(o filter.Completion) bool { return strings.TrimSpace(o.Insert) == b.id })
			if strings.HasPrefix(b.id, word) && !known {
				out = append(out, filter.Completion{Insert: b.id, Show: b.id, Hint: b.help, To: len(text)})
			}
		}
		return out
	}
	for _, c := range commands() {
		if c.name == word && c.offer != nil {
			for _, o := range c.offer(a, arg) {
				o.From, o.To = o.From+len(word)+1, o.To+len(word)+1
				out = append(out, o)
			}
		}
	}
	return out
}

// offerWords completes the last word of a list of words with commas.
func offerWords(arg string, words []string, hint func(string) string) []filter.Completion {
	from := strings.LastIndexAny(arg, ", ") + 1
	var out []filter.Completion
	for _, w := range words {
		if strings.HasPrefix(w, arg[from:]) {
			o := filter.Completion{Insert: w, Show: w, From: from, To: len(arg)}
			if hint != nil {
				o.Hint = hint(w)
			}
			out = append(out, o)
		}
	}
	return out
}

func offerFilter(a *App, arg string) []filter.Completion {
	return filter.Complete(arg, len(arg), a.dyn)
}

func offerColumns(_ *App, arg string) []filter.Completion {
	var names []string
	for _, c := range model.Columns() {
		names = append(names, c.String())
	}
	return offerWords(arg, names, nil)
}

func offerGroups(a *App, arg string) []filter.Completion {
	var names []string
	for _, k := range groupChoices {
		names = append(names, k.String())
	}
	return offerWords(arg, names, nil)
}

func offerViews(a *App, arg string) []filter.Completion {
	var names []string
	for _, s := range a.screens {
		names = append(names, strings.ToLower(s.name()))
	}
	for n := range a.opt.Views {
		names = append(names, n)
	}
	slices.Sort(names[len(a.screens):])
	return offerWords(arg, names, func(n string) string {
		if v, ok := a.opt.Views[n]; ok {
			return model.Escape(v.Filter)
		}
		return "screen"
	})
}

func runFilter(a *App, arg string) (tea.Cmd, error) {
	f, err := filter.Parse(arg, a.opt.Parse)
	if err != nil {
		return nil, err
	}
	return a.setFilter(f, arg), nil
}

func runNarrow(a *App, arg string, negate bool) (tea.Cmd, error) {
	if _, err := filter.Parse(arg, a.opt.Parse); err != nil {
		return nil, err
	}
	return a.narrowTo(arg, negate), nil
}

func runSort(a *App, arg string) (tea.Cmd, error) {
	name, desc, err := parseSort(arg)
	if err != nil {
		return nil, err
	}
	a.flows.sort, a.flows.desc, a.flows.auto = name, desc, false
	return a.flows.reorder(a), nil
}

// parseSort reads "rate", "rate:desc", "-rate". Without a direction amounts go down and the rest up.
func parseSort(s string) (name string, desc bool, err error) {
	s, minus := strings.CutPrefix(strings.TrimSpace(s), "-")
	name, dir, given := strings.Cut(strings.ReplaceAll(s, " ", ":"), ":")
	c, err := model.ParseColumn(name)
	if err != nil {
		return "", false, err
	}
	name = c.String()
	col := columnNamed(name)
	desc = col != nil && col.right && name != "zone" && name != "timeout"
	switch {
	case minus || dir == "desc":
		desc = true
	case dir == "asc":
		desc = false
	case given:
		return "", false, fmt.Errorf("%q: the direction is asc or desc", dir)
	}
	return name, desc, nil
}

func runColumns(a *App, arg string) (tea.Cmd, error) {
	var names []string
	for n := range strings.FieldsFuncSeq(arg, func(r rune) bool { return r == ',' || r == ' ' }) {
		names = append(names, n)
	}
	cols, err := columnsFor(names)
	if err != nil {
		return nil, err
	}
	a.flows.cols, a.flows.chosen = cols, len(names) > 0
	return nil, nil
}

// columnsFor returns the columns called names, the usual ones for none.
func columnsFor(names []string) ([]*column, error) {
	var out []*column
	if len(names) == 0 {
		for i := range flowColumns {
			if !flowColumns[i].off {
				out = append(out, &flowColumns[i])
			}
		}
		return out, nil
	}
	for _, n := range names {
		c, err := model.ParseColumn(n)
		if err != nil {
			return nil, err
		}
		if col := columnNamed(c.String()); !slices.Contains(out, col) {
			out = append(out, col)
		}
	}
	return out, nil
}

func runGroup(a *App, arg string) (tea.Cmd, error) {
	keys, err := table.ParseGroupKeys(arg)
	if err != nil {
		return nil, err
	}
	for i, m := range a.screens {
		if g, ok := m.(*groups); ok {
			a.turnTo(i)
			return g.groupBy(a, keys), nil
		}
	}
	return nil, nil
}

func runView(a *App, arg string) (tea.Cmd, error) {
	for i, m := range a.screens {
		if strings.EqualFold(m.name(), arg) || arg == strconv.Itoa(i+1) {
			return a.show(i), nil
		}
	}
	if v, ok := a.opt.Views[arg]; ok {
		return a.useView(arg, v)
	}
	return nil, fmt.Errorf("no screen and no saved view is called %q", arg)
}

func runDelete(a *App, arg string) (tea.Cmd, error) {
	if a.opt.ReadOnly {
		return nil, errReadOnly
	}
	if arg == "" {
		return runAction(a, "delete")
	}
	if _, err := filter.Parse(arg, a.opt.Parse); err != nil {
		return nil, err
	}
	return a.askDeleteFilter(arg), nil
}

func runNotrack(a *App, arg string) (tea.Cmd, error) {
	if a.opt.ReadOnly {
		return nil, errReadOnly
	}
	if arg == "" {
		a.askRuleText(a.text)
		return nil, nil
	}
	r, err := filter.ParseRule(arg)
	if err != nil {
		return nil, err
	}
	return a.openRule([]model.Rule{r}), nil
}

// settings are the keys of :set and their values.
var settings = map[string][]string{
	"refresh": {"500ms", "1s", "2s", "5s", "10s"}, "theme": draw.Themes, "bits": {"on", "off"}, "names": {"on", "off"}, "mouse": {"on", "off"},
}

func offerSettings(_ *App, arg string) []filter.Completion {
	key, _, more := strings.Cut(arg, " ")
	if !more {
		names := []string{"refresh", "theme", "bits", "names", "mouse"}
		out := offerWords(arg, names, func(n string) string { return strings.Join(settings[n], " ") })
		for i := range out {
			out[i].Insert += " "
		}
		return out
	}
	return offerWords(arg, settings[key], nil)
}

func runSet(a *App, arg string) (tea.Cmd, error) {
	key, value, _ := strings.Cut(arg, " ")
	value = strings.TrimSpace(value)
	switch key {
	case "refresh":
		d, err := filter.ParseDuration(value) // as everywhere: 5 is 5s
		if err != nil || d < 100*time.Millisecond || d > time.Hour {
			return nil, fmt.Errorf("%q is no interval between 100ms and 1h, such as 1s, 5 or 2m", value)
		}
		a.refresh = d
		if a.armed {
			return a.arm(d), nil
		}
	case "theme":
		old := a.opt.Theme
		a.opt.Theme = value
		if err := a.dress(); err != nil {
			a.opt.Theme = old
			return nil, err
		}
	case "bits", "names", "mouse":
		if value != "on" && value != "off" {
			return nil, fmt.Errorf("set %s on, or off", key)
		}
		on := value == "on"
		switch key {
		case "bits":
			a.flows.c.bits = on
		case "mouse":
			a.opt.NoMouse = !on
		case "names":
			return a.setNames(on), nil
		}
	default:
		return nil, fmt.Errorf("unknown setting %q: refresh, theme, bits, names or mouse", key)
	}
	return nil, nil
}
