package ctnl_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
)

// TestControlEnds: the deadline closes the library's connection, and the next question has one of its own.
func TestControlEnds(t *testing.T) {
	_, _, k := newKernel(t)
	ctx, cancel := context.WithTimeout(testContext(t), 200*time.Millisecond)
	defer cancel()
	err := k.Control(ctx, func(c *conntrack.Conn) error {
		for {
			if _, err := c.StatsGlobal(); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, ctnl.ErrTimeout) {
		t.Errorf("after the deadline: %v, want ErrTimeout", err)
	}
	fill(t, k, 3)
	if n, _, err := k.Count(testContext(t)); n != 3 || err != nil {
		t.Errorf("Count after it: %d, %v; want 3", n, err)
	}
	ctx, cancel = context.WithCancel(testContext(t))
	cancel()
	if _, _, err := k.Count(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Count with an ended context: %v", err)
	}
}

// TestControlPanics: a value of another size ends the question, not the program.
func TestControlPanics(t *testing.T) {
	_, _, k := newKernel(t)
	for name, fn := range map[string]func(){
		"eight bytes":      func() { netfilter.Attribute{Data: make([]byte, 8)}.Uint32() },
		"no message":       func() { msgs := make([]conntrack.Flow, 0, len(t.Name())); _ = msgs[0] },
		"nil dereferenced": func() { _ = (*conntrack.Flow)(nil).ID },
	} {
		err := k.Control(testContext(t), func(*conntrack.Conn) error { fn(); return nil })
		if !errors.Is(err, ctnl.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, _, err := k.Count(testContext(t)); err != nil {
		t.Error(err)
	}
}

// TestSayable makes and changes flows by the library and by our own requests: the kernel must have the same of both. What
// the library cannot say must not be left to it.
func TestSayable(t *testing.T) {
	tcp := key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:80")
	with := func(k model.Key, fn func(s *ctnl.Spec)) *ctnl.Spec {
		s := spec(k)
		s.Has &^= model.HasProtoinfo
		fn(s)
		return s
	}
	zone := func(dir model.ZoneDir) model.Key { k := tcp; k.Zone, k.ZoneDir = 7, dir; return k }
	icmp := key(model.ProtoICMP, "192.0.2.1:77", "192.0.2.2:2048")
	icmp6 := key(model.ProtoICMPv6, "[2001:db8::1]:77", "[2001:db8::2]:32768")
	info := func(s *ctnl.Spec) {
		s.Flow.State, s.Has = model.TCPEstablished, s.Has|model.HasProtoinfo|model.HasTCPInfo
		s.TCP = model.TCPInfo{WScale: [2]uint8{3, 7}, Flags: [2]uint8{2, 3}, Masks: [2]uint8{0xff, 0xff}}
	}
	for _, tt := range []struct {
		name    string
		spec    *ctnl.Spec
		library bool
	}{
		{"tuple and timeout", with(tcp, func(*ctnl.Spec) {}), true},
		{"IPv6", with(key(model.ProtoUDP, "[2001:db8::1]:1", "[2001:db8::2]:2"), func(*ctnl.Spec) {}), true},
		{"ICMP", with(icmp, func(*ctnl.Spec) {}), true},
		{"ICMPv6", with(icmp6, func(*ctnl.Spec) {}), true},
		{"mark", with(tcp, func(s *ctnl.Spec) { s.Flow.Mark, s.Has = 9, s.Has|model.HasMark }), true},
		{"status", with(tcp, func(s *ctnl.Spec) {
			s.Flow.Status, s.Has = model.StatusSeenReply|model.StatusAssured, s.Has|model.HasStatus
		}), true},
		{"TCP state with window scales", with(tcp, info), true},
		{"zone", with(zone(model.ZoneBoth), func(*ctnl.Spec) {}), true},
		{"zone of the original direction", with(zone(model.ZoneOrig), func(*ctnl.Spec) {}), true},
		{"zone of the reply direction", with(zone(model.ZoneReply), func(*ctnl.Spec) {}), true},
		{"SCTP", with(key(model.ProtoSCTP, "192.0.2.1:1", "192.0.2.2:2"), func(s *ctnl.Spec) {
			s.Flow.State, s.Has = model.State(4), s.Has|model.HasProtoinfo|model.HasSCTPInfo
			s.SCTP.VTag = [2]uint32{1, 2}
		}), true},
		{"mark 0", with(tcp, func(s *ctnl.Spec) { s.Has |= model.HasMark }), false},
		{"mark with a mask", with(tcp, func(s *ctnl.Spec) {
			s.Flow.Mark, s.Has, s.MarkMask, s.HasMarkMask = 9, s.Has|model.HasMark, 1, true
		}), false},
		{"TCP state alone", spec(tcp), false},
		{"labels with a mask", with(tcp, func(s *ctnl.Spec) {
			s.Extra.Labels[0], s.Has, s.LabelsMask[0], s.HasLabelsMask = 3, s.Has|model.HasLabels, 1, true
		}), true},
		{"sequence adjustment", with(tcp, func(s *ctnl.Spec) {
			s.SeqAdj[0], s.Has = model.SeqAdj{CorrectionPos: 1, OffsetAfter: 5}, s.Has|model.HasSeqAdjOrig
		}), false},
		{"helper", with(tcp, func(s *ctnl.Spec) { s.HelperName, s.Has = "ftp", s.Has|model.HasHelper }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ctnl.Sayable(tt.spec); got != tt.library {
				t.Errorf("left to the library: %v, want %v", got, tt.library)
			}
			_, nsA, a := newKernel(t)
			_, nsB, b := newKernel(t)
			for _, step := range []string{"created", "updated"} {
				if step == "created" {
					err := a.Create(testContext(t), tt.spec)
					failed, errB := b.CreateMany(testContext(t), 1, func(_ int, s *ctnl.Spec) { *s = *tt.spec })
					both(t, step, err, errB, failed)
				} else {
					tt.spec.Timeout = 300
					err := a.Update(testContext(t), tt.spec)
					failed, errB := b.UpdateMany(testContext(t), 1, func(_ int, s *ctnl.Spec) { *s = *tt.spec })
					both(t, step, err, errB, failed)
				}
				rowsA, rowsB := dump(t, nsA, model.KernelFilter{}), dump(t, nsB, model.KernelFilter{})
				ignore := cmpopts.IgnoreFields(model.Flow{}, "ID", "Expires", "First", "CountersAt")
				ignoreEvent := cmpopts.IgnoreFields(model.Event{}, "Timeout", "PortID", "Start")
				if diff := cmp.Diff(rowsB, rowsA, ignore, ignoreEvent, cmp.AllowUnexported(model.Flow{})); diff != "" {
					t.Errorf("%s (-own request +library):\n%s", step, diff)
				}
			}
		})
	}
}

// both fails unless the two ways met the same, one error or none.
func both(t *testing.T, step string, err, errB error, failed []ctnl.Failure) {
	t.Helper()
	if errB != nil {
		t.Fatal(errB)
	}
	if len(failed) > 0 {
		errB = failed[0].Err
	}
	if (err == nil) != (errB == nil) {
		t.Fatalf("%s: by the library %v, by our own request %v", step, err, errB)
	}
}

// TestFlushFamily deletes one family's flows and leaves the other's.
func TestFlushFamily(t *testing.T) {
	for _, tt := range []struct {
		family model.Family
		left   int
	}{{model.IPv4, 1}, {model.IPv6, 1}, {0, 0}} {
		_, ns, k := newKernel(t)
		for _, key := range []model.Key{key(model.ProtoUDP, "192.0.2.1:1", "192.0.2.2:2"), key(model.ProtoUDP, "[2001:db8::1]:1", "[2001:db8::2]:2")} {
			if err := k.Create(testContext(t), spec(key)); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.Flush(testContext(t), tt.family); err != nil {
			t.Fatal(err)
		}
		rows := dump(t, ns, model.KernelFilter{})
		if len(rows) != tt.left || len(rows) == 1 && rows[0].Flow.Family == tt.family {
			t.Errorf("flush of family %d left %d rows", tt.family, len(rows))
		}
	}
}

// TestExpectStats has one element a CPU, each with the three counters.
func TestExpectStats(t *testing.T) {
	_, _, k := newKernel(t)
	all, err := k.ExpectStats(testContext(t))
	if err != nil || len(all) == 0 {
		t.Fatalf("ExpectStats: %v, %v", all, err)
	}
	for i, s := range all {
		if s.CPU != i || s.Has != 0b1110 {
			t.Errorf("CPU %d: %+v", i, s)
		}
	}
}
