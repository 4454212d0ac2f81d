package term

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// sequences are what terminals send; each is one key, report or answer.
var sequences = []string{
	"\x1b[D", "\x1b[A", "\x1b[1;5D", "\x1b[3~", "\x1b[15~", "\x1b[Z", "\x1b[[A", // cursor and function keys
	"\x1bOD", "\x1bOP", "\x1bO5P", // SS3
	"\x1b[100;5u", "\x1b[27;5;100~", "\x1b[68;2u", // kitty, modifyOtherKeys
	"\x1b[<0;12;7M", "\x1b[<65;120;35m", "\x1b[M DN", "\x1b[My!y", // mouse: SGR, X10
	"\x1b[200~D y N\n\x1b[201~",               // a paste
	"\x1b[?2026;2$y", "\x1b[?62;4c", "\x1b[I", // answers
	"\x1b]11;rgb:DDDD/NNNN/yyyy\x07", "\x1b]11;rgb:dddd/dddd/dddd\x1b\\", // OSC
	"\x1bP>|terminal(1.0)\x1b\\", "\x1bP1+r524742=yDN\x1b\\", // DCS
}

// deliver feeds pieces with a pause before each but the first, as Input does, and waits at the end.
func deliver(g *gatherer, pause time.Duration, pieces ...string) string {
	now := time.Unix(1000, 0)
	var out []byte
	for i, p := range pieces {
		if i > 0 {
			if w := g.wait(now); w > 0 && w < pause {
				out = g.expire(out, now.Add(w))
			}
			now = now.Add(pause)
		}
		out = g.feed(out, []byte(p), now)
	}
	if w := g.wait(now); w > 0 {
		out = g.expire(out, now.Add(w))
	}
	return string(out)
}

// TestSplitSequences: a sequence that arrives in pieces is one, however it is cut; behind an ESC that had to be taken for
// the key nothing of it is left.
func TestSplitSequences(t *testing.T) {
	for _, pause := range []time.Duration{0, 60 * time.Millisecond, 100 * time.Millisecond, 199 * time.Millisecond,
		300 * time.Millisecond, 1500 * time.Millisecond} {
		for _, seq := range sequences {
			for i := 1; i < len(seq); i++ {
				for j := i; j < len(seq); j++ {
					want := seq
					if i == 1 && pause > DefaultEscape && !strings.HasPrefix(seq, "\x1b[200~") {
						want = escKey
					} else if i == 1 && pause > DefaultEscape {
						want = escKey + seq
					}
					pieces := []string{seq[:i], seq[i:]}
					if j > i {
						pieces = []string{seq[:i], seq[i:j], seq[j:]}
					}
					g := gatherer{escape: DefaultEscape}
					if got := deliver(&g, pause, pieces...); got != want {
						t.Errorf("%q, %v apart: %q, want %q", pieces, pause, got, want)
					}
					if got := deliver(&g, 0, "j"); got != "j" {
						t.Errorf("%q, %v apart, then j: %q", pieces, pause, got)
					}
				}
			}
		}
	}
}

// TestGather: what is typed arrives as it is typed.
func TestGather(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pause  time.Duration
		pieces []string
		want   string
	}{
		{"keys", 0, []string{"jkD"}, "jkD"},
		{"Esc", 0, []string{"\x1b"}, escKey},
		{"Esc, then a key", time.Second, []string{"\x1b", "D"}, escKey + "D"},
		{"Esc twice", time.Second, []string{"\x1b", "\x1b"}, escKey + escKey},
		{"Esc twice, quickly", 0, []string{"\x1b", "\x1b"}, escKey + escKey},
		{"Alt and a key, in pieces", 100 * time.Millisecond, []string{"\x1b", "D"}, "\x1bD"},
		{"Alt and an arrow of rxvt, in pieces", 100 * time.Millisecond, []string{"\x1b", "\x1b", "[", "D"}, "\x1b\x1b[D"},
		{"a bracket after Esc", time.Second, []string{"\x1b", "["}, escKey + "["},
		{"a bracket long after Esc", 3 * time.Second, []string{"\x1b", "[", "D"}, escKey + "[D"},
		{"Enter, before the terminal was raw", 0, []string{"/zone 5\n"}, "/zone 5\r"},
		{"a character in pieces", 100 * time.Millisecond, []string{"\xc3", "\xa4"}, "ä"},
		{"half a character", 0, []string{"\xc3"}, "\xc3"},
		{"a sequence that another breaks off", 0, []string{"\x1b[1;\x1b[D"}, "\x1b[D"},
		{"Ctrl-C in a sequence", 0, []string{"\x1b[1;", "\x03"}, "\x03"},
		{"Enter in an answer", 0, []string{"\x1b]11;rgb", "\r"}, "\r"},
		{"an answer without its end", 3 * time.Second, []string{"\x1b]11;rgb:", "j"}, "j"},
		{"a paste without its end", 3 * time.Second, []string{"\x1b[200~Dy", "\x03", "j"}, "\x1b[200~Dy\x1b[201~\x03j"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gatherer{escape: DefaultEscape}
			if got := deliver(&g, tt.pause, tt.pieces...); got != tt.want {
				t.Errorf("%q, %v apart: %q, want %q", tt.pieces, tt.pause, got, tt.want)
			}
		})
	}
}

// FuzzGather: how the bytes are cut changes nothing as long as nothing waits too long.
func FuzzGather(f *testing.F) {
	for i, s := range sequences {
		f.Add([]byte(s+"D"+sequences[(i*7+3)%len(sequences)]), uint(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		now := time.Unix(1000, 0)
		at := int(cut % uint(len(b)+1))
		whole, cuts := gatherer{escape: DefaultEscape}, gatherer{escape: DefaultEscape}
		want := whole.expire(whole.feed(nil, b, now), now)
		got := cuts.feed(nil, b[:at], now)
		got = cuts.feed(got, b[at:], now)
		got = cuts.expire(got, now)
		if len(b) < longest && !bytes.Equal(got, want) {
			t.Errorf("%q cut at %d: %q, want %q", b, at, got, want)
		}
	})
}
