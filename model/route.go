package model

import "sync"

// A Route is what the kernel's routes say of a flow that is forwarded: the interface that packets of its original direction
// leave by, and the one that answers leave by, which is where the original direction comes in as long as both go one way. It
// is derived: the entry itself knows no interfaces. Names are foreign and unescaped.
type Route struct {
	In, Out string // "" not known, or not forwarded
}

// Text returns a column of the route, ColIif or ColOif.
func (r *Route) Text(c Column) string {
	if c == ColIif {
		return r.In
	}
	return r.Out
}

// RouteColumn reports whether c is a column that a Route fills.
func RouteColumn(c Column) bool { return c == ColIif || c == ColOif }

// A RouteKey is all of a flow that its route can hang on: where its packets come from and go to when they are routed, which
// is behind the translation of destinations and before that of sources. Fields that no rule asks for are zero: see RouteBy.
type RouteKey struct {
	Src, Dst     [16]byte
	Family       Family
	Proto        Proto
	Sport, Dport uint16
	Mark         uint32
}

// A RouteBy says what a namespace routes by, beside addresses.
type RouteBy struct {
	Mark  bool // a routing rule asks for the mark
	Ports bool // a routing rule asks for protocol or ports, or paths are chosen by them
}

// Key returns what f's route hangs on.
func (b RouteBy) Key(f *Flow) RouteKey {
	k := RouteKey{Src: f.Src, Dst: f.ReplySrc, Family: f.Family}
	if b.Mark {
		k.Mark = f.Mark
	}
	if b.Ports {
		k.Proto = f.Proto
		if f.Proto.HasPorts() {
			k.Sport, k.Dport = f.Sport, f.ReplySport
		}
	}
	return k
}

// Routes are the routes of flows, as they were looked up one after the other. Safe for concurrent use; nil knows nothing. Many
// flows take few ways; one of its own costs some 70 bytes.
type Routes struct {
	by RouteBy

	mu    sync.RWMutex
	last  *Routes // what was known before: told until it is looked up again
	addrs map[[16]byte]uint32
	ways  map[routeKey]uint16 // place in list
	list  []Route
	place map[Route]uint16
}

// A routeKey is a RouteKey with numbers in place of addresses.
type routeKey struct {
	src, dst, mark uint32
	sport, dport   uint16
	proto          Proto
}

// NewRoutes returns Routes of a namespace that routes by what by says. last is what was known before, nil for nothing.
func NewRoutes(by RouteBy, last *Routes) *Routes {
	r := &Routes{by: by, addrs: map[[16]byte]uint32{}, ways: map[routeKey]uint16{}, place: map[Route]uint16{}}
	if last != nil && last.by == by {
		r.last = last
		last.mu.Lock()
		last.last = nil // one generation is enough
		last.mu.Unlock()
	}
	return r
}

// By tells what the routes hang on.
func (r *Routes) By() RouteBy { return r.by }

// Len is how many different ways were looked up.
func (r *Routes) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ways)
}

// maxRoutes is how many different routes are kept: as many as there are pairs of interfaces.
const maxRoutes = 1<<16 - 1

// Add notes the routes of ways, in their order. What comes after maxRoutes different ones is not known.
func (r *Routes) Add(keys []RouteKey, ways []Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range keys {
		k := &keys[i]
		n, ok := r.place[ways[i]]
		if !ok {
			if len(r.list) == maxRoutes {
				return
			}
			n = uint16(len(r.list))
			r.list = append(r.list, ways[i])
			r.place[ways[i]] = n
		}
		r.ways[routeKey{r.addr(k.Src), r.addr(k.Dst), k.Mark, k.Sport, k.Dport, k.Proto}] = n
	}
}

func (r *Routes) addr(a [16]byte) uint32 {
	n, ok := r.addrs[a]
	if !ok {
		n = uint32(len(r.addrs))
		r.addrs[a] = n
	}
	return n
}

// Fresh tells a route that was looked up since NewRoutes; ok is false for another.
func (r *Routes) Fresh(k *RouteKey) (way Route, ok bool) {
	if r == nil {
		return way, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	src, ok := r.addrs[k.Src]
	if !ok {
		return way, false
	}
	dst, ok := r.addrs[k.Dst]
	if !ok {
		return way, false
	}
	n, ok := r.ways[routeKey{src, dst, k.Mark, k.Sport, k.Dport, k.Proto}]
	if !ok {
		return way, false
	}
	return r.list[n], true
}

// Last tells a route that was looked up before NewRoutes.
func (r *Routes) Last(k *RouteKey) (way Route, ok bool) {
	r.mu.RLock()
	last := r.last
	r.mu.RUnlock()
	return last.Fresh(k)
}

// Of tells the route of f, the zero Route where nobody looked yet.
func (r *Routes) Of(f *Flow) (way Route) {
	if r == nil {
		return way
	}
	k := r.by.Key(f)
	way, ok := r.Fresh(&k)
	if !ok {
		way, _ = r.Last(&k)
	}
	return way
}
