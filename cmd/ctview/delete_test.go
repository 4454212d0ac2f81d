package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
)

// TestDeleteAsFound deletes by a filter without asking, which goes on while the table is read.
func TestDeleteAsFound(t *testing.T) {
	ns, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fill.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), ns.Close()); err != nil {
			t.Error(err)
		}
	})
	const flows, marked = 6000, 2500
	if err := errors.Join(f.Create(t.Context(), 0, flows), f.Update(t.Context(), 0, marked, 77)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ctview: 2500 flows deleted\n", "ctview: no flow matches; nothing deleted\n"} {
		var out, diag bytes.Buffer
		args := []string{"ctview", "--netns", ns.Path(), "delete", "--yes", "mark 77"}
		if code := run(context.Background(), args, strings.NewReader(""), &out, &diag); code != 0 || diag.String() != want {
			t.Errorf("exit code %d, %q%q; want %q", code, out.String(), diag.String(), want)
		}
	}
	if n, err := ns.ReadSysctl("net/netfilter/nf_conntrack_count"); err != nil || n != "3500" {
		t.Errorf("%s flows left, %v; want 3500", n, err)
	}
}

// TestFlushTakesWhatItShowed answers flush after two more flows have begun: they were not asked about, and stay. The own
// session is among those that were, and is named before the answer; so is it where its expectations go.
func TestFlushTakesWhatItShowed(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	ctviewIn := func(args ...string) string {
		t.Helper()
		var out, diag bytes.Buffer
		if code := run(context.Background(), append([]string{"ctview", "--netns", ns.Path()}, args...), strings.NewReader(""), &out, &diag); code != 0 {
			t.Fatalf("%v: exit code %d, %s", args, code, &diag)
		}
		return out.String() + diag.String()
	}
	add := func(port string) {
		t.Helper()
		ctviewIn("add", "tcp", "10.0.0.1:"+port, "10.0.0.2:22", "-t", "5m", "--state", "ESTABLISHED")
	}
	add("1000")
	add("1001")
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "flush"), 100, 24, "SSH_CONNECTION=10.0.0.1 1001 10.0.0.2 22")
	tm.shows("flush: delete all flows, 2 in namespace " + ns.Path() + "? Type 2:")
	tm.shows("your own ssh session")
	add("1002")
	add("1003")
	tm.send("2\r")
	code := tm.ended()
	tm.eventually("the end of the output", tm.drained)
	if code != 0 || !strings.Contains(tm.output(), "2 flows deleted") {
		t.Errorf("exit code %d; the screen:\n%s", code, tm.screen())
	}
	if got := ctviewIn("count"); !strings.HasPrefix(got, "2 of") {
		t.Errorf("left are %q, want the 2 that began after the question", got)
	}
	t.Setenv("SSH_CONNECTION", "10.0.0.1 1002 10.0.0.2 22")
	ctviewIn("delete", "--yes", "tcp", "10.0.0.1:1002", "10.0.0.2:22")
	ctviewIn("add", "tcp", "10.0.0.1:1002", "10.0.0.2:22", "-t", "5m", "--state", "ESTABLISHED", "--helper", "ftp")
	ctviewIn("expect", "add", "tcp", "10.0.0.2:0", "10.0.0.1:2000", "--master", "tcp 10.0.0.1:1002 10.0.0.2:22", "--timeout", "5m")
	if got := ctviewIn("expect", "flush", "--yes"); !strings.Contains(got, "your own ssh session") || !strings.Contains(got, "1 expectation deleted") {
		t.Errorf("expect flush --yes says %q", got)
	}
	if got := ctviewIn("flush", "--yes"); !strings.Contains(got, "your own ssh session") {
		t.Errorf("flush --yes says %q, and nothing of the own session", got)
	}
	if got := ctviewIn("count"); !strings.HasPrefix(got, "0 of") {
		t.Errorf("left are %q, want none", got)
	}
}

// TestQuestionsNameTheNamespace: inside a namespace, without --netns, the question says which one: people delete in the wrong one.
func TestQuestionsNameTheNamespace(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 3); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("ctview-test-question-%d", os.Getpid())
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := ns.Command("sh", "-c", "ip netns attach "+name+" $$").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() { _, _ = ns.Command("ip", "netns", "del", name).CombinedOutput() }()
	for _, args := range [][]string{{"flush"}, {"delete", "tcp or udp"}, {"update", "--mark", "1", "tcp or udp"},
		{"notrack", "add", "udp 10.0.0.1:1 10.0.0.2:2"}} {
		self := ctview(t, args...)
		cmd := ns.Command(self.Path, args...)
		cmd.Env = self.Env
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(out), " in namespace "+name+"? not confirmed") {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}
