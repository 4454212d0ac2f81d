package tui

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/termios"
	"github.com/creack/pty"

	"ctview/model/crash"
	"ctview/model/table"
)

const crashVar = "CTVIEW_TEST_CRASH"

// TestPanicGivesTheTerminalBack lets a goroutine beside the screen panic, in a process of its own on a terminal of its
// own: the terminal is cooked after, the alternate screen is left before the panic's text comes, and the text can be read.
func TestPanicGivesTheTerminalBack(t *testing.T) {
	if os.Getenv(crashVar) != "" {
		crashing(t)
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicGivesTheTerminalBack$")
	cmd.Env = append(os.Environ(), crashVar+"=1", "TERM=xterm-256color", "LANG=C.UTF-8", "GOTRACEBACK=single")
	cmd.ExtraFiles = []*os.File{r}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	before := local(t, master)
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	r.Close()
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()

	out := readUntil(t, master, nil, "192.168.1.44")
	if local(t, master)&syscall.ICANON != 0 {
		t.Error("the terminal is not raw while the screen stands")
	}
	w.Close() // now it panics
	out = readUntil(t, master, out, "")
	if e := (&exec.ExitError{}); !errors.As(cmd.Wait(), &e) || e.ExitCode() != 2 {
		t.Errorf("ended with %v, want a panic's exit code 2", e)
	}
	if after := local(t, master); after != before {
		t.Errorf("the terminal's modes are %#x, were %#x", after, before)
	}
	left, text := bytes.LastIndex(out, []byte("\x1b[?1049l")), bytes.Index(out, []byte("panic: boom"))
	if left < 0 || text < left {
		t.Errorf("the alternate screen was left at %d, the panic told at %d of %q", left, text, out[max(0, len(out)-2000):])
	}
	if s := string(out[max(text, 0):]); text >= 0 && strings.Count(s, "\r\n") < strings.Count(s, "\n") {
		t.Errorf("the panic's text is a staircase: %q", s)
	}
}

// crashing shows the screen, and panics in the background when descriptor 3 is closed.
func crashing(t *testing.T) {
	store := &fakeStore{Table: table.New(), rows: mockFlows(), stats: table.Stats{Loaded: true}}
	go func() {
		defer crash.Guard()
		_, _ = io.Copy(io.Discard, os.NewFile(3, "go"))
		panic("boom")
	}()
	kernel := &fakeKernel{}
	err := Run(t.Context(), Options{Store: store, Kernel: kernel, Inspector: kernel, Input: os.Stdin, Output: os.Stdout})
	t.Fatalf("the screen ended before: %v", err)
}

// local returns the local modes of a terminal.
func local(t *testing.T, f *os.File) uint32 {
	t.Helper()
	m, err := termios.GetTermios(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return uint32(m.Lflag)
}

// readUntil appends what comes to out until it holds s, or for "" until the terminal has no program any more.
func readUntil(t *testing.T, f *os.File, out []byte, s string) []byte {
	t.Helper()
	buf := make([]byte, 4096)
	for s == "" || !bytes.Contains(out, []byte(s)) {
		n, err := f.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil && s != "" {
			t.Fatalf("%v before %q came: %q", err, s, out)
		}
		if err != nil {
			return out
		}
	}
	return out
}
