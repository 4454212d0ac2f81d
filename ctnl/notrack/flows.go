package notrack

import (
	"context"
	"errors"
	"fmt"

	"github.com/ti-mo/netfilter"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"
)

// Flows are the tracked connections that a preview counts and Apply deletes and watches.
type Flows interface {
	// Each calls fn for every flow, as a dump tells it, until fn returns false. The event is reused.
	Each(ctx context.Context, fn func(*model.Event) bool) error
	// Delete deletes entries.
	Delete(ctx context.Context, targets []ctnl.Target) (ctnl.DeleteResult, error)
	// Restore makes entries as they were; one that stands in the way is replaced. It returns how many there are again.
	Restore(ctx context.Context, was []model.Event) (restored int, err error)
	// Watch calls fn for new flows from now on, on a goroutine of its own, until stop is called; stop
	// tells why the watch ended before that, if it did. The event is reused.
	Watch(ctx context.Context, fn func(*model.Event)) (stop func() error, err error)
}

// KernelFlows returns the flows of a namespace as the kernel tells them, by dump.
func KernelFlows(ns *ctnl.Netns) Flows { return kernelFlows{ns} }

type kernelFlows struct{ ns *ctnl.Netns }

var errEnough = errors.New("enough")

func (k kernelFlows) Each(ctx context.Context, fn func(*model.Event) bool) error {
	err := ctnl.DumpTo(ctx, k.ns, model.KernelFilter{}, func(evs []model.Event) error {
		for i := range evs {
			if !fn(&evs[i]) {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (k kernelFlows) Delete(ctx context.Context, targets []ctnl.Target) (ctnl.DeleteResult, error) {
	kern := ctnl.NewKernel(k.ns)
	defer func() { _ = kern.Close() }()
	return kern.DeleteMany(ctx, targets, nil)
}

func (k kernelFlows) Restore(ctx context.Context, was []model.Event) (int, error) {
	kern := ctnl.NewKernel(k.ns)
	defer func() { _ = kern.Close() }()
	left := was
	for range 3 { // a packet that leaks can make the entry again between the deletion and the creation
		failed, err := kern.CreateMany(ctx, len(left), func(i int, s *ctnl.Spec) { *s = ctnl.Spec{Event: left[i]} })
		if err != nil {
			return len(was) - len(left), err
		}
		var again []model.Event
		var targets []ctnl.Target
		for _, f := range failed {
			again = append(again, left[f.Index])
			targets = append(targets, ctnl.Target{Key: left[f.Index].Flow.Key})
		}
		if left = again; len(left) == 0 {
			break
		}
		if _, err := kern.DeleteMany(ctx, targets, nil); err != nil {
			return len(was) - len(left), err
		}
	}
	return len(was) - len(left), nil
}

func (k kernelFlows) Watch(ctx context.Context, fn func(*model.Event)) (func() error, error) {
	w, err := ctnl.Watch(k.ns, ctnl.WatchOptions{Groups: []netfilter.NetlinkGroup{netfilter.GroupCTNew}, RcvBuf: 4 << 20})
	if err != nil {
		return nil, fmt.Errorf("notrack: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer crash.Guard()
		ended <- w.Run(ctx, newSink(fn))
	}()
	return func() error {
		cancel()
		err := <-ended
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return errors.Join(err, w.Close())
	}, nil
}

// newSink hands NEW events on and ignores the rest: a loss here only means that a leak is found by its counter.
type newSink func(*model.Event)

func (s newSink) Apply(_ int64, evs []model.Event) {
	for i := range evs {
		if evs[i].Kind == model.New {
			s(&evs[i])
		}
	}
}

func (newSink) BeginDump(int64)                          {}
func (newSink) EndDump(int64, bool) (r table.DumpResult) { return r }
func (newSink) Lost(int64, uint64)                       {}
func (newSink) Refuse(uint64, uint64)                    {}

// leaked reports whether f, a new flow, was made by a packet that the rules should have kept out: its original tuple is
// that packet's. Rules with an interface are left out: the event does not tell where the packet came in.
func (c *coverer) leaked(f *model.Flow) bool {
	t := f.Orig()
	if c.exact[t] {
		return true
	}
	for i := range c.wide {
		r := &c.wide[i]
		if r.Iface != "" {
			continue
		}
		if r.MatchTuple(&t) {
			return true
		}
		if rev := r.Reverse(); !r.OneWay && rev.MatchTuple(&t) {
			return true
		}
	}
	return false
}

// deletable reports whether the entry of a covered flow is to go. Those of a rule with an interface stay: other flows
// than its own would be hit.
func (c *coverer) deletable(f *model.Flow) bool {
	if c.exact[f.Orig()] || c.exact[f.Reply()] {
		return true
	}
	for i := range c.wide {
		if c.wide[i].Iface == "" && c.wide[i].Covers(f) {
			return true
		}
	}
	return false
}

// whole reports whether the rules keep every packet of f out, in both directions and on every interface.
func (c *coverer) whole(f *model.Flow) bool {
	if c.exact[f.Orig()] && c.exact[f.Reply()] {
		return true
	}
	for i := range c.wide {
		if r := &c.wide[i]; r.Iface == "" && !r.OneWay && r.Covers(f) {
			return true
		}
	}
	return false
}

// A coverer answers Covers for many rules: exact ones by a map, the others one after another.
type coverer struct {
	exact map[model.Tuple]bool
	wide  []model.Rule
}

func newCoverer(rules []model.Rule) *coverer {
	c := &coverer{exact: map[model.Tuple]bool{}}
	for _, r := range rules {
		if !r.Exact() || !r.Proto.HasPorts() {
			c.wide = append(c.wide, r)
			continue
		}
		o, p := r.Tuples()
		c.exact[o] = true
		if !r.OneWay {
			c.exact[p] = true
		}
	}
	return c
}

func (c *coverer) covers(f *model.Flow) bool {
	if c.exact[f.Orig()] || c.exact[f.Reply()] {
		return true
	}
	for i := range c.wide {
		if c.wide[i].Covers(f) {
			return true
		}
	}
	return false
}
