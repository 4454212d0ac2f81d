package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// A binding ties keys to an action of a mode. The help screen, the keys line and the command line are made from it.
type binding struct {
	run    action
	id     string   // of the action; what the config calls it
	keys   []string // as tea writes them: "ctrl+d", "space", "F"
	help   string   // what it does, for the help screen
	hint   string   // for the keys line; "" is not shown there
	narrow string   // the same where there is little room; "" is hint
	group  string   // heading in the help screen
	writes bool     // changes the kernel: off with --read-only
	row    bool     // is about the row under the cursor: it waits for one that was asked for
	hide   bool     // an alias that the help does not list
}

// The headings of the help screen, in order.
const (
	groupMove    = "MOVE"
	groupLook    = "LOOK"
	groupScreens = "SCREENS"
	groupTime    = "TIME"
	groupAct     = "ACT (asks; off with --read-only)"
	groupAway    = "TAKE AWAY"
	groupProgram = "PROGRAM"
)

// An action is what a key does to the mode that has the keys. nil: the mode takes the key itself, as text.
type action func(m mode, a *App) tea.Cmd

// on makes an action of a method of a mode, does of one after which nothing has to be asked, inApp of one of the program's.
func on[M mode](f func(M, *App) tea.Cmd) action {
	return func(m mode, a *App) tea.Cmd { return f(m.(M), a) }
}

func does[M mode](f func(M, *App)) action {
	return func(m mode, a *App) tea.Cmd {
		f(m.(M), a)
		return nil
	}
}

func inApp(f func(*App) tea.Cmd) action {
	return func(_ mode, a *App) tea.Cmd { return f(a) }
}

// run carries out an action of m, which --read-only may forbid.
func (a *App) run(m mode, b *binding) tea.Cmd {
	switch {
	case b.writes && a.opt.ReadOnly:
		a.say(errReadOnly.Error())
	case b.run != nil:
		return b.run(m, a)
	}
	return nil
}

// A walker is a mode with a cursor: walk carries out an action of moves, or "follow".
type walker interface {
	walk(a *App, id string) tea.Cmd
}

// walking is the action of moves that is called id.
func walking(id string) action {
	return func(m mode, a *App) tea.Cmd { return m.(walker).walk(a, id) }
}

// moves are the bindings of everything that has a cursor and rows.
var moves = []binding{
	{id: "down", keys: []string{"j", "down"}, help: "one row down", group: groupMove,
		run: walking("down")},
	{id: "up", keys: []string{"k", "up"}, help: "one row up", group: groupMove,
		run: walking("up")},
	{id: "halfdown", keys: []string{"ctrl+d"}, help: "half a page down", group: groupMove,
		run: walking("halfdown")},
	{id: "halfup", keys: []string{"ctrl+u"}, help: "half a page up", group: groupMove,
		run: walking("halfup")},
	{id: "pagedown", keys: []string{"pgdown", "ctrl+f"}, help: "page down", group: groupMove,
		run: walking("pagedown")},
	{id: "pageup", keys: []string{"pgup", "ctrl+b"}, help: "page up", group: groupMove,
		run: walking("pageup")},
	{id: "top", keys: []string{"g", "home"}, help: "top, and stay there", group: groupMove,
		run: walking("top")},
	{id: "bottom", keys: []string{"G", "end"}, help: "bottom", group: groupMove,
		run: walking("bottom")},
}

// always are the bindings that work wherever no text is being typed.
var always = []binding{
	{id: "help", keys: []string{"?", "f1"}, help: "this help", hint: "help", narrow: " ", group: groupProgram,
		run: inApp(openHelp)},
	{id: "suspend", keys: []string{"ctrl+z"}, help: "suspend", group: groupProgram,
		run: inApp(func(a *App) tea.Cmd { return a.yield(true, true) })},
	{id: "redraw", keys: []string{"ctrl+l"}, help: "redraw", group: groupProgram,
		run: inApp(func(*App) tea.Cmd { return tea.ClearScreen })},
	{id: "quit", keys: []string{"q", "ctrl+c", "f10"}, help: "quit", hint: "quit", narrow: " ", group: groupProgram,
		run: inApp((*App).quitting)},
}

