package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// measureSize is P8.
func measureSize(ctx context.Context, p *plan, r *report) error {
	fi, err := os.Stat(p.ctview)
	if err != nil {
		return err
	}
	r.goal("P8", "the binary, stripped", " MB", float64(fi.Size())/1e6, 8, 3)
	s, err := newStage(ctx, 1000)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := startScreen(s.ns, p)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.until(ctx, time.Minute, loaded(1000)); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	r.goal("P8", "memory of the TUI with 1,000 flows", " MB", float64(t.memory("VmHWM"))/1e6, 24, 1)
	return nil
}

// starts is how often a start is timed: each takes milliseconds, and what else runs shows in them.
const starts = 50

// measureStart is P15: what it takes to start the program, and to print its version.
func measureStart(ctx context.Context, p *plan, r *report) error {
	var mine, peer, ratio []float64
	start := func(to *[]float64, name string, args ...string) func() error {
		return func() error {
			began := time.Now()
			err := exec.CommandContext(ctx, name, args...).Run()
			*to = append(*to, time.Since(began).Seconds()*1000)
			return err
		}
	}
	fns := []func() error{start(&mine, p.ctview, "version")}
	if installed("conntrack") {
		fns = append(fns, start(&peer, "conntrack", "-V"))
	}
	if err := alternate(ctx, starts, fns...); err != nil {
		return err
	}
	for i := range peer {
		ratio = append(ratio, mine[i]/peer[i])
	}
	r.goal("P15", "ctview version", " ms", median(mine), 3, 1)
	if len(peer) > 0 {
		r.row("P15", "  of conntrack -V", strconv.FormatFloat(median(ratio), 'f', 1, 64), "")
	}
	return nil
}
