package main

import (
	"context"
	"errors"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
)

// A stage is a namespace with flows.
type stage struct {
	ns   *lab.NS
	fill *fill.Filler
}

// newStage makes a namespace with the flows 0 to n-1, which have counters.
func newStage(ctx context.Context, n int) (*stage, error) {
	ns, err := lab.NewNS()
	if err != nil {
		return nil, err
	}
	s := &stage{ns: ns}
	if s.fill, err = fill.Open(ns); err != nil {
		_ = ns.Close()
		return nil, err
	}
	if err = ns.Sysctl("net/netfilter/nf_conntrack_acct", "1"); err == nil {
		err = s.fill.Create(ctx, 0, n)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) close() error { return errors.Join(s.fill.Close(), s.ns.Close()) }

// open returns the namespace as ctnl wants it.
func (s *stage) open() (*ctnl.Netns, error) { return ctnl.OpenNetns(s.ns.Path()) }

// alternate calls each of fns runs times, in turn: the same program is never measured twice in a row.
func alternate(ctx context.Context, runs int, fns ...func() error) error {
	for range runs {
		for _, fn := range fns {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(); err != nil {
				return err
			}
		}
	}
	return nil
}
