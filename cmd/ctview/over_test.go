package main

import (
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
)

// TestOverKnowsRates: with --over a command reads twice and knows the rate of a flow that moves, in the filter, in a
// column, in an order and of a group; without it what takes two readings is refused.
func TestOverKnowsRates(t *testing.T) {
	l, ctx := newLab(t)
	go func() {
		for ctx.Err() == nil {
			_, _ = l.Ping(ctx, lab.From{}, 20, 20*time.Millisecond)
		}
	}()
	run := func(args ...string) (int, string) {
		cmd := ctview(t, append(args, "--netns", l.Router().Path())...)
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for deadline := time.Now().Add(patience); ; {
		if code, out := run("count", "icmp"); code == 0 && strings.TrimSpace(out) != "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no ping")
		}
	}
	for _, args := range [][]string{
		{"count", "rate > 1"}, {"list", "--columns", "src,rate"}, {"list", "--sort", "rate:desc"}, {"list", "pps > 0"},
		{"list", "--group-by", "proto", "--sort", "rate"}, {"delete", "-n", "pps > 0"},
	} {
		if code, out := run(args...); code != 2 || !strings.Contains(out, "--over 1s") {
			t.Errorf("%v: exit code %d, %q, want 2 and the cure", args, code, out)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "--over", "300ms", "--exit-code", "--no-header", "icmp and rate > 100"}, "icmp"},
		{[]string{"list", "--over", "300ms", "--no-header", "--columns", "rate", "icmp and pps > 1"}, "B/s"},
		{[]string{"list", "--over", "300ms", "--group-by", "proto", "--sort", "rate:desc", "--no-header", "icmp"}, "B/s"},
		{[]string{"list", "--over", "300ms", "--group-by", "proto", "-o", "json", "icmp"}, `"rate":`},
		{[]string{"delete", "--over", "300ms", "-n", "icmp and pps > 1"}, "icmp"},
	} {
		got := ""
		ok := false
		for end := time.Now().Add(patience); time.Now().Before(end) && !ok; { // a ping may just have ended
			_, got = run(tt.args...)
			ok = strings.Contains(got, tt.want)
		}
		if !ok {
			t.Errorf("%v gives %q, want %q in it", tt.args, got, tt.want)
		}
	}
	if code, out := run("list", "--over", "1ms"); code != 2 {
		t.Errorf("--over 1ms: exit code %d: %s", code, out)
	}
}
