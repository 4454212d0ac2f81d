package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"ctview/ctnl/lab/fill"
	"ctview/model"
	"ctview/model/table"
)

// measureGrowth is P11: what one flow costs must not grow with how many there are.
func measureGrowth(ctx context.Context, p *plan, r *report) error {
	sizes := []int{1_000, p.flows / 10, p.flows}
	if p.big {
		sizes = append(sizes, 2_000_000, 4_000_000)
	}
	s, err := newStage(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close()
	out := filepath.Join(p.dir, "growth.txt")
	empty, err := run(s.ns, out, p.ctview, "list", "-o", "conntrack")
	if err != nil {
		return err
	}
	r.row("P11", "list of an empty table, in a hash shared by the host", fmt.Sprintf("%.2f s CPU", empty.cpu().Seconds()), "")
	have := 0
	for _, n := range sizes {
		if err := s.fill.Create(ctx, have, n); err != nil {
			return err
		}
		have = n
		u, err := run(s.ns, out, p.ctview, "list", "-o", "conntrack")
		if err != nil {
			return err
		}
		g := growTable(n)
		list := "-"
		if n >= 10_000 {
			list = fmt.Sprintf("%.2f µs CPU a flow", (u.cpu()-empty.cpu()).Seconds()*1e6/float64(n))
		}
		r.row("P11", fmt.Sprintf("%d flows: list; apply; a frame", n),
			fmt.Sprintf("%s; %.2f µs an update; %.1f ms", list, g.apply, g.frame), "")
		if n == 1_000_000 {
			r.goal("P11", "  a frame of a table that changes", " ms", g.frame, 60, 1)
		}
	}
	return nil
}

// A grown is what a table of a size costs.
type grown struct{ apply, frame float64 } // µs an event, ms

// growTable loads a table of n flows, and measures updates and views of it.
func growTable(n int) grown {
	t, now := table.New(), time.Now().UnixNano()
	evs := make([]model.Event, 0, 256)
	feed := func(i int, kind model.Kind) {
		evs = append(evs, tableEvent(i, kind))
		if len(evs) == cap(evs) {
			t.Apply(now, evs)
			evs = evs[:0]
		}
	}
	for i := range n {
		feed(i, model.Dump)
	}
	t.Apply(now, evs)
	evs = evs[:0]
	const updates = 200_000
	var spent time.Duration
	for i := 0; i < updates; {
		for range cap(evs) - 1 {
			evs = append(evs, tableEvent(i*7919%n, model.Update))
			i++
		}
		began := time.Now()
		t.Apply(now, evs)
		spent += time.Since(began)
		evs = evs[:0]
	}
	g := grown{apply: spent.Seconds() * 1e6 / updates}
	var v table.View
	var frames []float64
	for i := range 15 {
		t.Refuse(1, 0) // a change: nothing may be used again
		began := time.Now()
		t.View(&table.Query{Sort: model.ColSrc, Limit: 100, Offset: i % 3 * n / 3, Now: now}, &v)
		frames = append(frames, time.Since(began).Seconds()*1e3)
	}
	g.frame = median(frames)
	return g
}

// tableEvent is what the kernel would say of flow i of the filler.
func tableEvent(i int, kind model.Kind) model.Event {
	a := fill.AttrsOf(i)
	e := model.Event{Kind: kind, Has: model.HasOrig | model.HasID | model.HasStatus | model.HasProtoinfo | model.HasTimeout}
	f := &e.Flow
	f.Key = fill.Key(i)
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	f.State, f.Status, f.Mark, f.ID = a.State, a.Status, a.Mark, uint32(i)
	f.Expires, f.Known = int64(a.Timeout)*1e9, model.KnownState|model.KnownTimeout
	return e
}
