package main

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/model"
)

// measureDecode is P10: messages as the kernel sent them, decoded again and again.
func measureDecode(ctx context.Context, p *plan, r *report) error {
	s, err := newStage(ctx, 1000)
	if err != nil {
		return err
	}
	defer s.close()
	fd := -1
	err = s.ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var chunk []byte
	if err := dumpChunks(fd, func(b []byte) { chunk = append(chunk[:0], b...) }); err != nil {
		return err
	}
	d, evs, flows := ctnl.NewDecoder(), make([]model.Event, 0, 256), 0
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		flows = 0
		for flows < b.N {
			w := ctnl.Walk{Rest: chunk}
			for len(w.Rest) > 0 {
				evs = d.Batch(1, evs[:0], &w)
				flows += len(evs)
			}
		}
	})
	r.goal("P10", "decoding one flow message", " µs", res.T.Seconds()*1e6/float64(flows), 0.3, 3)
	r.goal("P10", "  allocations", "", float64(res.AllocsPerOp()), 0, 0)
	return nil
}
