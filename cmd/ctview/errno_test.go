package main

import (
	"strings"
	"testing"
)

// TestErrnosTellOfTheRequest: what the kernel refuses is told by what was asked for, not by what its errno says elsewhere.
func TestErrnosTellOfTheRequest(t *testing.T) {
	ns := trackingNS(t)
	run := func(line string) (int, string) {
		code, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, strings.Fields(line)...)...))
		return code, strings.TrimPrefix(strings.TrimSpace(diag), "ctview: ")
	}
	const (
		tcp = "tcp 10.0.0.1:1000 10.0.0.2:80"
		udp = "udp 10.0.0.1:1001 10.0.0.2:21"
	)
	for _, line := range []string{
		"add " + tcp + " -t 500 --state ESTABLISHED --status assured,seen_reply,fixed_timeout", "add " + udp + " -t 5m",
	} {
		if code, diag := run(line); code != 0 {
			t.Fatalf("%s: %d %s", line, code, diag)
		}
	}
	for _, tt := range []struct{ line, want string }{
		{"update -y " + tcp + " --timeout 5m", "--timeout: the flow has FIXED_TIMEOUT, which cannot be taken back"},
		{"update -y " + udp + " --helper nosuch", `no helper "nosuch" for udp over ipv4, or the flow has none: the kernel gives a helper to new flows only`},
		{"update -y " + udp + " --helper ftp", `no helper "ftp" for udp over ipv4, or the flow has none: the kernel gives a helper to new flows only`},
		{"add udp 10.0.0.1:1002 10.0.0.2:21 -t 5m --helper nosuch", `--helper: this kernel has no helper "nosuch" for udp over ipv4`},
		{"add udp [2001:db8::1]:1 [2001:db8::2]:2 -t 5m --helper ftp", `--helper: this kernel has no helper "ftp" for udp over ipv6`},
		{"update -y " + udp + " --labels 5", "--labels: the flow has no room for labels: no rule of this namespace used them when it began"},
		{"add udp 10.0.0.1:1003 10.0.0.2:21 -t 5m --labels 7", "1 flow made, without its labels: no rule of this namespace uses any"},
		{"add " + udp + " -t 5m", "such a flow is there already, or one whose replies it would take"},
		{"add udp 10.0.0.2:21 10.0.0.1:1001 -t 5m", "such a flow is there already, or one whose replies it would take"},
		{"delete -y udp 10.9.9.9:1 10.9.9.8:2", "there is no such flow"},
		{"update -y udp 10.9.9.9:1 10.9.9.8:2 --mark 1", "there is no such flow"},
		{"get udp 10.9.9.9:1 10.9.9.8:2", "there is no such flow"},
	} {
		code, diag := run(tt.line)
		if code != 1 || !strings.HasSuffix(diag, tt.want) {
			t.Errorf("%s: %d %q, want 1 and %q", tt.line, code, diag, tt.want)
		}
	}
	if code, diag := run("add udp 10.0.0.1:1004 10.0.0.2:21 -t 5m --labels -7"); code != 0 {
		t.Errorf("no label is left out where none is set: %d %s", code, diag)
	}
}
