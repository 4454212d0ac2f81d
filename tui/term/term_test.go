package term

import (
	"os"
	"strings"
	"testing"
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
