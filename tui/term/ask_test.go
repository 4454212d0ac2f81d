package term

import (
	"testing"
	"time"
)

// TestAsk: a terminal that is asked what follows ESC has Esc wait for its answer, not for a fixed time; what stands before the
// answer belongs to ESC.
func TestAsk(t *testing.T) {
	const ms = time.Millisecond
	type piece struct {
		after time.Duration
		bytes string
	}
	for _, tt := range []struct {
		name   string
		pieces []piece
		want   string
		took   time.Duration // from the first ESC to the last byte given out
		again  bool          // the next ESC is asked about
	}{
		{"a terminal here", []piece{{0, "\x1b"}, {ms, "\x1b[0n"}}, escKey, leastEscape, true},
		{"one behind a slow line", []piece{{0, "\x1b"}, {150 * ms, "\x1b[0n"}}, escKey, 150 * ms, true},
		{"an answer of a VT510, in pieces", []piece{{0, "\x1b"}, {30 * ms, "\x1b"}, {30 * ms, "[?0"}, {ms, "n"}}, escKey, 61 * ms, true},
		{"no answer", []piece{{0, "\x1b"}}, escKey, DefaultEscape, true},
		{"an answer too late", []piece{{0, "\x1b"}, {500 * ms, "\x1b[0n"}, {0, "j"}}, escKey + "j", 500 * ms, true},
		{"Left in pieces, then the answer", []piece{{0, "\x1b"}, {90 * ms, "["}, {90 * ms, "D"}, {ms, "\x1b[0n"}}, "\x1b[D", 180 * ms, true},
		{"Left in pieces, the answer with its end", []piece{{0, "\x1b"}, {90 * ms, "[D\x1b[0n"}}, "\x1b[D", 90 * ms, true},
		{"an answer of what stands between, then Left", []piece{{0, "\x1b"}, {ms, "\x1b[0n"}, {80 * ms, "["}, {80 * ms, "D"}, {0, "j"}}, escKey + "j", 161 * ms, false},
		{"the same, sooner", []piece{{0, "\x1b"}, {ms, "\x1b[0n"}, {10 * ms, "["}, {80 * ms, "D"}}, "\x1b[D", 91 * ms, true},
		{"Esc twice", []piece{{0, "\x1b"}, {ms, "\x1b"}, {ms, "\x1b[0n"}}, escKey + escKey, leastEscape, true},
		{"Esc, then a mouse report", []piece{{0, "\x1b"}, {ms, "\x1b[0n\x1b[<0;1;1M"}}, "\x1b\x1b[<0;1;1M", ms, true},
		{"Alt and a key", []piece{{0, "\x1b"}, {ms, "D"}, {ms, "\x1b[0n"}}, "\x1bD", ms, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gatherer{escape: DefaultEscape}
			began := time.Unix(1000, 0)
			now, at := began, began
			var out []byte
			for _, p := range tt.pieces {
				next := now.Add(p.after)
				if w := g.wait(now); w > 0 && now.Add(w).Before(next) {
					at = now.Add(w)
					out = g.expire(out, at)
				}
				now = next
				n := len(out)
				if out = g.feed(out, []byte(p.bytes), now); len(out) > n {
					at = now
				}
				g.ask()
			}
			if w := g.wait(now); w > 0 {
				at = now.Add(w)
				out = g.expire(out, at)
			}
			if string(out) != tt.want {
				t.Errorf("%q, want %q", out, tt.want)
			}
			if took := at.Sub(began).Round(ms); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
			g.feed(nil, []byte("\x1b"), now.Add(time.Hour))
			if again := g.ask(); again != tt.again {
				t.Errorf("the next ESC is asked about: %v, want %v", again, tt.again)
			}
		})
	}
	g := gatherer{escape: DefaultEscape}
	if got := string(g.feed(nil, []byte("\x1b[0n"), time.Unix(1000, 0))); got != "\x1b[0n" {
		t.Errorf("an answer that nobody asked for: %q", got)
	}
}
