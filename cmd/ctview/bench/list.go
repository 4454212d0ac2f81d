package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ctview/ctnl/lab/fill"
)

// measureList is P1, P1a and P14.
func measureList(ctx context.Context, p *plan, r *report) error {
	s, err := newStage(ctx, p.flows)
	if err != nil {
		return err
	}
	defer s.close()
	mine, theirs := filepath.Join(p.dir, "ctview.txt"), filepath.Join(p.dir, "conntrack.txt")
	var bare, list, peer []usage
	measure := func(to *[]usage, fn func() (usage, error)) func() error {
		return func() error {
			u, err := fn()
			*to = append(*to, u)
			return err
		}
	}
	fns := []func() error{
		measure(&bare, func() (usage, error) { return bareRead(s.ns) }),
		measure(&list, func() (usage, error) { return run(s.ns, mine, p.ctview, "list", "-o", "conntrack") }),
	}
	if installed("conntrack") {
		fns = append(fns, measure(&peer, func() (usage, error) { return run(s.ns, theirs, "conntrack", "-L") }))
	}
	k := fill.Key(p.flows / 2)
	src, dst := k.Family.Addr(k.Src).String(), k.Family.Addr(k.Dst).String()
	few := [...]struct {
		filter string
		took   []usage
	}{{filter: "src " + src}, {filter: fmt.Sprintf("dport %d and dst %s", k.Dport, dst)}, {filter: fmt.Sprintf("%s and src %s", k.Proto, src)}}
	for i := range few {
		fns = append(fns, measure(&few[i].took, func() (usage, error) {
			return run(s.ns, filepath.Join(p.dir, "few.txt"), p.ctview, "list", "-o", "conntrack", few[i].filter)
		}))
	}
	var plain []usage
	whole := [...]struct {
		args []string
		took []usage
	}{{args: []string{"--sort", "bytes:desc"}}, {args: []string{"--group-by", "src"}}}
	if p.wants("P14") {
		fns = append(fns, measure(&plain, func() (usage, error) { return run(s.ns, filepath.Join(p.dir, "plain.txt"), p.ctview, "list") }))
		for i := range whole {
			fns = append(fns, measure(&whole[i].took, func() (usage, error) {
				return run(s.ns, filepath.Join(p.dir, "whole.txt"), p.ctview, append([]string{"list"}, whole[i].args...)...)
			}))
		}
	}
	if err := alternate(ctx, p.runs, fns...); err != nil {
		return err
	}
	lines, err := countLines(mine)
	if err != nil {
		return err
	}
	r.row("P1", fmt.Sprintf("ctview list -o conntrack: %d flows to a file", lines), middle(list).String(), "")
	r.row("P1", "  a bare read(2) loop", middle(bare).String(), "")
	if len(peer) > 0 {
		r.row("P1", "  conntrack -L to a file", middle(peer).String(), "")
		r.goal("P1", "  wall, of conntrack -L", "", ratios(list, peer), 0.55, 2)
		if n, _ := countLines(theirs); n != lines {
			r.row("P1", "  conntrack -L printed another number of lines", fmt.Sprint(n), "")
		}
	}
	r.goal("P1", "  wall, of the bare loop", "", ratios(list, bare), 0.65, 2)
	r.goal("P1", "  peak memory", " MB", float64(middle(list).rss)/1e6, 32, 1)
	for _, f := range few {
		r.goal("P1a", "ctview list "+f.filter+", of the whole list", "", ratios(f.took, list), 0.20, 2)
	}
	for _, w := range whole {
		if len(plain) > 0 {
			what := "ctview list " + strings.Join(w.args, " ")
			r.goal("P14", what+": wall, of ctview list", "", ratios(w.took, plain), 1.3, 2)
			r.goal("P14", "  peak memory, per flow", " B", float64(middle(w.took).rss)/float64(p.flows), 220, 0)
		}
	}
	return nil
}

// middle returns the run with the median wall time.
func middle(us []usage) usage {
	walls := make([]float64, len(us))
	for i, u := range us {
		walls[i] = u.wall.Seconds()
	}
	m := quantile(walls, 0.5)
	for _, u := range us {
		if u.wall.Seconds() == m {
			return u
		}
	}
	return usage{}
}

// ratios returns the median of the ratios of wall times, run by run.
func ratios(as, bs []usage) float64 {
	var rs []float64
	for i := range min(len(as), len(bs)) {
		rs = append(rs, as[i].wall.Seconds()/bs[i].wall.Seconds())
	}
	return median(rs)
}

func countLines(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		k, err := f.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		if k == 0 || err != nil {
			return n, nil
		}
	}
}
