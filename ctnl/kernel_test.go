package ctnl_test

import (
	"context"
	"errors"
	"net/netip"
	"sort"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

// newNS makes a namespace of the test's own and opens it.
func newNS(t *testing.T) (*lab.NS, *ctnl.Netns) {
	t.Helper()
	l, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ns, err := ctnl.OpenNetns(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return l, ns
}

func newKernel(t *testing.T) (*lab.NS, *ctnl.Netns, *ctnl.Kernel) {
	t.Helper()
	l, ns := newNS(t)
	// With the usual 2 a flow made while nobody on the whole machine listens is silent for ever: what a test sees would
	// depend on what runs beside it.
	if err := ns.SetSysctl("nf_conntrack_events", "1"); err != nil {
		t.Fatal(err)
	}
	k := ctnl.NewKernel(ns)
	t.Cleanup(func() { _ = k.Close() })
	return l, ns, k
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// key is the key of a flow between two endpoints in zone 0.
func key(p model.Proto, src, dst string) model.Key {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	family := model.IPv4
	if s.Addr().Is6() {
		family = model.IPv6
	}
	return model.Key{Src: s.Addr().As16(), Dst: d.Addr().As16(), Sport: s.Port(), Dport: d.Port(), Proto: p, Family: family}
}

// spec is a flow to be made with a timeout of ten minutes.
func spec(k model.Key) *ctnl.Spec {
	s := &ctnl.Spec{}
	s.Flow.Key = k
	s.Timeout = 600
	s.Has = model.HasTimeout
	if k.Proto == model.ProtoTCP {
		s.Flow.State = model.TCPEstablished
		s.Has |= model.HasProtoinfo
	}
	return s
}

func dump(t *testing.T, ns *ctnl.Netns, k model.KernelFilter) []model.Event {
	t.Helper()
	var all []model.Event
	err := ctnl.DumpTo(testContext(t), ns, k, func(batch []model.Event) error {
		all = append(all, batch...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Flow.Sport < all[j].Flow.Sport })
	return all
}

func TestCreateGetUpdateDelete(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	s := spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:80"))
	s.Flow.Mark, s.Has = 7, s.Has|model.HasMark
	if err := k.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := k.Create(ctx, s); !errors.Is(err, ctnl.ErrExists) {
		t.Fatalf("second Create: %v, want ErrExists", err)
	}
	e, err := k.Get(ctx, s.Flow.Key)
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != model.Dump || e.Flow.Key != s.Flow.Key || e.Flow.Mark != 7 || e.Flow.State != model.TCPEstablished || e.Flow.ID == 0 {
		t.Errorf("Get: unexpected event %+v", e)
	}
	rows := dump(t, ns, model.KernelFilter{})
	e.Flow.Expires, rows[0].Flow.Expires = 0, 0
	for _, e := range []*model.Event{&e, &rows[0]} {
		e.Timeout, e.Use, e.PortID = 0, 0, 0
	}
	if diff := cmp.Diff(e, rows[0], cmp.AllowUnexported(model.Flow{})); diff != "" {
		t.Errorf("Dump and Get differ (-get +dump):\n%s", diff)
	}
	s.Flow.Mark = 0
	if err := k.Update(ctx, s); err != nil {
		t.Fatal(err)
	}
	if e, _ := k.Get(ctx, s.Flow.Key); e.Flow.Mark != 0 {
		t.Errorf("mark %d after it was cleared", e.Flow.Mark)
	}
	if err := k.Delete(ctx, s.Flow.Key, e.Flow.ID+1); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("Delete with another ID: %v, want ErrGone", err)
	}
	if n, limit, err := k.Count(ctx); err != nil || n != 1 || limit == 0 {
		t.Errorf("Count: %d of %d, %v; want 1", n, limit, err)
	}
	if err := k.Delete(ctx, s.Flow.Key, e.Flow.ID); err != nil {
		t.Error(err)
	}
	for _, err := range []error{k.Delete(ctx, s.Flow.Key, 0), func() error { _, err := k.Get(ctx, s.Flow.Key); return err }()} {
		if !errors.Is(err, ctnl.ErrGone) {
			t.Errorf("after Delete: %v, want ErrGone", err)
		}
	}
}
