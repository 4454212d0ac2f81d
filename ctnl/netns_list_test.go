package ctnl_test

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ctview/ctnl"
)

// TestListNetns finds a named namespace, one that only a process is in, and its own, each once.
func TestListNetns(t *testing.T) {
	const name = "ctview-test-list"
	addNetns(t, name)
	if out, err := exec.Command("ip", "netns", "attach", name+"2", strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		t.Fatalf("ip netns attach: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name+"2").Run() })
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	sleep := exec.Command("sleep", "1000")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })

	list, err := ctnl.ListNetns()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, n := range list {
		if seen[n.Inode] {
			t.Errorf("namespace %d is there twice", n.Inode)
		}
		seen[n.Inode] = true
		ns, err := ctnl.OpenNetns(n.Spec)
		if err != nil {
			continue // its process has ended meanwhile
		}
		_ = ns.Close()
	}
	find := func(what string, ok func(ctnl.NetnsInfo) bool) ctnl.NetnsInfo {
		t.Helper()
		i := slices.IndexFunc(list, ok)
		if i < 0 {
			t.Fatalf("%s is not in %+v", what, list)
		}
		return list[i]
	}
	n := find("the named one", func(n ctnl.NetnsInfo) bool { return slices.Contains(n.Names, name) })
	if n.Own || n.Processes != 0 || n.PID != 0 || n.Spec != name {
		t.Errorf("the named one: %+v", n)
	}
	n = find("the process's", func(n ctnl.NetnsInfo) bool { return n.PID == sleep.Process.Pid })
	if n.Own || n.Processes != 1 || n.Comm != "sleep" || n.Spec != strconv.Itoa(n.PID) {
		t.Errorf("the process's: %+v", n)
	}
	if n = list[0]; !n.Own || n.Processes < 1 || n.Spec != name+"2" {
		t.Errorf("the first is not the own one: %+v", n)
	}
}

// TestInitialNetns: the initial namespace is known for what it is, whatever may be looked at of PID 1, and no other one is.
func TestInitialNetns(t *testing.T) {
	const name = "ctview-test-initial"
	addNetns(t, name)
	list, err := ctnl.ListNetns()
	if err != nil {
		t.Fatal(err)
	}
	initial := 0
	for _, n := range list {
		ns, err := ctnl.OpenNetns(n.Spec)
		if err != nil {
			continue // its process has ended meanwhile
		}
		if n.Initial {
			initial++
		}
		if slices.Contains(n.Names, name) && n.Initial {
			t.Errorf("a new one is the initial one: %+v", n)
		}
		if title := ns.Title(); n.Initial != (title == "") {
			t.Errorf("%+v: title %q", n, title)
		}
		_ = ns.Close()
	}
	if _, err := os.Stat("/proc/sys/net/core/netdev_budget"); err == nil && initial != 1 || initial > 1 {
		t.Errorf("%d initial ones in %+v", initial, list)
	}
}

func TestContainerOf(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ cgroup, want string }{
		{"0::/\n", ""},
		{"0::/user.slice/user-0.slice/session-1.scope\n", ""},
		{"0::/system.slice/docker-" + id + ".scope\n", "docker 0123456789ab"},
		{"12:pids:/docker/" + id + "\n11:cpu:/docker/" + id + "\n", "docker 0123456789ab"},
		{"0::/system.slice/docker-buildkit.scope\n", ""},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", "podman 0123456789ab"},
		{"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n", "containerd 0123456789ab"},
		{"0::/kubepods.slice/crio-" + id + ".scope\n", "cri-o 0123456789ab"},
		{"4:memory:/kubepods/burstable/pod9/" + id + "\n", "container 0123456789ab"},
		{"0::/lxc.payload.web/init.scope\n", "lxc web"},
		{"1:name=systemd:/lxc/db\n", "lxc db"},
		{"0::/machine.slice/systemd-nspawn@deb.service/payload\n", "nspawn deb"},
		{"0::/system.slice/" + strings.ToUpper(id) + "\n", ""},
		{"", ""}, {"0", ""}, {"0:", ""}, {"0::", ""}, {"::::/docker/x", ""},
	} {
		if got := ctnl.ContainerOf(tt.cgroup); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.cgroup, got, tt.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for _, tt := range []struct {
		text, comm string
		start      uint64
		kernel, ok bool
	}{
		{"7 (sleep)" + tail, "sleep", 4711, false, true},
		{"7 (a) b (c)" + tail, "a) b (c", 4711, false, true},
		{"2 (kthreadd)" + strings.Replace(tail, " 6 ", " 2129984 ", 1), "kthreadd", 4711, true, true},
		{"7 (x)", "", 0, false, false}, {"7 )x(", "", 0, false, false}, {"", "", 0, false, false},
		{"7 (x)" + strings.Replace(tail, " 6 ", " x ", 1), "", 0, false, false},
	} {
		comm, start, kernel, ok := ctnl.ParseStat(tt.text)
		if comm != tt.comm || start != tt.start || kernel != tt.kernel || ok != tt.ok {
			t.Errorf("%q: %q, %d, %v, %v", tt.text, comm, start, kernel, ok)
		}
	}
}

func FuzzProcessFiles(f *testing.F) {
	f.Add("7 (sleep) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20")
	f.Add("0::/system.slice/docker-0123456789abcdef.scope\n")
	f.Add("0::/machine.slice/systemd-nspawn@deb.service")
	f.Fuzz(func(t *testing.T, s string) {
		if comm, _, _, ok := ctnl.ParseStat(s); ok && !strings.Contains(s, "("+comm+")") {
			t.Errorf("name %q of %q", comm, s)
		}
		if c := ctnl.ContainerOf(s); c != "" && !strings.Contains(c, " ") {
			t.Errorf("container %q of %q", c, s)
		}
	})
}
