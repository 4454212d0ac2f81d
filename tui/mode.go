package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// A mode is one screen, or one pop-up over a screen. All methods run on the event loop.
type mode interface {
	name() string
	bindings() []binding
	draw(a *App, f *draw.Frame)
}

// A typist is a mode that takes keys as text. It sees every key before the bindings do.
type typist interface {
	typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool)
	pasted(a *App, text string) tea.Cmd
}

// An asker is a mode that shows what a Store or Kernel knows. ask returns a function that runs off the loop, or nil;
// what it returns comes back to take. full is false for questions that a key raised: they leave out what only the clock
// asks for.
type asker interface {
	ask(a *App, full bool) func(ctx context.Context) any
	take(a *App, answer any) tea.Cmd
}

// A waiter is a mode with a cursor. unread reports whether no answer came yet, waits whether the row under the cursor was asked for
// and is not here yet.
type waiter interface {
	unread() bool
	waits() bool
}

// A cover is a mode that hides what is below it.
type cover interface{ covers() bool }

// A pointed is a mode that the mouse works in; x and y count from the frame's corner.
type pointed interface {
	click(a *App, x, y int) tea.Cmd
	wheel(a *App, lines int) tea.Cmd
}

// push puts m on top of the stack.
func (a *App) push(m mode) { a.stack = append(a.stack, m); a.dirty = true }

// pop takes the top off the stack.
func (a *App) pop() {
	if n := len(a.stack); n > 0 {
		a.stack = a.stack[:n-1]
	}
	a.dirty, a.quitAsked = true, false // the question is on top while it stands
}

// closeTop takes the top off, and asks for what was below it.
func closeTop(a *App) tea.Cmd {
	a.pop()
	return a.ask(true)
}

// top is the mode that gets the key.
func (a *App) top() mode {
	if n := len(a.stack); n > 0 {
		return a.stack[n-1]
	}
	return a.screen()
}

// bottom is the lowest mode that is visible: the topmost one that covers the rest.
func (a *App) bottom() int {
	for i := len(a.stack) - 1; i >= 0; i-- {
		if c, ok := a.stack[i].(cover); ok && c.covers() {
			return i
		}
	}
	return -1
}
