package main

import (
	"strings"
	"testing"
)

// TestStreamThatCannotSpeak: with nf_conntrack_events=0 a stream says at its start that nothing will come; else it says nothing.
func TestStreamThatCannotSpeak(t *testing.T) {
	ns := trackingNS(t)
	for _, tt := range []struct {
		value string
		args  []string
		want  bool
	}{
		{"0", []string{"events", "--for", "100ms"}, true},
		{"0", []string{"events", "-q", "--for", "100ms"}, false},
		{"0", []string{"expect", "events", "--for", "100ms"}, true},
		{"0", []string{"record", "-", "--for", "100ms"}, true},
		{"1", []string{"events", "--for", "100ms"}, false},
		{"1", []string{"record", "-", "--for", "100ms"}, false},
	} {
		if err := ns.Sysctl("net/netfilter/nf_conntrack_events", tt.value); err != nil {
			t.Fatal(err)
		}
		code, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, tt.args...)...))
		if got := strings.Contains(diag, "nf_conntrack_events is 0 here"); got != tt.want || code != 0 {
			t.Errorf("nf_conntrack_events=%s %v: %d %q", tt.value, tt.args, code, diag)
		}
	}
}
