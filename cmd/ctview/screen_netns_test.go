package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// TestScreenNamesItsNamespace: started inside a namespace, the title has its name, not "default": people delete in the wrong
// one. Without a name it is told by a process.
func TestScreenNamesItsNamespace(t *testing.T) {
	tb := newTable(t)
	const name = "ctview-test-title"
	link := filepath.Join("/run/netns", name)
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(want string, args ...string) {
		t.Helper()
		cmd := ctview(t)
		cmd.Args = append(args, cmd.Path)
		if len(args) > 0 {
			cmd.Path = must(exec.LookPath(args[0]))(t)
		}
		var tm *terminal
		if err := tb.ns.Do(func() error { // what is started there is in it
			tm = newTerminal(t, cmd, 80, 24)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s := tm.shows("ns " + want)
		if strings.Contains(s, "default") {
			t.Errorf("%s", s)
		}
		tm.send("q")
	}
	run("pid ")
	if out, err := tb.ns.Command("sh", "-c", "ip netns attach "+name+" $$").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() {
		_, _ = tb.ns.Command("ip", "netns", "del", name).CombinedOutput()
		_ = os.Remove(link)
	}()
	run(name)
	run(name, "ip", "netns", "exec", name)
}

// TestScreenInInitialNamespace: the initial namespace is called that, not by a process in it, whatever may be looked at of PID 1.
func TestScreenInInitialNamespace(t *testing.T) {
	const own = "/proc/self/ns/net"
	want := "ns default"
	if _, err := os.Stat("/proc/sys/net/core/netdev_budget"); err != nil { // of a container
		want = "ns " + own
	}
	tm := newTerminal(t, ctview(t, "--netns", own), 120, 24)
	tm.shows(want)
	tm.send("q")
}

// TestScreenLooksAtTheRules: before the first flow the screen says whether there are rules that track, as they are.
func TestScreenLooksAtTheRules(t *testing.T) {
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { _ = ns.Close() })
	tm := newTerminal(t, ctview(t, "--netns", ns.Path()), 120, 24)
	tm.shows("No rule of this namespace uses connection tracking")
	tm.send("q")
	nft := ns.Command("nft", "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade")
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	tm = newTerminal(t, ctview(t, "--netns", ns.Path()), 120, 24)
	tm.shows("No flows yet. Rules of this namespace use connection tracking of IPv4, not of IPv6")
	tm.send("q")
}
