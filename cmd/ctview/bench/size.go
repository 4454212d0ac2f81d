package main

import (
	"context"
	"os"
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
