package tui

import (
	"errors"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A bar is the filter being typed. Rows follow the text as far as it parses; the filter in force stays until Enter.
type bar struct {
	line    edit
	dyn     filter.Dynamic
	offers  []filter.Completion
	chosen  int
	err     *filter.Error
	found   []int             // how many flows match with each suggestion of err, -1 where it is no filter; nil: not known yet
	pressed bool              // Enter was pressed on a text that does not parse
	recent  bool              // offers are recent filters
	past    int               // which of the filters of before the line holds, from 1; 0: none, or it was changed since
	place   cursor[model.Key] // of the cursor before, for Esc
	saving  bool
	saveAs  edit
}

// A narrowing is the filter of the session: Flows, Groups and Events share it.
type narrowing struct {
	filter *filter.Filter
	text   string
	recent []string // applied before, newest first

	try     *filter.Filter // the filter bar's text as far as it parses
	trying  bool
	tryText string
}

// active is the filter that rows are asked with.
func (n *narrowing) active() *filter.Filter {
	if n.trying {
		return n.try
	}
	return n.filter
}

// remember puts a filter first among the recent ones.
func (n *narrowing) remember(text string) {
	out := []string{text}
	for _, r := range n.recent {
		if r != text && len(out) < 20 {
			out = append(out, r)
		}
	}
	n.recent = out
}

// setFilter puts f in force on every screen that has flows.
func (a *App) setFilter(f *filter.Filter, text string) tea.Cmd {
	text = strings.TrimSpace(text)
	if a.text != "" && a.text != text {
		a.remember(a.text)
	}
	if text != "" {
		a.remember(text)
	}
	a.filter, a.text, a.trying, a.steps = f, text, false, nil
	return a.refilter()
}

// backOrClear goes back to where an action led away from; a filter that was typed on this view it takes off before it returns to
// the view that was left for this one.
func (a *App) backOrClear() tea.Cmd {
	if _, same := a.cameBy(); a.text == "" || same || a.canStepBack() {
		return a.stepBack()
	}
	return a.setFilter(nil, "")
}

// refilter starts the screens again with another filter.
func (a *App) refilter() tea.Cmd {
	for _, m := range a.screens {
		if r, ok := m.(interface{ restart() }); ok {
			r.restart()
		}
	}
	return a.ask(false)
}

// narrowTo adds text to the filter, or its opposite.
func (a *App) narrowTo(text string, negate bool) tea.Cmd {
	t := filter.And(a.text, text, negate)
	f, err := filter.Parse(t, a.opt.Parse)
	if err != nil {
		a.fail(err.Error())
		return nil
	}
	a.note = ""
	return a.setFilter(f, t)
}

// openBar starts typing a filter. What can be completed beside the language's words is looked up off the loop.
func (a *App) openBar() tea.Cmd {
	b := &bar{place: a.flows.cursor}
	a.note = ""
	a.push(b)
	b.offer()
	store, saved := a.opt.Store, a.opt.Parse.Saved
	return func() tea.Msg {
		var t table.Breakdown
		store.Breakdown(&t)
		var d filter.Dynamic
		for _, z := range t.Zones {
			d.Zones = append(d.Zones, z.Zone)
		}
		for _, h := range t.Helpers {
			if h.Helper != 0 {
				d.Helpers = append(d.Helpers, h.Helper.String())
			}
		}
		for n := range saved {
			d.Saved = append(d.Saved, n)
		}
		return doneMsg{func(a *App) tea.Cmd {
			b.dyn, a.dyn = d, d
			b.offer()
			return nil
		}}
	}
}

// bar returns the filter bar if one is open on top.
func (a *App) bar() (*bar, bool) {
	b, ok := a.top().(*bar)
	return b, ok
}

func (b *bar) name() string { return "Filter" }

var barBindings = []binding{
	{id: "past", keys: []string{"up"}, hint: "filters before", narrow: "before", help: "the filters of before (Up, Down)", group: groupLook},
	{id: "choose", keys: []string{"up"}, hint: "choose", help: "choose a completion (Up, Down)", group: groupLook},
	{id: "accept", keys: []string{"tab"}, hint: "complete", narrow: "accept", help: "take the completion", group: groupLook},
	{id: "apply", keys: []string{"enter"}, hint: "apply", help: "apply the filter", group: groupLook},
	{id: "recent", keys: []string{"ctrl+r"}, hint: "recent filters", narrow: "recent", help: "recent filters", group: groupLook},
	{id: "save", keys: []string{"ctrl+s"}, hint: "save as @name", narrow: "save", help: "save the filter as @name", group: groupLook},
	{id: "cancel", keys: []string{"esc"}, hint: "cancel", help: "cancel", group: groupLook},
}

// bindings: Up leads back only from an empty line, and from there on.
func (b *bar) bindings() []binding {
	if b.recalls() {
		return append(barBindings[:1:1], barBindings[2:]...)
	}
	return barBindings[1:]
}

// recalls reports whether Up brings a filter of before.
func (b *bar) recalls() bool { return !b.recent && (b.past > 0 || b.line.String() == "") }

func (b *bar) draw(*App, *draw.Frame) {} // the screen below leaves room and calls write

// typed takes a key.
func (b *bar) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	if b.saving {
		return b.typedName(a, k), true
	}
	switch k.String() {
	case "esc":
		if b.recent {
			b.recent = false
			b.offer()
			return nil, true
		}
		a.pop()
		if a.trying {
			a.trying = false
			cmd := a.refilter()
			a.flows.cursor = b.place
			a.flows.loose = true
			return tea.Batch(cmd, a.ask(false)), true
		}
	case "enter":
		return b.apply(a), true
	case "tab":
		return b.accept(a), true
	case "up", "ctrl+p":
		if b.recalls() {
			return b.recall(a, b.past+1), true
		}
		b.choose(-1)
	case "down", "ctrl+n":
		if b.past > 0 {
			return b.recall(a, b.past-1), true
		}
		b.choose(1)
	case "shift+tab":
		b.choose(-1)
	case "ctrl+r":
		b.showRecent(a)
	case "ctrl+s":
		b.saving, b.saveAs = true, newEdit("")
	case "ctrl+z", "ctrl+l", "f1":
		return nil, false
	default:
		if b.line.key(k) {
			b.past = 0
			return b.think(a), true
		}
	}
	return nil, true
}

