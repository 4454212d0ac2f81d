package term

import (
	"bytes"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// An Output is a terminal that is drawn on. What Bubble Tea asks of every terminal, and one that is no xterm would print
// or take for something else (a VT reads `CSI > 4 m` as "underline"), is left out. Writes hold whole sequences.
type Output struct {
	File *os.File

	kind  Kind
	muted atomic.Bool // another has the terminal
}

// NewOutput returns f as Output of a terminal of the given kind.
func NewOutput(f *os.File, k Kind) *Output { return &Output{File: f, kind: k} }

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	if o.muted.Load() {
		return len(b), nil
	}
	if o.kind != Plain {
		return o.File.Write(b)
	}
	if _, err := o.File.Write(plain(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Size returns how many columns and lines the terminal has, 0 where it does not know.
func (o *Output) Size() (w, h int) {
	if s, err := unix.IoctlGetWinsize(int(o.File.Fd()), unix.TIOCGWINSZ); err == nil {
		w, h = int(s.Col), int(s.Row)
	}
	return w, h
}

// Ask writes a question for the terminal, unless it is one that is asked nothing. It does not wait for the terminal.
func (o *Output) Ask(question string) {
	if o.kind != Full {
		return
	}
	go func() {
		defer crash.Guard()
		_, _ = o.Write([]byte(question))
	}()
}

// reset is what the screen switched on, switched off: keys as the terminal sends them by itself, no mouse, no brackets
// around a paste, the cursor, the first screen.
const reset = "\x1b[<u\x1b[>4m\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[?1049l\x1b[m"

// Reset writes what makes the terminal usable again, or gives up soon.
func (o *Output) Reset() {
	done := make(chan struct{})
	go func() {
		_, _ = o.Write([]byte(reset))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(100 * time.Millisecond):
	}
}

var (
	enterScreen, leaveScreen = []byte("\x1b[?1049h"), []byte("\x1b[?1049l")
	cursorShown              = []byte("\x1b[?25")
)

// plain returns b without what a VT does not know: questions, private modes but the cursor's, titles. In place of the
// alternate screen the one there is is cleared, and left under the last line.
func plain(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		i := bytes.IndexByte(b, esc)
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		b = b[i:]
		n, _ := sequence(b)
		if n == 0 {
			return append(out, b...)
		}
		switch s := b[:n]; {
		case bytes.Equal(s, enterScreen):
			out = append(out, "\x1b[H\x1b[2J"...)
		case bytes.Equal(s, leaveScreen):
			out = append(out, "\r\n"...)
		case bytes.HasPrefix(s, cursorShown):
			out = append(out, s...)
		case s[1] == ']' || s[1] == 'P', s[1] == '[' && n > 2 && s[2] >= '<' && s[2] <= '?':
		default:
			out = append(out, s...)
		}
		b = b[n:]
	}
	return out
}
