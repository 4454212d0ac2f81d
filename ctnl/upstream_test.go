package ctnl_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// TestUpstream reproduces the faults of docs/upstream.md that ctnl works around. A subtest that fails means that a
// library was mended: take the workaround out.
func TestUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"no-deadline", upstreamNoDeadline},
		{"delete-ignores-id", upstreamDeleteIgnoresID},
		{"helper-without-nul", upstreamHelper},
		{"mark-zero", upstreamMarkZero},
		{"update-family", upstreamUpdateFamily},
		{"seqadj-zero", upstreamSeqAdjZero},
		{"timestamp-pad", upstreamTimestampPad},
		{"unknown-child", upstreamUnknownChild},
		{"type-truncated", upstreamTypeTruncated},
		{"event-time-dropped", upstreamEventTime},
		{"stats-panic", upstreamStatsPanic},
		{"listen-ends", upstreamListenEnds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

// theirConn dials ti-mo/conntrack in ns.
func theirConn(t *testing.T, ns *ctnl.Netns) (c *conntrack.Conn) {
	t.Helper()
	err := ns.Do(func() (err error) {
		c, err = conntrack.Dial(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// theirFlow makes a TCP flow with ti-mo/conntrack and returns it.
func theirFlow(t *testing.T, c *conntrack.Conn) conntrack.Flow {
	t.Helper()
	f := conntrack.NewFlow(6, 0, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 1000, 21, 600, 7)
	f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 3}
	if err := c.Create(f); err != nil {
		t.Fatal(err)
	}
	return f
}

// hangs reports whether fn is still running after d.
func hangs(d time.Duration, fn func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
		return false
	case <-time.After(d):
		return true
	}
}

// upstreamNoDeadline: whoever waits for an answer of a conntrack.Conn can only close it. Get and StatsGlobal wait for ever
// with mdlayher/netlink 1.10 and later, which is why go.mod names 1.9.0.
func upstreamNoDeadline(t *testing.T) {
	_, ns := newNS(t)
	c := theirConn(t, ns)
	if _, ok := any(c).(interface{ SetDeadline(time.Time) error }); ok {
		t.Error("conntrack.Conn has deadlines")
	}
	f := theirFlow(t, c)
	if hangs(30*time.Second, func() { _, _ = c.Get(f); _, _ = c.StatsGlobal() }) {
		t.Error("Conn.Get or Conn.StatsGlobal waits for an end that does not come: mdlayher/netlink is not 1.9")
	}
}

// upstreamUpdateFamily changes an IPv6 flow that is named by its original tuple.
func upstreamUpdateFamily(t *testing.T) {
	_, ns, k := newKernel(t)
	s := spec(key(model.ProtoUDP, "[2001:db8::1]:1", "[2001:db8::2]:2"))
	if err := k.Create(testContext(t), s); err != nil {
		t.Fatal(err)
	}
	f := conntrack.NewFlow(17, 0, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 1, 2, 60, 5)
	f.TupleReply = conntrack.Tuple{}
	if err := theirConn(t, ns).Update(f); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Conn.Update: %v, want EINVAL", err)
	}
}

func upstreamDeleteIgnoresID(t *testing.T) {
	_, ns := newNS(t)
	c := theirConn(t, ns)
	f := theirFlow(t, c)
	f.ID = 12345 // of no flow
	if err := c.Delete(f); err != nil {
		t.Errorf("Conn.Delete heeds the ID: %v", err)
	}
}

func upstreamHelper(t *testing.T) {
	_, ns := newNS(t)
	c := theirConn(t, ns)
	f := theirFlow(t, c)
	f.Helper.Name = "ftp"
	f.TupleOrig.Proto.SourcePort, f.TupleReply.Proto.DestinationPort = 1001, 1001
	if err := c.Create(f); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Conn.Create with a helper: %v", err)
	}
}

func upstreamMarkZero(t *testing.T) {
	_, ns := newNS(t)
	c := theirConn(t, ns)
	f := theirFlow(t, c)
	f.Mark = 0
	if err := c.Update(f); err != nil {
		t.Fatal(err)
	}
	if rows := dump(t, ns, model.KernelFilter{}); rows[0].Flow.Mark != 7 {
		t.Errorf("the mark is %d", rows[0].Flow.Mark)
	}
}

func upstreamSeqAdjZero(t *testing.T) {
	_, ns := newNS(t)
	c := theirConn(t, ns)
	f := theirFlow(t, c)
	f.SeqAdjOrig = conntrack.SequenceAdjust{Position: 1, OffsetAfter: 5} // OffsetBefore is 0 at a first adjustment
	f.TupleOrig.Proto.SourcePort, f.TupleReply.Proto.DestinationPort = 1001, 1001
	if err := c.Create(f); err != nil {
		t.Fatal(err)
	}
	for _, e := range dump(t, ns, model.KernelFilter{}) {
		if e.SeqAdj[0].OffsetAfter == 5 {
			t.Error("the adjustment was sent")
		}
	}
	s := spec(key(model.ProtoTCP, "192.0.2.1:1002", "192.0.2.2:21"))
	s.SeqAdj[0], s.Has = model.SeqAdj{CorrectionPos: 1, OffsetAfter: 5}, s.Has|model.HasSeqAdjOrig
	k := ctnl.NewKernel(ns)
	defer k.Close()
	if err := k.Create(testContext(t), s); err != nil {
		t.Fatal(err)
	}
	if e, err := k.Get(testContext(t), s.Flow.Key); err != nil || e.SeqAdj[0].OffsetAfter != 5 {
		t.Errorf("ours was not: %+v, %v", e.SeqAdj, err)
	}
}

// unmarshal decodes attributes as a NEW event with ti-mo/conntrack.
func unmarshal(attrs ...[]byte) (conntrack.Event, error) {
	m := message{typ: 0x100, flags: uint16(netlink.Create | netlink.Excl), payload: []byte{2, 0, 0, 0}}
	for _, x := range attrs {
		m.payload = append(m.payload, x...)
	}
	var e conntrack.Event
	err := theirs(&e, m)
	return e, err
}

// nested sets NLA_F_NESTED on the attribute at the start of b.
func nested(b []byte) []byte {
	b[3] |= 0x80
	return b
}

func theirTupleBytes() []byte {
	return nested(a(1, nested(a(1, a(1, []byte{192, 0, 2, 1}), a(2, []byte{192, 0, 2, 2}))),
		nested(a(2, a(1, []byte{6}), a(2, b16(1)), a(3, b16(2))))))
}

func upstreamTimestampPad(t *testing.T) {
	_, err := unmarshal(theirTupleBytes(), nested(a(20, a(3), a(1, b64(1)))))
	if err == nil || !strings.Contains(err.Error(), "unknown attribute") {
		t.Errorf("CTA_TIMESTAMP_PAD: %v", err)
	}
}

func upstreamUnknownChild(t *testing.T) {
	_, err := unmarshal(theirTupleBytes(), nested(a(4, nested(a(1, a(1, []byte{3}), a(6, b32(1)))))))
	if err == nil || !strings.Contains(err.Error(), "unknown attribute") {
		t.Errorf("an attribute that a newer kernel could add to CTA_PROTOINFO_TCP: %v", err)
	}
}

func upstreamTypeTruncated(t *testing.T) {
	e, err := unmarshal(theirTupleBytes(), a(256+8, b32(99)))
	if err != nil || e.Flow.Mark != 99 {
		t.Errorf("attribute 264 is not taken for CTA_MARK (8): %v", err)
	}
}

func upstreamEventTime(t *testing.T) {
	e, err := unmarshal(theirTupleBytes(), a(27, b64(99)))
	if err != nil || !e.Flow.Timestamp.Start.IsZero() || !e.Flow.Timestamp.Stop.IsZero() {
		t.Errorf("CTA_TIMESTAMP_EVENT is read: %+v, %v", e.Flow, err)
	}
}

func upstreamStatsPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Attribute.Uint32 of 8 bytes does not panic")
		}
	}()
	netfilter.Attribute{Data: make([]byte, 8)}.Uint32() // what Stats does with each attribute
}

func upstreamListenEnds(t *testing.T) {
	_, ns, k := newKernel(t)
	c := theirConn(t, ns)
	if err := c.SetReadBuffer(8 << 10); err != nil {
		t.Fatal(err)
	}
	events := make(chan conntrack.Event)
	errc, err := c.Listen(events, 1, netfilter.GroupsCT)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, k, 500) // nobody reads events yet
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for ended := false; !ended; {
		select {
		case <-events:
		case err := <-errc:
			if ended = true; !errors.Is(err, unix.ENOBUFS) {
				t.Errorf("worker ended with %v", err)
			}
		case <-ctx.Done():
			t.Fatal("Listen survives a full buffer")
		}
	}
	if err := k.Create(ctx, spec(nth(1000))); err != nil {
		t.Fatal(err)
	}
	if !hangs(500*time.Millisecond, func() { <-events }) {
		t.Error("Listen goes on after a full buffer")
	}
}
