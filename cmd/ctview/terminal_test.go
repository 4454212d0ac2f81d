package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// patience bounds every wait of the tests below. It is long because the machines that run them are slow and busy; a
// wait ends as soon as what it waits for is there.
const patience = 30 * time.Second

// A terminal is a program in a pty whose output an emulator draws: tests look at cells, as a user does.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	emu  *vt.SafeEmulator
	exit chan error

	gate  sync.Mutex // held: the terminal reads nothing
	cells sync.Mutex // held while emu is written, read or resized: SafeEmulator.String takes no lock

	mu      sync.Mutex
	changed *sync.Cond
	drawn   int    // reads drawn so far
	raw     []byte // all of them
	eof     bool
}

// newTerminal starts cmd in a pty of w columns and h rows, with env over its environment. A pty of 0 columns does not know
// its size; the emulator then has 80x24.
func newTerminal(t *testing.T, cmd *exec.Cmd, w, h int, env ...string) *terminal {
	t.Helper()
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "NO_COLOR=", "COLUMNS=", "LINES=")
	cmd.Env = append(cmd.Env, env...)
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(w), Rows: uint16(h)})
	if err != nil {
		t.Fatal(err)
	}
	if w == 0 {
		w, h = 80, 24
	}
	tty := pollable(t, master)
	tm := &terminal{t: t, cmd: cmd, tty: tty, emu: vt.NewSafeEmulator(w, h), exit: make(chan error, 1)}
	tm.changed = sync.NewCond(&tm.mu)
	go io.Copy(tty, tm.emu) // the emulator's answers to the program's questions
	go tm.draw()
	go func() { tm.exit <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		tm.emu.InputPipe().(io.Closer).Close() // ends the copy; Emulator.Close races with its Read
	})
	return tm
}

// pollable returns master as a file whose Close takes effect while a Read waits: only so does the terminal hang up.
func pollable(t *testing.T, master *os.File) *os.File {
	t.Helper()
	defer master.Close()
	fd, err := syscall.Dup(int(master.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), master.Name())
}

func (tm *terminal) draw() {
	buf := make([]byte, 32<<10)
	for {
		tm.gate.Lock()
		n, err := tm.tty.Read(buf)
		tm.gate.Unlock()
		tm.cells.Lock()
		tm.emu.Write(buf[:n])
		tm.cells.Unlock()
		tm.mu.Lock()
		tm.drawn++
		tm.raw = append(tm.raw, buf[:n]...)
		tm.eof = err != nil
		tm.changed.Broadcast()
		tm.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// output returns all bytes that the program wrote.
func (tm *terminal) output() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return string(tm.raw)
}

// screen returns the text of the cells, a line a row.
func (tm *terminal) screen() string {
	tm.cells.Lock()
	defer tm.cells.Unlock()
	return tm.emu.String()
}

// send types keys.
func (tm *terminal) send(keys string) {
	tm.t.Helper()
	if _, err := tm.tty.WriteString(keys); err != nil {
		tm.t.Fatalf("typing %q: %v", keys, err)
	}
}

// until waits for ok to hold of the screen and returns it; what says what the test waited for.
func (tm *terminal) until(what string, ok func(screen string) bool) string {
	tm.t.Helper()
	end := time.Now().Add(patience)
	wake := time.AfterFunc(patience, tm.changed.Broadcast)
	defer wake.Stop()
	for {
		tm.mu.Lock()
		drawn, eof := tm.drawn, tm.eof
		tm.mu.Unlock()
		s := tm.screen()
		if ok(s) {
			return s
		}
		if eof || time.Now().After(end) {
			tm.t.Fatalf("waiting for %s; the screen:\n%s", what, s)
		}
		tm.mu.Lock()
		for tm.drawn == drawn && time.Now().Before(end) {
			tm.changed.Wait()
		}
		tm.mu.Unlock()
	}
}

// shows waits until text is on the screen.
func (tm *terminal) shows(text string) string {
	tm.t.Helper()
	return tm.until("text "+text, func(s string) bool { return strings.Contains(s, text) })
}

// lacks waits until text is gone from the screen.
func (tm *terminal) lacks(text string) string {
	tm.t.Helper()
	return tm.until("text "+text+" to go", func(s string) bool { return !strings.Contains(s, text) })
}

// resize changes the size as a terminal emulator does.
func (tm *terminal) resize(w, h int) {
	tm.t.Helper()
	tm.cells.Lock()
	tm.emu.Resize(w, h)
	tm.cells.Unlock()
	if err := pty.Setsize(tm.tty, &pty.Winsize{Cols: uint16(w), Rows: uint16(h)}); err != nil {
		tm.t.Fatal(err)
	}
}

// readOut waits until what a program that ended wrote last is read: a second at most, where somebody else holds its terminal.
func (tm *terminal) readOut() {
	end := time.Now().Add(time.Second)
	defer time.AfterFunc(time.Second, tm.changed.Broadcast).Stop()
	tm.mu.Lock()
	defer tm.mu.Unlock()
	for !tm.eof && time.Now().Before(end) {
		tm.changed.Wait()
	}
}

// ended waits for the program's end and returns its exit code, or 128 + the signal that killed it.
func (tm *terminal) ended() int {
	tm.t.Helper()
	select {
	case err := <-tm.exit:
		tm.exit <- err
		tm.readOut()
		var ee *exec.ExitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &ee):
			if ws := ee.Sys().(syscall.WaitStatus); ws.Signaled() {
				return 128 + int(ws.Signal())
			}
			return ee.ExitCode()
		}
		tm.t.Fatal(err)
	case <-time.After(patience):
		tm.t.Fatalf("the program did not end; the screen:\n%s", tm.screen())
	}
	return -1
}
