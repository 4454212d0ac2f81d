package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestEventsHintWhatHelps: of what an event does not tell a setting is named as the cure only where it is off.
func TestEventsHintWhatHelps(t *testing.T) {
	ns := trackingNS(t)
	for value, want := range []bool{true, false} {
		if err := ns.Sysctl("net/netfilter/nf_conntrack_acct", strconv.Itoa(value)); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		sent := make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					sent <- nil
					return
				case <-time.After(10 * time.Millisecond):
				}
				if err := ns.Do(func() error { return sendUDP("127.0.0.1:" + strconv.Itoa(2000+n)) }); err != nil {
					sent <- err
					return
				}
			}
		}()
		_, _, diag := runIn(t, ctview(t, "--netns", ns.Path(), "events", "--for", "1s", "bytes > 1G"))
		close(stop)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(diag, "that do not tell the byte count") || strings.Contains(diag, "nf_conntrack_acct=1") != want {
			t.Errorf("settings %d: %s", value, diag)
		}
	}
}

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
