package main

import (
	"context"
	"net/netip"
	"time"

	"ctview/cmd/ctview/names"
	"ctview/model"
)

// resolveTime is how long a command may wait for names in all. What has not answered by then is shown as a number.
const resolveTime = 10 * time.Second

// names returns the resolver of this run. Names come from the resolver of the namespace that ctview runs in, whichever
// namespace it looks at.
func (g *globals) names() *names.Resolver {
	if g.resolver == nil {
		g.resolver = names.New(names.Options{})
	}
	return g.resolver
}

// resolve asks for the names of all addresses in evs, and waits for them until ctx ends.
func (g *globals) resolve(ctx context.Context, evs []*model.Event) {
	seen := map[netip.Addr]bool{}
	var addrs []netip.Addr
	for _, ev := range evs {
		o, r := ev.Flow.Orig(), ev.Flow.Reply()
		for _, a := range [...]netip.Addr{o.SrcAddr(), o.DstAddr(), r.SrcAddr(), r.DstAddr()} {
			if !seen[a] {
				seen[a] = true
				addrs = append(addrs, a)
			}
		}
	}
	g.names().All(ctx, addrs)
}

// hostName returns a function that tells the names that are known. ask says that it also asks for the others in the
// background: a stream of events does not wait for a name, the next event with that address has it.
func (g *globals) hostName(ask bool) func(model.Family, [16]byte) string {
	r := g.names()
	return func(f model.Family, a [16]byte) string {
		addr := netip.AddrFrom16(a)
		if f == model.IPv4 {
			addr = netip.AddrFrom4([4]byte(a[12:]))
		}
		name, ok := r.Cached(addr)
		if !ok && ask {
			r.Start(context.Background(), addr)
		}
		return name
	}
}
