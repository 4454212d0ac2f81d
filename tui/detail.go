package tui

import (
	"context"
	"errors"
	"net/netip"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/table"
)

// A detail shows everything that is known of one flow. j and k go to the flows next to it in the order of the table.
type detail struct {
	fl  *flows
	key model.Key

	row      model.Row
	got      bool
	answered bool // the store was asked since; before that nothing is said of what the row does not hold
	whole    bool // row is the store's own; that of an event lacks master, labels and context
	gone     bool // the flow has ended; what is shown is the last of it
	ev       model.Event
	hasEv    bool
	evErr    error
	history  []table.Change
	readings []table.Reading
	about    []string // what Options.About tells
	children []model.Key
	more     int // children that are not in the list
	expects  []model.Expect

	walked      bool // j or k came here: the cursor of the list goes along
	at, matched int  // place among the flows that match, at -1 if it is not among them
	next, prev  *model.Key
	top         int // first line shown, where they do not all fit
}

// openDetail shows the current flow in full.
func (s *flows) openDetail(a *App) tea.Cmd {
	r, ended := s.current()
	if r == nil || ended {
		return nil
	}
	return a.openFlow(r.Flow.Key, r)
}

// openFlow shows a flow in full; r is what is known of it, or nil.
func (a *App) openFlow(k model.Key, r *model.Row) tea.Cmd {
	d := &detail{fl: a.flows, key: k, at: -1}
	if r != nil {
		d.row, d.got = *r, true
	}
	a.push(d)
	return a.ask(true)
}

func (d *detail) unread() bool { return !d.answered }
func (d *detail) name() string { return "Flow" }
func (d *detail) covers() bool { return true }

var detailBindings = []binding{
	{id: "back", keys: []string{"esc", "enter", "backspace"}, help: "back to the list", hint: "back", group: groupLook,
		run: inApp(closeTop)},
	{id: "down", keys: []string{"j", "down"}, help: "next flow", hint: "k flow", narrow: "k flow", group: groupMove,
		run: on(func(d *detail, a *App) tea.Cmd { return d.go1(a, d.next) })},
	{id: "up", keys: []string{"k", "up"}, help: "flow before", group: groupMove,
		run: on(func(d *detail, a *App) tea.Cmd { return d.go1(a, d.prev) })},
	{id: "pagedown", keys: []string{"pgdown", "ctrl+d", "space"}, help: "further down", group: groupMove,
		run: does(func(d *detail, a *App) { d.top += a.h / 2 })},
	{id: "pageup", keys: []string{"pgup", "ctrl+u"}, help: "further up", group: groupMove,
		run: does(func(d *detail, a *App) { d.top = max(d.top-a.h/2, 0) })},
	{id: "value", keys: []string{"f"}, help: "filter by a value of the flow", hint: "filter by value", narrow: "value", group: groupLook,
		run: onFlow(func(d *detail, a *App) tea.Cmd { return a.pushValues(&d.row) })},
	{id: "copy", keys: []string{"y"}, help: "copy (OSC 52): tuple, filter, commands", hint: "copy", group: groupAway,
		run: onFlow((*detail).copyMenu)},
	{id: "copy1", keys: []string{"1"}, help: "copy the first command", group: groupAway,
		run: copying(0)},
	{id: "copy2", keys: []string{"2"}, help: "copy the second", group: groupAway,
		run: copying(1)},
	{id: "copy3", keys: []string{"3"}, help: "copy the third", group: groupAway,
		run: copying(2)},
	{id: "copy4", keys: []string{"4"}, help: "copy the fourth", group: groupAway,
		run: copying(3)},
	{id: "master", keys: []string{"m"}, help: "the flow that expected this one", group: groupLook,
		run: on((*detail).openMaster)},
	{id: "pause", keys: []string{"p"}, help: "pause the screen", group: groupTime,
		run: inApp((*App).pause)},
	{id: "units", keys: []string{"i"}, help: "rates in bits or bytes", group: groupLook,
		run: inApp(toggleUnits)},
	{id: "delete", keys: []string{"D", "f9"}, help: "delete the flow", hint: "delete", narrow: "delete", group: groupAct, writes: true,
		run: on((*detail).askDelete)},
	{id: "trace", keys: []string{"t"}, help: "trace it through the rules", hint: "trace", group: groupAct, writes: true,
		run: onFlow(func(d *detail, a *App) tea.Cmd { return a.askTrace(&d.row.Flow) })},
	{id: "notrack", keys: []string{"N"}, help: "notrack rule for it", hint: "notrack", group: groupAct, writes: true,
		run: onFlow((*detail).askNotrack)},
}

func (d *detail) bindings() []binding { return detailBindings }

// onFlow makes an action of what is done with the flow, once it is here.
func onFlow(f func(*detail, *App) tea.Cmd) action {
	return on(func(d *detail, a *App) tea.Cmd {
		if d.got {
			return f(d, a)
		}
		return nil
	})
}

// copying takes the command of number i away.
func copying(i int) action {
	return onFlow(func(d *detail, a *App) tea.Cmd { return a.copy(d.tools()[i]) })
}

func (d *detail) copyMenu(a *App) tea.Cmd {
	a.pushCopy(&d.row)
	return nil
}

func (d *detail) askNotrack(a *App) tea.Cmd {
	return a.openRule([]model.Rule{model.RuleFromFlow(&d.row.Flow)})
}

func (d *detail) askDelete(a *App) tea.Cmd {
	if d.gone || !d.got {
		a.fail("that flow ended")
		return nil
	}
	return a.askDeleteOne(&d.row)
}

