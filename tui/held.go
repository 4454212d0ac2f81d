package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// heldMost is how long keys wait for the row that they are about. A kernel that does not answer must not make the screen deaf.
const heldMost = time.Second

// A heldMsg says that keys have waited for long enough: those that were held when it was seq's turn.
type heldMsg struct{ seq int }

// mustWait reports whether b is about a row of m that is still being read: any row, before the first answer.
func (b *binding) mustWait(m mode) bool {
	w, ok := m.(waiter)
	return ok && (b.row && w.waits() || (b.row || b.group == groupMove) && w.unread())
}

// hold keeps a key for when the open question is answered; those behind it wait, too, so that they keep their order. The key that
// quits does not wait, unless a text may be what it is for.
func (a *App) hold(m mode, k tea.KeyPressMsg) tea.Cmd {
	if b := find(a.always, k.String()); b != nil && b.id == "quit" && a.heldAreRows(m) {
		a.held = nil
		if len(a.stack) > 0 {
			a.pop()
			return a.ask(false)
		}
		return a.run(m, b)
	}
	a.held = append(a.held, k)
	if len(a.held) > 1 {
		return nil
	}
	a.heldSeq++
	return a.after(heldMost, heldMsg{a.heldSeq})
}

// heldAreRows reports whether nothing but moves and actions of a row is held.
func (a *App) heldAreRows(m mode) bool {
	for _, k := range a.held {
		if b := find(rebind(m.bindings(), a.opt.Keys), k.String()); b == nil || !b.row && b.group != groupMove {
			return false
		}
	}
	return true
}

// release carries out the keys that were held, on what is on the screen by now.
func (a *App) release() tea.Cmd {
	held := a.held
	a.held = nil
	var cmds []tea.Cmd
	for _, k := range held {
		a.draw() // pages know their rows as they are drawn
		cmds = append(cmds, a.key(k))
	}
	return tea.Batch(cmds...)
}

// waitedEnough gives keys up whose row has not come; the others are carried out.
func (a *App) waitedEnough(seq int) tea.Cmd {
	if seq != a.heldSeq || len(a.held) == 0 {
		return nil
	}
	m := a.top()
	rest := a.held
	a.held = nil
	lost := ""
	for len(rest) > 0 {
		b := find(rebind(m.bindings(), a.opt.Keys), rest[0].String())
		if b == nil || !b.mustWait(m) {
			break
		}
		lost += keyName(rest[0].String(), false) + " "
		rest = rest[1:]
	}
	a.held = rest
	cmd := a.release()
	a.say(lost + "dropped: what the screen shows is still being read")
	return cmd
}
