package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab/fill"
)

// TestRecordingsDocument tries what docs/recordings.md says of what a recording weighs, of its file, and of one that is not whole:
// the texts are those of the page.
func TestRecordingsDocument(t *testing.T) {
	t.Parallel()
	page := string(must(os.ReadFile("../../docs/recordings.md"))(t))
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 500); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.pcap")
	recordUntil(t, ns.Path(), file, syscall.SIGKILL, f)
	if code, out, diag := runIn(t, ctview(t, "list", "--read", file)); code != exitOK || strings.Count(out, "\n") != 1 {
		t.Errorf("of a recorder that was killed: exit code %d, %s, rows:\n%.300s", code, diag, out)
	}
	if err := f.Create(t.Context(), 0, 500); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	recordUntil(t, ns.Path(), file, syscall.SIGINT, f)
	whole := must(os.ReadFile(file))(t)
	if each := len(whole) / 1000; each < 250 || each > 350 || !strings.Contains(page, "some 300 bytes") {
		t.Errorf("500 flows and 500 events take %d bytes each", each)
	}
	if mode := must(os.Stat(file))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %v", mode)
	}
	// Read without any right.
	powerless := ctview(t, "events", "--read", file, "--dump", "-o", "csv", "--no-header")
	powerless.Env = append(powerless.Env, asPowerless+"=1")
	if out, err := powerless.Output(); err != nil || bytes.Count(out, []byte(",dump,")) != 500 || bytes.Count(out, []byte(",destroy,")) != 500 {
		t.Errorf("%v, rows:\n%.300s", err, out)
	}

	tooLong := binary.NativeEndian.AppendUint32(make([]byte, 8), 1<<30)
	quoted := regexp.MustCompile("`([^`]+)`")
	digits := regexp.MustCompile(`\d+`)
	for _, tt := range []struct {
		row  string // the beginning of the table's
		data []byte
		code int
	}{
		{"it ends within a packet", whole[:len(whole)-30], exitOK},
		{"the length of a packet is broken", append(bytes.Clone(whole), append(tooLong, 0, 0, 0, 0)...), exitFailed},
		{"messages in it are broken", append(bytes.Clone(whole), make([]byte, 16)...), exitFailed},
		{"it is something else", []byte("text that is longer than the header of a recording"), exitFailed},
		{"it is something else", []byte("text"), exitFailed},
		{"it is something else", nil, exitFailed},
	} {
		t.Run(tt.row, func(t *testing.T) {
			_, row, _ := strings.Cut(page, "\n| "+tt.row)
			row, _, _ = strings.Cut(row, "\n")
			m := quoted.FindStringSubmatch(row)
			if m == nil || !strings.HasSuffix(row, "| "+map[int]string{exitOK: "0", exitFailed: "1"}[tt.code]+" |") {
				t.Fatalf("the page has no text, or not exit code %d: %s", tt.code, row)
			}
			if err := os.WriteFile(file, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, diag := runIn(t, ctview(t, "list", "--read", file))
			if code != tt.code || strings.Count(digits.ReplaceAllString(diag, "#"), digits.ReplaceAllString(m[1], "#")) != 1 {
				t.Errorf("exit code %d, %q, want %d and once %q", code, diag, tt.code, m[1])
			}
		})
	}
}

// recordUntil records a namespace into file, has f destroy its 500 flows once they are in it, and ends when that is, too, with a signal.
func recordUntil(t *testing.T, netns, file string, end syscall.Signal, f *fill.Filler) {
	t.Helper()
	cmd := ctview(t, "--netns", netns, "record", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Signal(end) }()
	holds := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			out, _ := ctview(t, "events", "--read", file, "--dump", "-o", "csv", "--no-header").Output()
			if bytes.Count(out, []byte(what)) == 500 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: no 500 rows with %s", file, what)
			}
		}
	}
	holds(",dump,")
	if err := f.Destroy(t.Context(), 0, 500); err != nil {
		t.Fatal(err)
	}
	holds(",destroy,")
}
