package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"

	"ctview/tui/draw"
)

// A prompt asks for one line of text, with completion.
type prompt struct {
	head   string
	line   edit
	offer  func(text string) []filter.Completion // completions of the text up to the cursor; may be nil
	yes    func(a *App, text string) (tea.Cmd, error)
	err    string
	chosen int
	past   []string // texts entered before, newest first
	pastAt int
}

func newPrompt(head, text string, offer func(string) []filter.Completion, yes func(*App, string) (tea.Cmd, error)) *prompt {
	return &prompt{head: head, line: newEdit(text), offer: offer, yes: yes, pastAt: -1}
}

var promptBindings = []binding{
	{id: "apply", keys: []string{"enter"}, help: "apply", hint: "apply", group: groupLook},
	{id: "accept", keys: []string{"tab"}, help: "complete", hint: "complete", group: groupLook},
	{id: "cancel", keys: []string{"esc"}, help: "cancel", hint: "cancel", group: groupLook},
}

func (p *prompt) name() string        { return p.head }
func (p *prompt) bindings() []binding { return promptBindings }
func (p *prompt) offers() []filter.Completion {
	if p.offer == nil {
		return nil
	}
	return p.offer(p.line.String()[:p.line.cursor()])
}

func (p *prompt) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	os := p.offers()
	switch k.String() {
	case "esc":
		a.pop()
	case "enter":
		cmd, err := p.yes(a, strings.TrimSpace(p.line.String()))
		if err != nil {
			p.err = model.Escape(err.Error())
			return nil, true
		}
		if a.top() == p {
			a.pop()
		}
		return cmd, true
	case "tab":
		if len(os) > 0 {
			o := os[min(p.chosen, len(os)-1)]
			rest := p.line.String()[p.line.cursor():]
			head := p.line.String()[:o.From] + o.Insert
			p.line.set(head+rest, len(head))
			p.chosen, p.err = 0, ""
		}
	case "up", "ctrl+p":
		p.recall(1, len(os))
	case "down", "ctrl+n":
		p.recall(-1, len(os))
	case "ctrl+z", "ctrl+l":
		return nil, false
	default:
		if p.line.key(k) {
			p.err, p.chosen = "", 0
		}
	}
	return nil, true
}

// recall goes through what was entered before, or, with none of that, through the completions.
func (p *prompt) recall(n, offers int) {
	if len(p.past) == 0 {
		if offers > 0 {
			p.chosen = (p.chosen - n + offers) % offers
		}
		return
	}
	p.pastAt = max(min(p.pastAt+n, len(p.past)-1), -1)
	t := ""
	if p.pastAt >= 0 {
		t = p.past[p.pastAt]
	}
	p.line.set(t, len(t))
}

func (p *prompt) pasted(_ *App, text string) tea.Cmd {
	p.line.insert(text)
	return nil
}

// draw puts the line over the two lowest lines, and completions above it.
func (p *prompt) draw(a *App, f *draw.Frame) {
	var g draw.Frame
	g.Theme, g.Marks = f.Theme, f.Marks
	g.Reset(f.W, f.H)
	os := p.offers()
	if p.err == "" {
		from, to := window(p.chosen, len(os), min(8, max(f.H/3, 1)))
		iw := 0
		for _, o := range os[from:to] {
			iw = max(iw, draw.Width(o.Show))
		}
		for i := from; i < to; i++ {
			look, lead := draw.Plain, "   "
			if i == p.chosen {
				look, lead = draw.Strong, " "+g.Marks.Cursor+" "
			}
			g.Begin(draw.Plain)
			g.Styled(look, lead+padRight(model.Escape(os[i].Show), iw+3)+os[i].Hint)
			g.Pad(g.W)
			g.End()
		}
	} else {
		for _, l := range wrap(p.err, g.W-4) {
			g.Begin(draw.Plain)
			g.Styled(draw.Alarm, " "+l)
			g.Pad(g.W)
			g.End()
		}
	}
	lead := " " + p.head + ": "
	if p.head == ":" {
		lead = " :"
	}
	g.Begin(draw.Plain)
	g.Styled(draw.Strong, lead)
	y := f.H - 1 - g.Y() - 1
	writeEdit(&g, &p.line, g.W-draw.Width(lead)-2)
	f.CursorX, f.CursorY, f.HasCursor = g.CursorX, f.H-2, true
	g.Pad(g.W)
	g.End()
	f.Overlay(0, y, f.W, g.Lines())
	a.overHints(f, p.bindings())
}
