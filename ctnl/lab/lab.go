package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Options of New. The zero value is the demo's.
type Options struct {
	// Rate multiplies how often Run makes traffic, up to MaxRate; 0 means 1, about ten new flows a second.
	Rate float64
	// Zones are the two conntrack zones besides 0; zero means 5 and 7. They must differ.
	Zones [2]uint16
	// Seed makes Run's choices of hosts and pauses repeat.
	Seed uint64
}

// MaxRate is the highest Options.Rate: several hundred new flows a second.
const MaxRate = 100

// A Lab is a client, a router and a server in namespaces of their own. Its methods are safe for concurrent use.
type Lab struct {
	rate                   float64
	zones                  [2]uint16
	client, router, server *NS
	raw                    [2]map[int]int // client's and server's raw sockets by address family

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // the servers and Run
	port atomic.Uint32  // last port or identifier given to a crafted flow

	mu       sync.Mutex // guards what follows
	rng      *rand.Rand
	failures uint64 // pieces of Run's traffic that failed
	failure  error  // the last
}

// New builds the three namespaces and starts the servers, whose goroutines live until Close or the end of ctx. There
// is no other traffic before Run or one of the methods that make some.
func New(ctx context.Context, o Options) (*Lab, error) {
	if o.Rate == 0 {
		o.Rate = 1
	}
	if o.Zones == [2]uint16{} {
		o.Zones = [2]uint16{5, 7}
	}
	if !(o.Rate > 0 && o.Rate <= MaxRate) || o.Zones[0] == o.Zones[1] || o.Zones[0] == 0 || o.Zones[1] == 0 {
		return nil, fmt.Errorf("lab: rate %g, zones %v: need a rate up to %d and two different zones", o.Rate, o.Zones, MaxRate)
	}
	l := &Lab{rate: o.Rate, zones: o.Zones, rng: rand.New(rand.NewPCG(o.Seed, 1))}
	l.ctx, l.stop = context.WithCancel(ctx)
	if err := l.build(l.ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context) (err error) {
	for _, n := range []struct {
		ns   **NS
		name string
	}{{&l.client, "client"}, {&l.router, "router"}, {&l.server, "server"}} {
		if *n.ns, err = newNS(n.name); err != nil {
			return err
		}
	}
	// The rules first: they make the kernel load what conntrack is made of, and with that its settings appear.
	for _, step := range []func() error{l.rules, l.settings, l.wire} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := l.openRaw(); err != nil {
		return err
	}
	return l.serve(ctx)
}

// Router returns the namespace in which connections are tracked.
func (l *Lab) Router() *NS { return l.router }

// Client returns the namespace on the router's inside.
func (l *Lab) Client() *NS { return l.client }

// Server returns the namespace on the router's outside.
func (l *Lab) Server() *NS { return l.server }

// Close ends Run and the servers, waits for them, and gives the namespaces up; the kernel takes them down with all
// links, rules and flows.
func (l *Lab) Close() error {
	l.stop()
	l.wg.Wait()
	errs := []error{l.closeRaw()}
	for _, n := range []*NS{l.client, l.router, l.server} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}

// pick returns a number in [0, n), the same sequence for the same seed.
func (l *Lab) pick(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

// nextPort returns a port or identifier that no crafted flow had before (the first 20,000 of them).
func (l *Lab) nextPort() uint16 { return uint16(10000 + l.port.Add(1)%20000) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
