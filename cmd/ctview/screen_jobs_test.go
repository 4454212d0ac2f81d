package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cooked reports whether the terminal has the settings that a shell wants.
func (tm *terminal) cooked() bool {
	tm.t.Helper()
	t, err := unix.IoctlGetTermios(int(tm.tty.Fd()), unix.TCGETS)
	if err != nil {
		tm.t.Fatal(err)
	}
	return t.Lflag&unix.ICANON != 0 && t.Lflag&unix.ECHO != 0
}

// drained reports whether all output has been read, after the end.
func (tm *terminal) drained() bool {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.eof
}

// plainScreen reports whether the last that was said of each mode that the screen uses is "off".
func (tm *terminal) plainScreen() bool {
	out := tm.output()
	for _, mode := range []string{"1049", "1002", "1006", "2004"} {
		if strings.LastIndex(out, "\x1b[?"+mode+"h") > strings.LastIndex(out, "\x1b[?"+mode+"l") {
			return false
		}
	}
	return true
}

// eventually waits for ok to hold of what the screen does not show.
func (tm *terminal) eventually(what string, ok func() bool) {
	tm.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tm.t.Fatalf("waiting for %s; the screen:\n%s", what, tm.screen())
		}
	}
}

// child returns the process of a command that a shell started, and its state as proc(5) writes it.
func (tm *terminal) child(name string) (pid int, state string) {
	tm.t.Helper()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		var parent int
		text := string(b)
		i := strings.LastIndexByte(text, ')')
		if _, err := fmt.Sscanf(text[i+1:], " %s %d", &state, &parent); err == nil && parent == tm.cmd.Process.Pid &&
			strings.Contains(text[:i], name) {
			fmt.Sscan(text, &pid)
			return pid, state
		}
	}
	return 0, ""
}

// TestScreenNoShell: where nobody would continue a program that stops, Ctrl-Z says so, keys go on to work, and every signal
// ends it.
func TestScreenNoShell(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	for _, tt := range []struct {
		name string
		sh   string
		sig  syscall.Signal
	}{
		{"exec", "", syscall.SIGTERM},
		{"exec, SIGTSTP first", "", syscall.SIGINT},
		{"sh -c", `trap : HUP; "$0" --netns "$1"; exit $?`, syscall.SIGHUP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := ctview(t, "--netns", tb.ns.Path())
			if tt.sh != "" {
				sh := exec.Command("sh", "-c", tt.sh, cmd.Path, tb.ns.Path())
				sh.Env, cmd = cmd.Env, sh
			}
			tm := newTerminal(t, cmd, 120, 35)
			tm.until("a flow", rowsAre(1))
			pid := tm.cmd.Process.Pid
			if tt.sh != "" {
				pid, _ = tm.child("ctview")
			}
			if strings.Contains(tt.name, "SIGTSTP") {
				syscall.Kill(pid, syscall.SIGTSTP)
			} else {
				tm.send("\x1a")
			}
			tm.shows("no shell to go back to")
			tm.send("?")
			tm.shows("ctview help")
			if err := syscall.Kill(pid, tt.sig); err != nil {
				t.Fatal(err)
			}
			if code := tm.ended(); code != 128+int(tt.sig) {
				t.Errorf("exit code %d, want %d", code, 128+int(tt.sig))
			}
			if !tm.cooked() {
				t.Error("the terminal is raw after the end")
			}
		})
	}
}

