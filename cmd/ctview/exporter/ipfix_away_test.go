package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
)

// An awayTest is an exporter that watches one namespace from another, whose collector comes and goes.
type awayTest struct {
	*running
	web   *lab.NS
	fill  *fill.Filler
	k     string // labels of the namespace
	ended int
}

func startAway(t *testing.T, proto string) *awayTest {
	t.Helper()
	ns, web := newNS(t), newNS(t)
	// Small buffers: what does not fit is the exporter's to keep.
	for name, value := range map[string]string{"net/ipv4/tcp_wmem": "4096 16384 65536", "net/ipv4/tcp_rmem": "4096 16384 65536"} {
		if err := web.Sysctl(name, value); err != nil {
			t.Fatal(err)
		}
	}
	r := begin(t, web, "--listen", defaultListen, "--netns", path(ns), "--ipfix", collectorAddr, "--ipfix-proto", proto)
	return &awayTest{running: r, web: web, fill: fillNS(t, ns, 0), k: netns(path(ns))}
}

// end has n more flows begin and end, and waits until the exporter knows.
func (x *awayTest) end(t *testing.T, n int) {
	t.Helper()
	if err := errors.Join(x.fill.Create(t.Context(), x.ended, x.ended+n), x.fill.Destroy(t.Context(), x.ended, x.ended+n)); err != nil {
		t.Fatal(err)
	}
	x.ended += n
	until(t, "the exporter knows what ended", func() bool { return x.metric(t, "ctview_events_total", `kind="destroy",`) == x.ended })
}

func (x *awayTest) metric(t *testing.T, name, label string) int {
	t.Helper()
	return int(x.must(t)[name+"{"+label+x.k+"}"])
}

// lost returns how many records are told as lost.
func (x *awayTest) lost(t *testing.T, reason string) int {
	t.Helper()
	return int(x.must(t)["ctview_ipfix_records_lost_total{"+x.k+`,reason="`+reason+`"}`])
}

func (x *awayTest) up(t *testing.T, want int) {
	t.Helper()
	until(t, "ctview_ipfix_up changes", func() bool { return x.metric(t, "ctview_ipfix_up", "") == want })
}

// A tcpCollector takes one connection.
type tcpCollector struct {
	*collected
	conn *net.TCPConn
}

func acceptTCP(t *testing.T, l net.Listener) *tcpCollector {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &tcpCollector{newCollected(), conn.(*net.TCPConn)}
}

// read takes messages until the connection ends, or n records of flows have come.
func (c *tcpCollector) read(t *testing.T, n int) {
	t.Helper()
	for b := make([]byte, 1<<16); c.count(t, 1) < n; {
		if _, err := io.ReadFull(c.conn, b[:16]); err != nil {
			t.Fatalf("%d records of %d: %v", c.count(t, 1), n, err)
		}
		size := binary.BigEndian.Uint16(b[2:])
		if _, err := io.ReadFull(c.conn, b[16:size]); err != nil {
			t.Fatalf("%d records of %d: %v", c.count(t, 1), n, err)
		}
		c.message(b[:size])
	}
}

func (x *awayTest) listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := x.web.Listen("tcp", collectorAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestCollectorAway: over TCP, what ends while no collector listens waits for it, and is sent when it is there.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	x := startAway(t, "tcp")
	x.end(t, 300)
	x.up(t, 0)
	acceptTCP(t, x.listen(t)).read(t, 300)
	x.up(t, 1)
	if n := x.lost(t, "queue_full") + x.lost(t, "broken"); n != 0 {
		t.Errorf("%d records lost", n)
	}
}

