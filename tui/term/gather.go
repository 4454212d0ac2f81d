package term

import (
	"bytes"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"
)

// Waits of a gatherer.
const (
	// DefaultEscape is how long ESC waits to be more than the key. A line that delivers byte by byte takes up to 100 ms
	// (9600 baud behind a terminal server, ssh over a bad radio); a key feels late from about 300 ms.
	DefaultEscape = 200 * time.Millisecond
	// leastEscape is how long it waits at least where the terminal says that nothing follows: what stands between may answer
	// for the terminal (mosh), before the rest of the terminal's sequence is here.
	leastEscape = 20 * time.Millisecond
	// tailWait is how long after ESC was taken for the key the rest of a sequence is still known for what it is.
	tailWait = 2 * time.Second
	// longest sequence that is kept together; a clipboard, which nobody asks for, would be longer.
	longest = 1024
)

const esc = 0x1b

// question asks the terminal whether it works (DSR, ECMA-48 8.3.35); answer is that it does, or does not. A terminal answers
// in order: what it sent before the question came stands before the answer. Behind an ESC, nothing but the answer is thus the key.
const question = "\x1b[5n"

var answer = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\x1b\[\??[03]n`) })

// escKey is the key Esc as the kitty protocol writes it: Bubble Tea would wait again behind a bare ESC.
const escKey = "\x1b[27u"

var (
	pasteStart = []byte("\x1b[200~")
	pasteEnd   = []byte("\x1b[201~")
)

// A gatherer makes whole sequences of the pieces that a line delivers, so that the end of one is never taken for keys: the
// last byte of the key Left is D. Not safe for concurrent use.
type gatherer struct {
	escape time.Duration // how long ESC alone waits

	held  []byte    // begins with ESC or is a part of a UTF-8 character
	tail  bool      // held is a sequence whose ESC was given out as the key: nothing of it is for anybody
	alone time.Time // when ESC was last given out as the key and nothing has followed; zero: something has
	paste bool
	last  time.Time // when something came

	since    time.Time // when the ESC came that is held
	asked    int       // questions without an answer yet
	question bool      // the ESC that is held was asked about
	answered bool      // nothing follows it
	splits   bool      // the line has been seen to deliver the rest of a sequence too late: answers mean nothing
}

// ask reports whether the terminal is to be asked what follows what is held, once for each ESC.
func (g *gatherer) ask() bool {
	if g.question || g.splits || g.paste || len(g.held) != 1 || g.held[0] != esc {
		return false
	}
	g.question = true
	g.asked++
	return true
}

// answers takes the terminal's answers out of b.
func (g *gatherer) answers(b []byte) []byte {
	for g.asked > 0 && !g.paste {
		at := answer().FindIndex(b)
		if at == nil {
			break
		}
		g.asked--
		g.answered = g.asked == 0 && g.question
		b = append(b[:at[0]:at[0]], b[at[1]:]...)
	}
	return b
}

// feed appends to dst what b, arriving now, makes whole.
func (g *gatherer) feed(dst, b []byte, now time.Time) []byte {
	if g.paste && len(b) == 1 && b[0] == 0x03 && now.Sub(g.last) > tailWait {
		// The end of the paste got lost, and with it all keys: Ctrl-C gets them back.
		dst, g.paste, g.held = append(dst, pasteEnd...), false, nil
	}
	if len(g.held) == 0 && !g.alone.IsZero() && len(b) > 0 {
		if now.Sub(g.alone) < tailWait && bytes.IndexByte([]byte("[O]P"), b[0]) >= 0 {
			g.tail, g.held = true, append(g.held, esc)
		}
		g.alone = time.Time{}
	}
	g.last = now
	if len(g.held) == 0 {
		g.since, g.question, g.answered = now, false, false
	}
	g.held = append(g.held, b...)
	b, g.held = g.answers(g.held), nil
	for len(b) > 0 {
		n, ok := g.next(b)
		if n == 0 {
			if len(b) > longest {
				b = nil
			}
			g.held = append([]byte(nil), b...)
			break
		}
		if ok {
			dst = g.give(dst, b[:n])
		}
		g.tail = false
		b = b[n:]
	}
	return dst
}

// give appends the n bytes of one key, sequence or character, unless they are a tail.
func (g *gatherer) give(dst, b []byte) []byte {
	switch {
	case bytes.Equal(b, pasteStart):
		g.paste = true // with its start dropped, the paste would be keys
	case g.paste && bytes.Equal(b, pasteEnd):
		g.paste = false
	case g.tail && len(b) > 2:
		g.splits = true
		return dst
	case g.tail: // [ and the like, pressed soon after Esc
		return append(dst, b[1:]...)
	case !g.paste && len(b) == 1 && b[0] == '\n':
		return append(dst, '\r') // typed before the terminal was raw, Enter is a line feed
	case !g.paste && len(b) == 1 && b[0] == esc:
		return append(dst, escKey...)
	}
	return append(dst, b...)
}

// next returns the length of what b begins with, 0 if that is not whole, and whether it is good for anything.
func (g *gatherer) next(b []byte) (n int, ok bool) {
	if g.paste {
		return nextPasted(b)
	}
	switch {
	case b[0] == esc:
		return sequence(b)
	case b[0] < utf8.RuneSelf || utf8.FullRune(b):
		_, n = utf8.DecodeRune(b)
		return n, true
	}
	return 0, false
}

// nextPasted finds the end of a paste; everything before it is text.
func nextPasted(b []byte) (n int, ok bool) {
	i := bytes.IndexByte(b, esc)
	switch {
	case i < 0:
		return len(b), true
	case i > 0:
		return i, true
	case bytes.HasPrefix(b, pasteEnd):
		return len(pasteEnd), true
	case bytes.HasPrefix(pasteEnd, b):
		return 0, false
	}
	return 1, true
}

// sequence returns the length of the sequence that b begins with (ECMA-48 5.4, xterm's ctlseqs), 0 if it is not whole. One
// that another or a control character breaks off is good for nothing.
func sequence(b []byte) (n int, ok bool) {
	if len(b) == 1 {
		return 0, false
	}
	switch b[1] {
	case '[':
		return csi(b)
	case 'O':
		for i := 2; i < len(b); i++ { // SS3: modifiers, then one character
			if b[i] >= '0' && b[i] <= '9' {
				continue
			}
			return broken(b, i, 0x21, 0x7e)
		}
		return 0, false
	case ']', 'P':
		if len(b) == 2 {
			return 0, false
		}
		if !bytes.ContainsRune([]byte("0123456789>!=+$|"), rune(b[2])) {
			return 2, true // Alt-] or Alt-P
		}
		return text(b)
	case esc:
		if len(b) == 2 {
			return 0, false
		}
		if b[2] != '[' && b[2] != 'O' {
			return 1, true
		}
		if n, ok = sequence(b[1:]); n > 0 { // rxvt's Alt
			n++
		}
		return n, ok
	}
	if !utf8.FullRune(b[1:]) {
		return 0, false
	}
	_, n = utf8.DecodeRune(b[1:])
	return 1 + n, true // Alt and a key
}

// csi is sequence for CSI: parameters, intermediates, a final byte.
func csi(b []byte) (n int, ok bool) {
	if len(b) > 2 && b[2] == 'M' { // an X10 mouse report: three bytes of any value
		if len(b) < 6 {
			return 0, false
		}
		return 6, true
	}
	if len(b) > 2 && b[2] == '[' { // the Linux console's F1 to F5
		if len(b) < 4 {
			return 0, false
		}
		return broken(b, 3, 0x21, 0x7e)
	}
	for i := 2; i < len(b); i++ {
		if b[i] < 0x20 || b[i] > 0x3f {
			return broken(b, i, 0x40, 0x7e)
		}
	}
	return 0, false
}

// broken ends a sequence at b[i], which is its last byte if it lies in [from, to] and else belongs to what comes next.
func broken(b []byte, i int, from, to byte) (n int, ok bool) {
	if b[i] >= from && b[i] <= to {
		return i + 1, true
	}
	return i, false
}

// text is sequence for OSC and DCS: text up to BEL or ST.
func text(b []byte) (n int, ok bool) {
	for i := 2; i < len(b); i++ {
		switch {
		case b[i] == 0x07:
			return i + 1, true
		case b[i] == esc && i+1 == len(b):
			return 0, false
		case b[i] == esc && b[i+1] == '\\':
			return i + 2, true
		case b[i] < 0x20:
			return i, false
		}
	}
	return 0, false
}

// wait returns how long to wait for more before expire; 0 is for ever. What only a terminal sends is waited for as long as
// it takes: if nothing follows, it costs the next key.
func (g *gatherer) wait(now time.Time) time.Duration {
	b := g.held
	if len(b) > 2 && b[1] == esc {
		b = b[1:]
	}
	switch {
	case len(b) == 0 || g.paste:
		return 0
	case g.tail:
		return tailWait
	case len(b) == 1 || b[0] != esc || b[1] == esc:
		if g.answered {
			return max(min(leastEscape, g.escape)-now.Sub(g.since), 1)
		}
		return g.escape
	case b[1] == '[':
		return 0
	}
	return tailWait
}

// expire appends what is held now that its wait is over: the key Esc, a character that was typed; never a piece of a
// sequence.
func (g *gatherer) expire(dst []byte, now time.Time) []byte {
	b, tail := g.held, g.tail
	g.held, g.tail = nil, false
	switch {
	case tail && len(b) == 2: // a bracket, pressed soon after Esc
		return append(dst, b[1])
	case len(b) == 1 && b[0] == esc, len(b) == 2 && b[0] == esc && b[1] == esc:
		for range b {
			dst = append(dst, escKey...)
		}
		g.alone = now
		return dst
	case len(b) > 0 && b[0] != esc:
		return append(dst, b...)
	}
	return dst
}
