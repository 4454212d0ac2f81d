package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

// A help is the help screen of a mode. It is made from the bindings themselves.
type help struct {
	about  string
	blocks []helpBlock
	top    int
	search edit
	typing bool
}

type helpBlock struct {
	head  string
	lines []helpLine
}

type helpLine struct {
	keys, text string
	off        bool
}

// newHelp returns the help of m.
func newHelp(a *App, m mode) *help {
	h := &help{about: m.name()}
	all := rebind(m.bindings(), a.opt.Keys)
	if p, ok := m.(interface{ alsoBindings() []binding }); ok {
		all = slices.Concat(all, rebind(p.alsoBindings(), a.opt.Keys))
	}
	all = slices.Concat(all, a.always)
	seen := map[string]bool{} // what a mode does itself goes before what every screen does
	for _, g := range []string{groupMove, groupLook, groupScreens, groupTime, groupAct, groupAway, groupProgram} {
		b := helpBlock{head: g}
		for _, k := range all {
			if k.group != g || k.hide || len(k.keys) == 0 || seen[k.id] {
				continue
			}
			seen[k.id] = true
			names := make([]string, 0, len(k.keys))
			for _, n := range k.keys {
				names = append(names, keyName(n, false))
			}
			b.lines = append(b.lines, helpLine{strings.Join(names, " "), k.help, k.writes && a.opt.ReadOnly})
		}
		if len(b.lines) > 0 {
			h.blocks = append(h.blocks, b)
		}
	}
	return h
}

func (h *help) name() string { return "Help" }
func (h *help) covers() bool { return true }

var helpBindings = []binding{
	{id: "down", keys: []string{"j", "down", "pgdown", "space"}, help: "further down", hint: "down", group: groupMove,
		run: does(func(h *help, a *App) { h.top += max(a.h/2, 1) })},
	{id: "up", keys: []string{"k", "up", "pgup"}, help: "further up", hint: "up", group: groupMove,
		run: does(func(h *help, a *App) { h.top = max(h.top-max(a.h/2, 1), 0) })},
	{id: "search", keys: []string{"/"}, help: "search", hint: "search", group: groupLook,
		run: does(func(h *help, _ *App) { h.typing = true })},
	{id: "close", keys: []string{"esc", "q", "?", "f1", "enter"}, help: "close", hint: "close", group: groupLook,
		run: inApp(closeTop)},
}

func (h *help) bindings() []binding { return helpBindings }

// typed searches while a word is typed; otherwise any key that does not scroll closes.
func (h *help) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	s := k.String()
	if h.typing {
		switch s {
		case "esc":
			h.typing, h.search = false, edit{}
		case "enter":
			h.typing = false
		default:
			h.search.key(k)
			h.top = 0
		}
		return nil, true
	}
	if s == "ctrl+z" || s == "ctrl+l" || find(helpBindings, s) != nil {
		return nil, false
	}
	a.pop()
	return a.ask(false), true
}

func (h *help) pasted(*App, string) tea.Cmd { return nil }

func (h *help) wheel(a *App, n int) tea.Cmd {
	h.top = max(h.top+n, 0)
	return nil
}

func (h *help) click(a *App, _, _ int) tea.Cmd {
	a.pop()
	return a.ask(false)
}

// notes are what the help says beside the keys.
func helpNotes(a *App) []string {
	return []string{
		"FLAGS  A assured  U no reply  H helper  E expected  O offloaded  F fixed timeout  D dying",
		"NAT    S source translated  D destination translated        x in the first column: the flow just ended",
		"FILTER words joined by and, or, not and ( ); mixing and with or needs ( )",
		"       src 10.0.0.0/8   dport {80, 443}   state syn_sent   zone 5   helper ftp   mark 0x10/0xff",
		"       bytes > 10M   age > 1h   not assured   host 192.0.2.1   rate > 5Mbit",
		keyOf(flowsBindings, "pause") + " freezes the screen only: events are still counted, and shown when it goes on.",
	}
}

