package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"ctview/ctnl"
	"ctview/ctnl/lab"

	"golang.org/x/sys/unix"
)

// asBlind, set in the environment, makes the test binary be ctview on a kernel without NETLINK_NETFILTER: socket(2)
// for it answers EPROTONOSUPPORT, as such a kernel does.
const asBlind = "CTVIEW_TEST_AS_BLIND"

// blind installs a seccomp filter in all threads of this process: socket(_, _, NETLINK_NETFILTER) fails.
func blind() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const nr, domain, protocol = 0, 16, 32 // offsets in struct seccomp_data, low halves on little-endian machines
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	unless := func(v uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jf: skip}
	}
	ret := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	prog := []unix.SockFilter{
		load(nr), unless(unix.SYS_SOCKET, 5),
		load(domain), unless(unix.AF_NETLINK, 3),
		load(protocol), unless(unix.NETLINK_NETFILTER, 1),
		ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)),
		ret(unix.SECCOMP_RET_ALLOW),
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// asPowerless, set in the environment, makes the test binary be ctview without any capability.
const asPowerless = "CTVIEW_TEST_AS_POWERLESS"

// powerless starts this program again without any capability. no_new_privs keeps root from getting them back by that.
func powerless() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return err
	}
	os.Unsetenv(asPowerless)
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// TestRefusals holds the texts and exit codes of what ctview cannot or will not do. None of them may change anything:
// all are refused before the first request to the kernel.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		cmd  func(t *testing.T) *exec.Cmd
		code int
		want []string
	}{
		{"no permission", func(t *testing.T) *exec.Cmd { return asNobody(t, "list") }, exitPermission,
			[]string{"not permitted: needs CAP_NET_ADMIN", "hint: run it with sudo, or once: sudo setcap cap_net_admin+ep", "(you are uid "}},
		{"no permission for events", func(t *testing.T) *exec.Cmd { return asNobody(t, "events") }, exitPermission,
			[]string{"not permitted", "hint: run it with sudo"}},
		{"no permission to delete", func(t *testing.T) *exec.Cmd { return asNobody(t, "delete", "--yes", "tcp") }, exitPermission,
			[]string{"not permitted", "hint: run it with sudo"}},
		{"no netlink", func(t *testing.T) *exec.Cmd {
			c := ctview(t, "list")
			c.Env = append(c.Env, asBlind+"=1")
			return c
		}, exitNoConntrack, []string{"the kernel has no conntrack netlink interface", "hint: modprobe nf_conntrack_netlink"}},
		{"no such namespace", func(t *testing.T) *exec.Cmd { return ctview(t, "list", "--netns", "no-such-ns") }, exitUsage,
			[]string{"no such network namespace", "no-such-ns", "ip netns list"}},
		{"a namespace that is none", func(t *testing.T) *exec.Cmd { return ctview(t, "list", "--netns", "/etc/passwd") }, exitUsage,
			[]string{"/etc/passwd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := tt.cmd(t)
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(errOut.String(), w) {
					t.Errorf("stderr lacks %q:\n%s", w, &errOut)
				}
			}
			if out.Len() > 0 {
				t.Errorf("stdout is not empty: %q", &out)
			}
		})
	}
}

// TestNoScreen: who may not see the flows is told what else there is to see; who may not delete them is not.
func TestNoScreen(t *testing.T) {
	denied := fmt.Errorf("ctnl: watch: %w: %w", ctnl.ErrPermission, unix.EPERM)
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{{"the screen", noScreenError{denied}, true}, {"a command", denied, false}} {
		t.Run(tt.name, func(t *testing.T) {
			code, hint := diagnose(tt.err)
			if got := strings.Contains(hint, `anybody may run "ctview stats"`); got != tt.want || code != exitPermission {
				t.Errorf("code %d, hint %q, stats named: %v, want %v", code, hint, got, tt.want)
			}
		})
	}
}

// TestOpenToAll: what /proc tells everybody needs no privilege here either.
func TestOpenToAll(t *testing.T) {
	for _, tt := range []struct{ command, want string }{
		{"count", " of "},
		{"stats", "insert_failed"},
	} {
		t.Run(tt.command, func(t *testing.T) {
			out, err := asNobody(t, tt.command).Output()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, out)
			}
		})
	}
}

// asNobody returns a command that runs ctview as a user without any capability, from a copy that everybody may run.
func asNobody(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := ctview(t, args...)
	if os.Getuid() != 0 || lab.Inside() { // a user namespace of one user has nobody
		cmd.Env = append(cmd.Env, asPowerless+"=1")
		return cmd
	}
	dir, err := os.MkdirTemp("", "ctview-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "ctview")
	if err := copyFile(cmd.Path, testBinary(t), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func copyFile(dst, src string, mode os.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
