package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"ctview/ctnl"
)

// colour matches the escape sequences that choose one.
var colour = regexp.MustCompile(`\x1b\[[0-9;]*\b(3[0-7]|4[0-7]|9[0-7]|10[0-7]|38;|48;)[0-9;]*m`)

// asked matches questions to the terminal, the alternate screen, the mouse, titles and the like.
var asked = regexp.MustCompile(`\x1b\[[<=>][^\x1b]*|\x1b\[\?[0-9]{4}[hl]|\x1b\[\?[0-9]+\$p|\x1b[\]P][^\x1b]*`)

// TestScreenUnable: a terminal that has no screen gets the list.
func TestScreenUnable(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	for _, name := range []string{"dumb", "", "vt52"} {
		t.Run(name, func(t *testing.T) {
			tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path()), 120, 24, "TERM="+name)
			if code := tm.ended(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			tm.eventually("the end of the output", tm.drained)
			if out := tm.output(); strings.Contains(out, "\x1b") || !strings.Contains(out, "10.0.0.1:1000") ||
				!strings.Contains(out, "TERM="+name+": the list") {
				t.Errorf("%q", out)
			}
		})
	}
}

// TestScreenTerminals: what a terminal cannot show, or its user does not want, is not sent to it.
func TestScreenTerminals(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80") // ESTABLISHED, which is green
	tb.flow("10.0.0.1:1001", "10.0.0.2:80")
	link := filepath.Join(t.TempDir(), "nämespace-ネット")
	if err := os.Symlink(tb.ns.Path(), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		env    []string
		colour bool
		ascii  bool
	}{
		{name: "xterm-256color", colour: true},
		{name: "linux", env: []string{"TERM=linux"}, colour: true},
		{name: "screen", env: []string{"TERM=screen"}, colour: true},
		{name: "256", args: []string{"--theme", "256"}, colour: true},
		{name: "NO_COLOR=yes", env: []string{"NO_COLOR=yes"}},
		{name: "--no-color", args: []string{"--no-color"}},
		{name: "--theme none", args: []string{"--theme", "none"}},
		{name: "--ascii", args: []string{"--ascii"}, colour: true, ascii: true},
		{name: "LANG=C", env: []string{"LANG=C", "LC_ALL=C"}, colour: true, ascii: true},
		{name: "vt100", env: []string{"TERM=vt100"}, ascii: true},
		{name: "vt220", env: []string{"TERM=vt220"}, ascii: true},
		{name: "vte-256color", env: []string{"TERM=vte-256color"}, colour: true},
		{name: "CLICOLOR=0", env: []string{"CLICOLOR=0"}},
		{name: "CLICOLOR=0, forced", env: []string{"CLICOLOR=0", "CLICOLOR_FORCE=1"}, colour: true},
		{name: "xterm-mono", env: []string{"TERM=xterm-mono"}, ascii: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tm := newTerminal(t, ctview(t, append(tt.args, "--netns", link)...), 100, 24, tt.env...)
			tm.until("two flows", rowsAre(2))
			tm.send("q")
			if code := tm.ended(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			tm.until("the end of the output", func(string) bool { tm.mu.Lock(); defer tm.mu.Unlock(); return tm.eof })
			out := tm.output()
			if got := colour.MatchString(out); got != tt.colour {
				t.Errorf("colours: %v, want %v", got, tt.colour)
			}
			if got := !strings.ContainsFunc(out, func(r rune) bool { return r > 126 }); got != tt.ascii {
				t.Errorf("ASCII only: %v, want %v", got, tt.ascii)
			}
			old := strings.HasPrefix(tt.name, "vt") && tt.name != "vte-256color" || tt.name == "linux"
			if got := asked.FindString(out); old != (got == "") {
				t.Errorf("questions and modes that a VT does not know: %q", got)
			}
		})
	}
}

// TestScreenNoSize: a serial line that says 0x0 gets 80x24.
func TestScreenNoSize(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path()), 0, 0)
	tm.until("the flow and the keys", func(s string) bool { return len(rows(s)) == 1 && strings.Contains(s, "? q") })
}

