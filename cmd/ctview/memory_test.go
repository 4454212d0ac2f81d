package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smallGroup makes a cgroup of limit bytes, of whichever version the machine has; "" where none can be made.
func smallGroup(t *testing.T, limit string) (dir string) {
	t.Helper()
	for _, v := range []struct{ root, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir, err := os.MkdirTemp(v.root, "ctview-test-*")
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) }) // after the processes in it ended
		if os.WriteFile(filepath.Join(dir, v.file), []byte(limit), 0) == nil {
			return dir
		}
	}
	return ""
}

// TestSmallMemory: in a cgroup, or with --max-memory, that all flows do not fit in, the screen shows what does and says so, and a
// sorted list ends with the cure; neither is killed.
func TestSmallMemory(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 150000); err != nil {
		t.Fatal(err)
	}
	self := confined(t)
	run := func(args ...string) *exec.Cmd { return confined(t, append(args, "--max-memory", "12M")...) }
	if group := smallGroup(t, "41943040"); group != "" {
		run = func(args ...string) *exec.Cmd {
			cmd := exec.Command("sh", append([]string{"-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group, self.Path}, args...)...)
			cmd.Env = self.Env
			return cmd
		}
		defer func() {
			b, _ := os.ReadFile(filepath.Join(group, "memory.events")) // version 2; version 1 has it in oom_control
			if old, err := os.ReadFile(filepath.Join(group, "memory.oom_control")); err == nil {
				b = old
			}
			if strings.Contains(string(b), "oom_kill 0") {
				return
			}
			t.Errorf("%s: somebody was killed: %s", group, b)
		}()
	} else {
		t.Log("no cgroup can be made here: with --max-memory")
	}
	out, err := run("list", "--sort", "src", "--netns", ns.Path()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is used up after") {
		t.Errorf("list --sort: %v, %d bytes: %.300s", err, len(out), out)
	}
	tm := newTerminal(t, run("--netns", ns.Path()), 120, 24)
	s := tm.shows("of 150,000: memory")
	if !strings.Contains(s, "showing ") || strings.Contains(s, "showing 0 ") {
		t.Errorf("%s", s)
	}
	tm.send("2")
	tm.shows("FLOWS ▼")
	tm.send("4")
	tm.shows("--max-memory")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("the screen ended with %d", code)
	}
}
