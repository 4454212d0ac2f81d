package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A confirm asks before something is changed. What it is about was fixed when it was opened.
type confirm struct {
	head   string
	lines  []string
	key    string // this key says yes; "" if a word has to be typed
	word   string // what has to be typed
	yes    func(a *App) tea.Cmd
	typing edit
	wrong  bool
	verb   string
	no     string // what Esc does; "" is keep
}

var confirmBindings = []binding{
	{id: "cancel", keys: []string{"esc"}, help: "keep everything as it is", hint: "keep", group: groupLook},
}

func (c *confirm) name() string        { return "Confirm" }
func (c *confirm) bindings() []binding { return confirmBindings }

func (c *confirm) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	s := k.String()
	switch {
	case s == "esc":
		a.pop()
		return nil, true
	case s == "ctrl+z" || s == "ctrl+l":
		return nil, false
	case c.key != "":
		if s == c.key {
			a.pop()
			return c.yes(a), true
		}
		if s == "q" || s == "n" {
			a.pop()
		}
		return nil, true
	case s == "enter":
		if strings.TrimSpace(c.typing.String()) != c.word {
			c.wrong = true
			return nil, true
		}
		a.pop()
		return c.yes(a), true
	}
	c.wrong = false
	c.typing.key(k)
	return nil, true
}

func (c *confirm) pasted(_ *App, text string) tea.Cmd {
	c.typing.insert(text)
	return nil
}

func (c *confirm) draw(a *App, f *draw.Frame) {
	var lines []string
	for _, l := range c.lines {
		for _, w := range wrap(l, min(f.W-8, 100)) {
			lines = append(lines, " "+w)
		}
	}
	lines = append(lines, "")
	var ask string
	if c.key != "" {
		no := "keep"
		if c.no != "" {
			no = c.no
		}
		ask = " [" + c.key + "] " + c.verb + "  [Esc] " + no
	} else {
		ask = " Type " + c.word + ": "
	}
	typed := c.typing.String()
	shown := ask + typed
	if c.word != "" {
		shown += strings.Repeat("_", max(draw.Width(c.word)-draw.Width(typed), 0)) + "   Esc keeps"
	}
	if c.wrong {
		shown += "   not " + c.word
	}
	lines = append(lines, shown)
	popupIn(f, draw.Warn, draw.Warn, c.head, lines, -1, 0)
	if c.word != "" {
		inner := 0
		for _, l := range append(lines, c.head+"    ") {
			inner = max(inner, draw.Width(l)+1)
		}
		inner = min(inner, f.W-4)
		f.CursorX = (f.W-inner-2)/2 + 1 + draw.Width(ask) + draw.Width(typed)
		f.CursorY = popupTop(f.H, len(lines)) + len(lines)
		f.HasCursor = true
	}
	a.overHints(f, c.bindings())
}

// operator returns what is known now of the operator's own connections.
func (a *App) operator() model.Operator {
	if a.opt.Operator == nil {
		return model.Operator{}
	}
	return a.opt.Operator()
}

// askDelete asks before the marked flows go, or the current one if none is marked.
func (s *flows) askDelete(a *App) tea.Cmd {
	if len(s.marks) > 0 {
		return s.askDeleteMany(a)
	}
	r, ended := s.current()
	if r == nil {
		return nil
	}
	if ended {
		a.fail("that flow ended " + ago(a) + " ago")
		return nil
	}
	return a.askDeleteOne(r)
}

// ago is how long ago the last refresh was.
func ago(a *App) string { return draw.Duration(a.opt.Now().Sub(a.now)) }

// askDeleteOne asks before one flow goes.
func (a *App) askDeleteOne(r *model.Row) tea.Cmd {
	targets := []Target{{r.Flow.Key, r.Flow.ID}}
	c := &confirm{head: "Delete this flow?", lines: []string{draw.Describe(&r.Flow.Key)}, key: "y", verb: "delete",
		yes: func(a *App) tea.Cmd { return a.delete(targets) }}
	c.own(a.operator(), &r.Flow)
	a.push(c)
	return nil
}

// own has the word "mine" typed where the operator's own session would be hit: hit is a flow of it, nil for none.
func (c *confirm) own(op model.Operator, hit *model.Flow) {
	if hit == nil || !op.Has(hit) {
		if op.Unknown {
			c.lines = append(c.lines, "Whether your own session is among them is not known.")
		}
		return
	}
	m := hit.Orig()
	c.lines = append(c.lines, "! this includes your own session ("+string(draw.AppendPair(nil, &m))+")")
	if c.word != "" {
		c.lines = append(c.lines, "This deletes "+c.word+" flows.")
	}
	c.key, c.word = "", "mine"
}

