// Package names finds the host names of addresses (reverse DNS) without ever making anybody wait for long: answers are
// kept for a while in a bounded cache, questions are bounded in number at once and in rate, and one that is open already
// is not asked again. It asks nothing by itself; who does not call it sends no packet.
package names

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"ctview/model/crash"
)

// Bounds of a Resolver.
const (
	DefaultSize     = 8192
	DefaultTTL      = 10 * time.Minute
	DefaultMissTTL  = 2 * time.Minute
	DefaultParallel = 8
	DefaultRate     = 50 // questions a second
	DefaultTimeout  = 3 * time.Second

	maxName  = 253 // of a host name, RFC 1035
	maxQueue = 1024
)

// ErrNoName says that an address has no name, or that none was told in time.
var ErrNoName = errors.New("no name")

// Options tune a Resolver; the zero value is ready.
type Options struct {
	// LookupAddr asks for the names of an address; nil is the system's resolver (hosts file and DNS) without cgo.
	LookupAddr func(ctx context.Context, addr string) ([]string, error)
	Size       int           // names kept
	TTL        time.Duration // of a name
	MissTTL    time.Duration // of knowing that there is none
	Parallel   int           // questions open at once
	Rate       int           // questions a second
	Timeout    time.Duration // of one question
	Now        func() time.Time
}

// A Resolver answers with host names. Safe for concurrent use; the zero value is not ready, use New.
type Resolver struct {
	opt   Options
	slots chan struct{} // one for each open question

	mu     sync.Mutex
	known  map[netip.Addr]*answer
	recent map[netip.Addr]*answer // the younger half: when it is full it becomes known, and known is forgotten
	next   time.Time              // when the next question may be sent
	queued int                    // in the background
}

// An answer is one question's: done is closed when it is there.
type answer struct {
	done chan struct{}
	name string // "" for none
	till time.Time
}

// New returns a Resolver that knows nothing yet.
func New(opt Options) *Resolver {
	set(&opt.Size, DefaultSize)
	set(&opt.TTL, DefaultTTL)
	set(&opt.MissTTL, DefaultMissTTL)
	set(&opt.Parallel, DefaultParallel)
	set(&opt.Rate, DefaultRate)
	set(&opt.Timeout, DefaultTimeout)
	if opt.LookupAddr == nil {
		opt.LookupAddr = (&net.Resolver{PreferGo: true}).LookupAddr
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Resolver{opt: opt, slots: make(chan struct{}, opt.Parallel), known: map[netip.Addr]*answer{},
		recent: map[netip.Addr]*answer{}}
}

func set[T ~int | ~int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Name returns the name of addr as the resolver spelled it, without the last dot and unescaped: it may hold anything.
// It waits for the answer, at most until ctx ends. Errors wrap ErrNoName or are ctx's.
func (r *Resolver) Name(ctx context.Context, addr netip.Addr) (string, error) {
	addr = addr.Unmap().WithZone("")
	if !askable(addr) {
		return "", ErrNoName
	}
	a, mine := r.find(addr)
	if mine {
		r.ask(ctx, addr, a)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if a.name == "" {
		return "", ErrNoName
	}
	return a.name, nil
}

// Cached returns the name of addr if it is known, and reports whether it is known that there is one or none.
func (r *Resolver) Cached(addr netip.Addr) (name string, ok bool) {
	addr = addr.Unmap().WithZone("")
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.get(addr)
	if a == nil {
		return "", !askable(addr)
	}
	select {
	case <-a.done:
		return a.name, true
	default:
		return "", false
	}
}

// Start asks for addr in the background, until ctx ends, if it is not known. It never blocks; with too many questions
// waiting it does nothing.
func (r *Resolver) Start(ctx context.Context, addr netip.Addr) {
	if _, ok := r.Cached(addr); ok {
		return
	}
	r.mu.Lock()
	full := r.queued >= maxQueue
	if !full {
		r.queued++
	}
	r.mu.Unlock()
	if full {
		return
	}
	go func() {
		defer crash.Guard()
		_, _ = r.Name(ctx, addr)
		r.mu.Lock()
		r.queued--
		r.mu.Unlock()
	}()
}

// All asks for all of addrs, as many at once as the bounds allow, and returns when all have answered or ctx has ended.
func (r *Resolver) All(ctx context.Context, addrs []netip.Addr) {
	work := make(chan netip.Addr)
	var wg sync.WaitGroup
	for range min(r.opt.Parallel, len(addrs)) {
		wg.Go(func() {
			defer crash.Guard()
			for addr := range work {
				_, _ = r.Name(ctx, addr)
			}
		})
	}
	for _, addr := range addrs {
		if ctx.Err() != nil {
			break
		}
		if _, ok := r.Cached(addr); !ok {
			work <- addr
		}
	}
	close(work)
	wg.Wait()
}

// askable reports whether addr can have a name at all: nobody is asked about groups and the address of nobody.
func askable(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// get returns what is known of addr or being asked, nil for nothing. mu is held.
func (r *Resolver) get(addr netip.Addr) *answer {
	a := r.recent[addr]
	if a == nil {
		a = r.known[addr]
	}
	if a == nil || !a.till.IsZero() && r.opt.Now().After(a.till) {
		return nil
	}
	return a
}

// find returns the answer for addr; mine says that the caller is to ask for it.
func (r *Resolver) find(addr netip.Addr) (a *answer, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.get(addr); a != nil {
		return a, false
	}
	if len(r.recent) >= (r.opt.Size+1)/2 {
		r.known, r.recent = r.recent, make(map[netip.Addr]*answer, len(r.recent))
	}
	a = &answer{done: make(chan struct{})}
	r.recent[addr] = a
	return a, true
}

// ask asks for addr when there is a slot and the rate allows, and fills a in. A question that ctx cut short is
// forgotten: it may be asked again at once.
func (r *Resolver) ask(ctx context.Context, addr netip.Addr, a *answer) {
	defer close(a.done)
	name, err := r.lookup(ctx, addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opt.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		a.till = now.Add(-1)
	case name == "":
		a.till = now.Add(r.opt.MissTTL)
	default:
		a.name, a.till = name, now.Add(r.opt.TTL)
	}
}

func (r *Resolver) lookup(ctx context.Context, addr netip.Addr) (string, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := r.pace(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	names, err := r.opt.LookupAddr(ctx, addr.String())
	for _, n := range names { // with an error too: one bad record of several
		if n = strings.TrimSuffix(n, "."); n != "" && len(n) <= maxName {
			return n, nil
		}
	}
	return "", err
}

// pace waits until the next question may be sent.
func (r *Resolver) pace(ctx context.Context) error {
	r.mu.Lock()
	now := r.opt.Now()
	if r.next.Before(now) {
		r.next = now
	}
	wait := r.next.Sub(now)
	r.next = r.next.Add(time.Second / time.Duration(r.opt.Rate))
	r.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
