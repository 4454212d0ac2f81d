package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	flowRow   = regexp.MustCompile(`(?m)^[▶ ] +(tcp|udp) +[A-Za-z_]+ +\S`)
	flowCount = regexp.MustCompile(`flows (\d+)/`)
)

// shownFlows returns the count in the title line, -1 for none.
func shownFlows(screen string) int {
	m := flowCount.FindStringSubmatch(screen)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// loaded holds of a screen that shows the whole table of n flows or more, in order.
func loaded(n int) func(string) bool {
	return func(s string) bool {
		return strings.Contains(s, " LIVE ") && shownFlows(s) >= n && flowRow.MatchString(s)
	}
}

// A start is how the TUI came up.
type start struct {
	frame, rows, whole, bare float64 // seconds
	settled, peak            int     // bytes
	idle                     float64 // part of a core
}

// measureScreen is P2, P3 and P6.
func measureScreen(ctx context.Context, p *plan, r *report) error {
	s, err := newStage(ctx, p.flows)
	if err != nil {
		return err
	}
	defer s.close()
	var all []start
	err = alternate(ctx, p.runs, func() error {
		u, err := bareRead(s.ns)
		all = append(all, start{bare: u.wall.Seconds()})
		return err
	}, func() error {
		idle := 2 * time.Second
		if len(all) == p.runs {
			idle = 30 * time.Second
		}
		return startOnce(ctx, s, p, &all[len(all)-1], min(idle, time.Duration(p.flows/1000)*30*time.Millisecond))
	})
	if err != nil {
		return err
	}
	pick := func(get func(start) float64) float64 {
		var vs []float64
		for _, a := range all {
			vs = append(vs, get(a))
		}
		return median(vs)
	}
	last, n := all[len(all)-1], float64(p.flows)
	r.goal("P2", fmt.Sprintf("TUI, %d flows: first frame", p.flows), " ms", 1e3*pick(func(a start) float64 { return a.frame }), 150, 0)
	r.row("P2", "  first rows, with a count", fmt.Sprintf("%.0f ms", 1e3*pick(func(a start) float64 { return a.rows })), "")
	r.row("P2", "  everything, sorted", fmt.Sprintf("%.2f s", pick(func(a start) float64 { return a.whole })), "")
	r.row("P2", "  a bare read(2) loop", fmt.Sprintf("%.2f s", pick(func(a start) float64 { return a.bare })), "")
	r.goal("P2", "  everything, of the bare loop", "", pick(func(a start) float64 { return a.whole / a.bare }), 0.8, 2)
	r.goal("P3", "memory of the whole TUI, per flow, settled", " B", pick(func(a start) float64 { return float64(a.settled) })/n, 200, 0)
	r.goal("P3", "  at its peak", " B", pick(func(a start) float64 { return float64(a.peak) })/n, 200, 0)
	r.goal("P6", "CPU while watching, no events", " %", 100*last.idle, 3, 1)
	if err := peerScreen(ctx, s, p, r); err != nil {
		return err
	}
	if !installed("flowtop") {
		r.row("P2", "  flowtop", "not installed", "")
	}
	return nil
}

// peerScreen is iptstate(8) on the same table. Its single run (-1) writes blanks for ever where there is no terminal, so
// it gets one.
func peerScreen(ctx context.Context, s *stage, p *plan, r *report) error {
	if !installed("iptstate") {
		r.row("P2", "  iptstate", "not installed", "")
		return nil
	}
	t, err := startIn(s.ns, p.dir, "iptstate")
	if err != nil {
		return err
	}
	defer t.close()
	at, err := t.until(ctx, time.Minute, func(screen string) bool { return strings.Contains(screen, "tcp") })
	if err != nil {
		r.row("P2", "  iptstate", "no rows within a minute", "")
		return nil
	}
	r.row("P2", "  iptstate: first rows", fmt.Sprintf("%.1f s", at.Sub(t.began).Seconds()), "")
	r.row("P3", "  iptstate, per flow", fmt.Sprintf("%.0f B", float64(t.memory("VmHWM"))/float64(p.flows)), "")
	return nil
}

// startOnce starts the TUI on the table and watches it come up, and then stand still for a while.
func startOnce(ctx context.Context, s *stage, p *plan, a *start, idle time.Duration) error {
	t, err := startScreen(s.ns, p)
	if err != nil {
		return err
	}
	defer t.close()
	for _, step := range []struct {
		to *float64
		ok func(string) bool
	}{
		{&a.frame, func(s string) bool { return strings.Contains(s, "1 Flows") }},
		{&a.rows, func(s string) bool { return shownFlows(s) > 0 && flowRow.MatchString(s) }},
		{&a.whole, loaded(p.flows)},
	} {
		at, err := t.until(ctx, 2*time.Minute, step.ok)
		if err != nil {
			return err
		}
		*step.to = at.Sub(t.began).Seconds()
	}
	// Sorting makes the memory that paging and sorting need.
	if _, err := t.press(ctx, ">", func(s string) bool { return !strings.Contains(s, "sort RATE") }); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	a.settled = t.memory("VmRSS")
	cpu, began := cpuTime(t.cmd.Process.Pid), time.Now()
	select {
	case <-time.After(idle):
	case <-ctx.Done():
	}
	a.idle = (cpuTime(t.cmd.Process.Pid) - cpu).Seconds() / time.Since(began).Seconds()
	a.peak = t.memory("VmHWM")
	return nil
}