// rebind puts the keys of the config in place of the actions' own.
func rebind(bs []binding, keys map[string][]string) []binding {
	if len(keys) == 0 {
		return bs
	}
	out := make([]binding, len(bs))
	for i, b := range bs {
		if k, ok := keys[b.id]; ok {
			b.keys = k
		}
		out[i] = b
	}
	return out
}

// A Keyed is an action and the keys that it has by itself, in the words of Options.Keys, where it has them.
type Keyed struct {
	Does string
	Keys []string
}

// Actions returns the actions by the names that Options.Keys and the : line know them by.
func Actions() map[string]Keyed {
	out := map[string]Keyed{}
	for _, bs := range [][]binding{flowsBindings, groupsBindings, eventsBindings, recentBindings, statsBindings, expectBindings, notrackBindings,
		detailBindings, findingsBindings, viewBindings, always} {
		for _, b := range bs {
			k, ok := out[b.id]
			if !ok {
				k.Does = b.help
			}
			for _, key := range b.keys {
				if !slices.Contains(k.Keys, key) {
					k.Keys = append(slices.Clip(k.Keys), key)
				}
			}
			out[b.id] = k
		}
	}
	return out
}

// find returns the binding that has key, nil for none.
func find(bs []binding, key string) *binding {
	for i := range bs {
		for _, k := range bs[i].keys {
			if k == key {
				return &bs[i]
			}
		}
	}
	return nil
}

// named returns the binding of the action id, nil for none.
func named(bs []binding, id string) *binding {
	for i := range bs {
		if bs[i].id == id {
			return &bs[i]
		}
	}
	return nil
}

// keyName writes a key for people: "Ctrl-d", "PgDn", "Space", "j".
func keyName(k string, narrow bool) string {
	switch k {
	case "space":
		return "Space"
	case "enter":
		return "Enter"
	case "esc":
		return "Esc"
	case "tab":
		return "Tab"
	case "shift+tab":
		return "Shift-Tab"
	case "pgdown":
		return "PgDn"
	case "pgup":
		return "PgUp"
	case "up", "down", "left", "right", "home", "end":
		return strings.ToUpper(k[:1]) + k[1:]
	}
	if rest, ok := strings.CutPrefix(k, "ctrl+"); ok {
		if narrow {
			return "^" + rest
		}
		return "Ctrl-" + rest
	}
	if len(k) > 1 && k[0] == 'f' && k[1] >= '0' && k[1] <= '9' {
		return "F" + k[1:]
	}
	return k
}

// hints writes the keys line: as many of bs as fit, then the keys that are never dropped at the right edge.
func (a *App) hints(f *draw.Frame, bs []binding) {
	narrow := f.W < wideFrom
	f.Begin(draw.Hint)
	tail := a.tailHints(narrow)
	room := f.W - draw.Width(tail) - 2
	f.Text(" ")
	if !narrow && a.atScreen() {
		bs = append(bs[:len(bs):len(bs)], binding{keys: []string{keyOf(a.views, "command")}, hint: "cmd"})
	}
	for _, b := range bs {
		if b.hint == "" || len(b.keys) == 0 || b.writes && a.opt.ReadOnly {
			continue
		}
		word, gap := b.hint, "  "
		if narrow {
			gap = " "
			if b.narrow != "" {
				word = b.narrow
			}
		}
		key := keyName(b.keys[0], narrow)
		if word = " " + word; b.narrow == " " && narrow {
			word = ""
		}
		if f.X == 1 {
			gap = ""
		}
		if f.X+draw.Width(gap+key+word) > room {
			break
		}
		f.Text(gap)
		f.Styled(draw.Strong, key)
		f.Text(word)
	}
	f.Pad(f.W - 1 - draw.Width(tail))
	for i, t := range strings.Fields(tail) {
		if i > 0 {
			f.Text(" ")
			if i%2 == 0 && !narrow {
				f.Text(" ")
			}
		}
		if i%2 == 0 || narrow {
			f.Styled(draw.Strong, t)
		} else {
			f.Text(t)
		}
	}
	f.End()
}