func (b *bar) pasted(a *App, text string) tea.Cmd {
	if b.saving {
		b.saveAs.insert(text)
		return nil
	}
	b.line.insert(text)
	return b.think(a)
}

func (b *bar) choose(n int) {
	of := len(b.offers)
	if of == 0 && b.err != nil {
		of = len(b.err.Suggestions)
	}
	if of > 0 {
		b.chosen = (b.chosen + n + of) % of
	}
}

// recall puts the nth filter of before into the line, the one in force first; none for 0.
func (b *bar) recall(a *App, n int) tea.Cmd {
	past := a.recent
	if a.text != "" && !slices.Contains(past, a.text) {
		past = append([]string{a.text}, past...)
	}
	b.past = min(n, len(past))
	text := ""
	if b.past > 0 {
		text = past[b.past-1]
	}
	b.line = newEdit(text)
	return b.think(a)
}

// apply puts the text in force, or says why not.
func (b *bar) apply(a *App) tea.Cmd {
	if b.recent && len(b.offers) > 0 {
		return b.accept(a)
	}
	text := b.line.String()
	f, err := filter.Parse(text, a.opt.Parse)
	if err != nil {
		b.pressed = true
		return b.try(a)
	}
	a.pop()
	return a.setFilter(f, text)
}

// accept takes the chosen completion, or the first correction of an error.
func (b *bar) accept(a *App) tea.Cmd {
	switch {
	case len(b.offers) > 0:
		o := b.offers[b.chosen]
		text := b.line.String()
		b.line.set(text[:o.From]+o.Insert+text[min(o.To, len(text)):], o.From+len(o.Insert))
		b.recent = false
	case b.err != nil && len(b.err.Suggestions) > 0:
		b.line.set(b.err.Fixed(min(b.chosen, len(b.err.Suggestions)-1)))
	}
	return b.think(a)
}

func (b *bar) showRecent(a *App) {
	b.recent, b.offers, b.chosen = true, nil, 0
	for _, r := range a.recent {
		b.offers = append(b.offers, filter.Completion{Insert: r, Show: r, From: 0, To: len(b.line.String())})
	}
}

