package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordForSoLong: --for counts from when the table stands in the file.
func TestRecordForSoLong(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 2000); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.pcap")
	out, err := ctview(t, "record", file, "--for", "1ns", "--netns", ns.Path()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "recorded 2000 flows and ") || strings.Contains(string(out), "not complete") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDamagedRecordingIsTold breaks one message of a recording, or the length of a packet: what is whole is shown, the rest
// is counted with its place, and the exit code is 1.
func TestDamagedRecordingIsTold(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r")
	ctviewIn := func(args ...string) (code int, out, diag string) {
		var o, e bytes.Buffer
		code = run(t.Context(), append([]string{"ctview", "--netns", ns.Path()}, args...), strings.NewReader(""), &o, &e)
		return code, o.String(), e.String()
	}
	for _, port := range []string{"1", "2", "3"} {
		if code, _, diag := ctviewIn("add", "udp", "10.0.0.1:"+port, "10.0.0.2:9", "-t", "5m"); code != 0 {
			t.Fatal(diag)
		}
	}
	if code, _, diag := ctviewIn("record", file, "--for", "300ms"); code != 0 {
		t.Fatal(diag)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tuple := bytes.Index(whole, []byte{10, 0, 0, 1}) - 4 // CTA_IP_V4_SRC with its header
	for _, tt := range []struct {
		name  string
		spoil func(b []byte) []byte
		want  string
	}{
		{"whole", func(b []byte) []byte { return b }, ""},
		{"a length within a tuple", func(b []byte) []byte { b[tuple] = 0xff; return b }, "damaged: 1 message that cannot be read, the first in the packet at byte "},
		{"an empty packet", func(b []byte) []byte { return append(b, make([]byte, 16)...) }, "damaged: 1 message that cannot be read"},
		{"a packet too large", func(b []byte) []byte {
			h := binary.NativeEndian.AppendUint32(make([]byte, 8), 1<<30)
			return append(b, append(h, 0, 0, 0, 0)...)
		}, "damaged: nothing can be read from byte "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, tt.spoil(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, diag := ctviewIn("list", "--no-header", "--read", file)
			wantCode, wantRows := exitFailed, 3
			if tt.want == "" {
				wantCode = exitOK
			}
			if strings.Contains(tt.name, "tuple") {
				wantRows = 2
			}
			if code != wantCode || !strings.Contains(diag, tt.want) || strings.Count(out, "\n") != wantRows {
				t.Errorf("exit code %d, %q, rows:\n%s", code, diag, out)
			}
		})
	}
}
