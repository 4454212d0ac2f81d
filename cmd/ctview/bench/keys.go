package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ctview/ctnl/lab/fill"
)

// A keyPress is a key and what the screen shows when it has done its work on the whole table.
type keyPress struct {
	name, keys string
	done       func(before, now string) bool
}

// firstRow returns the first flow on the screen, "" for none.
func firstRow(screen string) string {
	i := flowRow.FindStringIndex(screen)
	if i == nil {
		return ""
	}
	line, _, _ := strings.Cut(screen[i[0]:], "\n")
	return line
}

// every reports whether all flows on the screen contain text.
func every(screen, text string) bool {
	rows := flowRow.FindAllStringIndex(screen, -1)
	for _, i := range rows {
		if line, _, _ := strings.Cut(screen[i[0]:], "\n"); !strings.Contains(line, text) {
			return false
		}
	}
	return len(rows) > 0
}

// The first by source is 10.0.0.0 (asc) or the last client of IPv6 (desc); by destination 10.128.0.0.
func top(text string) func(string, string) bool {
	return func(_, now string) bool { return strings.Contains(firstRow(now), text) }
}

func moved(before, now string) bool {
	return firstRow(now) != "" && firstRow(now) != firstRow(before)
}

// The bottom moves on with the flows that come, so any of the last clients will do there.
const lowest, highest, last, lowestDst = " 10.0.0.0:", " [2001:db8:a::fff]:", " [2001:db8:a::f", " 10.128.0.0:"

// keyPresses come round to where they began.
var keyPresses = []keyPress{
	{"reverse the order", "S", top(highest)},
	{"reverse it again", "S", top(lowest)},
	{"sort by the next column", ">", top(lowestDst)},
	{"sort by the one before", "<", top(lowest)},
	{"a page down", "\x1b[6~", moved},
	{"a page down", "\x1b[6~", moved},
	{"to the bottom", "G", func(_, now string) bool { return strings.Contains(now, last) }},
	{"a page up", "\x1b[5~", moved},
	{"to the top", "g", top(lowest)},
	{"filter", "/dport 443\r", func(_, now string) bool { return every(now, ":443 ") && strings.Contains(now, "/ dport 443") }},
	{"clear the filter", "\x1b", func(_, now string) bool { return firstRow(now) != "" && !every(now, ":443 ") }},
	{"group by source", "2", func(_, now string) bool { return strings.Contains(now, "groups") && strings.Contains(now, "▶ 10.") }},
	{"back to the flows", "1", top(lowest)},
}

// measureKeys is P4: keys are pressed while the table changes.
func measureKeys(ctx context.Context, p *plan, r *report) error {
	s, err := newStage(ctx, p.flows)
	if err != nil {
		return err
	}
	defer s.close()
	config := filepath.Join(p.dir, "config.toml")
	if err := os.WriteFile(config, []byte("sort = \"src:asc\"\n"), 0o600); err != nil {
		return err
	}
	t, err := startScreen(s.ns, p, "--config", config)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.until(ctx, 2*time.Minute, loaded(p.flows)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	churned := make(chan fill.Churned, 1)
	go func() {
		defer stop()
		c, err := s.fill.Churn(ctx, fill.Churn{Rate: 50_000, From: p.flows, Live: 20_000, Seed: 1})
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: P4:", err)
		}
		churned <- c
	}()
	began := time.Now()
	time.Sleep(3 * time.Second) // until as many flows end as begin
	times, by, err := pressAll(ctx, t, 2+3*p.runs)
	if err != nil {
		return err
	}
	stop()
	c := <-churned
	rate := float64(c.Ops()) / time.Since(began).Seconds()
	what := fmt.Sprintf("key press to changed screen, %d flows, %.0f events/s", p.flows, rate)
	r.goal("P4", what+": p99", " ms", 1e3*quantile(times, 0.99), 60, 0)
	r.row("P4", "  median, longest", fmt.Sprintf("%.0f, %.0f ms of %d", 1e3*median(times), 1e3*quantile(times, 1), len(times)), "")
	seen := map[string]bool{}
	for _, k := range keyPresses {
		if !seen[k.name] {
			seen[k.name] = true
			r.row("P4", "  "+k.name, fmt.Sprintf("median %.0f ms, longest %.0f", 1e3*median(by[k.name]), 1e3*quantile(by[k.name], 1)), "")
		}
	}
	return nil
}

// pressAll presses every key rounds times.
func pressAll(ctx context.Context, t *terminal, rounds int) (times []float64, by map[string][]float64, err error) {
	by = map[string][]float64{}
	for range rounds {
		for _, k := range keyPresses {
			before := t.emu.String()
			took, err := t.press(ctx, k.keys, func(now string) bool { return k.done(before, now) })
			if err != nil {
				return nil, nil, err
			}
			times = append(times, took.Seconds())
			by[k.name] = append(by[k.name], took.Seconds())
			select { // an operator looks before the next key
			case <-time.After(150 * time.Millisecond):
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
	}
	return times, by, nil
}
