package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	run := func(want string) {
		t.Helper()
		cmd := tb.ns.Command("ip", "netns", "exec", name)
		if want != name {
			cmd = tb.ns.Command("env")
		}
		self := ctview(t)
		cmd.Args, cmd.Env = append(cmd.Args, self.Path), self.Env
		tm := newTerminal(t, cmd.Cmd, 80, 24)
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
}
