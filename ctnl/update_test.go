package ctnl_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"ctview/ctnl"
	"ctview/model"
)

// TestUpdate changes one thing at a time and asks the kernel what the flow is then.
func TestUpdate(t *testing.T) {
	l, _, k := newKernel(t)
	// The kernel keeps labels only where a rule uses them.
	nft := l.Command("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c ct label set 1")
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	ctx := testContext(t)
	tcp, sctp := key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:21"), key(model.ProtoSCTP, "192.0.2.1:1000", "192.0.2.2:9")
	for _, key := range []model.Key{tcp, sctp} {
		s := spec(key)
		s.Has |= model.HasProtoinfo
		s.Flow.State = 3
		s.Flow.Mark, s.Has = 0xff, s.Has|model.HasMark
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		key  model.Key
		set  func(s *ctnl.Spec)
		ok   func(e *model.Event) bool
	}{
		{"timeout", tcp, func(s *ctnl.Spec) { s.Timeout, s.Has = 77, model.HasTimeout },
			func(e *model.Event) bool { return e.Timeout >= 70 && e.Timeout <= 77 }},
		{"mark under a mask", tcp, func(s *ctnl.Spec) {
			s.Flow.Mark, s.MarkMask, s.HasMarkMask, s.Has = 0, 0x0f, true, model.HasMark
		}, func(e *model.Event) bool { return e.Flow.Mark == 0xf0 }},
		{"TCP state and window scales", tcp, func(s *ctnl.Spec) {
			s.Flow.State, s.Has = model.TCPTimeWait, model.HasProtoinfo|model.HasTCPInfo
			// IP_CT_TCP_FLAG_WINDOW_SCALE: without it the kernel ignores the scales (nlattr_to_tcp).
			s.TCP = model.TCPInfo{WScale: [2]uint8{3, 4}, Flags: [2]uint8{1, 1}, Masks: [2]uint8{1, 1}}
		}, func(e *model.Event) bool { return e.Flow.State == model.TCPTimeWait && e.TCP.WScale == [2]uint8{3, 4} }},
		{"SCTP state", sctp, func(s *ctnl.Spec) {
			s.Flow.State, s.SCTP.VTag, s.Has = 4, [2]uint32{1, 2}, model.HasProtoinfo|model.HasSCTPInfo
		}, func(e *model.Event) bool { return e.Flow.State == 4 && e.SCTP.VTag == [2]uint32{1, 2} }},
		{"status", tcp, func(s *ctnl.Spec) { s.Flow.Status, s.Has = model.StatusSeenReply, model.HasStatus },
			func(e *model.Event) bool { return e.Flow.Status == model.StatusSeenReply|model.StatusConfirmed }},
		{"labels", tcp, func(s *ctnl.Spec) { s.Extra.Labels, s.Has = model.Labels{0: 3}, model.HasLabels },
			func(e *model.Event) bool { return e.Extra.Labels == model.Labels{0: 3} }},
		{"labels under a mask", tcp, func(s *ctnl.Spec) {
			s.Extra.Labels, s.LabelsMask, s.HasLabelsMask, s.Has = model.Labels{0: 4}, model.Labels{0: 5}, true, model.HasLabels
		}, func(e *model.Event) bool { return e.Extra.Labels == model.Labels{0: 6} }},
	} {
		s := &ctnl.Spec{}
		s.Flow.Key = tt.key
		tt.set(s)
		if err := k.Update(ctx, s); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if e, err := k.Get(ctx, tt.key); err != nil || !tt.ok(&e) {
			t.Errorf("%s: %s, %v", tt.name, describe(&e), err)
		}
	}
	s := &ctnl.Spec{}
	s.Flow.Key, s.Has = tcp, model.HasStatus
	if err := k.Update(ctx, s); !errors.Is(err, ctnl.ErrBusy) {
		t.Errorf("SEEN_REPLY taken back: %v, want ErrBusy", err)
	}
	s.Flow.Key, s.Has = key(model.ProtoTCP, "192.0.2.1:1", "192.0.2.2:1"), model.HasMark
	if err := k.Update(ctx, s); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("a flow that is not there: %v, want ErrGone", err)
	}
}

