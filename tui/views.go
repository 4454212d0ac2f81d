package tui

import (
	"strconv"

	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// viewBindings choose a view; they work on every screen.
var viewBindings = []binding{
	{id: "view1", keys: []string{"1"}, help: "flows", group: groupLook},
	{id: "view2", keys: []string{"2"}, help: "groups: top talkers", group: groupLook},
	{id: "view3", keys: []string{"3"}, help: "events", group: groupLook},
	{id: "view4", keys: []string{"4"}, help: "statistics and health", group: groupLook},
	{id: "view5", keys: []string{"5"}, help: "expectations and helpers", group: groupLook},
	{id: "view6", keys: []string{"6"}, help: "notrack rules", group: groupLook},
	{id: "nextview", keys: []string{"tab"}, help: "next view", group: groupLook},
	{id: "prevview", keys: []string{"shift+tab"}, help: "view before", group: groupLook},
	{id: "states", keys: []string{"e"}, help: "the five packet states", group: groupLook},
	{id: "findings", keys: []string{"!"}, help: "what is wrong, the proof, the cure", group: groupLook},
	{id: "savedviews", keys: []string{"v"}, help: "saved views", group: groupLook},
	{id: "names", keys: []string{"r"}, help: "names or numbers", group: groupLook},
	{id: "slower", keys: []string{"+"}, help: "refresh less often", group: groupTime},
	{id: "faster", keys: []string{"-"}, help: "refresh more often", group: groupTime},
	{id: "write", keys: []string{"w"}, help: "write view to a file", group: groupAway},
	{id: "netns", keys: []string{"ctrl+n"}, help: "other namespaces", group: groupProgram},
	{id: "command", keys: []string{":"}, help: "command line", group: groupProgram},
	{id: "back", keys: []string{"esc"}, help: "back to where you came from", group: groupLook},
}

// show chooses view i.
func (a *App) show(i int) tea.Cmd {
	if i < 0 || i >= len(a.screens) {
		return nil
	}
	a.current = i
	a.stack = a.stack[:0]
	a.note = ""
	return a.ask(true)
}

// doView carries out an action of viewBindings.
func (a *App) doView(id string) tea.Cmd {
	n := len(a.screens)
	switch id {
	case "back":
		return a.stepBack()
	case "command":
		a.openCommand("")
		return nil
	case "states":
		return a.openStates()
	case "findings":
		return a.openFindings()
	case "savedviews":
		a.viewsMenu()
		return nil
	case "write":
		return a.openWrite(a.top())
	case "names":
		return a.setNames(!a.names.on)
	case "netns":
		return a.listNetns()
	case "slower", "faster":
		return a.changePace(id == "slower")
	case "nextview":
		return a.show((a.current + 1) % n)
	case "prevview":
		return a.show((a.current + n - 1) % n)
	}
	if i, err := strconv.Atoi(id[len(id)-1:]); err == nil {
		return a.show(i - 1)
	}
	return nil
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
