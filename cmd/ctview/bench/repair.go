package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab/fill"
	"ctview/model"
	"ctview/model/table"
)

// measureRepair is P7: a reader with a buffer far too small, a storm, and then the time until the table is again what
// the kernel's is, exactly. The parts that the TUI is made of do it here, so that the table can be compared.
func measureRepair(ctx context.Context, p *plan, r *report) error {
	n := min(200_000, p.flows)
	s, err := newStage(ctx, n)
	if err != nil {
		return err
	}
	defer s.close()
	ns, err := s.open()
	if err != nil {
		return err
	}
	defer ns.Close()
	tab := table.New()
	syncer, err := ctnl.NewSyncer(ns, tab, ctnl.SyncOptions{Watch: ctnl.WatchOptions{RcvBuf: 64 << 10}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- syncer.Run(ctx) }()
	defer func() { stop(); <-ended }()
	whole := func() bool {
		st := tab.Stats()
		return st.Loaded && !st.Stale
	}
	if err := poll(ctx, time.Minute, whole); err != nil {
		return err
	}
	storm, cancel := context.WithTimeout(ctx, 8*time.Second)
	c, err := s.fill.Churn(storm, fill.Churn{From: n, Live: n / 2, Seed: 3})
	cancel()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := poll(ctx, 2*time.Minute, whole); err != nil {
		return err
	}
	took := time.Since(began)
	wrong, flows, err := differences(ctx, ns, tab)
	if err != nil {
		return err
	}
	last, _ := syncer.LastDump()
	r.row("P7", fmt.Sprintf("a storm of %d events, %d flows at its end: lost", c.Ops(), flows), fmt.Sprint(tab.Stats().Lost), "")
	r.goal("P7", "  whole again after its end, less one dump", " s", (took - last.Info.Wall).Seconds(), 1, 2)
	r.row("P7", "  that dump", fmt.Sprintf("%.2f s", last.Info.Wall.Seconds()), "")
	r.goal("P7", "  flows that differ from the kernel's", "", float64(wrong), 0, 0)
	return nil
}

func poll(ctx context.Context, most time.Duration, ok func() bool) error {
	for end := time.Now().Add(most); !ok(); time.Sleep(2 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			return errors.New("the table did not become whole")
		}
	}
	return nil
}

// differences counts the flows that only one of table and kernel has, or of which they tell different things.
func differences(ctx context.Context, ns *ctnl.Netns, tab *table.Table) (wrong, flows int, err error) {
	type facts struct {
		id, mark uint32
		status   model.Status
		state    model.State
		reply    model.Tuple
		helper   model.HelperID
	}
	of := func(f *model.Flow) facts { return facts{f.ID, f.Mark, f.Status, f.State, f.Reply(), f.Helper} }
	kernel := map[model.Key]facts{}
	err = ctnl.DumpTo(ctx, ns, model.KernelFilter{}, func(evs []model.Event) error {
		for i := range evs {
			kernel[evs[i].Flow.Key] = of(&evs[i].Flow)
		}
		return nil
	})
	seen := 0
	tab.Each(func(f *model.Flow, _ *model.Extra) bool {
		if k, ok := kernel[f.Key]; !ok || k != of(f) {
			wrong++
		} else {
			seen++
		}
		return true
	})
	return wrong + len(kernel) - seen, len(kernel), err
}