// offer computes the completions at the cursor.
func (b *bar) offer() {
	if b.recent {
		return
	}
	b.offers, b.chosen = filter.Complete(b.line.String(), b.line.cursor(), b.dyn), 0
}

// think parses the text and has the rows follow it as far as it goes.
func (b *bar) think(a *App) tea.Cmd {
	b.pressed, b.err, b.found, b.recent = false, nil, nil, false
	text := strings.TrimSpace(b.line.String())
	b.offer()
	f, err := filter.Parse(text, a.opt.Parse)
	if err != nil {
		_ = errors.As(err, &b.err)
		text, f = b.prefix(a, text)
		if b.errorShown() {
			return tea.Batch(b.try(a), b.follow(a, text, f))
		}
	}
	return b.follow(a, text, f)
}

// follow has the rows follow what there is of a filter.
func (b *bar) follow(a *App, text string, f *filter.Filter) tea.Cmd {
	if text == "" { // nothing to try yet
		if a.trying {
			a.trying = false
			return a.refilter()
		}
		return nil
	}
	if a.trying && a.tryText == text || !a.trying && a.text == text {
		return nil
	}
	a.trying, a.try, a.tryText = text != a.text, f, text
	return a.refilter()
}

// errorShown reports whether the error stands where completions would.
func (b *bar) errorShown() bool {
	return b.err != nil && (len(b.offers) == 0 || b.pressed || !b.atEnd())
}

// try looks what each suggestion of the error would find: those that find nothing here go behind the others.
func (b *bar) try(a *App) tea.Cmd {
	err, store, opt, now := b.err, a.opt.Store, a.opt.Parse, a.opt.Now
	if err == nil || len(err.Suggestions) == 0 || b.found != nil {
		return nil
	}
	texts := make([]string, len(err.Suggestions)) // here, since another try of the same text may rank them meanwhile
	for i := range texts {
		texts[i], _ = err.Fixed(i)
	}
	return func() tea.Msg {
		found := make([]int, len(texts))
		for i, text := range texts {
			found[i] = -1
			if f, bad := filter.Parse(text, opt); bad == nil {
				var v table.View
				store.View(&table.Query{Filter: f, Now: now().UnixNano()}, &v)
				found[i] = v.Matched
			}
		}
		return doneMsg{func(*App) tea.Cmd {
			if b.err != err || b.found != nil {
				return nil // another text by now, or tried twice
			}
			err.Rank(found, false)
			b.found = found
			return nil
		}}
	}
}

// prefix returns the longest beginning of text, cut at a blank, that is a filter.
func (b *bar) prefix(a *App, text string) (string, *filter.Filter) {
	for range 20 {
		i := strings.LastIndexByte(text, ' ')
		if i <= 0 {
			return "", nil
		}
		text = strings.TrimSpace(text[:i])
		if f, err := filter.Parse(text, a.opt.Parse); err == nil {
			return text, f
		}
	}
	return "", nil
}

// typedName takes a key of the name that the filter is saved under.
func (b *bar) typedName(a *App, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		b.saving = false
	case "enter":
		b.saving = false
		name := strings.TrimPrefix(strings.TrimSpace(b.saveAs.String()), "@")
		return a.saveFilter(name, strings.TrimSpace(b.line.String()))
	default:
		b.saveAs.key(k)
	}
	return nil
}

// saveFilter keeps a filter as @name through Options.Save.
func (a *App) saveFilter(name, text string) tea.Cmd {
	if name == "" || a.opt.SaveFilter == nil {
		a.fail("filters cannot be saved here: there is no config file to write")
		return nil
	}
	if _, err := filter.Parse(text, a.opt.Parse); err != nil {
		a.fail("not saved: " + err.Error())
		return nil
	}
	save := a.opt.SaveFilter
	return func() tea.Msg {
		err := save(name, text)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail("not saved: " + err.Error())
				return nil
			}
			saved := maps.Clone(a.opt.Parse.Saved) // a question in flight may be reading the old one
			if saved == nil {
				saved = map[string]string{}
			}
			saved[name] = text
			a.opt.Parse.Saved = saved
			a.say("saved as @" + name)
			return nil
		}}
	}
}
