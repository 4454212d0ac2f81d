package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDemo runs the demo as a newcomer does: without root, without anything set up. It shows the lab's flows, and after
// SIGKILL nothing of it is left: its namespaces have no other owner than its processes.
func TestDemo(t *testing.T) {
	cmd := asNobody(t, "demo", "--rate", "3")
	cmd.Env = append(cmd.Env, "HOME=/nonexistent")
	tm := newTerminal(t, cmd, 120, 35)
	tm.until("flows of the lab", func(s string) bool { return len(rows(s)) > 15 })
	for _, f := range []string{"zone 5", "zone 7", "helper ftp", "snat", "dnat", "ip6", "mark != 0", "ct state related", "icmp"} {
		tm.send("/\x15" + f + "\r") // Ctrl-U empties the bar
		tm.until("flows of "+f, func(s string) bool {
			return strings.Contains(s, "/ "+f) && !strings.Contains(s, "Enter applies") && len(rows(s)) > 0
		})
	}
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(processesOf(exe)); n == 0 {
		t.Fatalf("no process runs %s", exe)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := processesOf(exe)
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("still there after SIGKILL: processes %v", left)
		}
	}
}

// processesOf returns the processes that run the program exe. Network namespaces that nothing names live exactly as
// long as their processes and those processes' files.
func processesOf(exe string) (pids []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == exe {
			pids = append(pids, filepath.Base(filepath.Dir(l)))
		}
	}
	return pids
}
