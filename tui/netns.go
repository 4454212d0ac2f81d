package tui

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

// A Namespace is a network namespace that can be watched.
type Namespace struct {
	Name  string // as --netns takes it
	Title string // what it is called instead, where Name is only a way to it; Switch takes it, too
	About string // e.g. "container web, pid 812"; unescaped

	Current bool // it is the one that is watched
}

// called is what the operator calls it.
func (n *Namespace) called() string { return cmp.Or(n.Title, n.Name) }

// A Session is a namespace being watched.
type Session struct {
	Store     Store
	Kernel    Kernel
	Inspector Inspector
	Rules     Rules
	States    States
	Tracer    Tracer
	Netns     string
}

// Namespaces lists and opens network namespaces. Switch ends the watch of the one before, once the new one stands.
type Namespaces interface {
	List(ctx context.Context) ([]Namespace, error)
	Switch(ctx context.Context, name string) (Session, error)
}

func offerNetns(a *App, arg string) []filter.Completion {
	var names []string
	for _, n := range a.namespaces {
		names = append(names, n.called())
	}
	return offerWords(arg, names, func(s string) string {
		for _, n := range a.namespaces {
			if n.called() == s {
				return model.Escape(n.About)
			}
		}
		return ""
	})
}

// runNetns watches another namespace; without a name it lists them.
func runNetns(a *App, arg string) (tea.Cmd, error) {
	ns := a.opt.Namespaces
	if ns == nil {
		return nil, fmt.Errorf("the namespace cannot be changed here")
	}
	if arg == "" {
		return a.listNetns(), nil
	}
	return a.switchNetns(arg), nil
}

// listNetns offers the namespaces in a menu.
func (a *App) listNetns() tea.Cmd {
	ns, ctx := a.opt.Namespaces, a.ctx
	if ns == nil {
		a.fail("the namespace cannot be changed here")
		return nil
	}
	return func() tea.Msg {
		list, err := ns.List(ctx)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail(err.Error())
				return nil
			}
			a.namespaces = list
			m := &menu{head: "network namespaces"}
			for _, n := range list {
				mark := "  "
				if n.Current {
					mark = a.marks.Cursor + " "
				}
				m.choices = append(m.choices, choice{text: mark + padRight(model.Escape(n.called()), 24) + " " + model.Escape(n.About)})
			}
			m.pick = func(a *App, i int, _ string) tea.Cmd {
				a.pop()
				return a.switchNetns(list[i].Name)
			}
			a.push(m)
			return nil
		}}
	}
}

// switchNetns watches the namespace called name from now on. Nothing changes if it cannot be opened.
func (a *App) switchNetns(name string) tea.Cmd {
	ns, ctx := a.opt.Namespaces, a.ctx
	return a.leave("switch", func() tea.Msg {
		s, err := ns.Switch(ctx, name)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail(err.Error())
				return nil
			}
			return a.enter(s)
		}}
	})
}

// enter shows another session. The filter, columns and order stay.
func (a *App) enter(s Session) tea.Cmd {
	a.opt.Store, a.opt.Kernel, a.opt.Inspector, a.opt.Rules, a.opt.States, a.opt.Tracer, a.opt.Netns = s.Store, s.Kernel, s.Inspector, s.Rules, s.States, s.Tracer, s.Netns
	a.stack = a.stack[:0]
	a.paused, a.hasSys, a.installed = false, false, false
	a.stats, a.sys = table.Stats{}, model.System{}
	a.events, a.eventRate, a.hasEventRate = 0, 0, false
	a.tallied = time.Time{}
	clear(a.noticed)
	a.ill = illness{}
	a.waiting = nil
	f := a.flows
	f.view, f.spare, f.items, f.ghosts, f.got = &table.View{}, &table.View{}, nil, nil, false
	clear(f.marks)
	f.seen = demand{}
	a.ill = illness{}
	for i, m := range a.screens {
		switch m.(type) {
		case *groups:
			a.screens[i] = newGroups()
		case *events:
			a.screens[i] = newEvents()
		case *stats:
			a.screens[i] = newStats()
		case *expects:
			a.screens[i] = newExpects()
		case *notrack:
			a.screens[i] = newNotrack()
		case *recent:
			a.screens[i] = newRecent()
		}
	}
	where := "the initial namespace"
	if n := strings.TrimSpace(s.Netns); n != "" {
		where = model.Escape(n)
	}
	a.say("now watching " + where)
	return tea.Batch(a.refilter(), a.ask(true))
}
