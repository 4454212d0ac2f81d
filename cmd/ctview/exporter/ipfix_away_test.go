package main

import (
	"net"
	"testing"
)

// TestCollectorAway: over TCP, what ends while no collector listens waits for it, and is sent when it is there.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	r := begin(t, ns, "--listen", defaultListen, "--ipfix", "127.0.0.1:4739", "--ipfix-proto", "tcp")
	f := fillNS(t, ns, 300)
	if err := f.Destroy(t.Context(), 0, 300); err != nil {
		t.Fatal(err)
	}
	until(t, "the collector is told as away", func() bool {
		m := r.must(t)
		return m[`ctview_ipfix_up{netns=""}`] == 0 && m[`ctview_events_total{kind="destroy",netns=""}`] >= 300
	})
	l, err := ns.Listen("tcp", "127.0.0.1:4739")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conns := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			conns <- c
		}
	}()
	until(t, "all is sent", func() bool {
		m := r.must(t)
		return m[`ctview_ipfix_up{netns=""}`] == 1 && m[`ctview_ipfix_records_total{netns=""}`] >= 300
	})
	c := <-conns
	defer c.Close()
	if m := r.must(t); m[`ctview_ipfix_records_lost_total{netns="",reason="queue_full"}`] != 0 {
		t.Errorf("lost %v", m[`ctview_ipfix_records_lost_total{netns="",reason="queue_full"}`])
	}
}
