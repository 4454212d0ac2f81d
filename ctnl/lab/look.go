package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ctview/ctnl"
	"ctview/model"
)

// flow asks the router's kernel for one flow. No such flow is ctnl.ErrGone.
func (l *Lab) flow(k model.Key) (model.Flow, error) {
	ns, err := ctnl.OpenNetns(l.router.Path())
	if err != nil {
		return model.Flow{}, fmt.Errorf("lab: router: %w", err)
	}
	defer ns.Close()
	kernel := ctnl.NewKernel(ns)
	defer kernel.Close()
	e, err := kernel.Get(context.Background(), k)
	if err != nil {
		return e.Flow, fmt.Errorf("lab: router: flow %s: %w", show(k), err)
	}
	return e.Flow, nil
}

// Await returns when the router has a flow with key k of which ok holds (nil: any), or with an error when ctx ends or
// 5 seconds have passed.
func (l *Lab) Await(ctx context.Context, k model.Key, ok func(*model.Flow) bool) error {
	_, err := l.await(ctx, k, ok)
	return err
}

func (l *Lab) await(ctx context.Context, k model.Key, ok func(*model.Flow) bool) (model.Flow, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		f, err := l.flow(k)
		switch {
		case err == nil && (ok == nil || ok(&f)):
			return f, nil
		case err != nil && !errors.Is(err, ctnl.ErrGone):
			return f, err
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("lab: router: flow %s is %s, %v", show(k), f.StateText(), f.Status)
			}
			return f, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// show returns a key for error texts.
func show(k model.Key) string {
	t := k.OrigTuple()
	src, dst := netip.AddrPortFrom(t.SrcAddr(), t.Sport), netip.AddrPortFrom(t.DstAddr(), t.Dport)
	return fmt.Sprintf("%s %s > %s zone %d", k.Proto, src, dst, k.Zone)
}
