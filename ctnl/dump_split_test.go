package ctnl_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"ctview/ctnl"
	"ctview/model"
)

// snat has the source of s translated, dnat the destination, each client's to an address of its own.
func snat(s *ctnl.Spec) {
	client := s.Flow.Src[15]
	to := ctnl.NATRange{Min: netip.AddrFrom4([4]byte{192, 0, 2, client})}
	if s.Flow.Family == model.IPv6 {
		to.Min = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: client})
	}
	s.SrcNAT = &to
}

func dnat(s *ctnl.Spec) { snat(s); s.SrcNAT, s.DstNAT = nil, s.SrcNAT }

// everyKind makes n flows of every kind: protocol, family, translation, zone, announced by another. It returns how many.
func everyKind(t *testing.T, k *ctnl.Kernel, n int) (made int) {
	t.Helper()
	ctx := testContext(t)
	changes := []func(s *ctnl.Spec){func(*ctnl.Spec) {}, snat, dnat, func(s *ctnl.Spec) { snat(s); to := s.SrcNAT; dnat(s); s.SrcNAT = to },
		func(s *ctnl.Spec) { s.Flow.Zone = 5 }, func(s *ctnl.Spec) { s.Flow.Zone, s.Flow.ZoneDir = 7, model.ZoneOrig; snat(s) },
		func(s *ctnl.Spec) {
			s.Flow.Status, s.Has = model.StatusConfirmed|model.StatusSeenReply|model.StatusAssured, s.Has|model.HasStatus
		}}
	for _, proto := range []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP, model.ProtoUDPLite, model.ProtoGRE, 0} {
		for change, fn := range changes {
			for i := range n {
				for family, ends := range [][2]string{{"10.0.0.%d:%d", "10.9.9.9:443"}, {"[2001:db8:1::%x]:%d", "[2001:db8:9::9]:443"}} {
					s := spec(key(proto, fmt.Sprintf(ends[0], change+1, 1000+i), ends[1]))
					if proto == 0 {
						s.Flow.Proto = [...]model.Proto{model.ProtoICMP, model.ProtoICMPv6}[family]
						s.Flow.Dport = [...]uint16{8 << 8, 128 << 8}[family]
					}
					s.Flow.Mark, s.Has = uint32(i%3), s.Has|model.HasMark
					fn(s)
					if err := k.Create(ctx, s); err != nil {
						t.Fatalf("%+v: %v", s.Flow.Key, err)
					}
					made++
				}
			}
		}
	}
	return made
}

// TestTwoReaders: two readers side by side find what one finds, each flow once, by whatever halves, while others come and go.
func TestTwoReaders(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	made := everyKind(t, k, 3)
	stop, churned := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				churned <- nil
				return
			default:
			}
			s := spec(key(model.ProtoTCP, fmt.Sprintf("10.0.0.99:%d", 1000+i%1000), "10.9.9.9:80"))
			s.Flow.Mark, s.Has = 9, s.Has|model.HasMark
			if i%2 == 0 {
				snat(s)
			}
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
	families := [2]model.KernelFilter{{Family: model.IPv4}, {Family: model.IPv6}}
	by := func(s model.Status) [2]model.KernelFilter {
		return [2]model.KernelFilter{model.KernelFilter{}.WithStatus(s, s), model.KernelFilter{}.WithStatus(0, s)}
	}
	for _, tt := range []struct {
		filter model.KernelFilter
		halves [][2]model.KernelFilter
	}{
		{model.KernelFilter{}, [][2]model.KernelFilter{families, by(model.StatusSrcNAT), by(model.StatusDstNAT)}},
		{model.KernelFilter{}.WithMark(1, 0xff), [][2]model.KernelFilter{families}},
		{model.KernelFilter{Family: model.IPv6, Zone: 5, HasZone: true}, [][2]model.KernelFilter{by(model.StatusSrcNAT)}},
	} {
		f := tt.filter
		for i, halves := range tt.halves {
			parts := []model.KernelFilter{f.And(halves[0]), f.And(halves[1])}
			found := map[string]map[model.Key]int{}
			into := func(who string) func([]model.Event) error {
				found[who] = map[model.Key]int{}
				return func(batch []model.Event) error {
					for i := range batch {
						if batch[i].Flow.Mark != 9 {
							found[who][batch[i].Flow.Key]++
						}
					}
					return nil
				}
			}
			for again := true; again; {
				_, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{Filter: f, OneReader: true}, into("one"))
				if err == nil {
					err = ctnl.DumpParts(ctx, ns, parts, parts, into("two"))
				}
				if err == nil { // as on a kernel that knows none of it
					err = ctnl.DumpParts(ctx, ns, make([]model.KernelFilter, 2), parts, into("two, unfiltered"))
				}
				if again = errors.Is(err, ctnl.ErrIncomplete); again {
					t.Log("again: the host's hash table was resized meanwhile")
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if n := len(found["one"]); n == 0 || f.IsZero() && n != made {
				t.Errorf("%+v: one reader finds %d flows of %d", f, len(found["one"]), made)
			}
			for _, who := range []string{"two", "two, unfiltered"} {
				if len(found[who]) != len(found["one"]) {
					t.Errorf("%+v, halves %d: one reader finds %d flows, %s %d", f, i, len(found["one"]), who, len(found[who]))
				}
				for key, n := range found[who] {
					if n != 1 || found["one"][key] == 0 {
						t.Errorf("%+v, halves %d, %s: %v comes %d times, of one reader %d", f, i, who, key, n, found["one"][key])
					}
				}
			}
		}
	}
	close(stop)
	if err := <-churned; err != nil {
		t.Error(err)
	}
}

