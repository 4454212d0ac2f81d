package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asChild, set in the environment, makes the test binary give up what it has, for good, and tell what came of it.
const asChild = "CONFINE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "":
		code := m.Run()
		if !Able() {
			if path, err := withoutCgo(); err == nil {
				_ = os.Remove(path)
			}
		}
		os.Exit(code)
	case "caps":
		childCaps()
	case "files":
		childFiles(os.Args[1:])
	}
}

// withoutCgo is a test binary that can give up privileges: this one, or where it was linked with C, as for the race detector, one
// that is built for it.
var withoutCgo = sync.OnceValues(func() (string, error) {
	if Able() {
		return os.Executable()
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("ctview-test-confine-%d", os.Getpid()))
	cmd := exec.Command("go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// child runs the test binary as one of the children and returns its lines.
func child(t *testing.T, what string, args ...string) []string {
	t.Helper()
	exe, err := withoutCgo()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asChild+"="+what)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// onThreads runs fn on n threads at once and returns the different things that it said.
func onThreads(n int, fn func() string) string {
	var wg sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(n)
	said := make([]string, n)
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			ready.Wait()
			said[i] = fn()
			runtime.UnlockOSThread()
		})
	}
	wg.Wait()
	for _, s := range said {
		if s != said[0] {
			return strings.Join(said, " | ")
		}
	}
	return said[0]
}

func caps() string {
	s, err := get()
	nnp, perr := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return fmt.Sprintf("%x of %x, %x, %d %v", uint64(s.effective), uint64(s.permitted), uint64(s.inheritable), nnp, errors.Join(err, perr))
}

func childCaps() {
	onThreads(4, caps) // threads that are there before
	say := func(what string, v any) { fmt.Println(what+":", v) }
	say("keep", Keep(NetAdmin|NetRaw|SysAdmin, NetAdmin))
	say("all threads", onThreads(8, caps))
	_ = With(NetRaw|SysPtrace, func() error {
		say("with", caps())
		say("nested", With(SysAdmin, func() error { say("more", caps()); return errors.New("its error") }))
		say("less again", caps())
		say("others", onThreads(4, caps))
		return nil
	})
	say("afterwards", onThreads(8, caps))
	func() {
		defer func() { _ = recover() }()
		_ = With(NetRaw, func() error { panic("in the midst") })
	}()
	say("after a panic", caps())
	say("keep more", Keep(All, All))
	say("is not to be had", onThreads(4, caps))
	out, err := exec.Command("grep", "CapPrm", "/proc/self/status").Output()
	say("a program", strings.Join(strings.Fields(string(out)), " ")+fmt.Sprint(err))
	say("keep nothing", Keep(0, 0))
	say("nothing", onThreads(8, caps))
}

// TestKeep looks at what is left on every thread, what With adds, and that nothing comes back.
func TestKeep(t *testing.T) {
	s, err := get()
	if err != nil {
		t.Fatal(err)
	}
	three := s.permitted & (NetAdmin | NetRaw | SysAdmin)
	admin, raw := three&NetAdmin, three&(NetAdmin|NetRaw)
	state := func(effective, permitted Caps) string {
		return fmt.Sprintf("%x of %x, 0, 1 <nil>", uint64(effective), uint64(permitted))
	}
	of := "a program: CapPrm: 0000000000000000<nil>" // a user's programs have none
	if os.Geteuid() == 0 {
		of = fmt.Sprintf("a program: CapPrm: %016x<nil>", uint64(three))
	}
	want := []string{
		"keep: <nil>", "all threads: " + state(admin, three),
		"with: " + state(raw, three), "more: " + state(three, three), "nested: its error", "less again: " + state(raw, three),
		"others: " + state(admin, three), "afterwards: " + state(admin, three), "after a panic: " + state(admin, three),
		"keep more: <nil>", "is not to be had: " + state(three, three), of,
		"keep nothing: <nil>", "nothing: " + state(0, 0),
	}
	got := child(t, "caps")
	for i := range max(len(got), len(want)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d: %q, want %q", i+1, g, w)
		}
	}
}

