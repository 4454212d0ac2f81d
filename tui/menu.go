package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// A choice is a line of a menu.
type choice struct {
	key  string // chooses it at once; "" has none
	text string
	on   *bool // a switch, shown as a box
}

// A menu is a pop-up that has one thing chosen from a list.
type menu struct {
	head    string
	choices []choice
	cursor[int]
	keys []binding
	// pick is called with the chosen line and the action: "pick", or one of keys. It pops the menu itself if it wants to.
	pick    func(a *App, i int, id string) tea.Cmd
	byEnter bool // the line was chosen by Enter, not by its letter
}

var menuBindings = []binding{
	{id: "pick", keys: []string{"enter"}, help: "choose", hint: "choose", group: groupLook,
		run: picking("pick")},
	{id: "down", keys: []string{"j", "down", "ctrl+n"}, help: "next line", group: groupMove,
		run: walking("down")},
	{id: "up", keys: []string{"k", "up", "ctrl+p"}, help: "line before", group: groupMove,
		run: walking("up")},
	{id: "pagedown", keys: []string{"pgdown"}, help: "page down", group: groupMove,
		run: walking("pagedown")},
	{id: "pageup", keys: []string{"pgup"}, help: "page up", group: groupMove,
		run: walking("pageup")},
	{id: "top", keys: []string{"home"}, help: "first line", group: groupMove,
		run: walking("top")},
	{id: "bottom", keys: []string{"end"}, help: "last line", group: groupMove,
		run: walking("bottom")},
	{id: "back", keys: []string{"esc"}, help: "back", hint: "back", group: groupLook,
		run: does(func(_ *menu, a *App) { a.pop() })},
}

func (m *menu) name() string { return m.head }

func (m *menu) bindings() []binding {
	out := make([]binding, 0, len(m.keys)+len(menuBindings))
	for _, b := range m.keys {
		b.run = picking(b.id)
		out = append(out, b)
	}
	return append(out, menuBindings...)
}

// picking is an action on the line under the cursor.
func picking(id string) action {
	return on(func(m *menu, a *App) tea.Cmd {
		if len(m.choices) == 0 {
			return nil
		}
		m.byEnter = true
		return m.pick(a, m.pos(), id)
	})
}

func (m *menu) walk(a *App, id string) tea.Cmd {
	m.steer(id, len(m.choices), popupRows(a.h, len(m.choices)), func(i int) int { return i })
	return nil
}

// choose has the cursor on line i; drawing scrolls to it.
func (m *menu) choose(i int) { m.at = i - m.top }

// typed lets the letter of a line choose it.
func (m *menu) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	s := k.String()
	for i, c := range m.choices {
		if c.key == s {
			m.choose(i)
			m.byEnter = false
			return m.pick(a, i, "pick"), true
		}
	}
	return nil, false
}

func (m *menu) pasted(*App, string) tea.Cmd { return nil }

func (m *menu) draw(a *App, f *draw.Frame) {
	mk := f.Marks
	lines := make([]string, 0, len(m.choices))
	letters := slices.ContainsFunc(m.choices, func(c choice) bool { return c.key != "" })
	for i, c := range m.choices {
		t := "  "
		if i == m.pos() {
			t = mk.Cursor + " "
		}
		if c.on != nil {
			box := "[ ] "
			if *c.on {
				box = "[x] "
			}
			t += box
		}
		if letters {
			t += c.key + strings.Repeat(" ", max(2-draw.Width(c.key), 1))
		}
		lines = append(lines, t+c.text)
	}
	n := popupRows(f.H, len(lines))
	m.goTo(m.pos(), len(lines), n)
	popup(f, m.head, lines, m.pos(), m.top)
	a.overHints(f, m.bindings())
}

func (m *menu) click(a *App, _, y int) tea.Cmd {
	h := popupRows(a.h, len(m.choices))
	if i := y - popupTop(a.h, h) - 1; i >= 0 && i < h {
		m.choose(m.top + i)
		return m.pick(a, m.pos(), "pick")
	}
	a.pop()
	return nil
}

func (m *menu) wheel(a *App, n int) tea.Cmd {
	m.goTo(m.pos()+n, len(m.choices), popupRows(a.h, len(m.choices)))
	return nil
}

// overHints puts the keys of a pop-up where the screen has its own.
func (a *App) overHints(f *draw.Frame, bs []binding) {
	var g draw.Frame
	g.Theme, g.Marks = f.Theme, f.Marks
	g.Reset(f.W, 1)
	a.hints(&g, rebind(bs, a.opt.Keys))
	f.Overlay(0, f.H-1, f.W, g.Lines())
}

// popupRows is how many of n lines a pop-up on a screen of h lines shows, popupTop the line of its upper edge.
func popupRows(h, n int) int { return max(min(n, h-4), 1) }
func popupTop(h, n int) int  { return max((h-popupRows(h, n)-2)/2, 1) }

// popup draws lines in a box in the middle of the frame; where they do not all fit, those from one on, with their position.
// chosen is less than 0 for a box without a choice.
func popup(f *draw.Frame, head string, lines []string, chosen, from int) {
	popupIn(f, draw.FrameLine, draw.Strong, head, lines, chosen, from)
}

// popupIn is popup with edges and head that look so.
func popupIn(f *draw.Frame, edges, title draw.Role, head string, lines []string, chosen, from int) {
	inner := draw.Width(head) + 4
	for _, l := range lines {
		inner = max(inner, draw.Width(l)+1)
	}
	inner = min(inner, f.W-4)
	to := min(from+popupRows(f.H, len(lines)), len(lines))
	m := f.Marks
	head = draw.Clip(head, inner-4, m.Ellipsis)
	box := make([]string, 0, to-from+2)
	edge := f.Theme[edges]
	box = append(box, edge+m.TL+m.H+draw.ResetSGR+" "+f.Theme[title]+head+draw.ResetSGR+" "+edge+strings.Repeat(m.H, max(inner-3-draw.Width(head), 0))+m.TR+draw.ResetSGR)
	for i := from; i < to; i++ {
		l := draw.Clip(lines[i], inner, m.Ellipsis)
		l += strings.Repeat(" ", inner-draw.Width(l))
		if i == chosen {
			l = f.Theme[draw.Selected] + l + draw.ResetSGR
		}
		box = append(box, edge+m.V+draw.ResetSGR+l+edge+m.V+draw.ResetSGR)
	}
	foot := ""
	if to-from < len(lines) {
		foot = draw.Clip(" "+position(from, to-from, len(lines))+" ", inner, "")
	}
	box = append(box, edge+m.BL+strings.Repeat(m.H, inner-draw.Width(foot))+foot+m.BR+draw.ResetSGR)
	f.Overlay((f.W-inner-2)/2, popupTop(f.H, len(lines)), inner+2, box)
}