// TestShares: a table is halved by what halves it, and not at all where nothing does or somebody else runs.
func TestShares(t *testing.T) {
	none := func(*ctnl.Spec) {}
	const v4, v6 = "10.0.0.%d:4000", "[2001:db8:1::%x]:4000"
	type kind struct {
		src    string
		change func(*ctnl.Spec)
	}
	families := []model.KernelFilter{{Family: model.IPv4}, {Family: model.IPv6}}
	by := func(k model.KernelFilter, s model.Status) []model.KernelFilter {
		return []model.KernelFilter{k.WithStatus(s, s), k.WithStatus(0, s)}
	}
	for _, tt := range []struct {
		name  string
		kinds []kind // a fifth of the flows each
		ask   ctnl.DumpOptions
		busy  bool
		want  []model.KernelFilter // nil: one reader
	}{
		{"dual-stack", []kind{{v4, none}, {v4, none}, {v4, none}, {v6, none}, {v6, none}}, ctnl.DumpOptions{}, false, families},
		{"dual-stack with NAT", []kind{{v4, snat}, {v4, snat}, {v4, none}, {v6, none}, {v6, none}}, ctnl.DumpOptions{}, false, families},
		{"masquerading", []kind{{v4, snat}, {v4, snat}, {v4, snat}, {v4, none}, {v4, none}}, ctnl.DumpOptions{}, false,
			by(model.KernelFilter{}, model.StatusSrcNAT)},
		{"load balancer", []kind{{v4, dnat}, {v4, dnat}, {v4, dnat}, {v4, none}, {v4, none}}, ctnl.DumpOptions{}, false,
			by(model.KernelFilter{}, model.StatusDstNAT)},
		{"one family of two", []kind{{v4, snat}, {v4, snat}, {v4, none}, {v4, none}, {v6, none}}, ctnl.DumpOptions{Filter: families[0]}, false,
			by(families[0], model.StatusSrcNAT)},
		{"one kind", []kind{{v4, none}, {v4, none}, {v4, none}, {v4, none}, {v4, none}}, ctnl.DumpOptions{}, false, nil},
		{"a status is asked for", []kind{{v4, snat}, {v4, snat}, {v4, none}, {v4, none}, {v4, none}},
			ctnl.DumpOptions{Filter: model.KernelFilter{}.WithStatus(model.StatusSrcNAT, model.StatusSrcNAT)}, false, nil},
		{"in the kernel's order", []kind{{v4, none}, {v4, none}, {v4, none}, {v6, none}, {v6, none}}, ctnl.DumpOptions{OneReader: true}, false, nil},
		{"beside others", []kind{{v4, none}, {v4, none}, {v4, none}, {v6, none}, {v6, none}}, ctnl.DumpOptions{}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, ns, k := newKernel(t)
			ctx := testContext(t)
			for i := range 100 {
				kind := tt.kinds[i%len(tt.kinds)]
				dst := "10.9.9.9:443"
				if kind.src == v6 {
					dst = "[2001:db8:9::9]:443"
				}
				s := spec(key(model.ProtoTCP, fmt.Sprintf(kind.src, i+1), dst))
				kind.change(s)
				if err := k.Create(ctx, s); err != nil {
					t.Fatal(err)
				}
			}
			defer ctnl.SplitDumps(!tt.busy)()
			want := tt.want
			if want == nil || runtime.GOMAXPROCS(0) < 2 {
				want = []model.KernelFilter{tt.ask.Filter}
			}
			if got := ctnl.Shares(ctx, ns, &tt.ask); !slices.Equal(got, want) {
				t.Errorf("read as %+v, want %+v", got, want)
			}
		})
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
