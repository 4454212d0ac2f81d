package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ctview/model"
)

// TestEventsTellAnAge holds `age` to the events of a kernel without timestamps: a NEW has none, a DESTROY says nothing,
// and that is told once.
func TestEventsTellAnAge(t *testing.T) {
	ns, f := trackedNS(t)
	if err := ns.Sysctl("net/netfilter/nf_conntrack_timestamp", "0"); err != nil {
		t.Fatal(err)
	}
	cmd := ctview(t, "events", "--netns", ns.Path(), "-o", "table", "--no-header", "--types", "new,destroy", "--max", "6", "age < 30s")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening(t, cmd, ns)
	ctx := context.Background()
	for _, do := range []func() error{
		func() error { return f.Create(ctx, 0, 5) },
		func() error { return f.Destroy(ctx, 0, 5) },
		func() error { return f.Create(ctx, 5, 6) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	if n := strings.Count(strings.ToLower(out.String()), "new"); n != 6 {
		t.Errorf("%d NEW events of 6:\n%s", n, &out)
	}
	if n := strings.Count(errOut.String(), "destroy events that do not tell the age"); n != 1 {
		t.Errorf("stderr tells %d times that the DESTROYs have no age, want once:\n%s", n, &errOut)
	}
}

// TestOneReadingHasNoRate holds commands that read the table once to exit status 2 and the reason.
func TestOneReadingHasNoRate(t *testing.T) {
	ns, _ := trackedNS(t)
	for _, args := range [][]string{{"count"}, {"list"}, {"events"}, {"delete", "--yes"}} {
		t.Run(args[0], func(t *testing.T) {
			cmd := ctview(t, append(args, "--netns", ns.Path(), "not rate > 5Mbit")...)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "takes two readings") {
				t.Errorf("exit status %d, %q, want 2 and the reason", code, out)
			}
		})
	}
}

func TestSortTakesCapitals(t *testing.T) {
	o, err := parseSort("SRC:DESC")
	if err != nil || o.column != model.ColSrc || !o.desc {
		t.Errorf("parseSort(SRC:DESC) = %+v, %v", o, err)
	}
	if _, desc, err := parseGroupSort("FLOWS:DESC", false); err != nil || !desc {
		t.Errorf("parseGroupSort(FLOWS:DESC): desc %v, %v", desc, err)
	}
}

// TestGroupsMarkWhatIsNotCounted makes a flow with counters and one without, which are in one group.
func TestGroupsMarkWhatIsNotCounted(t *testing.T) {
	ns, f := trackedNS(t)
	ctx := context.Background()
	for i, acct := range []string{"0", "1"} {
		if err := ns.Sysctl("net/netfilter/nf_conntrack_acct", acct); err != nil {
			t.Fatal(err)
		}
		if err := f.Create(ctx, i, i+1); err != nil {
			t.Fatal(err)
		}
	}
	for output, want := range map[string]string{"table": ">=0\n", "json": `"bytes":0,"uncounted":1`, "csv": "0,2,0,0,1"} {
		t.Run(output, func(t *testing.T) {
			out, err := ctview(t, "list", "--netns", ns.Path(), "--group-by", "zone", "-o", output).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v, no %q in:\n%s", err, want, out)
			}
		})
	}
}
