package tui

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"ctview/tui/draw"
)

// Sizes. From wideFrom columns on a screen has the wide frame; below minWidth × minHeight it is a notice.
const (
	wideFrom  = 100
	minWidth  = 40
	minHeight = 10
)

// An App is the whole screen: the only tea.Model. Its methods run on Bubble Tea's event loop and nowhere else.
type App struct {
	opt    Options
	ctx    context.Context // ends the questions in flight with the program
	always []binding
	views  []binding

	w, h int
	// terminal is the size of the terminal, where the frame may be a part of it.
	terminal struct{ w, h int }
	theme    draw.Theme
	marks    draw.Marks
	profile  colorprofile.Profile
	isDark   bool

	screens []mode // the views that 1–7 and Tab choose from
	current int
	stack   []mode // pop-ups and covers over the screen, the top one last

	flows *flows
	trail []visit // the views that Esc returns to
	steps []step  // that Esc goes back, the last one first
	narrowing

	frame   draw.Frame
	content string // the frame as last drawn
	dirty   bool

	busy, again, againFull, armed bool
	asking                        asker              // whose question is open
	giveUp                        context.CancelFunc // ends it
	seq                           int
	refresh                       time.Duration
	lastKey, lastFull             time.Time
	held                          []tea.KeyPressMsg                    // keys for a row that the open question will bring, and those after them
	heldSeq                       int                                  // of the first of them
	after                         func(time.Duration, tea.Msg) tea.Cmd // tea.Tick; tests put in their own

	stats  table.Stats
	sys    model.System
	sysErr error
	hasSys bool
	sysAt  time.Time

	drops, dropsFirst uint64 // packets that the kernel dropped for want of an entry: now, and when first read
	dropsSince        time.Time
	hasDrops          bool
	now               time.Time // of the last answer
	events            uint64
	tallied           time.Time
	eventRate         float64
	hasEventRate      bool // a window of it is over
	sysFlows          int  // flows of the model when sys was asked for, -1 where it was not whole then

	ill illness // what is wrong

	paused     bool
	pausedAt   time.Time
	pauseStats table.Stats

	note    string // message line
	noteLog draw.Role
	waiting []string
	noticed map[string]bool

	installed bool // NOTRACK rules were installed in this session
	quitAsked bool // what becomes of them is being asked: another Ctrl-c quits at once

	names        directory
	namespaces   []Namespace
	pastCommands []string
	dyn          filter.Dynamic // what filters can name beside the language's words, as last looked up

	signals *supervisor // nil outside of Run
	err     error       // what Run returns
}

// New returns an App over o.Store. o.Filter must parse.
func New(o Options) (*App, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &App{opt: o, ctx: context.Background(), isDark: true, profile: colorprofile.ANSI, noticed: map[string]bool{}}
	a.after = func(d time.Duration, m tea.Msg) tea.Cmd {
		return tea.Tick(d, func(time.Time) tea.Msg { return m })
	}
	a.always, a.views = rebind(always, o.Keys), rebind(viewBindings, o.Keys)
	a.refresh = o.Refresh
	if a.refresh <= 0 {
		a.refresh = time.Second
	}
	a.marks = draw.Unicode
	switch {
	case o.ASCII:
		a.marks = draw.ASCII
	case o.Console:
		a.marks = draw.Console
	}
	if err := a.dress(); err != nil {
		return nil, err
	}
	f, err := filter.Parse(o.Filter, o.Parse)
	if err != nil {
		return nil, err
	}
	a.filter, a.text = f, strings.TrimSpace(o.Filter)
	fl, err := newFlows(a)
	if err != nil {
		return nil, err
	}
	a.flows = fl
	a.screens = []mode{fl, newGroups(), newEvents(), newStats(), newExpects(), newNotrack(), newRecent()}
	if o.Names && (o.Lookup != nil || o.ServiceName != nil) {
		a.names.on, fl.c.names = true, a.endName
	}
	a.frame.Theme, a.frame.Marks = &a.theme, &a.marks
	return a, nil
}

