package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/tui"
)

// TestSwitchNamespace watches one namespace and then another: the new one's flows are there, the old one's watch is
// gone, and a wrong name changes nothing.
func TestSwitchNamespace(t *testing.T) {
	one, two := newNS(t), newNS(t)
	for i, ns := range []*lab.NS{one, two} {
		if err := ns.EnableTracking(); err != nil {
			t.Fatal(err)
		}
		port := []string{"1001", "1002"}[i]
		if err := ns.Do(func() error { return sendUDP("127.0.0.1:" + port) }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	w, err := watchPlan{}.open(one.Path(), "one")
	if err != nil {
		t.Fatal(err)
	}
	all := &namespaces{ctx: ctx, failed: stop, now: w}
	w.start(ctx, stop)
	waitPort(t, w.shown().Store, 1001)

	if _, err := all.Switch(ctx, "no-such-namespace"); err == nil || !strings.Contains(err.Error(), "no such network namespace") {
		t.Errorf("a wrong name: %v", err)
	}
	if all.now != w {
		t.Fatal("a wrong name changed the watch")
	}
	s, err := all.Switch(ctx, two.Path())
	if err != nil {
		t.Fatal(err)
	}
	if s.Netns != two.Path() || s.Kernel == nil || s.Inspector == nil || s.Rules == nil || s.States == nil {
		t.Errorf("session %+v", s)
	}
	waitPort(t, s.Store, 1002)
	select {
	case <-w.ended:
	default:
		t.Error("the old watch goes on")
	}
	if err := one.Do(func() error { return sendUDP("127.0.0.1:1003") }); err != nil {
		t.Fatal(err)
	}
	if err := two.Do(func() error { return sendUDP("127.0.0.1:1004") }); err != nil {
		t.Fatal(err)
	}
	waitPort(t, s.Store, 1004)
	for _, port := range []uint16{1001, 1003} {
		if hasPort(s.Store, port) {
			t.Errorf("port %d is of the old namespace", port)
		}
	}
	all.close()
	if _, err := all.Switch(ctx, one.Path()); !errors.Is(err, context.Canceled) {
		t.Errorf("switched after the end: %v", err)
	}
	if ctx.Err() != nil {
		t.Errorf("the session was ended: %v", context.Cause(ctx))
	}
}

// TestSwitchedNamespaceGone ends the session when the namespace that is watched loses its last hold.
func TestSwitchedNamespaceGone(t *testing.T) {
	ns := newNS(t)
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	w, err := watchPlan{}.open(ns.Path(), "")
	if err != nil {
		t.Fatal(err)
	}
	w.start(ctx, stop)
	defer w.close()
	if err := ns.Close(); err != nil { // its path leads nowhere from now on
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("nobody noticed")
	}
	if err := context.Cause(ctx); !errors.Is(err, ctnl.ErrNetnsGone) {
		t.Errorf("ended with %v", err)
	}
}

func sendUDP(to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

func hasPort(s tui.Store, port uint16) (found bool) {
	s.Each(func(f *model.Flow, _ *model.Extra) bool {
		found = found || f.Dport == port
		return !found
	})
	return found
}

func waitPort(t *testing.T, s tui.Store, port uint16) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !hasPort(s, port); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no flow to port %d", port)
		}
	}
}

func TestAboutNetns(t *testing.T) {
	for _, tt := range []struct {
		n    ctnl.NetnsInfo
		want string
	}{
		{ctnl.NetnsInfo{Own: true, Processes: 3, PID: 1, Comm: "init"}, "ctview's own, 3 processes"},
		{ctnl.NetnsInfo{Initial: true, Processes: 128, PID: 2, Comm: "kthreadd"}, "the initial one, kthreadd (pid 2) and 127 more"},
		{ctnl.NetnsInfo{Names: []string{"a"}}, "no process"},
		{ctnl.NetnsInfo{Names: []string{"a", "b"}, Processes: 1, PID: 7, Comm: "x"}, "also b, x (pid 7)"},
		{ctnl.NetnsInfo{Container: "docker 0123456789ab", Processes: 1, PID: 7, Comm: "nginx"}, "docker 0123456789ab, nginx (pid 7)"},
	} {
		if got := aboutNetns(&tt.n); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.n, got, tt.want)
		}
	}
}

// TestNetnsCommand switches namespaces from the keyboard: by name, and from the menu that lists them.
func TestNetnsCommand(t *testing.T) {
	one, two := newNS(t), newNS(t)
	for i, ns := range []*lab.NS{one, two} {
		if err := ns.EnableTracking(); err != nil {
			t.Fatal(err)
		}
		port := []string{"1001", "1002"}[i]
		if err := ns.Do(func() error { return sendUDP("127.0.0.1:" + port) }); err != nil {
			t.Fatal(err)
		}
	}
	tm := newTerminal(t, ctview(t, "--netns", one.Path()), 120, 35)
	tm.shows("127.0.0.1:1001")
	tm.send(":netns " + two.Path() + "\r")
	tm.shows("127.0.0.1:1002")
	tm.lacks("127.0.0.1:1001")
	tm.send(":netns nowhere\r")
	tm.shows("no such network namespace")
	tm.shows("127.0.0.1:1002")
	tm.send(":netns\r")
	tm.shows("ctview's own")
	tm.send("\x1b")
	tm.lacks("ctview's own")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestNamespaceGoneEnds: what follows a namespace that is taken away says so and ends; its socket would keep the namespace, and
// the links in it, alive for as long as it runs.
func TestNamespaceGoneEnds(t *testing.T) {
	for i, args := range []string{"events", "expect events", "record -", "states --watch", "states --samples", "stats --watch", "conntrack -E", "diagnose --watch", "list --watch"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("ctview-test-gone-%d-%d", os.Getpid(), i)
			ip := func(args ...string) {
				t.Helper()
				if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
					t.Fatalf("ip %v: %v %s", args, err, out)
				}
			}
			ip("netns", "add", name)
			gone := false
			defer func() {
				if !gone {
					ip("netns", "del", name)
				}
			}()
			if out, err := exec.Command("ip", "netns", "exec", name, "nft", "add table t; add chain t c { type filter hook input priority 0; }; add rule t c ct state new").CombinedOutput(); err != nil {
				t.Fatalf("nft: %v %s", err, out)
			}
			words := strings.Fields(args)
			cmd := ctview(t, append([]string{words[0], "--netns", name}, words[1:]...)...)
			if words[0] == "expect" {
				cmd = ctview(t, "expect", "events", "--netns", name)
			}
			var diag bytes.Buffer
			cmd.Stderr = &diag
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
			defer stop.Stop()
			settle(t, cmd.Process.Pid)
			ip("netns", "del", name)
			gone = true
			err := cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); err == nil || code < 1 || !strings.Contains(diag.String(), "gone") {
				t.Errorf("%v: %s", err, &diag)
			}
		})
	}
}
