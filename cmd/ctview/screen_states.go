package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ctview/ctnl"
	"ctview/ctnl/states"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"
)

// keptSamples is how many samples the screen can show.
const keptSamples = 500

// screenStates are the five states for the screen: what tui.States asks for, on top of ctnl/states. What it installs
// goes with close, or with the process.
type screenStates struct {
	ns    *ctnl.Netns
	kern  *ctnl.Kernel
	table *table.Table

	mu      sync.Mutex // one change at a time; guards what follows
	w       *states.Watch
	why     *states.Reasons
	stop    func() // ends the goroutine that reads samples
	past    model.RateBase[model.StateCounts]
	ringing sync.Mutex     // guards what the goroutine writes: what follows
	ring    []model.Sample // the oldest first
	failed  error          // why it ended by itself
}

// newScreenStates returns the states of a namespace. It first puts back what a killed ctview left changed, unless the
// session is to change nothing.
func newScreenStates(ns *ctnl.Netns, tab *table.Table, readOnly bool) *screenStates {
	if !readOnly {
		_, _ = states.RestoreReasons(ns) // the next one tries again
	}
	return &screenStates{ns: ns, kern: ctnl.NewKernel(ns), table: tab}
}

// Counts implements tui.States.
func (s *screenStates) Counts(ctx context.Context) (model.StateCounts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	each := func(fn func(*model.Flow) bool) error {
		s.table.Each(func(f *model.Flow, _ *model.Extra) bool { return fn(f) })
		return nil
	}
	if s.w == nil {
		return states.Basic(ctx, s.kern, each, &s.past)
	}
	c, err := s.w.Counts(ctx)
	if err == nil {
		err = states.Flows(&c, each)
	}
	if err == nil {
		err = states.Invalid(ctx, s.kern, &c)
	}
	s.ringing.Lock()
	defer s.ringing.Unlock()
	return c, errors.Join(err, s.failed)
}

// Watching implements tui.States.
func (s *screenStates) Watching() (on, reasons bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w != nil, s.why != nil
}

// Watch implements tui.States.
func (s *screenStates) Watch(_ context.Context, on, reasons bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == (s.w != nil) && reasons == (s.why != nil) {
		return nil
	}
	ended := s.end(!on)
	if !on {
		return ended
	}
	var err error
	if s.w == nil {
		if s.w, err = states.Open(s.ns, states.Options{Samples: true}); err != nil {
			return errors.Join(ended, err)
		}
	}
	if reasons {
		s.why, err = states.OpenReasons(s.ns)
	}
	s.read()
	return errors.Join(ended, err) // counting goes on without reasons
}

// read starts the goroutine that gathers samples. Counts tells the error that it ends with.
func (s *screenStates) read() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w, why := s.w, s.why
	s.failed = nil // nobody writes it now
	go func() {
		defer crash.Guard()
		defer close(done)
		if err := w.Samples(ctx, why, s.keep); !errors.Is(err, context.Canceled) {
			s.ringing.Lock()
			s.failed = fmt.Errorf("no more samples: %w", err)
			s.ringing.Unlock()
		}
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}

// end stops reading and puts the reasons' settings back; with table the watch table goes, too.
func (s *screenStates) end(table bool) error {
	var errs []error
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
	if s.why != nil {
		errs = append(errs, s.why.Close())
		s.why = nil
	}
	if table && s.w != nil {
		errs = append(errs, s.w.Close())
		s.w = nil
		s.past = model.RateBase[model.StateCounts]{}
	}
	return errors.Join(errs...)
}

func (s *screenStates) keep(x *model.Sample) {
	s.ringing.Lock()
	defer s.ringing.Unlock()
	if len(s.ring) >= keptSamples {
		s.ring = slices.Delete(s.ring, 0, keptSamples/10)
	}
	s.ring = append(s.ring, *x)
}

// Samples implements tui.States.
func (s *screenStates) Samples(dst []model.Sample) []model.Sample {
	s.ringing.Lock()
	defer s.ringing.Unlock()
	dst = append(dst, s.ring...)
	slices.Reverse(dst[len(dst)-len(s.ring):])
	return dst
}

// close takes everything back.
func (s *screenStates) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.end(true), s.kern.Close())
}