// TestUpdateMany also says which were refused.
func TestUpdateMany(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 1000)
	failed, err := k.UpdateMany(testContext(t), 1001, func(i int, s *ctnl.Spec) {
		*s = ctnl.Spec{}
		s.Flow.Key, s.Flow.Mark, s.Has = nth(i), uint32(i), model.HasMark
	})
	if err != nil || len(failed) != 1 || failed[0].Index != 1000 || !errors.Is(failed[0].Err, ctnl.ErrGone) {
		t.Errorf("%v, %v", failed, err)
	}
	sum := uint32(0)
	for _, e := range dump(t, ns, model.KernelFilter{}) {
		sum += e.Flow.Mark
	}
	if sum != 999*1000/2 {
		t.Errorf("sum of marks %d", sum)
	}
}

// TestCreateNAT makes flows that the kernel translates.
func TestCreateNAT(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	for i, tt := range []struct {
		src, dst   string
		srcN, dstN *ctnl.NATRange
		want       string
	}{
		{"192.0.2.1", "192.0.2.2", &ctnl.NATRange{Min: netip.MustParseAddr("198.51.100.1"), PortMin: 4000, PortMax: 4000}, nil,
			"tcp 192.0.2.2:80>198.51.100.1:4000"},
		{"192.0.2.1", "192.0.2.3", nil, &ctnl.NATRange{Min: netip.MustParseAddr("10.0.0.9"), PortMin: 8080}, "tcp 10.0.0.9:8080>192.0.2.1:1001"},
		{"[2001:db8::1]", "[2001:db8::2]", &ctnl.NATRange{Min: netip.MustParseAddr("2001:db8:1::1"), Max: netip.MustParseAddr("2001:db8:1::1")},
			nil, "tcp [2001:db8::2]:80>[2001:db8:1::1]:1002"},
	} {
		s := spec(key(model.ProtoTCP, fmt.Sprintf("%s:%d", tt.src, 1000+i), tt.dst+":80"))
		s.SrcNAT, s.DstNAT = tt.srcN, tt.dstN
		if err := k.Create(ctx, s); err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		e, err := k.Get(ctx, s.Flow.Key)
		if got := endpoints(e.Flow.Reply()); err != nil || got != tt.want || e.Flow.Status&model.StatusNATMask == 0 {
			t.Errorf("%d: reply %s, status %v, %v; want %s", i, got, e.Flow.Status, err, tt.want)
		}
	}
}

// TestHelper gives a flow a helper, and a master another flow.
func TestHelperAndMaster(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	control := spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:21"))
	control.HelperName, control.Has = "ftp", control.Has|model.HasHelper
	if err := k.Create(ctx, control); err != nil {
		t.Fatal(err)
	}
	data := spec(key(model.ProtoTCP, "192.0.2.1:1001", "192.0.2.2:2020"))
	data.Extra.Master, data.Has = control.Flow.OrigTuple(), data.Has|model.HasMaster
	if err := k.Create(ctx, data); err != nil {
		t.Fatal(err)
	}
	e, err := k.Get(ctx, data.Flow.Key)
	if err != nil || e.Extra.Master != control.Flow.OrigTuple() || e.Flow.CtState() != model.CtRelated {
		t.Errorf("%s, %v", describe(&e), err)
	}
	if e, err := k.Get(ctx, control.Flow.Key); err != nil || e.Flow.Helper.String() != "ftp" {
		t.Errorf("%s, %v", describe(&e), err)
	}
	bad := spec(key(model.ProtoTCP, "192.0.2.1:1002", "192.0.2.2:21"))
	bad.HelperName, bad.Has = "no-such", bad.Has|model.HasHelper
	if err := k.Create(ctx, bad); err == nil {
		t.Error("a helper that does not exist was taken")
	}
}
