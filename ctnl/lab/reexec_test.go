package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// roleEnv makes the test binary play another part than running the tests.
const roleEnv = "LAB_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(Main(m))
	case "lab": // builds a lab, makes traffic, says where its namespaces are, and waits to be killed
		os.Exit(roleLab())
	case "demo": // what ctview demo does: the same in a child
		if Inside() {
			os.Exit(roleLab())
		}
		code, err := Reexec(context.Background(), os.Args[1:]...)
		if err != nil {
			fmt.Println(err)
			code = 3
		}
		os.Exit(code)
	case "none": // tries it where the limit of user namespaces is 0
		os.Exit(roleNone())
	}
}

func roleLab() int {
	ctx := context.Background()
	l, err := New(ctx, Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() { _ = l.Run(ctx) }()
	k, err := l.DNS(ctx, From{V6: true, Zone: 7})
	if err == nil {
		_, err = l.flow(k)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	uids, _ := os.ReadFile("/proc/self/uid_map")
	fmt.Println("uids", strings.Join(strings.Fields(string(uids)), " "))
	fmt.Println(l.Client().Path(), l.Router().Path(), l.Server().Path())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 42
}

func roleNone() int {
	if Inside() {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if err := os.Setenv(InsideEnv, ""); err != nil {
		return 1
	}
	if Privileged() { // in the first of the two: give up what root is allowed
		runtime.LockOSThread() // capabilities are a thread's
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	_, err := Reexec(context.Background())
	if !errors.Is(err, ErrUserNS) || !strings.Contains(err.Error(), "sudo ctview demo") {
		fmt.Println("want ErrUserNS:", err)
		return 1
	}
	return 0
}

// role starts the test binary in a part; nobody says whether as user 65534. Where the tests themselves run as an
// ordinary user, in a user namespace with one user (see Main), there is no other to become.
func role(t *testing.T, name string, nobody bool) (c *exec.Cmd, lines *bufio.Scanner, stop func()) {
	t.Helper()
	exe := "/proc/self/exe"
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if nobody && !inUserNS() {
		exe = publicCopy(t)
		attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	c = exec.Command(exe)
	c.SysProcAttr, c.Env = attr, append(os.Environ(), roleEnv+"="+name, InsideEnv+"=")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c, bufio.NewScanner(out), func() { _ = in.Close() }
}

// publicCopy copies the test binary to where everybody may run it.
func publicCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "lab.test")
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// ready reads what roleLab prints: the user mapping, and the paths of the three namespaces.
func ready(t *testing.T, lines *bufio.Scanner) (uids string, paths []string) {
	t.Helper()
	for range 2 {
		before := lines.Text() // why not, perhaps
		if !lines.Scan() {
			t.Fatalf("the lab did not come up: %q, %v", before, lines.Err())
		}
		if u, ok := strings.CutPrefix(lines.Text(), "uids "); ok {
			uids = u
			continue
		}
		paths = strings.Fields(lines.Text())
	}
	if len(paths) != 3 || uids == "" {
		t.Fatalf("the lab said %q", lines.Text())
	}
	return uids, paths
}

// probe ties a veth pair between n and the namespace at path: when that is destroyed, so is the pair. It returns the
// namespace's name.
func probe(t *testing.T, n *NS, link, path string) string {
	t.Helper()
	name, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := netns.GetFromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	err = n.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = link
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: link, PeerNamespace: netlink.NsFd(int(h))})
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// gone fails unless the namespaces are without holders and destroyed within ten seconds.
func gone(t *testing.T, n *NS, names []string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := holders(names)
		var links []string
		err := n.Do(func() error {
			all, err := netlink.LinkList()
			for _, l := range all {
				if strings.HasPrefix(l.Attrs().Name, "probe") {
					links = append(links, l.Attrs().Name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(left)+len(links) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the end: held by %v; links into them %v", left, links)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// holders returns the files in /proc that lead to one of the namespaces.
func holders(names []string) (paths []string) {
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		all, _ := filepath.Glob(pattern)
		for _, p := range all {
			if link, err := os.Readlink(p); err == nil && slices.Contains(names, link) {
				paths = append(paths, p)
			}
		}
	}
	return paths
}

// Nothing of a lab stays behind after kill -9: not of one that a process made for itself, not of one that it made in a
// child, as root and as an ordinary user.
func TestNothingStaysAfterKill(t *testing.T) {
	for _, tt := range []struct {
		role   string
		nobody bool
	}{{"lab", false}, {"demo", false}, {"demo", true}} {
		t.Run(fmt.Sprintf("%s,nobody=%v", tt.role, tt.nobody), func(t *testing.T) {
			n := testNS(t)
			c, lines, _ := role(t, tt.role, tt.nobody)
			_, paths := ready(t, lines)
			var names []string
			for i, p := range paths {
				names = append(names, probe(t, n, fmt.Sprintf("probe%d", i), p))
			}
			if len(holders(names)) == 0 {
				t.Fatalf("no process holds %v", names)
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			gone(t, n, names)
		})
	}
}

// An ordinary user gets a whole lab in a user namespace, and the child's exit code comes through.
func TestUnprivileged(t *testing.T) {
	c, lines, stop := role(t, "demo", true)
	uids, _ := ready(t, lines)
	if want := "0 65534 1"; uids != want && !inUserNS() {
		t.Errorf("user mapping %q; want %q", uids, want)
	}
	stop()
	err := c.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 42 {
		t.Errorf("ended with %v; want exit code 42", err)
	}
}

// As root no user namespace is made, and SIGTERM reaches the child.
func TestPrivileged(t *testing.T) {
	c, lines, _ := role(t, "demo", false)
	uids, _ := ready(t, lines)
	own, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(strings.Fields(string(own)), " "); uids != want {
		t.Errorf("user mapping %q; want this process's, %q", uids, want)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("ended with %v; want exit code %d", err, 128+int(syscall.SIGTERM))
	}
}

// What nohup ignores stays ignored in both of them: a hang-up ends neither.
func TestIgnoredStaysIgnored(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	c, lines, _ := role(t, "demo", false)
	signal.Reset(syscall.SIGHUP)
	ready(t, lines)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(c.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:")
	ignored, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil || ignored&(1<<(syscall.SIGHUP-1)) == 0 {
		t.Errorf("SIGHUP is not ignored, %v:\n%s", err, status)
	}
}

// Where user namespaces are forbidden the error says so and what to do.
func TestNoUserNamespaces(t *testing.T) {
	c := Command(t.Context())
	// Always in a user namespace of its own: the limit is one of its settings.
	c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	c.Env = append(c.Env, roleEnv+"=none")
	c.Stdin, c.Stdout, c.Stderr = nil, nil, nil
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
