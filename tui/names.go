package tui

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/table"
	"ctview/tui/draw"
)

// Bounds of the name cache: how many names are kept, how many questions are open, how long one may take.
const (
	maxNames   = 4096
	maxLookups = 4
	lookupTime = 3 * time.Second
)

// A directory holds the names of addresses that were asked for. Questions run off the loop, a few at a time; a frame never
// waits for one.
type directory struct {
	on    bool
	known map[netip.Addr]string // "" has none, or is being asked for
	open  int
	queue []netip.Addr
}

// setNames shows names or numbers.
func (a *App) setNames(on bool) tea.Cmd {
	if on && a.opt.Lookup == nil && a.opt.ServiceName == nil {
		a.fail("names cannot be looked up here")
		return nil
	}
	a.names.on = on
	a.flows.c.names = nil
	if on {
		a.flows.c.names = a.endName
		a.say("names: as the resolver tells them; numbers until then")
		return tea.Batch(a.lookVisible(), a.ask(false))
	}
	a.say("numbers")
	return nil
}

// nameOf returns the name of one end of t, escaped; "" where it has none or names are off.
func (a *App) nameOf(t *model.Tuple, src bool) string {
	if !a.names.on {
		return ""
	}
	return a.names.known[endAddr(t, src)]
}

func endAddr(t *model.Tuple, src bool) netip.Addr {
	if src {
		return t.SrcAddr()
	}
	return t.DstAddr()
}

// endName is one end of t with names: "host:service"; "" if neither has one.
func (a *App) endName(t *model.Tuple, src bool) string {
	n := a.nameOf(t, src)
	port, service := t.Dport, ""
	if src {
		port = t.Sport
	}
	if t.Proto.HasPorts() && a.opt.ServiceName != nil {
		service = model.Escape(a.opt.ServiceName(t.Proto, port))
	}
	switch {
	case n == "" && service == "":
		return ""
	case n == "": // a service has a port
		return string(draw.AppendPort(nil, endAddr(t, src), service, 0, ""))
	}
	if t.Proto.HasPorts() {
		if service == "" {
			service = strconv.Itoa(int(port))
		}
		n += ":" + service
	}
	return n
}

// lookVisible asks for the names of what the Flows screen shows.
func (a *App) lookVisible() tea.Cmd {
	if !a.names.on {
		return nil
	}
	var addrs []netip.Addr
	for _, it := range a.flows.items {
		t := it.row.Flow.Orig()
		addrs = append(addrs, t.SrcAddr(), t.DstAddr())
	}
	return a.lookUp(addrs)
}

// lookUp asks for the names of addresses that were not asked for yet.
func (a *App) lookUp(addrs []netip.Addr) tea.Cmd {
	d := &a.names
	if !d.on || a.opt.Lookup == nil {
		return nil
	}
	if d.known == nil || len(d.known) > maxNames {
		d.known = map[netip.Addr]string{} // everything anew: what is on the screen comes back in a moment
		d.queue = d.queue[:0]
	}
	for _, addr := range addrs {
		if !a.asked(addr) {
			d.known[addr] = ""
			d.queue = append(d.queue, addr)
		}
	}
	return a.lookNext()
}

// lookGroups asks for the names of the addresses that groups are named by.
func (a *App) lookGroups(rows []table.GroupRow) tea.Cmd {
	if !a.names.on {
		return nil
	}
	var addrs []netip.Addr
	for i := range rows {
		for _, v := range rows[i].Values {
			if addr, err := netip.ParseAddr(v); err == nil {
				addrs = append(addrs, addr)
			}
		}
	}
	return a.lookUp(addrs)
}

// groupText is what a group is named by, joined by sep; addresses with a name as that.
func (a *App) groupText(r *table.GroupRow, sep string) string {
	if !a.names.on {
		return strings.Join(r.Values, sep)
	}
	out := make([]string, len(r.Values))
	for i, v := range r.Values {
		out[i] = v
		if addr, err := netip.ParseAddr(v); err == nil {
			if n := a.names.known[addr]; n != "" {
				out[i] = n
			}
		}
	}
	return strings.Join(out, sep)
}

func (a *App) asked(addr netip.Addr) bool {
	_, ok := a.names.known[addr]
	return ok
}

// lookNext opens questions up to the bound.
func (a *App) lookNext() tea.Cmd {
	d := &a.names
	var cmds []tea.Cmd
	for d.open < maxLookups && len(d.queue) > 0 {
		addr := d.queue[0]
		d.queue = d.queue[1:]
		d.open++
		look, ctx := a.opt.Lookup, a.ctx
		cmds = append(cmds, func() tea.Msg {
			ctx, cancel := context.WithTimeout(ctx, lookupTime)
			defer cancel()
			name, err := look(ctx, addr)
			return doneMsg{func(a *App) tea.Cmd {
				a.names.open--
				if err == nil && a.names.known != nil {
					a.names.known[addr] = model.Escape(name)
				}
				return a.lookNext()
			}}
		})
	}
	return tea.Batch(cmds...)
}
