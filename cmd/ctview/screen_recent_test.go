package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
)

// exchange has a packet go over UDP, and a whole connection over TCP, n times inside a namespace.
func exchange(t *testing.T, ns *lab.NS, n int) {
	t.Helper()
	udp := must(ns.ListenPacket("udp4", "127.0.0.1:0"))(t)
	defer udp.Close()
	tcp := must(ns.Listen("tcp4", "127.0.0.1:0"))(t)
	defer tcp.Close()
	for range n {
		say(t, must(ns.Dial(context.Background(), "udp4", "", udp.LocalAddr().String()))(t))
		c := must(ns.Dial(context.Background(), "tcp4", "", tcp.Addr().String()))(t)
		s := must(tcp.Accept())(t)
		say(t, c)
		if got := must(io.ReadAll(s))(t); len(got) != 1 {
			t.Fatalf("%d bytes came", len(got))
		}
		s.Close()
	}
}

// say sends a byte and closes.
func say(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestScreenRecent holds what the screen says began and ended since a mark to what conntrack -E printed of the same kernel meanwhile: real
// packets begin the flows, conntrack -D ends them.
func TestScreenRecent(t *testing.T) {
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	if err := ns.Sysctl("net/netfilter/nf_conntrack_timestamp", "0"); err != nil { // as where nobody set it
		t.Fatal(err)
	}
	exchange(t, ns, 4) // before the mark

	tm := newTerminal(t, ctview(t, "--netns", ns.Path()), 120, 35)
	tm.shows("1-8 of 8")
	tm.send("7")
	tm.until("nothing to have begun", func(s string) bool {
		return strings.Contains(s, "since the table was read (") && strings.Contains(s, "): 0 begun, 0 ended")
	}) // what it found there has not just begun
	var heard bytes.Buffer
	peer := ns.Command("conntrack", "-E", "-e", "NEW,DESTROY", "-b", "8388608")
	peer.Stdout = &heard
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	twoListen(t, ns)
	tm.send("m")
	tm.shows("since the mark (0s): 0 begun, 0 ended")
	exchange(t, ns, 20)
	tm.shows(": 40 begun")
	for _, p := range []string{"tcp", "udp"} { // 24 of each
		if out, err := ns.Command("conntrack", "-D", "-p", p).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s := tm.until("48 to have ended", func(s string) bool { return strings.Contains(s, ": 40 begun, 48 ended") })
	_ = peer.Process.Signal(syscall.SIGINT)
	_ = peer.Wait()
	began, ended := strings.Count(heard.String(), "[NEW]"), strings.Count(heard.String(), "[DESTROY]")
	if want := fmt.Sprintf(": %d begun, %d ended", began, ended); !strings.Contains(s, want) {
		t.Errorf("conntrack -E tells of%s; the screen:\n%s", want, s)
	}
	if n := strings.Count(s, " both "); n == 0 {
		t.Errorf("no flow began and ended:\n%s", s)
	}
	for _, f := range []struct{ filter, want string }{
		{"udp ended 1h", ": 20 begun, 24 ended"}, {"tcp ended", ": 20 begun, 24 ended"}, {"not ended", ": 0 begun, 0 ended"},
		{"lived < 1h", ": 40 begun, 40 ended"}, // of those from before the first reading it is not known when they began
		{"dport 1-65535", ": 40 begun, 48 ended"},
	} {
		tm.send("/\x15" + f.filter + "\r")
		tm.shows("/ " + f.filter)
		tm.shows(f.want)
	}
	tm.send("b")
	tm.shows("127.0.0.1")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("the screen ended with %d", code)
	}
}

// twoListen waits until two sockets of a namespace listen to conntrack events.
func twoListen(t *testing.T, ns *lab.NS) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if listeners(t, ns) >= 2 {
			return
		}
	}
	t.Fatal("not two listen")
}
