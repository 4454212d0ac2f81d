package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// measureDelete is P9: half of the flows have a mark and are deleted by it.
func measureDelete(ctx context.Context, p *plan, r *report) error {
	n := min(200_000, 2*p.flows)
	if !installed("conntrack") {
		r.row("P9", "conntrack", "not installed", "")
	}
	var mine, theirs []usage
	deleted := 0
	once := func(to *[]usage, name string, args ...string) func() error {
		return func() error {
			s, err := newStage(ctx, n)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.fill.Update(ctx, 0, n/2, 77); err != nil {
				return err
			}
			u, err := run(s.ns, filepath.Join(p.dir, "deleted.txt"), name, args...)
			if err != nil {
				return err
			}
			*to = append(*to, u)
			left, err := flowsIn(s)
			if deleted == 0 {
				deleted = n - left
			}
			if n-left != deleted {
				r.row("P9", "  "+name+" deleted another number", fmt.Sprint(n-left), "DIFFER")
			}
			return err
		}
	}
	fns := []func() error{once(&mine, p.ctview, "delete", "-y", "-q", "mark 77")}
	if installed("conntrack") {
		fns = append(fns, once(&theirs, "conntrack", "-D", "-m", "77"))
	}
	if err := alternate(ctx, max(p.runs, 2), fns...); err != nil {
		return err
	}
	r.row("P9", fmt.Sprintf("ctview delete of %d flows out of %d", deleted, n), middle(mine).String(), "")
	if len(theirs) > 0 {
		r.row("P9", "  conntrack -D to a file", middle(theirs).String(), "")
		r.goal("P9", "  wall, of conntrack -D", "", ratios(mine, theirs), 0.25, 2)
	}
	return nil
}

// flowsIn returns the kernel's count.
func flowsIn(s *stage) (int, error) {
	text, err := s.ns.ReadSysctl("net/netfilter/nf_conntrack_count")
	n := 0
	if err == nil {
		_, err = fmt.Sscan(text, &n)
	}
	return n, err
}