// dress chooses the theme again: at the start, and when the terminal told more of itself.
func (a *App) dress() error {
	p := a.profile
	if a.opt.NoColor {
		p = colorprofile.ASCII
	}
	t, err := draw.ThemeFor(a.opt.Theme, a.opt.CustomThemes, p, a.isDark)
	if err != nil {
		return err
	}
	a.theme, a.dirty = t, true
	return nil
}

// Init asks for the first rows and for the background colour; the first frame waits for neither.
func (a *App) Init() tea.Cmd {
	cmds := []tea.Cmd{a.ask(true)}
	if a.profile >= colorprofile.ANSI256 && !a.opt.NoColor {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	return tea.Batch(cmds...)
}

// Update takes one message.
func (a *App) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		a.resized(msg.Width, msg.Height)
		return a, a.ask(false)
	case tea.BackgroundColorMsg:
		a.isDark = msg.IsDark()
		_ = a.dress() // the name was good at the start
	case tea.ColorProfileMsg:
		a.profile = msg.Profile
		_ = a.dress()
	case heldMsg:
		return a, a.waitedEnough(msg.seq)
	case tickMsg:
		return a, a.ticked(msg)
	case answerMsg:
		return a, a.answered(msg)
	case tea.KeyPressMsg:
		return a, a.key(msg)
	case tea.PasteMsg:
		if t, ok := a.top().(typist); ok {
			a.dirty = true
			return a, t.pasted(a, msg.Content)
		}
	case tea.MouseClickMsg:
		return a, a.click(msg)
	case tea.MouseWheelMsg:
		return a, a.wheel(msg)
	case stopMsg:
		return a, a.yield(true, false)
	case takeMsg:
		return a, a.yield(false, false)
	case backMsg:
		return a, a.back(msg.err)
	case quitMsg:
		a.err = msg.err
		return a, tea.Quit
	case doneMsg:
		a.dirty = true
		return a, msg.then(a)
	}
	return a, nil
}

// A quitMsg ends the program with err.
type quitMsg struct{ err error }

// A doneMsg brings what a Cmd found back onto the loop: then runs there.
type doneMsg struct{ then func(*App) tea.Cmd }

// key gives a key press to the top mode.
func (a *App) key(k tea.KeyPressMsg) tea.Cmd {
	a.lastKey = a.opt.Now()
	a.dirty = true
	a.note = ""
	m := a.top()
	if k.String() == "ctrl+c" {
		return a.quitting()
	}
	if a.busy && len(a.held) > 0 {
		return a.hold(m, k)
	}
	if t, ok := m.(typist); ok {
		if cmd, took := t.typed(a, k); took {
			return cmd
		}
	}
	if b := find(rebind(m.bindings(), a.opt.Keys), k.String()); b != nil {
		if a.busy && b.mustWait(m) {
			return a.hold(m, k)
		}
		return a.run(m, b)
	}
	if a.atScreen() {
		if b := find(a.views, k.String()); b != nil {
			return a.run(m, b)
		}
	}
	if b := find(a.always, k.String()); b != nil {
		if b.id == "quit" && len(a.stack) > 0 {
			a.pop()
			return a.ask(false)
		}
		return a.run(m, b)
	}
	if _, types := m.(typist); !types && k.Mod == tea.ModAlt && k.Code > ' ' && k.Code < 0x7f { // no action has Alt: it was Esc, and soon after it a key
		cmd := a.key(tea.KeyPressMsg{Code: tea.KeyEscape})
		k.Mod, k.Text = 0, string(k.Code)
		if unicode.IsUpper(k.Code) {
			k.Mod, k.ShiftedCode, k.Code = tea.ModShift, k.Code, unicode.ToLower(k.Code)
		}
		if b := find(rebind(a.top().bindings(), a.opt.Keys), k.String()); b != nil && b.writes {
			return cmd // what changes something wants its key by itself
		}
		return tea.Batch(cmd, a.key(k))
	}
	return nil
}

