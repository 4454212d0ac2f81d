package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"ctview/cmd/ctview/geo"
	"ctview/ctnl"
	"ctview/model"
)

// A teller tells more of a flow than the kernel's table does, for the detail of one flow. Safe for concurrent use.
type teller struct {
	processes processes
	places    []*geo.DB

	mu     sync.Mutex
	ns     *ctnl.Netns // whose addresses are known
	read   time.Time
	locals ctnl.LocalAddrs
}

// localsFor is how long the addresses of a namespace are believed.
const localsFor = 5 * time.Second

// about returns lines of "name: text" about a flow in ns, unescaped.
func (t *teller) about(_ context.Context, ns *ctnl.Netns, f *model.Flow) []string {
	locals := t.localsOf(ns)
	process, on := "-", "-"
	var who, where []string
	for _, e := range localEnds(f, locals) {
		where = append(where, e.local.Addr().String()+" on "+dashed(ns.InterfaceName(e.index)))
		if s, err := ns.FindSocket(f.Proto, e.local, e.remote); err == nil {
			who = append(who, e.word+t.processes.describeSocket(s))
		}
	}
	if len(who) > 0 {
		process = strings.Join(who, "; ")
	}
	if len(where) > 0 {
		on = strings.Join(where, ", ")
	}
	if len(where) == 0 {
		on = path(ns, f)
	}
	return append([]string{"process: " + process, "local: " + on}, t.geoip(f)...)
}

// path tells the way of a flow that is forwarded, "-" where the routes do not tell it.
func path(ns *ctnl.Netns, f *model.Flow) string {
	r, err := newRouteFinder(ns)
	if err != nil {
		return "-"
	}
	defer r.close()
	if r.look(r.missing(nil, f)) != nil {
		return "-"
	}
	w := r.routes.Of(f)
	if w == (model.Route{}) {
		return "-"
	}
	return "- (in " + dashed(w.In) + ", out " + dashed(w.Out) + " by the routes)"
}

// openPlaces opens the MaxMind files of the configuration.
func openPlaces(files []string) (dbs []*geo.DB, err error) {
	for _, file := range files {
		f, err := openRegular(file, os.O_RDONLY)
		var db *geo.DB
		if err == nil {
			_ = f.Close()
			err = asRoot(func() (err error) {
				db, err = geo.Open(file)
				return err
			})
		}
		if err != nil {
			for _, db := range dbs {
				_ = db.Close()
			}
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = fmt.Errorf("%s: %w", file, pe.Err)
			}
			return nil, fileError("config: geoip: ", err, "name MaxMind DB files (.mmdb), or take the line out")
		}
		dbs = append(dbs, db)
	}
	return dbs, nil
}

// places opens the MaxMind files that the user points to. They stay open as long as the process.
func (g *globals) places() ([]*geo.DB, error) {
	c, err := g.settings()
	if err != nil {
		return nil, err
	}
	return openPlaces(c.GeoIP)
}

// geoip returns a line for each address of the flow that the files know; nothing without files.
func (t *teller) geoip(f *model.Flow) (lines []string) {
	if len(t.places) == 0 {
		return nil
	}
	o, r := f.Orig(), f.Reply()
	seen := map[netip.Addr]bool{}
	for _, a := range [...]netip.Addr{o.SrcAddr(), o.DstAddr(), r.SrcAddr(), r.DstAddr()} {
		if seen[a] {
			continue
		}
		seen[a] = true
		if p := geo.Lookup(t.places, a).String(); p != "" {
			lines = append(lines, "geoip: "+a.String()+" is in "+p)
		}
	}
	if lines == nil {
		lines = []string{"geoip: -"}
	}
	return lines
}

func dashed(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// localsOf returns the addresses of ns; none if they cannot be read.
func (t *teller) localsOf(ns *ctnl.Netns) ctnl.LocalAddrs {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ns == ns && time.Since(t.read) < localsFor {
		return t.locals
	}
	locals, err := ns.LocalAddrs()
	if err != nil {
		return nil
	}
	t.ns, t.read, t.locals = ns, time.Now(), locals
	return locals
}

// A localEnd is one end of a flow that is on this machine, as its socket knows it.
type localEnd struct {
	word          string // which end, where both are here
	local, remote netip.AddrPort
	index         int // of the interface that holds the address
}

// localEnds returns the ends of f that are addresses of this machine. A socket that begins a flow knows it by its
// original tuple, before any NAT; one that is connected to, by the reply tuple, after it.
func localEnds(f *model.Flow, locals ctnl.LocalAddrs) (ends []localEnd) {
	o, r := f.Orig(), f.Reply()
	for _, e := range []localEnd{
		{"from ", netip.AddrPortFrom(o.SrcAddr(), o.Sport), netip.AddrPortFrom(o.DstAddr(), o.Dport), 0},
		{"to ", netip.AddrPortFrom(r.SrcAddr(), r.Sport), netip.AddrPortFrom(r.DstAddr(), r.Dport), 0},
	} {
		if index, ok := locals.Index(e.local.Addr()); ok {
			e.index = index
			ends = append(ends, e)
		}
	}
	if len(ends) == 1 {
		ends[0].word = ""
	}
	return ends
}
