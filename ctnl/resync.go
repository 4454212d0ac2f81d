package ctnl

import (
	"context"
	"errors"
	"runtime"
	"time"

	"ctview/model"
)

const (
	// minDumpGap is the least time between dumps that nothing asked for.
	minDumpGap = 2 * time.Second
	// fullEvery is how long refreshing flow by flow may take the place of dumps.
	fullEvery = time.Minute
	// getCost is what asking for one flow costs, smallTable up to how many are asked for in turn: others wait meanwhile.
	getCost    = 5 * time.Microsecond
	smallTable = 10000
)

// calm is for how long nothing may have been lost for a backoff to end early. It doubles after calmTries dumps in a row
// that did not help: then it is perhaps the dumps that cause the loss.
const (
	calm      = 500 * time.Millisecond
	calmTries = 3
)

// backoff is how long to wait before a dump is tried again that failed, or during which events were lost again.
var backoff = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

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
		full := time.Now()
		for {
			why := s.waitForDump(ctx, wait, again, r.Lossy)
			if why == ended {
				return nil
			}
			if why != due || again > 0 || time.Since(full) > fullEvery {
				break
			}
			cpu, ok := s.refresh(ctx, r.CPU)
			if !ok {
				break
			}
			wait = s.pace(cpu)
		}
	}
}

// refresh does for a small table what a dump would do, for less: a dump walks the hash table of the whole host, with
// bottom halves off, also for a namespace that has ten flows. If the kernel has as many entries as the store has flows,
// each of them is asked for: that tells of those that ended silently, and all that changed. ok is false where that
// would cost more than the last dump did, or the numbers differ: the kernel has flows that the store does not know, or
// expired ones that a dump would collect.
func (s *Syncer) refresh(ctx context.Context, dump time.Duration) (cpu time.Duration, ok bool) {
	entries, _, err := s.k.Count(ctx)
	if err != nil || entries > smallTable || time.Duration(entries)*getCost > dump {
		return 0, false
	}
	keys := make([]model.Key, 0, entries)
	s.store.Each(func(f *model.Flow, _ *model.Extra) bool {
		keys = append(keys, f.Key)
		return len(keys) <= int(entries)
	})
	if len(keys) != int(entries) {
		return 0, false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadCPU()
	if s.k.Refresh(ctx, keys, s.store) != nil {
		return 0, false
	}
	return threadCPU() - start, true
}

// pace is how long after a dump of that cost the next may begin if nothing asks for it; negative: never.
func (s *Syncer) pace(cpu time.Duration) time.Duration {
	if s.opt.Budget < 0 {
		return -1
	}
	return max(minDumpGap, time.Duration(float64(cpu)/(s.opt.Budget*dumpShare)))
}

// A reason is why waitForDump returned.
type reason uint8

const (
	ended reason = iota // the context has
	due                 // enough time has passed
	asked               // or events were lost
)

// waitForDump waits until the next dump is due, asked for, or needed because events were lost. After dumps that did not
// help, again of them, a loss alone is no reason; but where it was for losses (lossy) the end of these is one.
func (s *Syncer) waitForDump(ctx context.Context, wait time.Duration, again int, lossy bool) reason {
	var timeUp, calmed <-chan time.Time
	if wait >= 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timeUp = t.C
	}
	quiet := calm << max(0, min(again-calmTries, 6))
	var t *time.Timer
	if lossy {
		t = time.NewTimer(quiet)
		defer t.Stop()
		calmed = t.C
	}
	why := asked
	for {
		select {
		case <-ctx.Done():
			return ended
		case <-s.lost:
			if again > 0 {
				if lossy {
					t.Reset(quiet)
				}
				continue
			}
		case <-s.want:
		case <-timeUp:
			why = due
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
	return why
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
	// Somebody waits for the first dump; for others, and where the machine is to be spared, another core is not taken.
	later := s.report.Load() != nil || s.opt.Budget < DefaultBudget
	if s.report.Load() == nil {
		s.store.Reserve(int(flowCount(s.ns)))
	}
	r.Info, r.Err = Dump(ctx, s.ns, DumpOptions{OneReader: later}, func(batch []model.Event) error {
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
