package ctnl_test

import (
	"fmt"
	"net/netip"
	"testing"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"
)

// What a filter leaves to the kernel must not hide a flow that the filter matches: with and without the kernel's part
// the same flows are found, those whose zone is tied to one direction included.
func TestKernelFilterHidesNothing(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	n := uint16(0)
	create := func(f func(s *ctnl.Spec)) {
		t.Helper()
		n++
		s := spec(key(model.ProtoTCP, fmt.Sprintf("192.0.2.1:%d", 1000+n), "192.0.2.2:80"))
		if n%3 == 0 {
			s = spec(key(model.ProtoUDP, fmt.Sprintf("[2001:db8::1]:%d", 1000+n), "[2001:db8::2]:53"))
		}
		f(s)
		if err := k.Create(ctx, s); err != nil {
			t.Fatalf("%+v: %v", s.Flow.Key, err)
		}
	}
	for _, zone := range []uint16{0, 5, 7} {
		for _, dir := range []model.ZoneDir{model.ZoneBoth, model.ZoneOrig, model.ZoneReply} {
			for _, mark := range []uint32{0, 1, 0x10, 0xffffffff} {
				create(func(s *ctnl.Spec) {
					s.Flow.Mark, s.Has = mark, s.Has|model.HasMark
					s.Flow.Zone = zone
					if zone != 0 {
						s.Flow.ZoneDir = dir
					}
					if mark == 1 {
						s.Flow.Status, s.Has = model.StatusAssured|model.StatusSeenReply|model.StatusConfirmed, s.Has|model.HasStatus
					}
				})
			}
		}
	}
	for i, proto := range []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP, model.ProtoUDPLite, model.ProtoGRE} {
		create(func(s *ctnl.Spec) { *s = *spec(key(proto, fmt.Sprintf("10.0.0.5:%d", 4000+i), "10.9.9.9:443")) })
		create(func(s *ctnl.Spec) { *s = *spec(key(proto, fmt.Sprintf("10.0.0.6:%d", 4000+i), "10.9.9.9:80")) })
	}
	create(func(s *ctnl.Spec) {
		*s = *spec(key(model.ProtoTCP, "[2001:db8::5]:4000", "[2001:db8::9]:443"))
	})
	create(func(s *ctnl.Spec) { // translated: the reply goes elsewhere
		*s = *spec(key(model.ProtoTCP, "10.0.0.7:4000", "10.9.9.9:443"))
		s.SrcNAT = &ctnl.NATRange{Min: netip.MustParseAddr("192.0.2.99"), PortMin: 61000, PortMax: 61000}
	})
	all := dump(t, ns, model.KernelFilter{})
	if len(all) != int(n) {
		t.Fatalf("%d flows, made %d", len(all), n)
	}
	for _, text := range []string{"zone 5", "zone 0", "orig zone 5", "reply zone 5", "orig zone 0", "reply zone 0", "zone != 5",
		"mark 1", "mark 0x10/0xf0", "mark 0/1", "mark {1, 0x10}", "mark > 0x10", "not mark 0", "assured", "not assured", "unreplied",
		"ct state established", "ct state new", "status {assured, dying}", "not nat", "not offload", "ip", "ip6",
		"src 192.0.2.0/24", "dst 2001:db8::/32", "zone 5 and mark 1 and assured and src 192.0.2.1", "state unreplied", "state replied",
		"src 10.0.0.5", "dst 10.9.9.9", "src 10.0.0.5 and dst 10.9.9.9", "tcp and src 10.0.0.5", "dst 10.9.9.9 and dport 443",
		"ip and tcp and dport 443", "ip6 and tcp and dport 443", "ip and udp and sport 4001", "sctp and dst 10.9.9.9 and dport 443", "ip and sctp and dport 443",
		"udplite and dst 10.9.9.9 and dport 443", "ip and udplite", "gre and src 10.0.0.5", "src 2001:db8::5", "not src 10.0.0.5",
		"reply src 10.9.9.9", "reply dst 192.0.2.99", "tcp and reply dst 192.0.2.99 and reply dport 61000", "host 10.0.0.5", "src {10.0.0.5, 10.0.0.6}"} {
		f, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, got := 0, 0
		for i := range all {
			if f.Match(&all[i].Flow, &all[i].Extra, 0) {
				want++
			}
		}
		if want == 0 {
			t.Errorf("%s matches nothing here: no test", text)
		}
		for _, e := range dump(t, ns, f.Kernel()) {
			if f.Match(&e.Flow, &e.Extra, 0) {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d of %d flows come through the kernel filter %+v", text, got, want, f.Kernel())
		}
	}
}

// Where the kernel filters exactly it sends no flow that does not match: one host of a full table costs next to nothing.
func TestKernelFilterNarrows(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	for i := range 20 {
		if err := k.Create(ctx, spec(key(model.ProtoTCP, fmt.Sprintf("10.0.0.%d:4000", i), "10.9.9.9:443"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"src 10.0.0.5", "src 10.0.0.5 and tcp and dport 443", "reply dst 10.0.0.5"} {
		f, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		info, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{Filter: f.Kernel()}, func([]model.Event) error { return nil })
		if err != nil || info.Passed != 1 {
			t.Fatalf("%s: %+v, %v", text, info, err)
		}
		if info.Filtered && info.Rows != 1 { // a kernel before 5.8 filters nothing, and does not say that it did
			t.Errorf("%s: the kernel sent %d rows", text, info.Rows)
		}
	}
}
