package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testNS(t *testing.T) *NS {
	t.Helper()
	n, err := NewNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// netnsOf returns "net:[inode]" of the calling thread.
func netnsOf(t *testing.T) string {
	t.Helper()
	s, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewNS(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home := netnsOf(t)
	n := testNS(t)
	if got := netnsOf(t); got != home {
		t.Fatalf("NewNS left the thread in %s; it came from %s", got, home)
	}
	var inside string
	var names []string
	err := n.Do(func() error {
		inside = netnsOf(t)
		ifs, err := net.Interfaces()
		for _, i := range ifs {
			if i.Flags&net.FlagUp != 0 {
				names = append(names, i.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside == home {
		t.Error("Do ran in the caller's own namespace")
	}
	if diff := cmp.Diff([]string{"lo"}, names); diff != "" {
		t.Errorf("interfaces that are up (-want +got):\n%s", diff)
	}
	if got := netnsOf(t); got != home {
		t.Errorf("Do left the thread in %s; it came from %s", got, home)
	}
	link, err := os.Readlink(n.Path())
	if err != nil || link != inside {
		t.Errorf("Path leads to %q, %v; want %s", link, err, inside)
	}
}

func TestDoGoesHomeAfterPanic(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home := netnsOf(t)
	n := testNS(t)
	func() {
		defer func() { _ = recover() }()
		_ = n.Do(func() error { panic("on purpose") })
	}()
	if got := netnsOf(t); got != home {
		t.Errorf("after a panic the thread is in %s; it came from %s", got, home)
	}
}

func TestClosed(t *testing.T) {
	n := testNS(t)
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Do(func() error { t.Error("Do ran in a closed namespace"); return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Do on a closed namespace: %v; want os.ErrClosed", err)
	}
}

// A named namespace is a bind mount of its file; ours has none.
func TestNoNames(t *testing.T) {
	n := testNS(t)
	ino, err := n.Inode()
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), fmt.Sprintf("net:[%d]", ino)) {
		t.Errorf("the namespace is mounted:\n%s", mounts)
	}
}

func TestCommand(t *testing.T) {
	n := testNS(t)
	var want string
	if err := n.Do(func() error { want = netnsOf(t); return nil }); err != nil {
		t.Fatal(err)
	}
	out, err := n.Command("readlink", "/proc/self/ns/net").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("command ran in %q, %v; want %s", got, err, want)
	}
}

func TestHostSettingsRefused(t *testing.T) {
	n := testNS(t)
	for _, name := range []string{"net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets"} {
		if err := n.Sysctl(name, "1"); err == nil {
			t.Errorf("Sysctl wrote %s", name)
		}
	}
}

func TestEnableTracking(t *testing.T) {
	n := testNS(t)
	if err := n.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	l, err := n.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := n.Dial(t.Context(), "tcp", "", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, err := n.Command("conntrack", "-L", "-p", "tcp").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ESTABLISHED", "packets=", "ASSURED"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("conntrack -L says\n%swithout %q", out, want)
		}
	}
}