func (h *help) draw(a *App, f *draw.Frame) {
	f.Begin(draw.Title)
	f.Text(" ctview help: " + h.about)
	f.Right(draw.Title, "any key closes, / searches")
	f.End()
	body := h.body(a, f)
	room := f.H - 2
	h.top = max(min(h.top, len(body)-room), 0)
	for i := h.top; i < min(len(body), h.top+room); i++ {
		f.Begin(draw.Plain)
		f.Text(" ")
		writeSpans(f, body[i], f.Left())
		f.End()
	}
	f.Blanks(f.H - 1)
	f.Begin(draw.Hint)
	foot := " ctview " + a.opt.Version
	if a.opt.Config != "" && f.W >= wideFrom {
		foot += "   config " + model.Escape(a.opt.Config) + "   man ctview"
	}
	if h.typing || h.search.String() != "" {
		foot = " / " + h.search.String()
	}
	right := "Esc close"
	if len(body) > room {
		right = "j k scroll  " + draw.Count(h.top+min(room, len(body)-h.top)) + " of " + draw.Count(len(body)) + "  Esc close"
	}
	f.Text(draw.Clip(foot, max(f.W-draw.Width(right)-3, 0), ""))
	f.Right(draw.Hint, right)
	f.End()
}

// spans is a line of a block whose keys have kw cells.
func (l *helpLine) spans(kw int) []span {
	keys := padRight(l.keys, kw) + " "
	if l.off {
		return []span{{keys + l.text, draw.Faint}}
	}
	return []span{{keys, draw.Strong}, {l.text, draw.Plain}}
}

// body lays the blocks out in as many columns as fit, or lists what the search finds.
func (h *help) body(a *App, f *draw.Frame) [][]span {
	if s := strings.ToLower(h.search.String()); s != "" {
		var out [][]span
		for _, b := range h.blocks {
			for _, l := range b.lines {
				if strings.Contains(strings.ToLower(l.keys+" "+l.text), s) {
					out = append(out, l.spans(17))
				}
			}
		}
		if len(out) == 0 {
			out = append(out, []span{{"nothing found", draw.Strong}})
		}
		return out
	}
	cols := max(f.W/40, 1)
	cw := (f.W - 1) / cols
	stacks := make([][][]span, cols)
	for _, b := range h.blocks {
		at := 0 // the shortest column; the first blocks stand next to each other
		for i := range stacks {
			if len(stacks[i]) < len(stacks[at]) {
				at = i
			}
		}
		st := append(stacks[at], []span{{b.head, draw.Head}})
		kw := 0
		for _, l := range b.lines {
			kw = max(kw, min(draw.Width(l.keys), 13))
		}
		for _, l := range b.lines {
			st = append(st, l.spans(kw))
		}
		stacks[at] = append(st, nil)
	}
	return append(joinColumns(f, stacks, cw), h.tail(a, f)...)
}

// joinColumns puts stacks of lines next to each other, in cw cells each.
func joinColumns(f *draw.Frame, stacks [][][]span, cw int) [][]span {
	n := 0
	for _, s := range stacks {
		n = max(n, len(s)-1) // without the blank line behind the last block
	}
	out := make([][]span, n)
	for i := range n {
		for c, s := range stacks {
			room := cw - 1
			if i < len(s) {
				for _, p := range s[i] {
					t := draw.Clip(p.text, room, f.Marks.Ellipsis)
					room -= draw.Width(t)
					out[i] = append(out[i], span{t, p.look})
				}
			}
			if c+1 < len(stacks) {
				out[i] = append(out[i], span{strings.Repeat(" ", room+1), draw.Plain})
			}
		}
	}
	return out
}

// tail is what the help says beside the keys; a heading in capitals stands out.
func (h *help) tail(a *App, f *draw.Frame) [][]span {
	out := [][]span{nil}
	for _, n := range helpNotes(a) {
		for _, l := range wrapKeep(n, f.W-2) {
			head, rest, _ := strings.Cut(l, " ")
			if head == "" || head != strings.ToUpper(head) {
				head, rest = "", l
			} else {
				rest = " " + rest
			}
			out = append(out, []span{{head, draw.Head}, {rest, draw.Plain}})
		}
	}
	return out
}

// wrapKeep breaks text like wrap does, but leaves a line that fits as it is.
func wrapKeep(text string, w int) []string {
	if draw.Width(text) <= w {
		return []string{text}
	}
	return wrap(text, w)
}

func padRight(s string, n int) string {
	if w := draw.Width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}
