package tui

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/finding"
	"ctview/model/table"
	"ctview/tui/draw"
)

// expects is the screen of expectations and helpers.
type expects struct {
	got     bool
	err     error
	list    []model.Expect // by master
	helpers []table.HelperFlows
	missing []missingHelper
	page
}

// A missingHelper counts flows to the port of a protocol that needs a helper, which have none.
type missingHelper struct {
	proto model.Proto
	port  uint16
	name  string
	flows int
}

func newExpects() *expects { return &expects{} }

func (s *expects) unread() bool            { return !s.got }
func (s *expects) name() string            { return "Expect" }
func (s *expects) bindings() []binding     { return expectBindings }
func (s *expects) alsoBindings() []binding { return viewBindings }

var expectBindings = slices.Concat([]binding{
	{id: "master", keys: []string{"enter"}, help: "master flow, or the flows of the row", hint: "master flow", narrow: "master", group: groupLook, row: true,
		run: on((*expects).open)},
}, moves, []binding{
	{id: "delete", keys: []string{"D", "f9"}, help: "delete the expectation", hint: "delete expectation", narrow: "delete", group: groupAct, row: true, writes: true,
		run: on((*expects).askDelete)},
	{id: "pause", keys: []string{"p"}, help: "pause screen", hint: "pause", group: groupTime,
		run: inApp((*App).pause)},
	followBinding("row"),
})

func (s *expects) walk(a *App, id string) tea.Cmd { return s.steer(a, id, "row") }

func (s *expects) open(a *App) tea.Cmd {
	if r := s.row(); r != nil {
		return r.enter(a)
	}
	return nil
}

// showFlows shows the flows that text says.
func (a *App) showFlows(text string) tea.Cmd {
	f, err := filter.Parse(text, a.opt.Parse)
	if err != nil {
		a.fail(err.Error())
		return nil
	}
	return a.away(func() tea.Cmd {
		a.current, a.note = 0, ""
		return a.setFilter(f, text)
	})
}

func (s *expects) askDelete(a *App) tea.Cmd {
	var x model.Expect
	r := s.row()
	if r != nil {
		if p, ok := r.on.(*model.Expect); ok {
			x = *p
		}
	}
	if x.Tuple.Family == 0 {
		a.say("choose an expectation first: helpers are taken off by rules, not here")
		return nil
	}
	insp, ctx := a.opt.Inspector, a.ctx
	a.push(&confirm{head: "Delete this expectation?", lines: []string{expectText(&x)}, key: "y", verb: "delete",
		yes: func(a *App) tea.Cmd {
			return func() tea.Msg {
				err := insp.DeleteExpect(ctx, x)
				return doneMsg{func(a *App) tea.Cmd {
					switch {
					case errors.Is(err, ErrGone):
						a.say("that expectation had ended already")
					case err != nil:
						a.fail(err.Error())
					default:
						a.say("deleted; the helper makes it again if the connection asks for it again")
					}
					return a.ask(true)
				}}
			}
		}})
	return nil
}

func expectText(x *model.Expect) string {
	return dash(model.Escape(x.Helper)) + " " + x.Tuple.Proto.String() + " " + expectEnd(x, true, 0, "") + " > " + expectEnd(x, false, 0, "") + fmt.Sprintf(" zone %d", x.Zone)
}

// expectEnd is one end of what is expected, in at most room cells (0: never cut); what the mask leaves open is "*".
func expectEnd(x *model.Expect, src bool, room int, more string) string {
	addr, port, ma, mp := x.Tuple.DstAddr(), x.Tuple.Dport, x.Mask.Dst, x.Mask.Dport
	if src {
		addr, port, ma, mp = x.Tuple.SrcAddr(), x.Tuple.Sport, x.Mask.Src, x.Mask.Sport
	}
	p := "*"
	if port != 0 || mp != 0 {
		p = strconv.Itoa(int(port))
	}
	v4 := x.Mask.Family == model.IPv4 && bytes.Equal(ma[12:], make([]byte, 4))
	switch ports := x.Tuple.Proto.HasPorts(); {
	case addr.IsUnspecified() || src && (v4 || ma == [16]byte{}):
		if !ports {
			return "*"
		}
		return "*:" + p
	case !ports:
		return addr.String()
	}
	return string(draw.AppendPort(nil, addr, p, room, more))
}

type expectsAnswer struct {
	list    []model.Expect
	err     error
	helpers []table.HelperFlows
	missing []missingHelper
}

func (s *expects) ask(a *App, _ bool) func(context.Context) any {
	store, insp := a.opt.Store, a.opt.Inspector
	return func(ctx context.Context) any {
		n := &expectsAnswer{}
		if insp != nil {
			n.list, n.err = insp.Expects(ctx)
		} else {
			n.err = errors.New("nothing here can list expectations")
		}
		sort.SliceStable(n.list, func(i, j int) bool { // see model.SortRules
			x, y := &n.list[i], &n.list[j]
			return cmp.Or(bytes.Compare(x.Master.Src[:], y.Master.Src[:]), cmp.Compare(x.Master.Sport, y.Master.Sport),
				bytes.Compare(x.Master.Dst[:], y.Master.Dst[:]), cmp.Compare(x.Tuple.Dport, y.Tuple.Dport), cmp.Compare(x.ID, y.ID)) < 0
		})
		var b table.Breakdown
		store.Breakdown(&b)
		n.helpers = slices.DeleteFunc(b.Helpers, func(h table.HelperFlows) bool { return h.Helper == 0 })
		n.missing = findMissing(store)
		return n
	}
}

// findMissing counts the flows to ports of helpers that have none. It reads the whole table.
func findMissing(store Store) []missingHelper {
	var all [len(finding.ControlPorts)]missingHelper
	store.Each(func(f *model.Flow, _ *model.Extra) bool {
		if i, ok := finding.ControlOf(f); ok && !finding.Helped(f) {
			p := &finding.ControlPorts[i]
			all[i] = missingHelper{p.Proto, p.Port, p.Helper, all[i].flows + 1}
		}
		return true
	})
	return slices.DeleteFunc(all[:], func(m missingHelper) bool { return m.flows == 0 })
}

func (s *expects) take(_ *App, answer any) tea.Cmd {
	if n, ok := answer.(*expectsAnswer); ok {
		s.got, s.list, s.err, s.helpers, s.missing = true, n.list, n.err, n.helpers, n.missing
	}
	return nil
}

// expectFlags are the letters of an expectation's flags.
func expectFlags(f model.ExpectFlags) string {
	var out []string
	for _, x := range []struct {
		f model.ExpectFlags
		s string
	}{{model.ExpectPermanent, "permanent"}, {model.ExpectInactive, "inactive"}, {model.ExpectUserspace, "userspace"}} {
		if f&x.f != 0 {
			out = append(out, x.s)
		}
	}
	return dash(strings.Join(out, ","))
}
