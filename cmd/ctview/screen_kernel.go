package main

import (
	"context"
	"errors"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/finding"
	"ctview/model/table"
	"ctview/tui"
)

// A kernel lets the screen act on the kernel: it is what tui.Kernel asks for, on top of ctnl. What it changes comes back
// through the events; only the answers to Refresh go into the table from here.
type kernel struct {
	ns    *ctnl.Netns
	sync  *ctnl.Syncer
	table *table.Table
	name  string // of the namespace, for the title
}

// Delete implements tui.Kernel.
func (k *kernel) Delete(ctx context.Context, targets []tui.Target) []error {
	ts := make([]ctnl.Target, len(targets))
	for i, t := range targets {
		ts[i] = ctnl.Target{Key: t.Key, ID: t.ID}
	}
	errs := make([]error, len(targets))
	res, err := k.sync.Kernel().DeleteMany(ctx, ts, nil)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for _, f := range res.Failed {
		errs[f.Index] = f.Err
	}
	for _, i := range res.GoneAt {
		errs[i] = tui.ErrGone
	}
	return errs
}

// Refresh implements tui.Kernel.
func (k *kernel) Refresh(ctx context.Context, keys []model.Key) error {
	return k.sync.Kernel().Refresh(ctx, keys, k.table)
}

// Detail implements tui.Kernel.
func (k *kernel) Detail(ctx context.Context, key model.Key) (model.Event, error) {
	ev, err := k.sync.Kernel().Get(ctx, key)
	if errors.Is(err, ctnl.ErrGone) {
		err = tui.ErrGone
	}
	return ev, err
}

// System implements tui.Kernel.
func (k *kernel) System(ctx context.Context) (model.System, error) {
	s, err := k.sync.System(ctx)
	s.Netns = k.name
	if s.EntriesOK && s.Entries == 0 { // the screen is empty, and says why
		if t, err := ruleset.Active(k.ns); err == nil {
			s.Tracking = model.Tracking{Known: true, IPv4: t.IPv4, IPv6: t.IPv6}
		}
	}
	return s, err
}

// Resync implements tui.Kernel.
func (k *kernel) Resync() { k.sync.Resync() }

// CPUStats implements tui.Inspector.
func (k *kernel) CPUStats(ctx context.Context) ([]model.CPUStats, error) {
	return k.sync.Kernel().CPUStats(ctx)
}

// Expects implements tui.Inspector. The kernel does not send the zone of an expectation, which is its master's: it is
// looked up in the table, and stays unknown where the master is not there or its tuple is in more than one zone.
func (k *kernel) Expects(ctx context.Context) ([]model.Expect, error) {
	var xs []model.Expect
	err := k.sync.Kernel().Expects(ctx, 0, func(x *model.Expect) error {
		xs = append(xs, *x)
		return nil
	})
	if err != nil || len(xs) == 0 {
		return xs, err
	}
	type place struct {
		zone uint16
		seen int
	}
	masters := map[model.Tuple]place{}
	for i := range xs {
		masters[xs[i].Master] = place{}
	}
	k.table.Each(func(f *model.Flow, _ *model.Extra) bool {
		t := f.OrigTuple()
		if p, ok := masters[t]; ok {
			masters[t] = place{f.Zone, p.seen + 1}
		}
		return true
	})
	for i := range xs {
		if p := masters[xs[i].Master]; !xs[i].HasZone && p.seen == 1 {
			xs[i].Zone, xs[i].HasZone = p.zone, true
		}
	}
	return xs, nil
}

// DeleteExpect implements tui.Inspector.
func (k *kernel) DeleteExpect(ctx context.Context, x model.Expect) error {
	err := k.sync.Kernel().DeleteExpect(ctx, x.Tuple, x.Zone, x.ID)
	if errors.Is(err, ctnl.ErrGone) {
		err = tui.ErrGone
	}
	return err
}

// Outline implements tui.Inspector.
func (k *kernel) Outline(context.Context) finding.Rules { return outlineOf(k.ns) }

// SetSysctl implements tui.Inspector.
func (k *kernel) SetSysctl(_ context.Context, name, value string) error {
	return k.ns.SetSysctl(name, value)
}