// go1 goes to another flow without leaving the screen.
func (d *detail) go1(a *App, k *model.Key) tea.Cmd {
	if k == nil {
		return nil
	}
	*d = detail{fl: d.fl, key: *k, at: d.at, matched: d.matched}
	d.walked = true
	return a.ask(true)
}

// openMaster goes to the flow that expected this one.
func (d *detail) openMaster(a *App) tea.Cmd {
	m := d.row.Extra.Master
	if m.Family == 0 {
		a.say("this flow was not expected by another")
		return nil
	}
	k := model.Key{Src: m.Src, Dst: m.Dst, Sport: m.Sport, Dport: m.Dport, Zone: d.row.Extra.MasterZone, Proto: m.Proto, Family: m.Family}
	if k.Zone == 0 {
		k.Zone, k.ZoneDir = d.row.Flow.Zone, d.row.Flow.ZoneDir
	}
	return a.openFlow(k, nil)
}

// A detailAnswer is what detail asked for.
type detailAnswer struct {
	key         model.Key
	row         model.Row
	found       bool
	ev          model.Event
	evErr       error
	asked       bool
	history     []table.Change
	readings    []table.Reading
	about       []string
	children    []model.Key
	more        int
	expects     []model.Expect
	at, matched int
	next, prev  *model.Key
}

func (d *detail) ask(a *App, full bool) func(context.Context) any {
	key, store, kernel, now, at, tell, insp := d.key, a.opt.Store, a.opt.Kernel, a.opt.Now, d.at, a.opt.About, a.opt.Inspector
	q := table.Query{Filter: a.active(), Desc: d.fl.desc, Limit: 3, Anchor: key, HasAnchor: true, Follow: true, AnchorRow: 1,
		Offset: max(at-1, 0)}
	q.Sort, _ = sortColumn(d.fl.sort, d.fl.c.dir)
	return func(ctx context.Context) any {
		n := &detailAnswer{key: key}
		store.Watch(key)
		if full && kernel != nil {
			_ = kernel.Refresh(ctx, []model.Key{key})
			n.asked = true
			n.ev, n.evErr = kernel.Detail(ctx, key)
		}
		n.row, n.found = store.Get(key)
		if full && tell != nil && n.found {
			n.about = tell(ctx, &n.row)
		}
		if full && n.found && n.row.Flow.Helper != 0 {
			n.family(ctx, store, insp)
		}
		n.history = store.History(key, nil)
		n.readings = store.Readings(key, nil)
		q.Now = now().UnixNano()
		var v table.View
		store.View(&q, &v)
		n.at, n.matched = v.AnchorAt, v.Matched
		place := v.AnchorAt
		if place < 0 {
			place = at // it ended: its neighbours are those of where it was
		}
		for i := range v.Rows {
			k := v.Rows[i].Flow.Key
			switch p := v.Offset + i; {
			case k == key:
			case p < place:
				n.prev = &k
			case n.next == nil:
				n.next = &k
			}
		}
		return n
	}
}

// maxChildren is how many flows that were expected by one are listed.
const maxChildren = 5

// family finds the flows that this one's helper expected, and what it expects now.
func (n *detailAnswer) family(ctx context.Context, store Store, insp Inspector) {
	master := n.row.Flow.Orig()
	store.Each(func(f *model.Flow, x *model.Extra) bool {
		if x != nil && x.Master == master {
			if len(n.children) < maxChildren {
				n.children = append(n.children, f.Key)
			} else {
				n.more++
			}
		}
		return true
	})
	if insp == nil {
		return
	}
	all, err := insp.Expects(ctx)
	if err != nil {
		return
	}
	for _, x := range all {
		if x.Master == master {
			n.expects = append(n.expects, x)
		}
	}
}

func (d *detail) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*detailAnswer)
	if !ok || n.key != d.key {
		return nil
	}
	d.answered = true
	if n.found {
		d.row, d.got, d.whole, d.gone = n.row, true, true, false
	} else {
		d.gone = true
	}
	if n.about != nil {
		d.about = n.about
	}
	if n.asked {
		d.evErr, d.children, d.more, d.expects = n.evErr, n.children, n.more, n.expects
		if n.evErr == nil {
			d.ev, d.hasEv = n.ev, true
		} else if !errors.Is(n.evErr, ErrGone) {
			d.hasEv = false
		}
	}
	d.history, d.readings, d.next, d.prev, d.matched = n.history, n.readings, n.next, n.prev, n.matched
	if n.at >= 0 {
		d.at = n.at
		if d.walked {
			d.fl.goTo(n.at, n.matched, d.fl.rowsOn(a))
			d.fl.key = d.key
		}
	}
	if !a.names.on {
		return nil
	}
	o, r := d.row.Flow.Orig(), d.row.Flow.Reply()
	return a.lookUp([]netip.Addr{o.SrcAddr(), o.DstAddr(), r.SrcAddr(), r.DstAddr()})
}

// alsoBindings are listed in the help of this screen, too.
func (d *detail) alsoBindings() []binding { return viewBindings[6:] }

// tools are commands of other programs that show or end the same flow.
func (d *detail) tools() [4]string {
	args := conntrackArgs(&d.key)
	return [4]string{"conntrack -L " + args, "conntrack -D " + args, tcpdumpFor(&d.row.Flow),
		"nft add rule inet filter forward " + nftMatch(&d.key) + " counter"}
}

func (d *detail) wheel(a *App, n int) tea.Cmd {
	d.top = max(d.top+n, 0)
	return nil
}

func (d *detail) click(*App, int, int) tea.Cmd { return nil }
