package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
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
	record(t, openNS(t, ns), file)
	place, err := filepath.Abs("testdata/test.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(conf, []byte("geoip = ["+strconv.Quote(place)+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tm := newTerminal(t, ctview(t, "--config", conf, "--read", file), 120, 35)
	tm.until("the recorded flow", func(s string) bool {
		return strings.Contains(s, "127.0.0.1:1001") && strings.Contains(s, "REPLAY") && strings.Contains(s, "flows.pcap")
	})
	tm.send("D")
	tm.shows("read-only")
	tm.send("\r")
	tm.until("the detail", func(s string) bool { return strings.Contains(s, "original") && strings.Contains(s, "127.0.0.1:1001") })
	tm.shows(`127.0.0.1 is in ev\x1bil, ZZ`)
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

// record writes the table of ns to file.
func record(t *testing.T, ns *ctnl.Netns, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	info, err := ctnl.Record(ctx, ns, f, ctnl.RecordOptions{Progress: func(i ctnl.RecordInfo) {
		if i.Dumped {
			stop()
		}
	}})
	if !info.Dumped {
		t.Fatalf("recorded %+v: %v", info, err)
	}
}

// TestReplayWithoutTable shows a recording of events alone as what it is, not as a table that is still being read.
func TestReplayWithoutTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.pcap")
	var b bytes.Buffer
	if err := ctnl.NewCaptureWriter(&b).Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &globals{}
	table, err := g.replay(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := table.Stats(); !s.Loaded || s.Flows != 0 {
		t.Errorf("%+v", s)
	}
}
