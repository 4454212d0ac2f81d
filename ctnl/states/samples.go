package states

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/crash"
)

// ErrNoSamples says that the Watch was opened without samples.
var ErrNoSamples = errors.New("states: opened without samples")

// Samples calls fn for each sampled packet, one at a time, until ctx ends. With why, the kernel's reasons are attached
// to INVALID ones (Reasons); they then come up to a quarter of a second later.
func (w *Watch) Samples(ctx context.Context, why *Reasons, fn func(*model.Sample)) error {
	if w.log == nil {
		return ErrNoSamples
	}
	if why == nil {
		return w.log.run(ctx, fn)
	}
	m := &merger{fn: fn}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer crash.Guard()
		return w.log.run(ctx, m.sample)
	})
	g.Go(func() error {
		defer crash.Guard()
		return why.r.log.run(ctx, m.reason)
	})
	g.Go(func() error {
		defer crash.Guard()
		return m.flush(ctx)
	})
	return g.Wait()
}

// Lost returns how many samples are missing: dropped by the kernel because the socket was full, or malformed.
func (w *Watch) Lost() uint64 {
	if w.log == nil {
		return 0
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return w.log.lost
}

// Reasons makes the kernel log why packets are INVALID: nf_conntrack_log_invalid and the logger of the namespace are
// changed, and put back by Close, or, after a crash, by the next ctview (RestoreReasons). It is to be asked for: the
// kernel does not bound the rate.
type Reasons struct{ r *reasons }

// OpenReasons changes the settings. The error wraps ErrBusy where another program has log group 0.
func OpenReasons(ns ruleset.Namespace) (*Reasons, error) {
	r, err := openReasons(ns)
	if err != nil {
		return nil, err
	}
	return &Reasons{r}, nil
}

// Close puts the settings back.
func (r *Reasons) Close() error { return r.r.restore() }

const (
	// wait is how long a sample waits for its reason and a reason for its sample: both are sent within a tenth of a
	// second (the timeout of the log sockets).
	wait = 250 * time.Millisecond
	// keep bounds what waits.
	keep = 1024
)

// A merger puts samples of the watch table and reasons of the kernel's log together: the same packet comes by both.
// Reasons without a sample are dropped: the watch table bounds the rate, the log does not.
type merger struct {
	fn      func(*model.Sample)
	mu      sync.Mutex
	waiting []held
	reasons []model.Sample
}

type held struct {
	s     model.Sample
	since time.Time
}

func (m *merger) sample(s *model.Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.State != model.CtInvalid {
		m.fn(s)
		return
	}
	for i := range m.reasons {
		if match(&m.reasons[i], s) {
			s.Reason = m.reasons[i].Reason
			m.reasons = append(m.reasons[:i], m.reasons[i+1:]...)
			m.fn(s)
			return
		}
	}
	if len(m.waiting) < keep {
		m.waiting = append(m.waiting, held{*s, time.Now()})
	}
}

func (m *merger) reason(s *model.Sample) {
	if s.Reason == "" {
		return // somebody's own log rule to group 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.waiting {
		if match(s, &m.waiting[i].s) {
			m.waiting[i].s.Reason = s.Reason
			m.fn(&m.waiting[i].s)
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			return
		}
	}
	if len(m.reasons) >= keep {
		m.reasons = m.reasons[1:]
	}
	m.reasons = append(m.reasons, *s)
}

// match reports whether two messages are of one packet: the reason is logged in conntrack's hook, the sample right
// behind it.
func match(reason, s *model.Sample) bool {
	d := s.At - reason.At
	return reason.Tuple == s.Tuple && reason.TCP == s.TCP && reason.Len == s.Len && d > -int64(time.Second) && d < int64(time.Second)
}

// flush hands on what waited long enough.
func (m *merger) flush(ctx context.Context) error {
	defer crash.Guard()
	t := time.NewTicker(wait / 5)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		m.mu.Lock()
		old := time.Now().Add(-wait)
		n := 0
		for n < len(m.waiting) && m.waiting[n].since.Before(old) {
			m.fn(&m.waiting[n].s)
			n++
		}
		m.waiting = m.waiting[:copy(m.waiting, m.waiting[n:])]
		n = 0
		for n < len(m.reasons) && m.reasons[n].At < old.Add(-time.Second).UnixNano() {
			n++
		}
		m.reasons = m.reasons[:copy(m.reasons, m.reasons[n:])]
		m.mu.Unlock()
	}
}
