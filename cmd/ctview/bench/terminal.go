package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"ctview/ctnl/lab"
)

const (
	screenWidth  = 120
	screenHeight = 35
)

// A terminal is a program in a pty whose output an emulator draws.
type terminal struct {
	cmd   *exec.Cmd
	tty   *os.File
	emu   *vt.SafeEmulator
	began time.Time
	ended chan error

	mu      sync.Mutex
	at      time.Time // when the last output was read
	changes int
	eof     bool
	wake    chan struct{}
}

// startScreen starts the TUI in ns.
func startScreen(ns *lab.NS, p *plan, args ...string) (*terminal, error) {
	return startIn(ns, p.dir, p.ctview, args...)
}

// startIn starts a program with a screen in ns; dir is where it finds its configuration.
func startIn(ns *lab.NS, dir, name string, args ...string) (*terminal, error) {
	t := &terminal{cmd: exec.Command(name, args...), emu: vt.NewSafeEmulator(screenWidth, screenHeight),
		ended: make(chan error, 1), wake: make(chan struct{}, 1)}
	t.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+dir)
	t.began = time.Now()
	err := ns.Do(func() (err error) {
		t.tty, err = pty.StartWithSize(t.cmd, &pty.Winsize{Cols: screenWidth, Rows: screenHeight})
		return err
	})
	if err != nil {
		return nil, err
	}
	go io.Copy(t.tty, t.emu) // the emulator's answers to the program's questions
	go t.draw()
	go func() { t.ended <- t.cmd.Wait() }()
	return t, nil
}

func (t *terminal) draw() {
	buf := make([]byte, 64<<10)
	for {
		n, err := t.tty.Read(buf)
		at := time.Now()
		t.emu.Write(buf[:n])
		t.mu.Lock()
		t.at, t.eof = at, err != nil
		t.changes++
		t.mu.Unlock()
		select {
		case t.wake <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// until waits until ok holds of the screen's text and returns when the output that made it so was read.
func (t *terminal) until(ctx context.Context, most time.Duration, ok func(screen string) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for seen := -1; ; {
		t.mu.Lock()
		at, changes, eof := t.at, t.changes, t.eof
		t.mu.Unlock()
		if changes != seen {
			seen = changes
			if s := t.emu.String(); ok(s) {
				return at, nil
			}
			if eof {
				return at, fmt.Errorf("the program ended; its screen:\n%s", t.emu.String())
			}
			continue
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return at, fmt.Errorf("waited for %v; the screen:\n%s", most, t.emu.String())
		}
	}
}

// press types keys and returns how long it took until ok held.
func (t *terminal) press(ctx context.Context, keys string, ok func(string) bool) (time.Duration, error) {
	began := time.Now()
	if _, err := t.tty.WriteString(keys); err != nil {
		return 0, err
	}
	at, err := t.until(ctx, 30*time.Second, ok)
	if err != nil {
		return 0, fmt.Errorf("pressed %q: %w", keys, err)
	}
	return at.Sub(began), nil
}

func (t *terminal) memory(field string) int { return memory(t.cmd.Process.Pid, field) }

// close ends the program and waits for it.
func (t *terminal) close() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.ended:
	case <-time.After(5 * time.Second):
		_ = t.cmd.Process.Kill()
		<-t.ended
	}
	t.tty.Close()
	t.emu.Close()
}