// TestCollectorRefuses: over UDP, a collector that goes while records are sent to it loses those of which its host says so, and they are
// counted: received and refused are all that ended, before and behind. What ends while it is away waits.
func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	x := startAway(t, "udp")
	x.up(t, 0)
	x.end(t, 200)
	first := collectUDP(t, x.web)
	until(t, "what ended before there was a collector is there", func() bool { return first.count(t, 1) == 200 })
	x.up(t, 1)
	first.stop()
	x.end(t, 500)
	until(t, "records are told as refused", func() bool { return x.lost(t, "refused") > 0 && x.metric(t, "ctview_ipfix_up", "") == 0 })
	x.end(t, 500)
	second := newCollected()
	second.later = true
	second.udp(t, x.web)
	until(t, "the rest is there", func() bool { return second.count(t, 1) == 1000-x.lost(t, "refused") })
	x.up(t, 1)
	if n := x.lost(t, "queue_full"); n != 0 {
		t.Errorf("%d records found no room", n)
	}
	t.Logf("%d records refused", x.lost(t, "refused"))
}

// TestCollectorBreaks: what is on its way over TCP when the connection breaks is lost and counted, and nothing else is.
func TestCollectorBreaks(t *testing.T) {
	t.Parallel()
	x := startAway(t, "tcp")
	l := x.listen(t)
	first := acceptTCP(t, l)
	x.end(t, 100)
	first.read(t, 100)
	// From here on nothing reaches the collector's host.
	x.nft(t, "add table inet away; add chain inet away in { type filter hook input priority 0; }; add rule inet away in tcp dport 4739 drop")
	sent := x.metric(t, "ctview_ipfix_records_total", "")
	x.end(t, 50)
	until(t, "they are on their way", func() bool { return x.metric(t, "ctview_ipfix_records_total", "") == sent+50 })
	if err := errors.Join(first.conn.SetLinger(0), first.conn.Close()); err != nil { // a reset
		t.Fatal(err)
	}
	until(t, "they are told as lost", func() bool { return x.lost(t, "broken") == 50 })
	x.nft(t, "delete table inet away")
	x.end(t, 100)
	acceptTCP(t, l).read(t, 100)
	x.up(t, 1)
	if b, q := x.lost(t, "broken"), x.lost(t, "queue_full"); b != 50 || q != 0 {
		t.Errorf("%d lost with the connection, %d found no room; want 50 and none", b, q)
	}
}

func (x *awayTest) nft(t *testing.T, rules string) {
	t.Helper()
	if out, err := x.web.Command("nft", rules).CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// TestCollectorCloses: a collector that ends its connection in good order gets all that was sent to it; the next one the rest.
func TestCollectorCloses(t *testing.T) {
	t.Parallel()
	x := startAway(t, "tcp")
	l := x.listen(t)
	first := acceptTCP(t, l)
	x.end(t, 100)
	first.read(t, 100)
	if err := first.conn.Close(); err != nil {
		t.Fatal(err)
	}
	second := acceptTCP(t, l) // it has noticed before it had anything to send
	x.end(t, 100)
	second.read(t, 100)
	if n := x.lost(t, "broken"); n != 0 {
		t.Errorf("%d records lost", n)
	}
}

// TestCollectorStalls: a collector over TCP that reads no more is told as away and waited for; what finds no room meanwhile is counted,
// memory stays, and when it reads again it gets all the rest.
func TestCollectorStalls(t *testing.T) {
	t.Parallel()
	x := startAway(t, "tcp")
	c := acceptTCP(t, x.listen(t))
	x.end(t, 100)
	c.read(t, 100)
	const many = endsKept + 30_000
	const heap = "go_memstats_heap_inuse_bytes" // the process as a whole is much larger under the race detector
	memory := x.must(t)[heap]
	for range many / 10_000 {
		x.end(t, 10_000)
	}
	x.up(t, 0)
	lost := x.lost(t, "queue_full")
	if least := many - endsKept - 10_000; lost < least {
		t.Errorf("%d found no room, want %d at least", lost, least)
	}
	if grown := x.must(t)[heap] - memory; grown > 100<<20 {
		t.Errorf("it has grown by %.0f MB", grown/1e6)
	} else {
		t.Logf("it has grown by %.0f MB", grown/1e6)
	}
	c.read(t, 100+many-lost)
	x.up(t, 1)
	if b, q := x.lost(t, "broken"), x.lost(t, "queue_full"); b != 0 || q != lost {
		t.Errorf("%d lost with the connection, %d found no room; want none and %d", b, q, lost)
	}
}