// askDeleteMany asks before the marked flows go.
func (s *flows) askDeleteMany(a *App) tea.Cmd {
	targets := make([]Target, 0, len(s.marks))
	op := a.operator()
	var own *model.Flow
	for k, id := range s.marks {
		targets = append(targets, Target{k, id})
		if own != nil {
			continue
		}
		f := model.Flow{Key: k}
		if len(op.Sessions) > 0 && len(s.marks) <= maxChecked {
			if r, ok := a.opt.Store.Get(k); ok {
				f = r.Flow
			}
		}
		if op.Has(&f) {
			own = &f
		}
	}
	sort.Slice(targets, func(i, j int) bool { return bytes.Compare(keyBytes(&targets[i].Key), keyBytes(&targets[j].Key)) < 0 })
	n := len(targets)
	if n == 1 {
		c := &confirm{head: "Delete this flow?", lines: []string{draw.Describe(&targets[0].Key)}, key: "y", verb: "delete",
			yes: func(a *App) tea.Cmd { clear(s.marks); return a.delete(targets) }}
		c.own(op, own)
		a.push(c)
		return nil
	}
	what := fmt.Sprintf("Delete %d marked flows?", n)
	if a.text != "" && n == s.view.Matched {
		what = fmt.Sprintf("Delete %s that match %q?", model.Plural(n, "flow"), model.Escape(a.text))
	}
	c := &confirm{head: "Delete " + model.Plural(n, "flow"), lines: []string{what}, word: draw.Count(n),
		yes: func(a *App) tea.Cmd { clear(s.marks); return a.delete(targets) }}
	for i, t := range targets {
		if i == 3 {
			c.lines = append(c.lines, fmt.Sprintf("... and %d more", n-3))
			break
		}
		c.lines = append(c.lines, "  "+draw.Describe(&t.Key))
	}
	c.own(op, own)
	a.push(c)
	return nil
}

// askDeleteFilter asks before the flows that match text go. They are found now and fixed by identity.
func (a *App) askDeleteFilter(text string) tea.Cmd {
	f, err := filter.Parse(text, a.opt.Parse)
	if err != nil {
		a.fail(err.Error())
		return nil
	}
	store, now := a.opt.Store, a.opt.Now().UnixNano()
	return func() tea.Msg {
		op := a.operator()
		var targets []Target
		var own *model.Flow
		if f.NeedsOwner() || f.NeedsRoute() { // so that it is looked up
			store.View(&table.Query{Filter: f, Now: now}, &table.View{})
		}
		unknown := false
		store.Each(func(fl *model.Flow, x *model.Extra) bool {
			match, unk := f.MatchKnown(fl, x, now)
			unknown = unknown || unk
			if match {
				targets = append(targets, Target{fl.Key, fl.ID})
				if own == nil && op.Has(fl) {
					f := *fl
					own = &f
				}
			}
			return true
		})
		return doneMsg{func(a *App) tea.Cmd {
			if len(targets) == 0 && unknown && f.NeedsRoute() {
				a.say("which way flows take is being looked up: ask again")
				return nil
			}
			if len(targets) == 0 && unknown && f.NeedsOwner() {
				a.say("who holds the sockets of flows is being looked up: ask again")
				return nil
			}
			if len(targets) == 0 {
				a.say("no flow matches " + model.Escape(text))
				return nil
			}
			n := model.Plural(len(targets), "flow")
			c := &confirm{head: "Delete " + n, lines: []string{fmt.Sprintf("Delete %s that match %q?", n, model.Escape(text))}, word: draw.Count(len(targets)),
				yes: func(a *App) tea.Cmd { return a.delete(targets) }}
			if len(targets) == 1 {
				c = &confirm{head: "Delete this flow?", lines: []string{draw.Describe(&targets[0].Key)}, key: "y", verb: "delete", yes: c.yes}
			}
			c.own(op, own)
			a.push(c)
			return nil
		}}
	}
}

// keyBytes orders flows for people: by source, destination and ports.
func keyBytes(k *model.Key) []byte {
	b := append(append([]byte{byte(k.Zone >> 8), byte(k.Zone)}, k.Src[:]...), k.Dst[:]...)
	return append(b, byte(k.Sport>>8), byte(k.Sport), byte(k.Dport>>8), byte(k.Dport), byte(k.Proto))
}

// delete sends targets to the kernel. The rows go when the kernel says so.
func (a *App) delete(targets []Target) tea.Cmd {
	if a.opt.Kernel == nil || a.opt.ReadOnly {
		a.fail("nothing here can delete flows")
		return nil
	}
	a.say("deleting " + draw.Count(len(targets)) + " " + a.marks.Ellipsis)
	kernel, ctx := a.opt.Kernel, a.ctx
	return func() tea.Msg {
		errs := kernel.Delete(ctx, targets)
		return doneMsg{func(a *App) tea.Cmd {
			a.deleted(len(targets), errs)
			return a.ask(true)
		}}
	}
}

// deleted tells what became of a deletion.
func (a *App) deleted(n int, errs []error) {
	gone, bad := 0, 0
	var first error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, ErrGone):
			gone++
		case errors.Is(err, context.Canceled):
			bad++
		default:
			bad++
			if first == nil {
				first = err
			}
		}
	}
	switch {
	case bad > 0 && first != nil:
		a.fail(fmt.Sprintf("%d of %d not deleted: %v", bad, n, first))
	case bad > 0:
		a.fail(fmt.Sprintf("%d of %d not deleted", bad, n))
	case n == 1 && gone == 1:
		a.say("that flow had ended already")
	case n == 1:
		a.say("deleted; a new packet of it will make a new entry if the rules allow")
	case gone > 0:
		a.say(fmt.Sprintf("%s deleted, %d had ended already", model.Plural(n-gone, "flow"), gone))
	default:
		a.say(fmt.Sprintf("%s deleted; new packets of them will make new entries if the rules allow", model.Plural(n, "flow")))
	}
}
