package main

import (
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/table"
)

// A routeFinder looks which way flows take that are forwarded, again and again. Not safe for concurrent use, but its routes are.
type routeFinder struct {
	ns     *ctnl.Netns
	r      *ctnl.RouteReader
	routes *model.Routes
	turned time.Time // when routes were begun anew
	behind bool      // some are told as they were before that
}

// routesFor is how long routes are believed.
const routesFor = 30 * time.Second

func newRouteFinder(ns *ctnl.Netns) (*routeFinder, error) {
	r, err := ns.NewRouteReader()
	if err != nil {
		return nil, err
	}
	f := &routeFinder{ns: ns, r: r}
	f.begin(nil)
	return f, nil
}

// begin has all looked up anew; last is what is told until then.
func (f *routeFinder) begin(last *model.Routes) {
	if f.r.By().Mark {
		f.r.Restores = ruleset.RestoresMark(f.ns)
	}
	f.routes, f.turned = model.NewRoutes(f.r.By(), last), time.Now()
}

// turn begins anew, with the interfaces, rules and settings that there are now.
func (f *routeFinder) turn(last *model.Routes) error {
	if err := f.r.Refresh(); err != nil {
		return err
	}
	f.begin(last)
	return nil
}

// routeChunk is how many ways are looked up before the first of them are told.
const routeChunk = 1024

// look adds the routes of ways.
func (f *routeFinder) look(keys []model.RouteKey) error {
	for len(keys) > 0 {
		n := min(len(keys), routeChunk)
		found, err := f.r.Look(keys[:n])
		if err != nil {
			return err
		}
		f.routes.Add(keys[:n], found)
		keys = keys[n:]
	}
	return nil
}

func (f *routeFinder) close() { f.r.Close() }

// readRoutes looks up which way flows take, if that is wanted.
func (g *globals) readRoutes(ns *ctnl.Netns, evs []model.Event) (err error) {
	if !g.ways {
		return nil
	}
	if g.router == nil || g.router.ns != ns {
		if g.router, err = newRouteFinder(ns); err != nil {
			return err
		}
	}
	f := g.router
	g.routes = f.routes
	var keys []model.RouteKey
	for i := range evs {
		keys = f.missing(keys, &evs[i].Flow)
	}
	return f.look(keys)
}

// missing appends what a flow's route hangs on, where it is not looked up yet.
func (f *routeFinder) missing(keys []model.RouteKey, fl *model.Flow) []model.RouteKey {
	k := f.routes.By().Key(fl)
	if _, ok := f.routes.Fresh(&k); !ok {
		keys = append(keys, k)
	}
	return keys
}

// A routeKeeper keeps what a table knows of routes up to date, while somebody asks.
type routeKeeper struct {
	ns     *ctnl.Netns
	tab    *table.Table
	finder *routeFinder
	last   int64     // the question that was answered last
	all    int64     // the one of all flows that was
	used   time.Time // when somebody asked
}

// refreshed is how many routes are looked up again at a time that are only old: some 20 ms.
const refreshed = 4096

// step looks up the routes that rows want, at once: they are few. Those of all flows it looks up where it is due, and reports
// whether it did.
func (k *routeKeeper) step(due bool) (whole bool, err error) {
	at, all, missed := k.tab.RoutesWanted()
	whole = due && all != k.all
	switch {
	case at != k.last:
		k.last, k.used = at, time.Now()
	case !whole:
		if k.finder != nil && time.Since(k.used) > ownersFor { // what is old is not to be told to whoever asks next
			k.drop()
		}
		return false, nil
	}
	switch {
	case k.finder == nil:
		if k.finder, err = newRouteFinder(k.ns); err != nil {
			return true, err
		}
		k.tab.SetRoutes(k.finder.routes) // from now on rows tell what they miss
	case time.Since(k.finder.turned) > routesFor && !k.finder.behind:
		if err := k.finder.turn(k.finder.routes); err != nil {
			return true, err
		}
	}
	keys := k.finder.distinct(missed)
	if whole {
		k.all = all
		keys = k.wholeTable(keys)
	}
	if err := k.finder.look(keys); err != nil {
		return whole, err
	}
	if len(keys) > 0 || whole {
		k.tab.SetRoutes(k.finder.routes)
	}
	return whole, nil
}

// distinct are the ways that are to be looked up, each once.
func (f *routeFinder) distinct(missed []model.RouteKey) (keys []model.RouteKey) {
	seen := map[model.RouteKey]bool{}
	for _, m := range missed {
		if _, ok := f.routes.Fresh(&m); !ok && !seen[m] {
			seen[m] = true
			keys = append(keys, m)
		}
	}
	return keys
}

// wholeTable adds the ways of all flows that nothing is known of, and some of those that are only old.
func (k *routeKeeper) wholeTable(keys []model.RouteKey) []model.RouteKey {
	f, old, seen := k.finder, 0, map[model.RouteKey]bool{}
	for _, key := range keys {
		seen[key] = true
	}
	f.behind = false
	walk := func(fl *model.Flow) {
		n := len(keys)
		if keys = f.missing(keys, fl); len(keys) == n {
			return
		}
		key := keys[n]
		_, known := f.routes.Last(&key)
		if known && old >= refreshed {
			f.behind = true
		}
		if seen[key] || known && old >= refreshed {
			keys = keys[:n]
			return
		}
		seen[key] = true
		if known {
			old++
		}
	}
	for from := k.tab.Walk(0, 1, refreshed, walk); from != 0; {
		from = k.tab.Walk(from, 1, refreshed, walk)
	}
	return keys
}

// drop forgets the routes.
func (k *routeKeeper) drop() {
	if k.finder != nil {
		k.finder.close()
		k.finder = nil
		k.tab.SetRoutes(nil)
	}
}