// keysLine writes the keys of the mode that has them.
func (a *App) keysLine(f *draw.Frame) { a.hints(f, rebind(a.top().bindings(), a.opt.Keys)) }

// noteLine writes a message, and at the right edge where one is in a list.
func (a *App) noteLine(f *draw.Frame, text, right string) {
	f.Begin(draw.Plain)
	f.Text(" ")
	f.Styled(a.noteLog, text)
	if right != "" {
		f.Right(draw.Faint, right)
	}
	f.End()
}

// notes breaks a message into the lines of the foot, a sixth of the screen at most; right, where one is in a list, has room behind
// the last one.
func (a *App) notes(text, right string) []string {
	if a.h < shortHeight {
		return []string{text}
	}
	w := a.w - 2
	lines := wrapKeep(text, w)
	if n := len(lines); right != "" && n > 0 && draw.Width(lines[n-1])+2+draw.Width(right) > w {
		lines = wrapKeep(text, max(w-2-draw.Width(right), w/2))
	}
	if most := max(2, a.h/6); len(lines) > most {
		lines = append(lines[:most-1:most-1], strings.Join(lines[most-1:], " "))
	}
	return lines
}

// foot fills the screen down to a message and the keys, and writes them.
func (a *App) foot(f *draw.Frame, text, right string) {
	lines := a.notes(text, right)
	f.Blanks(f.H - 1 - len(lines))
	for i, l := range lines {
		if i+1 < len(lines) {
			a.noteLine(f, l, "")
		} else {
			a.noteLine(f, l, right)
		}
	}
	a.keysLine(f)
}

// footOf writes what is said of the row under the cursor, a message, and the keys. Of two lines each takes what the other leaves.
func (a *App) footOf(f *draw.Frame, row, text string) {
	most := 2
	if f.W < wideFrom && f.H < shortHeight {
		most = 1
	}
	var said []string
	if text != "" {
		if said = a.notes(text, ""); len(said) > most {
			said = append(said[:most-1:most-1], strings.Join(said[most-1:], " "))
		}
	}
	about := wrapKeep(row, f.W-2)
	if room := most - len(said); len(about) > room && room > 0 {
		about = append(about[:room-1:room-1], strings.Join(about[room-1:], " "))
	}
	for i := range most - len(said) {
		if i < len(about) {
			f.Line(draw.Plain, " "+about[i])
		} else {
			f.Line(draw.Plain, "")
		}
	}
	for _, l := range said {
		a.noteLine(f, l, "")
	}
	a.keysLine(f)
}

// withoutTabs is a position for the line of the message, where there are no tabs beside which it stands, or no room beside them.
func (a *App) withoutTabs(position string) string {
	n := 1 + 2 // a margin, and the brackets of the one that is shown
	for _, t := range a.tabs() {
		n += draw.Width(t.text) + len(a.tabsGap())
	}
	if a.hasTabs() && n+draw.Width(position) < a.w {
		return ""
	}
	return position
}

// tailHints is the end of the keys line: how to get help and how to leave.
func (a *App) tailHints(narrow bool) string {
	h, q := keyOf(a.always, "help"), keyOf(a.always, "quit")
	if narrow {
		return h + " " + q
	}
	return h + " help  " + q + " quit"
}

// keyOf returns the first key of the action id, "" for none.
func keyOf(bs []binding, id string) string {
	if b := named(bs, id); b != nil && len(b.keys) > 0 {
		return keyName(b.keys[0], false)
	}
	return ""
}
