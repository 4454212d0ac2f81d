package ctnl_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ctview/ctnl"
	"ctview/model"
)

// TestTwoReaders: two readers side by side find what one finds, each flow once, while others come and go.
func TestTwoReaders(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	const each = 300
	for i := range each {
		for _, key := range []model.Key{
			key(model.ProtoTCP, fmt.Sprintf("10.0.0.5:%d", 1000+i), "10.9.9.9:443"),
			key(model.ProtoUDP, fmt.Sprintf("[2001:db8::5]:%d", 1000+i), "[2001:db8::9]:53"),
		} {
			s := spec(key)
			s.Flow.Mark, s.Has = uint32(i%3), s.Has|model.HasMark
			if err := k.Create(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop, churned := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				churned <- nil
				return
			default:
			}
			s := spec(key(model.ProtoTCP, fmt.Sprintf("10.0.0.6:%d", 1000+i%1000), "10.9.9.9:80"))
			s.Flow.Mark, s.Has = 9, s.Has|model.HasMark
			err := k.Create(ctx, s)
			if err == nil {
				err = k.Delete(ctx, s.Flow.Key, 0)
			}
			if err != nil {
				churned <- err
				return
			}
		}
	}()
	for _, f := range []model.KernelFilter{{}, model.KernelFilter{}.WithMark(1, 0xff), {Family: model.IPv6}} {
		var found [2]map[model.Key]int
		for two := range 2 {
			restore := ctnl.SplitDumps(two == 1)
			seen := map[model.Key]int{}
			_, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{Filter: f}, func(batch []model.Event) error {
				for i := range batch {
					if batch[i].Flow.Mark != 9 {
						seen[batch[i].Flow.Key]++
					}
				}
				return nil
			})
			restore()
			if err != nil {
				t.Fatal(err)
			}
			found[two] = seen
		}
		want := map[bool]int{true: each, false: 2 * each}[f.Family != 0]
		if f.HasMark {
			want = 2 * each / 3
		}
		if len(found[0]) != want || len(found[1]) != want {
			t.Errorf("%+v: one reader finds %d flows, two %d, made %d", f, len(found[0]), len(found[1]), want)
		}
		for key, n := range found[1] {
			if n != 1 {
				t.Errorf("%+v: %v comes %d times", f, key, n)
			}
		}
	}
	close(stop)
	if err := <-churned; err != nil {
		t.Error(err)
	}
}

// TestTwoReadersStop: an error of the caller's and a cancelled context end both.
func TestTwoReadersStop(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	for i := range 1000 {
		if err := k.Create(ctx, spec(key(model.ProtoTCP, fmt.Sprintf("10.0.0.5:%d", 1000+i), "10.9.9.9:443"))); err != nil {
			t.Fatal(err)
		}
	}
	defer ctnl.SplitDumps(true)()
	enough := errors.New("enough")
	if _, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{}, func([]model.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	_, err := ctnl.Dump(gone, ns, ctnl.DumpOptions{}, func([]model.Event) error { cancel(); return nil })
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	cancel()
	if _, err := ctnl.Dump(gone, ns, ctnl.DumpOptions{}, func([]model.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}
