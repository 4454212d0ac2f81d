package main

import (
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// TestExpectedByHelper asks for the data connections of real FTP sessions by the helper that announced them, which no
// message of the kernel tells: in every command that takes a filter, beside flows that nobody announced.
func TestExpectedByHelper(t *testing.T) {
	l, ctx := newLab(t)
	for _, state := range []string{"time_wait", "close_wait", "last_ack", "fin_wait", "close"} { // the lab's 10 s are less than a slow machine needs
		if err := l.Router().Sysctl("net/netfilter/nf_conntrack_tcp_timeout_"+state, "600"); err != nil {
			t.Fatal(err)
		}
	}
	must(l.TCP(ctx, lab.From{}, 443))(t)
	for _, from := range []lab.From{{}, {Zone: 5}, {V6: true}} {
		must(must(l.FTP(ctx, from))(t).Get(ctx, !from.V6, 1000, 0))(t)
	}
	ns := l.Router().Path()
	run := func(args ...string) (string, string) {
		t.Helper()
		cmd := ctview(t, append(args, "--netns", ns)...)
		var errOut strings.Builder
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, out, &errOut)
		}
		return strings.TrimSpace(string(out)), errOut.String()
	}
	for _, tt := range []struct {
		filter, want string
	}{
		{"expected by ftp", "3"}, {"zone 5 and master helper ftp", "1"}, {"expected by ftp and expected", "3"}, {"expected by sip", "0"},
		{"expected by none", "0"}, {"not expected by ftp and tcp", "4"}, {"expected by {sip, ftp} and ip6", "1"},
	} {
		if got, _ := run("count", tt.filter); got != tt.want {
			t.Errorf("count %s: %s, want %s", tt.filter, got, tt.want)
		}
	}
	for _, args := range [][]string{
		{"list", "--no-header"}, {"list", "--no-header", "--sort", "src"}, {"list", "-o", "conntrack"}, {"delete", "-n"},
	} {
		got, errOut := run(append(args, "expected by ftp")...)
		if n := strings.Count(got, "\n") + 1; n != 3 {
			t.Errorf("%v: %d lines, want 3:\n%s\n%s", args, n, got, errOut)
		}
	}
	if got, _ := run("list", "--group-by", "proto", "--no-header", "expected by ftp"); !strings.HasPrefix(strings.Join(strings.Fields(got), " "), "tcp 3 ") {
		t.Errorf("the group is %q, want 3 flows", got)
	}

	run("delete", "--yes", "helper ftp")
	for late, _ := run("count", "helper ftp"); late != "0"; late, _ = run("count", "helper ftp") {
		run("delete", "--yes", "helper ftp") // a late packet of a session began it anew
	}
	got, errOut := run("count", "expected by ftp")
	if got != "0" || !strings.Contains(errOut, "3 flows whose master is not known: they count as not matching") {
		t.Errorf("when the sessions have gone: %s, %q, want 0 and that 3 are not known", got, errOut)
	}
}
