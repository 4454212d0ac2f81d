package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
)

// A table is a namespace whose flows the test makes by itself: they stay until they are deleted.
type tab struct {
	t  *testing.T
	ns *lab.NS
	k  *ctnl.Kernel
}

func newTable(t *testing.T) *tab {
	t.Helper()
	n := must(lab.NewNS())(t)
	if err := n.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	ns := must(ctnl.OpenNetns(n.Path()))(t)
	k := ctnl.NewKernel(ns)
	t.Cleanup(func() { k.Close(); ns.Close(); n.Close() })
	return &tab{t, n, k}
}

// flow makes an established connection and returns its key.
func (tb *tab) flow(src, dst string) model.Key {
	tb.t.Helper()
	s := established(src, dst)
	if err := tb.k.Create(context.Background(), s); err != nil {
		tb.t.Fatal(err)
	}
	return s.Flow.Key
}

func established(src, dst string) *ctnl.Spec {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	var spec ctnl.Spec
	spec.Flow.Key = model.Key{Src: model.AddrBytes(s.Addr()), Dst: model.AddrBytes(d.Addr()), Sport: s.Port(), Dport: d.Port(),
		Proto: model.ProtoTCP, Family: model.IPv4}
	spec.Timeout, spec.Flow.State = 600, model.TCPEstablished
	spec.Has = model.HasTimeout | model.HasProtoinfo
	return &spec
}

// has asks the kernel for a flow.
func (tb *tab) has(k model.Key) bool {
	tb.t.Helper()
	_, err := tb.k.Get(context.Background(), k)
	if err != nil && !errors.Is(err, ctnl.ErrGone) {
		tb.t.Fatal(err)
	}
	return err == nil
}

// rowsAre returns a condition: the screen shows n flows.
func rowsAre(n int) func(string) bool { return func(s string) bool { return len(rows(s)) == n } }

// TestScreenPause: a paused screen stays as it is, and tells how far behind it is.
func TestScreenPause(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path(), "--refresh", "200ms"), 120, 35)
	tm.until("a flow", rowsAre(1))
	tm.send("p")
	tm.shows("PAUSED")
	tb.flow("10.0.0.1:1001", "10.0.0.2:80")
	if s := tm.shows("1 flow newer"); len(rows(s)) != 1 {
		t.Errorf("the paused screen changed:\n%s", s)
	}
	tm.send("p")
	tm.until("both flows", rowsAre(2))
}

// TestScreenDeleteMany marks two of three flows and deletes them: their number must be typed, and the third stays.
func TestScreenDeleteMany(t *testing.T) {
	tb := newTable(t)
	keys := []model.Key{
		tb.flow("10.0.0.1:1000", "10.0.0.2:80"), tb.flow("10.0.0.1:1001", "10.0.0.2:80"), tb.flow("10.0.0.1:1002", "10.0.0.2:80"),
	}
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path(), "--refresh", "200ms"), 120, 35)
	tm.until("three flows", rowsAre(3))
	tm.send("/not sport 1002\r")
	tm.until("two flows", rowsAre(2))
	tm.send("\x01") // Ctrl-A marks all that match
	tm.shows("2 marked")
	tm.send("D")
	tm.shows("Type 2:")
	tm.send("y\r") // the answer to another question
	if tm.send("\x1b"); !tb.has(keys[0]) || !tb.has(keys[1]) {
		t.Error("deleted without the number")
	}
	tm.lacks("Type 2:")
	tm.send("D")
	tm.shows("Type 2:")
	tm.send("2\r")
	tm.until("them to go", rowsAre(0))
	for i, k := range keys {
		if got, want := tb.has(k), i == 2; got != want {
			t.Errorf("flow %d is in the kernel: %v, want %v", i, got, want)
		}
	}
}

// TestScreenOwnSession: the ssh connection that ctview runs over goes only after its word was typed.
func TestScreenOwnSession(t *testing.T) {
	tb := newTable(t)
	mine := tb.flow("192.0.2.9:50514", "192.0.2.1:22")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path(), "--refresh", "200ms"), 120, 35,
		"SSH_CONNECTION=192.0.2.9 50514 192.0.2.1 22")
	tm.until("the session", rowsAre(1))
	tm.send("D")
	tm.shows("your own session")
	tm.send("y\r")
	tm.send("\x1b")
	tm.lacks("your own session")
	if !tb.has(mine) {
		t.Fatal("y deleted the own session")
	}
	tm.send("D")
	tm.shows("your own session")
	tm.send("mine\r")
	tm.until("it to go", rowsAre(0))
	if tb.has(mine) {
		t.Error("the kernel still has it")
	}
}

// TestScreenExplains: a value that is not known is "-", with the reason told once; a filter that matches nothing says
// what there is; a name with an escape sequence in it does nothing to the terminal.
func TestScreenExplains(t *testing.T) {
	tb := newTable(t)
	if err := tb.ns.Do(func() error { return os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_acct", []byte("0"), 0) }); err != nil {
		t.Fatal(err)
	}
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	const hostile = "evil\x1b[31m\x1b]0;owned\x07"
	link := filepath.Join(t.TempDir(), hostile)
	if err := os.Symlink(tb.ns.Path(), link); err != nil {
		t.Fatal(err)
	}
	tm := newTerminal(t, ctview(t, "--netns", link, "--refresh", "200ms"), 200, 35)
	s := tm.shows("bytes need net.netfilter.nf_conntrack_acct=1")
	if !strings.Contains(s, `\x1b[31m`) {
		t.Errorf("the name of the namespace is not shown escaped:\n%s", s)
	}
	tm.send("/zone 9\r")
	tm.shows(`0 of 1 flow match "zone 9". Zones here: 0 (1).`)
	tm.send("\x1b")
	tm.until("the flow", rowsAre(1))
	if out := tm.output(); strings.Contains(out, "evil\x1b") || strings.Contains(out, "\x1b]0;owned") {
		t.Error("the name reached the terminal as it is")
	}
}

// TestScreenDeleteGone: a flow that ends while the question is open is not said to have been deleted.
func TestScreenDeleteGone(t *testing.T) {
	tb := newTable(t)
	k := tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path(), "--refresh", "200ms"), 120, 35)
	tm.until("the flow", rowsAre(1))
	tm.send("D")
	tm.shows("Delete this flow?")
	if err := tb.k.Delete(context.Background(), k, 0); err != nil {
		t.Fatal(err)
	}
	tm.send("y")
	tm.shows("that flow had ended already")
}
