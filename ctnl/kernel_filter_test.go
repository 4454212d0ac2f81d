package ctnl_test

import (
	"fmt"
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
	all := dump(t, ns, model.KernelFilter{})
	if len(all) != int(n) {
		t.Fatalf("%d flows, made %d", len(all), n)
	}
	for _, text := range []string{"zone 5", "zone 0", "orig zone 5", "reply zone 5", "orig zone 0", "reply zone 0", "zone != 5",
		"mark 1", "mark 0x10/0xf0", "mark 0/1", "mark {1, 0x10}", "mark > 0x10", "not mark 0", "assured", "not assured", "unreplied",
		"ct state established", "ct state new", "status {assured, dying}", "not nat", "not offload", "ip", "ip6",
		"src 192.0.2.0/24", "dst 2001:db8::/32", "zone 5 and mark 1 and assured and src 192.0.2.1", "state unreplied", "state replied"} {
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
