package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestReadScreen shows a recording on the screen: its flows and events, marked as such, and nothing that acts on the
// kernel.
func TestReadScreen(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	if err := ns.Do(func() error { return sendUDP("127.0.0.1:1001") }); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "flows.pcap")
	if out, err := ctview(t, "record", "--netns", ns.Path(), "--for", "100ms", file).CombinedOutput(); err != nil {
		t.Fatalf("record: %v\n%s", err, out)
	}
	tm := newTerminal(t, ctview(t, "--read", file), 120, 35)
	tm.until("the recorded flow", func(s string) bool {
		return strings.Contains(s, "127.0.0.1:1001") && strings.Contains(s, "REPLAY") && strings.Contains(s, "flows.pcap")
	})
	tm.send("D")
	tm.shows("read-only")
	tm.send("\r")
	tm.until("the detail", func(s string) bool { return strings.Contains(s, "original") && strings.Contains(s, "127.0.0.1:1001") })
	tm.send("\x1b")
	tm.lacks("original")
	for _, key := range []string{"2", "3", "4", "5", "6", "1"} {
		tm.send(key)
		tm.shows("REPLAY")
	}
	tm.shows("127.0.0.1:1001")
	tm.send("R")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