// childFiles restricts itself to what the test made and tries everything on several threads.
func childFiles(args []string) {
	dir := args[0]
	before, err := os.Open(filepath.Join(dir, "secret", "file"))
	if err != nil {
		panic(err)
	}
	onThreads(4, caps)
	if err := Keep(All, All); err != nil {
		panic(err)
	}
	version, err := Restrict(Files{
		Read:    []string{filepath.Join(dir, "read"), filepath.Join(dir, "exact"), filepath.Join(dir, "not there"), "/proc"},
		Write:   []string{filepath.Join(dir, "write")},
		Devices: []string{os.DevNull},
	})
	fmt.Println("version", version, err)
	try := func(what string, fn func() error) {
		fmt.Println(what+":", onThreads(3, func() string {
			err := fn()
			switch {
			case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
				return "refused"
			case err != nil:
				return err.Error()
			}
			return "done"
		}))
	}
	at := func(flags int, path ...string) func() error {
		return func() error {
			f, err := os.OpenFile(filepath.Join(append([]string{dir}, path...)...), flags, 0o600)
			if err == nil {
				_ = f.Close()
			}
			return err
		}
	}
	try("read", at(os.O_RDONLY, "read", "file"))
	try("read a directory", func() error { _, err := os.ReadDir(filepath.Join(dir, "read")); return err })
	try("write what may be read", at(os.O_WRONLY, "read", "file"))
	try("make where may be read", at(os.O_WRONLY|os.O_CREATE, "read", "new"))
	try("read a file", at(os.O_RDONLY, "exact"))
	try("read a secret", at(os.O_RDONLY, "secret", "file"))
	try("list a secret", func() error { _, err := os.ReadDir(filepath.Join(dir, "secret")); return err })
	try("read a secret by a link", at(os.O_RDONLY, "write", "link"))
	try("read what was open", func() error { _, err := before.ReadAt(make([]byte, 1), 0); return err })
	try("write", at(os.O_WRONLY|os.O_CREATE|os.O_TRUNC, "write", "new"))
	try("write below", at(os.O_WRONLY|os.O_CREATE, "write", "sub", "new"))
	try("move a secret", func() error {
		return os.Rename(filepath.Join(dir, "secret", "file"), filepath.Join(dir, "write", "moved"))
	})
	try("make a link", func() error { return os.Symlink("x", filepath.Join(dir, "write", "newlink")) })
	try("start a program", func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) })
	try("/dev/null", func() error { return os.WriteFile(os.DevNull, []byte("x"), 0) })
	try("a device", func() error { _, err := os.ReadFile("/dev/full"); return err })
	try("a setting of the kernel", func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_default_ttl", []byte("64"), 0)
	})
	try("into another process", func() error { _, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", os.Getppid())); return err })
	try("into itself", func() error { _, err := os.Readlink("/proc/thread-self/ns/net"); return err })
	try("a signal to another", func() error { return syscall.Kill(os.Getppid(), 0) })
}

// TestRestrict tries, as the user who may do everything, what Landlock lets it do and what not.
func TestRestrict(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"read", "write/sub", "secret"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"read/file", "exact", "secret/file"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret/file", filepath.Join(dir, "write", "link")); err != nil {
		t.Fatal(err)
	}
	got := child(t, "files", dir)
	var version int
	if n, err := fmt.Sscanf(got[0], "version %d <nil>", &version); n != 1 {
		t.Fatalf("%q: %v", got[0], err)
	}
	want := []struct {
		what, result string
		since        int // version of Landlock that refuses it
	}{
		{"read", "done", 0},
		{"read a directory", "done", 0},
		{"write what may be read", "refused", 1},
		{"make where may be read", "refused", 1},
		{"read a file", "done", 0},
		{"read a secret", "refused", 1},
		{"list a secret", "refused", 1},
		{"read a secret by a link", "refused", 1},
		{"read what was open", "done", 0},
		{"write", "done", 0},
		{"write below", "done", 0},
		{"move a secret", "refused", 1},
		{"make a link", "refused", 1},
		{"start a program", "refused", 1},
		{"/dev/null", "done", 0},
		{"a device", "refused", 1},
		{"a setting of the kernel", "refused", 1},
		{"into another process", "refused", 1},
		{"into itself", "done", 0},
		{"a signal to another", "refused", 6},
	}
	if len(got) != len(want)+1 {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want)+1, strings.Join(got, "\n"))
	}
	for i, w := range want {
		if w.since <= version && got[i+1] != w.what+": "+w.result {
			t.Errorf("%q, want %s: %s", got[i+1], w.what, w.result)
		}
	}
}