// TestScreenHuge: on a terminal of millions of cells a part is drawn on, which is told, at the start and when the size changes;
// memory is bounded by that part.
func TestScreenHuge(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	self := ctview(t)
	sh := exec.Command("sh", "-c", `stty cols 2000 rows 2000; exec "$0" --netns "$1"`, self.Path, tb.ns.Path())
	sh.Env = self.Env
	tm := newTerminal(t, sh, 1000, 300)
	tm.until("the flow, and what is drawn on", func(s string) bool {
		return len(rows(s)) == 1 && strings.Contains(s, "the terminal has 2000x2000 cells: ctview draws on 1000x300 of them")
	})
	tm.resize(120, 35)
	tm.until("a frame of 35 lines", func(s string) bool {
		return len(rows(s)) == 1 && strings.Contains(strings.Split(s, "\n")[34], "q quit")
	})
	if err := pty.Setsize(tm.tty, &pty.Winsize{Cols: 1500, Rows: 35}); err != nil {
		t.Fatal(err)
	}
	tm.eventually("the new size", func() bool { return strings.Contains(tm.output(), "1500x35 cells: ctview draws on 1000x35") })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tm.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var peak int
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &peak); err != nil || peak > 400<<10 { // 85 MB; the test's own binary is larger, under the race detector 250
		t.Errorf("%d kB at most, %v; want 400 MB or less", peak, err)
	}
}

// TestScreenSuspend: Ctrl-Z gives the shell back; fg shows what happened meanwhile.
func TestScreenSuspend(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	self := ctview(t)
	sh := exec.Command("sh", "-mc", `"$0" --netns "$1"; echo SHELL; read line; fg`, self.Path, tb.ns.Path())
	sh.Env = self.Env
	tm := newTerminal(t, sh, 120, 35)
	tm.until("a flow", rowsAre(1))
	tm.send("\x1a")
	tm.shows("SHELL")
	tb.flow("10.0.0.1:1001", "10.0.0.2:80")
	tm.send("\r")
	tm.until("both flows", func(s string) bool {
		return len(rows(s)) == 2 && strings.Contains(s, "resumed: reading the whole table")
	})
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestScreenStalled: a terminal that reads nothing holds up the picture, but neither the events nor the end.
func TestScreenStalled(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1", "10.0.0.2:80")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path(), "--refresh", "200ms"), 120, 35)
	tm.until("a flow", rowsAre(1))
	stall := func() {
		tm.gate.Lock()
		for i := range 60 { // each size is a new picture: more than the pty holds
			tm.resize(100+i, 30+i%5)
			time.Sleep(5 * time.Millisecond)
		}
	}
	go func() { _, _ = tm.tty.WriteString(" ") }() // wakes the reader: it then finds the gate closed
	stall()
	const n = 3000
	failed, err := tb.k.CreateMany(context.Background(), n, func(i int, s *ctnl.Spec) {
		*s = *established(fmt.Sprintf("10.0.1.1:%d", 1000+i), "10.0.0.2:80")
	})
	if err != nil || len(failed) > 0 {
		t.Fatal(err, len(failed))
	}
	for end := time.Now().Add(patience); tb.unread() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes of events wait in the kernel while the terminal does not read", tb.unread())
		}
	}
	tm.gate.Unlock()
	tm.resize(120, 35)
	tm.until("all flows, nothing lost", func(s string) bool {
		return strings.Contains(s, fmt.Sprintf("flows %d/", n+1)) && strings.Contains(s, "lost 0")
	})
	go func() { _, _ = tm.tty.WriteString(" ") }()
	stall()
	if err := tm.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := tm.ended(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGTERM))
	}
	tm.gate.Unlock()
}

// unread returns the bytes that wait in the receive buffers of the namespace's netlink sockets.
func (tb *tab) unread() (sum int) {
	tb.t.Helper()
	var text []byte
	err := tb.ns.Do(func() (err error) { text, err = os.ReadFile("/proc/thread-self/net/netlink"); return err })
	if err != nil {
		tb.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var sk string
		var proto, port, rmem int
		var groups uint32
		if n, _ := fmt.Sscanf(line, "%s %d %d %x %d", &sk, &proto, &port, &groups, &rmem); n == 5 {
			sum += rmem
		}
	}
	return sum
}
