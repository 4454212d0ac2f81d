package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// marksOf runs a doctor and returns the mark of each check, and the exit code.
func marksOf(t *testing.T, cmd *exec.Cmd) (marks map[string]string, code int) {
	t.Helper()
	out, err := cmd.Output()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	marks = map[string]string{}
	for line := range strings.Lines(string(out)) {
		if sign := strings.TrimSpace(line[:4]); sign != "" {
			marks[strings.Fields(line[4:])[0]] = sign
		}
	}
	return marks, cmd.ProcessState.ExitCode()
}

// TestDoctorUnprivileged runs doctor as a user without capabilities, in a namespace of the test's own: it tells what
// /proc tells anybody and that the rest is not permitted.
func TestDoctorUnprivileged(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	cmd := asNobody(t, "doctor")
	var marks map[string]string
	var code int
	// The child is nobody's in the namespace of this thread; nobody may not enter one by itself.
	if err := ns.Do(func() error { marks, code = marksOf(t, cmd); return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"permission": "!!", "ctnetlink": "?", "buffer": "?", "nf_tables": "?", "iptables": "?",
		"table": "ok", "counters": "ok", "events": "ok", "acct": "ok", "timestamp": "ok", "log_invalid": "ok", "kernel": "ok"}
	for check, m := range want {
		if marks[check] != m {
			t.Errorf("%s is %q, want %q", check, marks[check], m)
		}
	}
	if code != exitPermission {
		t.Errorf("exit code %d, want %d", code, exitPermission)
	}
}

// TestDoctorWithoutNetlink runs doctor on a kernel that has no NETLINK_NETFILTER.
func TestDoctorWithoutNetlink(t *testing.T) {
	cmd := ctview(t, "doctor")
	cmd.Env = append(cmd.Env, asBlind+"=1")
	marks, code := marksOf(t, cmd)
	if marks["ctnetlink"] != "!!" || code != exitNoConntrack {
		t.Errorf("ctnetlink is %q and the exit code %d, want !! and %d", marks["ctnetlink"], code, exitNoConntrack)
	}
}

func newNS(t *testing.T) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}
