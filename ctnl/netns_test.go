package ctnl_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// addNetns makes a named namespace and deletes it after the test.
func addNetns(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
}

func delNetns(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
		t.Fatalf("ip netns del: %v: %s", err, out)
	}
}

func TestOpenNetns(t *testing.T) {
	name := fmt.Sprintf("ctview-test-open-%d", os.Getpid())
	addNetns(t, name)
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	sleep := exec.Command("sleep", "1000")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	pid := strconv.Itoa(sleep.Process.Pid)
	own, err := os.Readlink("/proc/thread-self/ns/net") // all threads are in it, but those that are thrown away
	if err != nil {
		t.Fatal(err)
	}
	byPID, err := os.Readlink("/proc/" + pid + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ spec, want string }{
		{"", own},
		{pid, byPID},
		{"/proc/" + pid + "/ns/net", byPID},
		{name, ""},
		{"/run/netns/" + name, ""},
	} {
		ns, err := ctnl.OpenNetns(tt.spec)
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		var got string
		err = ns.Do(func() (err error) {
			got, err = os.Readlink("/proc/thread-self/ns/net")
			return err
		})
		if err != nil || tt.want != "" && got != tt.want || tt.want == "" && (got == own || got == byPID) {
			t.Errorf("%q is %s, %v", tt.spec, got, err)
		}
		if ns.Name() != tt.spec || ns.Gone() {
			t.Errorf("%q: name %q, gone %v", tt.spec, ns.Name(), ns.Gone())
		}
		if now, _ := os.Readlink("/proc/thread-self/ns/net"); now != own {
			t.Fatalf("%q: the test's thread was left in %s", tt.spec, now)
		}
		_ = ns.Close()
	}
}

func TestOpenNetnsErrors(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		spec, text string
		want       error
	}{
		{"ctview-no-such", "no such network namespace: ctview-no-such (ip netns lists the names)", ctnl.ErrNoNetns},
		{"2147483646", "no process 2147483646 and no name 2147483646 in /run/netns", ctnl.ErrNoNetns},
		{"/no/such", "no such network namespace: /no/such", ctnl.ErrNoNetns},
		{file, "is not one", ctnl.ErrNoNetns},
		{"/proc/self/ns/uts", "is not one", ctnl.ErrNoNetns},
		{"..", "is not one", ctnl.ErrNoNetns},
	} {
		ns, err := ctnl.OpenNetns(tt.spec)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%q: %v, want %q", tt.spec, err, tt.text)
		}
		if ns != nil {
			t.Errorf("%q: a namespace beside the error", tt.spec)
		}
	}
}

func TestNetnsGone(t *testing.T) {
	name := fmt.Sprintf("ctview-test-again-%d", os.Getpid())
	addNetns(t, name)
	ns, err := ctnl.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	delNetns(t, name)
	if !ns.Gone() {
		t.Error("not gone after its name was deleted")
	}
	addNetns(t, name)
	if !ns.Gone() {
		t.Error("not gone after its name was given to another")
	}
}

// TestPin: once in, the namespace serves without CAP_SYS_ADMIN, whoever asks, and lets its thread go.
func TestPin(t *testing.T) {
	name := fmt.Sprintf("ctview-test-pin-%d", os.Getpid())
	addNetns(t, name)
	where := func() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }
	own, err := where()
	if err != nil {
		t.Fatal(err)
	}
	open := func() *ctnl.Netns {
		ns, err := ctnl.OpenNetns(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		return ns
	}
	ns, other := open(), open()
	if err := ns.Pin(); err != nil {
		t.Fatal(err)
	}
	// Do starts its threads from this one, which may enter nothing any more; it is thrown away.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Error(err)
		}
		var in, nested string
		err := ns.Do(func() (err error) {
			if in, err = where(); err != nil {
				return err
			}
			return ns.Do(func() (err error) { nested, err = where(); return err })
		})
		if err != nil || in == own || nested != in {
			t.Errorf("pinned: in %s, nested %s, own %s, %v", in, nested, own, err)
		}
	}()
	<-done
	var group sync.WaitGroup
	running := atomic.Int32{}
	for range 20 {
		group.Go(func() {
			want := errors.New("of its own")
			err := ns.Do(func() error {
				if running.Add(1) != 1 {
					t.Error("two at once on one thread")
				}
				defer running.Add(-1)
				if in, err := where(); in == own || err != nil {
					t.Errorf("in %s, %v", in, err)
				}
				return want
			})
			if err != want {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := ns.Close(); err != nil {
		t.Error(err)
	}
	if err := ns.Do(func() error { t.Error("ran in a closed namespace"); return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v, want %v", err, os.ErrClosed)
	}
	if err := other.Do(func() error { return nil }); err != nil {
		t.Errorf("one that is not pinned: %v", err)
	}
}

func TestSysctl(t *testing.T) {
	_, ns := newNS(t)
	if err := ns.SetSysctl("nf_conntrack_acct", "1"); err != nil {
		t.Fatal(err)
	}
	if v, err := ns.Sysctl("nf_conntrack_acct"); err != nil || v != "1" {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := ns.Sysctl("no_such"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown setting: %v", err)
	}
}
