package ctnl

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ctview/model"

	"golang.org/x/sys/unix"
)

// DefaultBudget is the part of one core that dumps may cost in the long run.
const DefaultBudget = 0.05

const (
	// minDumpGap is the least time between dumps that nothing asked for.
	minDumpGap = 2 * time.Second
	// overdueEvery is how often flows whose time ran out are asked for, overdueMost how many at once, and overdueTime how
	// long that may go on: one costs some 5 µs, so that 10,000 a second are asked for at most.
	overdueEvery = time.Second
	overdueMost  = 2000
	overdueTime  = 50 * time.Millisecond
	// clockEvery is how often the clocks are compared, and clockJump from what difference on it counts.
	clockEvery = time.Second
	clockJump  = 2 * time.Second
)

// calm is for how long nothing may have been lost for a backoff to end early. It doubles after calmTries dumps in a row
// that did not help: then it is perhaps the dumps that cause the loss.
const (
	calm      = 500 * time.Millisecond
	calmTries = 3
)

// backoff is how long to wait before a dump is tried again that failed, or during which events were lost again.
var backoff = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// A Store is a table that a Syncer keeps equal to the kernel's; *model.Table is one.
type Store interface {
	Sink
	Refresher
	// Overdue returns flows whose timeout ran out a while ago, at most cap(buf) of them.
	Overdue(now int64, buf []model.Key) []model.Key
}

// SyncOptions tune a Syncer. The zero value is ready.
type SyncOptions struct {
	Watch  WatchOptions // Watch.Lost is called as well
	Budget float64      // part of one core for dumps that nothing asked for; 0: DefaultBudget; negative: none at all
	// Dumped, if not nil, is called after each dump on the goroutine that made it.
	Dumped func(DumpReport)
}

// A DumpReport tells of one dump of a Syncer.
type DumpReport struct {
	Info   DumpInfo
	Result model.DumpResult
	CPU    time.Duration // Info.CPU and what decoding and applying took
	Err    error         // why it failed or is incomplete; nil if not
	Lossy  bool          // events were lost meanwhile: it is done again
	Next   time.Time     // when the next one is due if nothing happens; zero: not before it is asked for
}

// A Syncer keeps a Store equal to the kernel's table: events are applied as they come, a dump beside them at the start,
// after every loss, and now and then, because flows that were made before anybody listened never send events; flows
// whose time has run out are asked for.
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

// RcvBuf is that of the Watcher.
func (s *Syncer) RcvBuf() (bytes int, forced bool) { return s.w.RcvBuf() }

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
	for _, run := range []func(context.Context) error{s.watch, s.dumps, s.overdue, s.clocks, s.gone} {
		wg.Go(func() {
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

func (s *Syncer) gone(ctx context.Context) error { return s.ns.waitGone(ctx.Done()) }

// dumps makes one dump after another: at once, when asked for, and when the budget allows.
func (s *Syncer) dumps(ctx context.Context) error {
	again := 0 // dumps in a row that did not repair everything
	for first := true; ; first = false {
		began := s.losses.Load()
		r := s.dump(ctx, &began)
		if ctx.Err() != nil {
			return nil
		}
		if first && (errors.Is(r.Err, ErrPermission) || errors.Is(r.Err, ErrNoConntrack)) {
			return r.Err
		}
		r.Lossy = s.losses.Load() != began
		wait := s.pace(r.CPU)
		if r.Err != nil || r.Lossy {
			wait = backoff[min(again, len(backoff)-1)]
			again++
		} else {
			again = 0
		}
		if wait >= 0 {
			r.Next = time.Now().Add(wait)
		}
		s.report.Store(&r)
		if s.opt.Dumped != nil {
			s.opt.Dumped(r)
		}
		if !s.waitForDump(ctx, wait, again, r.Lossy) {
			return nil
		}
	}
}

// pace is how long after a dump of that cost the next may begin if nothing asks for it; negative: never.
func (s *Syncer) pace(cpu time.Duration) time.Duration {
	if s.opt.Budget < 0 {
		return -1
	}
	return max(minDumpGap, time.Duration(float64(cpu)/s.opt.Budget))
}

// waitForDump waits until the next dump is due, asked for, or needed because events were lost; false: ctx has ended.
// After dumps that did not help, again of them, a loss alone is no reason; but where it was for losses (lossy) the end
// of these is one.
func (s *Syncer) waitForDump(ctx context.Context, wait time.Duration, again int, lossy bool) bool {
	var due, calmed <-chan time.Time
	if wait >= 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	quiet := calm << max(0, min(again-calmTries, 6))
	var t *time.Timer
	if lossy {
		t = time.NewTimer(quiet)
		defer t.Stop()
		calmed = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.lost:
			if again > 0 {
				if lossy {
					t.Reset(quiet)
				}
				continue
			}
		case <-s.want:
		case <-due:
		case <-calmed:
		}
		break
	}
	for _, c := range []chan struct{}{s.want, s.lost} { // one dump answers all that came before it
		select {
		case <-c:
		default:
		}
	}
	return true
}

// dump brings the store up to date: it begins when all events received are applied, the store reconciles the rows with
// the events that come meanwhile, and it ends when the events queued by then are applied too, so that a loss during
// the dump is known before the store is called whole. began is set to the count of losses at its beginning.
func (s *Syncer) dump(ctx context.Context, began *uint64) (r DumpReport) {
	runtime.LockOSThread() // the thread's clock is the cost of applying
	defer runtime.UnlockOSThread()
	cpu := threadCPU()
	r.Err = s.w.drained(ctx, func() {
		*began = s.losses.Load()
		s.store.BeginDump(nowNano())
	})
	if r.Err != nil {
		return r
	}
	r.Info, r.Err = Dump(ctx, s.ns, DumpOptions{}, func(batch []model.Event) error {
		s.store.Apply(nowNano(), batch)
		return nil
	})
	if err := s.w.drained(ctx, func() {}); r.Err == nil {
		r.Err = err
	}
	r.Result = s.store.EndDump(nowNano(), r.Err == nil)
	r.CPU = r.Info.CPU + threadCPU() - cpu
	return r
}

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
