package tui

import (
	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// viewBindings choose a view; they work on every screen.
var viewBindings = []binding{
	{id: "view1", keys: []string{"1"}, help: "flows", group: groupScreens,
		run: showing(0)},
	{id: "view2", keys: []string{"2"}, help: "groups: top talkers", group: groupScreens,
		run: showing(1)},
	{id: "view3", keys: []string{"3"}, help: "events", group: groupScreens,
		run: showing(2)},
	{id: "view4", keys: []string{"4"}, help: "statistics and health", group: groupScreens,
		run: showing(3)},
	{id: "view5", keys: []string{"5"}, help: "expectations and helpers", group: groupScreens,
		run: showing(4)},
	{id: "view6", keys: []string{"6"}, help: "notrack rules", group: groupScreens,
		run: showing(5)},
	{id: "view7", keys: []string{"7"}, help: "recent: what began and ended", group: groupScreens,
		run: showing(6)},
	{id: "nextview", keys: []string{"tab"}, help: "next view", group: groupScreens,
		run: turning(1)},
	{id: "prevview", keys: []string{"shift+tab"}, help: "view before", group: groupScreens,
		run: turning(-1)},
	{id: "states", keys: []string{"e"}, help: "the five packet states", group: groupScreens,
		run: inApp((*App).openStates)},
	{id: "findings", keys: []string{"!"}, help: "what is wrong, and the cure", group: groupScreens,
		run: inApp((*App).openFindings)},
	{id: "savedviews", keys: []string{"v"}, help: "saved views", group: groupScreens,
		run: does(func(_ mode, a *App) { a.viewsMenu() })},
	{id: "names", keys: []string{"r"}, help: "names or numbers", group: groupLook,
		run: inApp(func(a *App) tea.Cmd { return a.setNames(!a.names.on) })},
	{id: "slower", keys: []string{"+"}, help: "refresh less often", group: groupTime,
		run: inApp(func(a *App) tea.Cmd { return a.changePace(true) })},
	{id: "faster", keys: []string{"-"}, help: "refresh more often", group: groupTime,
		run: inApp(func(a *App) tea.Cmd { return a.changePace(false) })},
	{id: "write", keys: []string{"w"}, help: "write view to a file", group: groupAway,
		run: inApp(func(a *App) tea.Cmd { return a.openWrite(a.top()) })},
	{id: "netns", keys: []string{"ctrl+n"}, help: "other namespaces", group: groupProgram,
		run: inApp((*App).listNetns)},
	{id: "command", keys: []string{":"}, help: "command line", group: groupProgram,
		run: does(func(_ mode, a *App) { a.openCommand("") })},
	{id: "back", keys: []string{"esc"}, help: "back to where you were", group: groupLook,
		run: inApp((*App).stepBack)},
}

func showing(i int) action { return inApp(func(a *App) tea.Cmd { return a.show(i) }) }

func turning(n int) action {
	return inApp(func(a *App) tea.Cmd { return a.show((a.current + n + len(a.screens)) % len(a.screens)) })
}

// show chooses view i.
func (a *App) show(i int) tea.Cmd {
	if i < 0 || i >= len(a.screens) {
		return nil
	}
	a.turnTo(i)
	a.stack = a.stack[:0]
	a.note = ""
	return a.ask(true)
}

// clickTab chooses the view whose name is at column x of the second line.
func (a *App) clickTab(x int) tea.Cmd {
	at := 1
	for _, t := range a.tabs() {
		n := draw.Width(t.text)
		if t.on {
			n += 2
		}
		if x >= at && x < at+n {
			return t.open()
		}
		at += n + len(a.tabsGap())
	}
	return nil
}
