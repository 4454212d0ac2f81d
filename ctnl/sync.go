package ctnl

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"

	"golang.org/x/sys/unix"
)

// DefaultBudget is the part of one core that keeping a table fresh may cost in the long run. Dumps take dumpShare of
// it; the rest is for asking for single flows and for who shows them.
const (
	DefaultBudget = 0.05
	dumpShare     = 0.8
)

const (
	// overdueEvery is how often flows whose time ran out are asked for, overdueMost how many at once, and overdueTime how
	// long that may go on: one costs some 5 µs, so that 10,000 a second are asked for at most.
	overdueEvery = time.Second
	overdueMost  = 2000
	overdueTime  = 50 * time.Millisecond
	// clockEvery is how often the clocks are compared, and clockJump from what difference on it counts.
	clockEvery = time.Second
	clockJump  = 2 * time.Second
)

// A Store is a table that a Syncer keeps equal to the kernel's; *model.Table is one.
type Store interface {
	Sink
	Refresher
	// Reserve makes room for n flows where there are none yet.
	Reserve(n int)
	// Overdue returns flows whose timeout ran out a while ago, at most cap(buf) of them.
	Overdue(now int64, buf []model.Key) []model.Key
	// Each calls fn for every flow until it returns false.
	Each(fn func(*model.Flow, *model.Extra) bool)
}

// SyncOptions tune a Syncer. The zero value is ready.
type SyncOptions struct {
	Watch  WatchOptions // Watch.Lost is called as well
	Budget float64      // part of one core, see DefaultBudget, which 0 means; negative: no dumps that nothing asked for
	// Dumped, if not nil, is called after each dump on the goroutine that made it.
	Dumped func(DumpReport)
}

// A DumpReport tells of one dump of a Syncer.
type DumpReport struct {
	Info   DumpInfo
	Result table.DumpResult
	CPU    time.Duration // Info.CPU and what decoding and applying took
	Err    error         // why it failed or is incomplete; nil if not
	Lossy  bool          // events were lost meanwhile: it is done again
	Next   time.Time     // when the next one is due if nothing happens; zero: not before it is asked for
}

// A Syncer keeps a Store equal to the kernel's table: events are applied as they come, a dump beside them at the start,
// after every loss, and now and then, because flows that were made before anybody listened never send events; flows
// whose time has run out are asked for. Small tables are asked for flow by flow instead of dumped.
type Syncer struct {
	ns    *Netns
	store Store
	opt   SyncOptions
	w     *Watcher
	k     *Kernel

	want   chan struct{} // somebody asks for a dump
	lost   chan struct{} // events were lost
	losses atomic.Uint64 // how often
	report atomic.Pointer[DumpReport]
}

// NewSyncer subscribes to events in ns, so that none is missed from here on; Run does the rest. Close it if Run is
// never called. Errors wrap ErrPermission or ErrNoConntrack.
func NewSyncer(ns *Netns, store Store, opt SyncOptions) (*Syncer, error) {
	s := &Syncer{ns: ns, store: store, opt: opt, k: NewKernel(ns), want: make(chan struct{}, 1), lost: make(chan struct{}, 1)}
	if s.opt.Budget == 0 {
		s.opt.Budget = DefaultBudget
	}
	also := opt.Watch.Lost
	s.opt.Watch.Lost = func(n uint64) {
		s.losses.Add(1)
		ask(s.lost)
		if also != nil {
			also(n)
		}
	}
	var err error
	s.w, err = Watch(ns, s.opt.Watch)
	return s, err
}

// Close gives the sockets back. Run does it too.
func (s *Syncer) Close() error { return errors.Join(s.w.Close(), s.k.Close()) }

// System is Kernel.System with the buffer of the Watcher.
func (s *Syncer) System(ctx context.Context) (model.System, error) {
	sys, err := s.k.System(ctx)
	var forced bool
	sys.RcvBuf, forced = s.w.RcvBuf()
	// The kernel counts twice what is asked for, if nothing holds it down.
	sys.RcvBufHeld, sys.RcvBufScarce = !forced && sys.RcvBuf < 2*s.w.wish, s.w.wish < DefaultRcvBuf
	return sys, err
}

// Kernel returns the Kernel that asks for overdue flows, for others to use too.
func (s *Syncer) Kernel() *Kernel { return s.k }

// Resync asks for a dump as soon as may be. It does not block; asking again before it begins changes nothing.
func (s *Syncer) Resync() { ask(s.want) }

func ask(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// LastDump returns the report of the last dump; ok is false before its end.
func (s *Syncer) LastDump() (r DumpReport, ok bool) {
	if p := s.report.Load(); p != nil {
		return *p, true
	}
	return DumpReport{}, false
}

// Run keeps the store in step until ctx ends, then returns nil. It returns early with an error that wraps ErrNetnsGone
// when the namespace is gone, ErrPermission or ErrNoConntrack when the first dump is refused so, or when the event
// socket fails. A dump that fails later is tried again; the store keeps what it has and stays stale meanwhile.
func (s *Syncer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{s.watch, s.dumps, s.overdue, s.clocks} {
		wg.Go(func() {
			defer crash.Guard()
			if err := run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, s.Close())
}

func (s *Syncer) watch(ctx context.Context) error { return s.w.Run(ctx, s.store) }

// overdue asks for flows whose time ran out: an expired one answers that it is gone (and the kernel collects it),
// one that packets kept alive tells its new timeout.
func (s *Syncer) overdue(ctx context.Context) error {
	t := time.NewTicker(overdueEvery)
	defer t.Stop()
	keys := make([]model.Key, 0, overdueMost)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for start := time.Now(); time.Since(start) < overdueTime; {
			keys = s.store.Overdue(nowNano(), keys[:0])
			if len(keys) == 0 || s.k.Refresh(ctx, keys, s.store) != nil || len(keys) < overdueMost {
				break // an error (no memory, no answer) leaves them overdue: the next tick asks again
			}
		}
	}
}

// clocks asks for a dump after the process was stopped (SIGCONT), and when the wall clock and the monotonic one differ:
// after a suspend, of which the latter knows nothing, or when the clock was set. The store reckons in wall time, so
// its timeouts are all wrong then.
func (s *Syncer) clocks(ctx context.Context) error {
	cont := make(chan os.Signal, 1)
	signal.Notify(cont, unix.SIGCONT)
	defer signal.Stop(cont)
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-cont:
			s.Resync()
		case <-t.C:
			now := time.Now()
			if jumped(now.Round(0).Sub(last.Round(0)), now.Sub(last)) { // Round takes the monotonic reading off
				s.Resync()
			}
			last = now
		}
	}
}

// jumped reports whether the wall clock moved otherwise than the monotonic one.
func jumped(wall, monotonic time.Duration) bool { return (wall - monotonic).Abs() > clockJump }
