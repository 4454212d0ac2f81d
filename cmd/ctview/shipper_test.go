package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRsyslog: what events wrote to a file Debian's rsyslogd reads by the recipe of docs/fleet.md and hands on, line by line
// and byte by byte.
func TestRsyslog(t *testing.T) {
	ns, f := trackedNS(t)
	dir := t.TempDir()
	file, shipped := filepath.Join(dir, "events.json"), filepath.Join(dir, "shipped.json")
	config := filepath.Join(dir, "rsyslog.conf")
	text := fmt.Sprintf(`global(workDirectory="%[1]s")
module(load="imfile")
template(name="line" type="string" string="%%msg%%\n")
input(type="imfile" File="%[2]s" Tag="ctview:" Ruleset="ctview")
ruleset(name="ctview") { action(type="omfile" file="%[3]s" template="line") }
`, dir, file, shipped)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const n = 1000
	events := ctview(t, "events", "-o", "json", "--netns", ns.Path(), "--types", "new", "--max", fmt.Sprint(n))
	events.Stdout = out
	var log bytes.Buffer
	rsyslog := exec.Command("rsyslogd", "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
	rsyslog.Stdout, rsyslog.Stderr = &log, &log
	for _, cmd := range []*exec.Cmd{rsyslog, events} {
		if err := cmd.Start(); err != nil {
			t.Fatalf("%v (make test installs rsyslogd)", err)
		}
	}
	defer func() {
		_ = rsyslog.Process.Signal(syscall.SIGTERM)
		_ = rsyslog.Wait()
	}()
	ended := make(chan error, 1)
	go func() { ended <- events.Wait() }()
	var done bool
	for i := 0; !done && i < 100*n; i += 100 { // until it has heard enough of them
		if err := f.Create(context.Background(), i, i+100); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if done = true; err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(want, []byte("\n")); lines != n {
		t.Fatalf("%d lines in the file, want %d", lines, n)
	}
	var got []byte
	for end := time.Now().Add(patience); time.Now().Before(end) && !bytes.Equal(got, want); time.Sleep(20 * time.Millisecond) {
		got, _ = os.ReadFile(shipped)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("shipped %d lines of %d, %d bytes of %d\n%s", bytes.Count(got, []byte("\n")), n, len(got), len(want), &log)
	}
}