// TestScreenStopped: stopped from outside, ctview leaves the terminal as a shell wants it, as far as it is told, and takes
// it again when it is continued; a signal that came meanwhile ends it.
func TestScreenStopped(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	for _, tt := range []struct {
		name string
		stop syscall.Signal
		then syscall.Signal
	}{
		{"SIGTSTP", syscall.SIGTSTP, 0},
		{"SIGSTOP", syscall.SIGSTOP, 0},
		{"SIGTSTP, then SIGTERM", syscall.SIGTSTP, syscall.SIGTERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			self := ctview(t)
			sh := exec.Command("sh", "-mc", `"$0" --netns "$1"; echo SHELL; read line; fg`, self.Path, tb.ns.Path())
			sh.Env = self.Env
			tm := newTerminal(t, sh, 120, 35)
			tm.until("a flow", rowsAre(1))
			pid, _ := tm.child("ctview")
			if err := syscall.Kill(pid, tt.stop); err != nil {
				t.Fatal(err)
			}
			tm.eventually("the process to stop", func() bool { _, s := tm.child("ctview"); return s == "T" })
			tm.eventually("the shell", func() bool { return strings.Contains(tm.output(), "SHELL") })
			if told := tt.stop == syscall.SIGTSTP; told && (!tm.cooked() || !tm.plainScreen()) {
				t.Errorf("stopped: cooked %v, modes off %v", tm.cooked(), tm.plainScreen())
			}
			if tt.then != 0 {
				syscall.Kill(pid, tt.then)
			}
			tm.send("\n")
			if tt.then != 0 {
				if code := tm.ended(); code != 128+int(tt.then) {
					t.Errorf("exit code %d, want %d", code, 128+int(tt.then))
				}
			} else {
				tm.until("the flow again", func(s string) bool { return len(rows(s)) == 1 && strings.Contains(s, "resumed") })
				tm.eventually("the terminal to be raw", func() bool { return !tm.cooked() && !tm.plainScreen() })
				tm.send("?")
				tm.shows("ctview help")
				tm.send("qq")
				if code := tm.ended(); code != 0 {
					t.Errorf("exit code %d", code)
				}
			}
			tm.eventually("the end of the output", tm.drained)
			if !tm.cooked() || !tm.plainScreen() {
				t.Errorf("at the end: cooked %v, modes off %v", tm.cooked(), tm.plainScreen())
			}
		})
	}
}

// TestScreenSlowKeys: keys and mouse reports that a line delivers in pieces do what they are, and never what their last
// byte is: D deletes. On a busy machine the pieces can come later than they were sent, too late for what ctview waits: of three
// times one has to go well.
func TestScreenSlowKeys(t *testing.T) {
	var screen string
	for range 3 {
		var deletes bool
		if screen, deletes = slowKeys(t); !deletes {
			return
		}
	}
	t.Errorf("the end of a sequence was taken for a key:\n%s", screen)
}

// slowKeys sends sequences in pieces, and reports whether the dialog that deletes was opened, and the screen.
func slowKeys(t *testing.T) (screen string, deletes bool) {
	t.Helper()
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	tm := newTerminal(t, ctview(t, "--netns", tb.ns.Path()), 120, 35)
	tm.until("a flow", rowsAre(1))
	slowly := func(pause time.Duration, pieces ...string) {
		for _, p := range pieces {
			tm.send(p)
			time.Sleep(pause) // the line, not luck
		}
	}
	slowly(80*time.Millisecond, "\x1b", "[", "D")
	slowly(300*time.Millisecond, "\x1b", "[D")
	slowly(300*time.Millisecond, "\x1b", "OD")
	if strings.Contains(tm.output(), "Delete") {
		return tm.screen(), true
	}
	tm.send("/")
	tm.shows("apply")
	slowly(100*time.Millisecond, "\x1b", "[<0;1", "2;7M")
	slowly(100*time.Millisecond, "\x1b[<", "0;12;7m")
	tm.send("zone 0")
	tm.shows("/ zone 0")
	tm.send("\n") // Enter of a line that says LF
	tm.until("the filter", func(s string) bool { return strings.Contains(s, "/ zone 0") && !strings.Contains(s, "apply") })
	return tm.screen(), strings.Contains(tm.output(), "Delete")
}

// TestScreenTypedAhead: what is typed before the screen stands is not lost, its Enter neither.
func TestScreenTypedAhead(t *testing.T) {
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	self := ctview(t)
	sh := exec.Command("sh", "-c", `echo READY; sleep 0.3; exec "$0" --netns "$1"`, self.Path, tb.ns.Path())
	sh.Env = self.Env
	tm := newTerminal(t, sh, 120, 35)
	tm.shows("READY")
	tm.send("/zone 9\r")
	tm.shows(`0 of 1 flow match "zone 9"`)
}
