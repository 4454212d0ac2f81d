package ctnl_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

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
