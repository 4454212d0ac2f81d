package main

import (
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/model"
)

// TestProposalsAreTried: what a wrong filter is answered with is tried first, in a command as on the screen; not where the flows are
// those of a recording.
func TestProposalsAreTried(t *testing.T) {
	l, ctx := newLab(t)
	must(l.State(ctx, lab.From{}, model.TCPTimeWait))(t)
	run := func(args ...string) string {
		cmd := ctview(t, append(args, "--netns", l.Router().Path())...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("%v: exit code %d, %v, want 2", args, code, err)
		}
		return string(out)
	}
	for _, args := range [][]string{{"list", "closed"}, {"count", "closed"}, {"events", "closed"}, {"delete", "-n", "closed"},
		{"update", "-m", "1", "-n", "closed"}, {"explain", "closed"}} {
		const want = `unknown word "closed": write phase closed (1 flow here) or state closed (none here)`
		if out := run(args...); !strings.Contains(out, want) {
			t.Errorf("%v: %q, want %q in it", args, out, want)
		}
	}
	file := filepath.Join(t.TempDir(), "r.pcap")
	if out, err := ctview(t, "record", file, "--for", "200ms", "--netns", l.Router().Path()).CombinedOutput(); err != nil {
		t.Fatalf("record: %v: %s", err, out)
	}
	if out := run("list", "--read", file, "closed"); !strings.Contains(out, "write phase closed or state closed\n") {
		t.Errorf("a recording: %q", out)
	}
}