// atScreen reports whether no pop-up is open: a screen, or what covers it, has the keys.
func (a *App) atScreen() bool {
	if len(a.stack) == 0 {
		return true
	}
	_, types := a.top().(typist)
	return !types && a.bottom() == len(a.stack)-1
}

// openHelp shows the help of the mode that has the keys.
func openHelp(a *App) tea.Cmd {
	a.push(newHelp(a, a.top()))
	return nil
}

func (a *App) click(m tea.MouseClickMsg) tea.Cmd {
	a.lastKey = a.opt.Now()
	if m.Button != tea.MouseLeft {
		return nil
	}
	if m.Y == a.headRows()-1 && a.hasTabs() && len(a.stack) == 0 {
		return a.clickTab(m.X)
	}
	if p, ok := a.top().(pointed); ok {
		a.dirty = true
		return p.click(a, m.X, m.Y)
	}
	return nil
}

func (a *App) wheel(m tea.MouseWheelMsg) tea.Cmd {
	a.lastKey = a.opt.Now()
	p, ok := a.top().(pointed)
	if !ok {
		return nil
	}
	a.dirty = true
	switch m.Button {
	case tea.MouseWheelUp:
		return p.wheel(a, -3)
	case tea.MouseWheelDown:
		return p.wheel(a, 3)
	}
	return nil
}

// screen is the view that is chosen.
func (a *App) screen() mode { return a.screens[a.current] }

// View returns the frame, drawn only if something changed since it was last.
func (a *App) View() tea.View {
	if a.dirty {
		a.draw()
	}
	v := tea.NewView(a.content)
	v.AltScreen = true
	if !a.opt.NoMouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	v.WindowTitle = "ctview"
	if a.frame.HasCursor {
		v.Cursor = tea.NewCursor(a.frame.CursorX, a.frame.CursorY)
	}
	return v
}

// draw makes content from the modes that are visible.
func (a *App) draw() {
	a.dirty = false
	f := &a.frame
	f.Reset(a.w, a.h)
	if a.w <= 0 || a.h <= 0 {
		a.content = ""
		return
	}
	if a.w < minWidth || a.h < minHeight {
		text := "ctview needs " + draw.Count(minWidth) + "x" + draw.Count(minHeight) + "; this terminal is " + draw.Count(a.w) + "x" + draw.Count(a.h) +
			". `ctview list` works without a screen."
		lines := strings.Split(ansi.Wrap(text, a.w, ""), "\n")
		a.content = strings.Join(lines[:min(len(lines), a.h)], "\n")
		return
	}
	from := a.bottom()
	if from < 0 {
		a.screen().draw(a, f)
		from = 0
	}
	for _, m := range a.stack[from:] {
		m.draw(a, f)
	}
	a.content = f.String()
	if a.opt.ASCII {
		a.content = asciiOnly(a.content)
	}
}

// say puts text into the message line until the next one.
func (a *App) say(text string) { a.note, a.noteLog, a.dirty = model.Escape(text), draw.Plain, true }

// resized takes in a new size of the frame, and tells where that is a part of the terminal.
func (a *App) resized(w, h int) {
	if t := a.terminal; (t.w > w || t.h > h) && (w != a.w || h != a.h) {
		a.say(fmt.Sprintf("the terminal has %dx%d cells: ctview draws on %dx%d of them", t.w, t.h, w, h))
	}
	a.w, a.h, a.dirty = w, h, true
}

// fail puts an error into the message line; it stays until a key is pressed.
func (a *App) fail(text string) {
	a.note, a.noteLog, a.dirty = strings.ReplaceAll(model.Escape(text), "\n", " "), draw.Alarm, true
}
