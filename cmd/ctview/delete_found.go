package main

import (
	"context"
	"errors"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"

	"golang.org/x/sync/errgroup"
)

// deleteAsFound deletes what the filter matches while the dump that finds it goes on: where nobody is to be asked, the
// number need not be known first. A flow that the dump shows twice is deleted once.
func (s selection) deleteAsFound(ctx context.Context, g *globals, ns *ctnl.Netns, k *ctnl.Kernel) error {
	own := ownSession()
	batches := make(chan []ctnl.Target, 8)
	var (
		res  ctnl.DeleteResult
		dels errgroup.Group
	)
	dels.Go(func() (err error) {
		defer crash.Guard()
		res, err = k.DeleteFrom(ctx, batches, nil)
		return err
	})
	var recent recentTargets
	batch := make([]ctnl.Target, 0, ctnl.MaxWindow)
	err := s.each(ctx, g, ns, k, func(ev *model.Event) error {
		t := ctnl.Target{Key: ev.Flow.Key, ID: ev.Flow.ID}
		if recent.again(&t) {
			return nil
		}
		if own.Has(&ev.Flow) {
			g.warnOwnSession()
		}
		if batch = append(batch, t); len(batch) == cap(batch) {
			batches <- batch
			batch = make([]ctnl.Target, 0, ctnl.MaxWindow)
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		batches <- batch
	}
	close(batches)
	err = errors.Join(err, dels.Wait())
	if err != nil {
		if res.Deleted > 0 {
			g.summary("%s deleted before that", model.Plural(res.Deleted, "flow"))
		}
		return err
	}
	return g.deleted(res)
}

// recentTargets are the last targets: a dump that finds its place gone begins the hash bucket again (ctnetlink_dump_table), so what it shows
// twice it shows soon again.
type recentTargets struct {
	ring [64]ctnl.Target
	at   int
}

// again reports whether t is among them, and if not puts it there.
func (r *recentTargets) again(t *ctnl.Target) bool {
	for i := range r.ring {
		if r.ring[i].ID == t.ID && r.ring[i].Key == t.Key {
			return true
		}
	}
	r.ring[r.at] = *t
	r.at = (r.at + 1) % len(r.ring)
	return false
}
