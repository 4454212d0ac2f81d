package term

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"": Unable, "dumb": Unable, "unknown": Unable, "vt52": Unable, "emacs": Unable,
		"vt100": Plain, "vt102": Plain, "vt220": Plain, "vt320": Plain, "linux": Plain, "ansi": Plain, "cons25": Plain,
		"xterm": Full, "xterm-256color": Full, "tmux-256color": Full, "screen": Full, "vte-256color": Full, "foot": Full,
		"xterm-ghostty": Full, "../../proc/self/stat": Full,
	} {
		if got := KindOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
	defer func(was []string) { descriptions = was }(descriptions)
	descriptions = nil
	for name, want := range map[string]Kind{"vt100": Plain, "linux": Plain, "vte-256color": Full, "xterm": Full, "dumb": Unable} {
		if got := KindOf(name); got != want {
			t.Errorf("%q without descriptions: %d, want %d", name, got, want)
		}
	}
}

// TestPlainOutput: a VT gets what it knows, and the same text.
func TestPlainOutput(t *testing.T) {
	in := "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b]2;ctview\x07\x1b[>4;2m\x1b[>1u\x1b[?u\x1b[?2026$p" +
		"\x1b[2;3H\x1b[1mflows\x1b[m\x1b[K\x1bP+q524742\x1b\\end\x1b[?25h\x1b[?1049l"
	want := "\x1b[H\x1b[2J\x1b[?25l\x1b[2;3H\x1b[1mflows\x1b[m\x1b[Kend\x1b[?25h\r\n"
	if got := string(plain([]byte(in))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, s := range []string{"", "text", "\x1b", "\x1b[", strings.Repeat("x\x1b[5mx", 9)} {
		if got := string(plain([]byte(s))); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

// TestReadStat: the name of a process may have parentheses and blanks in it.
func TestReadStat(t *testing.T) {
	name := t.TempDir() + "/stat"
	if err := os.WriteFile(name, []byte("7 (a) S 9 (b) S 41 42 43 0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if parent, group, ok := readStat(name); !ok || parent != 41 || group != 42 {
		t.Errorf("parent %d, group %d, %v: want 41, 42", parent, group, ok)
	}
	if _, _, ok := readStat(name + "x"); ok {
		t.Error("a process that is gone has a parent")
	}
}

// TestEscapeOfATerminal: ESC waits for the rest of a sequence wherever one may come in pieces; on a virtual console, whose sequences
// the kernel makes, it hardly does. What the operator says counts everywhere.
func TestEscapeOfATerminal(t *testing.T) {
	for _, tt := range []struct {
		name         string
		major, minor uint32
		want         bool
	}{
		{"tty1", 4, 1, true}, {"tty63", 4, 63, true}, {"tty0", 4, 0, false}, {"ttyS0", 4, 64, false}, {"console", 5, 1, false},
		{"pts/0", 136, 1, false}, {"hvc0", 229, 0, false}, {"ttyUSB1", 188, 1, false},
	} {
		if got := isVirtualConsole(unix.Mkdev(tt.major, tt.minor)); got != tt.want {
			t.Errorf("%s is a virtual console: %v, want %v", tt.name, got, tt.want)
		}
	}
	_, f, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if i := NewInput(f, 0); i.keys.escape != DefaultEscape {
		t.Errorf("on a pty ESC waits %v, want %v", i.keys.escape, DefaultEscape)
	}
	if i := NewInput(f, time.Second); i.keys.escape != time.Second {
		t.Errorf("with a time given ESC waits %v, want 1s", i.keys.escape)
	}
	if f, err := os.OpenFile("/dev/tty60", os.O_RDWR|unix.O_NOCTTY, 0); err == nil { // where there is one
		defer f.Close()
		if i := NewInput(f, 0); i.keys.escape != leastEscape {
			t.Errorf("on tty60 ESC waits %v, want %v", i.keys.escape, leastEscape)
		}
	}
}
