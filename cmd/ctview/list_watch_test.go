package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestListWatchScreen: on a terminal list --watch draws one page over the other, in the size that the terminal has, says how much
// of what there is it shows, and leaves the last one; what was there before can be scrolled back to.
func TestListWatchScreen(t *testing.T) {
	ns := trackingNS(t)
	for i := range 12 {
		addFlow(t, ns, "10.0.0.1", fmt.Sprintf("192.168.100.%d", 100+i))
	}
	tm := newTerminal(t, ctview(t, "list", "--watch=200ms", "--sort", "dst:desc", "--netns", ns.Path(), "udp"), 100, 6)
	// A page may be seen while it is being drawn: what is waited for is all of it.
	page := func(count, first string, rows int) func(string) bool {
		return func(s string) bool {
			lines := strings.Split(s, "\n")
			return strings.HasPrefix(lines[0], "every 200ms: list udp ") && strings.Contains(lines[0], "  "+count+" ") &&
				strings.HasPrefix(lines[1], "PROTO ") && strings.Contains(lines[2], first) &&
				strings.Count(s, "192.168.100.") == rows && strings.Count(s, "PROTO") == 1
		}
	}
	tm.until("the first four of twelve", page("4 of 12 flows", "192.168.100.111", 4))
	addFlow(t, ns, "10.0.0.1", "192.168.100.200")
	tm.until("the new flow on top", page("4 of 13 flows", "192.168.100.200", 4))
	tm.resize(60, 20)
	tm.until("all thirteen in 20 rows", page("13 flows", "192.168.100.200", 13))
	if out, err := ctview(t, "flush", "--yes", "--netns", ns.Path()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tm.until("no row of an older page", page("0 flows", "", 0))
	tm.send("\x03")
	if code := tm.ended(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	tm.shows("  0 flows")
	if out := tm.output(); !strings.HasPrefix(out, strings.Repeat("\r\n", 5)+"\x1b[H") || !strings.HasSuffix(out, "\r\n") {
		t.Errorf("it begins and ends with %q", out)
	}
}

// TestListWatchPipe: in a pipe readings follow each other whole, each row with the time of its reading; no escape sequence, no
// second head of CSV; rates from the second reading on; a signal ends it.
func TestListWatchPipe(t *testing.T) {
	ns := trackingNS(t)
	for i := range 3 {
		addFlow(t, ns, "10.0.0.1", fmt.Sprintf("192.168.100.%d", 100+i))
	}
	for _, tt := range []struct {
		args   string
		schema string
		check  func(lines []string) string
	}{
		{"list -w=200ms", "", func(l []string) string {
			if len(l[0]) != len("2006-01-02 15:04:05") || !strings.HasPrefix(l[1], "PROTO") || l[5] != "" || len(l[6]) != len(l[0]) || l[7] != l[1] {
				return "time, head, three flows, blank line; and again"
			}
			return ""
		}},
		{"list -w=200ms -j", "flow", sameTimes},
		{"list -w=200ms -j --columns helper", "", sameTimes},
		{"list -w=200ms -j --group-by dst --sort rate:desc", "group", sameTimes},
		{"list -w=200ms -o csv --sort rate", "", csvTimes},
		{"list -w=200ms -o csv --group-by dst", "", csvTimes},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := ctview(t, append(strings.Fields(tt.args), "--netns", ns.Path())...)
			cmd.Env = append(cmd.Env, "TERM=xterm")
			cmd.Stderr = os.Stderr
			out := must(cmd.StdoutPipe())(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(out)
			var lines []string
			for len(lines) < 10 {
				line, err := in.ReadString('\n')
				if err != nil {
					t.Fatalf("%v behind %q", err, lines)
				}
				if tt.schema != "" {
					checkSchema(t, tt.schema, []byte(line))
				}
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
			_ = cmd.Process.Signal(syscall.SIGINT)
			var rest bytes.Buffer
			_, _ = rest.ReadFrom(in)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit code %d", code)
			}
			all := strings.Join(lines, "\n")
			if want := tt.check(lines); want != "" || strings.ContainsRune(all, '\x1b') {
				t.Errorf("want %s, got\n%s", want, all)
			}
			if tail := rest.String(); tail != "" && !strings.HasSuffix(tail, "\n") {
				t.Errorf("a line is torn: %q", tail)
			}
		})
	}
}

// sameTimes says what is wrong with objects of which three belong to a reading.
func sameTimes(lines []string) string {
	for i, l := range lines[:9] {
		if same := l[:len(`{"time":"2006-01-02T15:04:05.000000000Z"`)] == lines[i/3*3][:len(`{"time":"2006-01-02T15:04:05.000000000Z"`)]; !same {
			return "one time for each three"
		}
	}
	if lines[0][:40] == lines[3][:40] {
		return "another time for the next three"
	}
	return ""
}

// csvTimes says what is wrong with records of which three belong to a reading.
func csvTimes(lines []string) string {
	const stamp = len("2006-01-02T15:04:05.000000000Z,")
	if !strings.HasPrefix(lines[0], "time,") || strings.Contains(strings.Join(lines[1:], "\n"), "time,") {
		return "one head"
	}
	for i, l := range lines[1:] {
		if l[:stamp] != lines[1+i/3*3][:stamp] {
			return "one time for each three"
		}
	}
	if lines[1][:stamp] == lines[4][:stamp] {
		return "another time for the next three"
	}
	return ""
}
