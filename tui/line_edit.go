package tui

import (
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
)

// An edit is one line of text being typed.
type edit struct {
	text []rune
	at   int // the cursor, in runes
}

// newEdit returns an editor of s with the cursor at its end.
func newEdit(s string) edit {
	var e edit
	e.insert(s)
	return e
}

func (e *edit) String() string { return string(e.text) }

// shown is the text for the screen, as long as it is. A filter that was not typed (of the configuration, of a flow) may hold
// what a terminal obeys.
func (e *edit) shown() []rune {
	out := slices.Clone(e.text)
	for i, r := range out {
		if s := string(r); model.Escape(s) != s {
			out[i] = unicode.ReplacementChar
		}
	}
	return out
}

// cursor is the cursor as a byte offset.
func (e *edit) cursor() int { return len(string(e.text[:e.at])) }

// set replaces the text; at is a byte offset.
func (e *edit) set(s string, at int) {
	e.text = []rune(s)
	e.at = len([]rune(s[:min(at, len(s))]))
}

// insert types s. Control characters are left out, line ends become blanks.
func (e *edit) insert(s string) {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar, model.Escape(string(r)) != string(r):
			return -1
		}
		return r
	}, s)
	in := []rune(s)
	e.text = append(e.text[:e.at], append(in, e.text[e.at:]...)...)
	e.at += len(in)
}

// key edits; it reports whether k is a key of editing.
func (e *edit) key(k tea.KeyPressMsg) bool {
	switch k.String() {
	case "left", "ctrl+b":
		e.at = max(e.at-1, 0)
	case "right", "ctrl+f":
		e.at = min(e.at+1, len(e.text))
	case "home", "ctrl+a":
		e.at = 0
	case "end", "ctrl+e":
		e.at = len(e.text)
	case "alt+b", "ctrl+left", "alt+left":
		e.at = e.wordLeft()
	case "alt+f", "ctrl+right", "alt+right":
		for e.at < len(e.text) && e.text[e.at] == ' ' {
			e.at++
		}
		for e.at < len(e.text) && e.text[e.at] != ' ' {
			e.at++
		}
	case "backspace", "ctrl+h":
		if e.at > 0 {
			e.cut(e.at-1, e.at)
		}
	case "delete", "ctrl+d":
		if e.at < len(e.text) {
			e.cut(e.at, e.at+1)
		}
	case "ctrl+w", "alt+backspace":
		e.cut(e.wordLeft(), e.at)
	case "ctrl+u":
		e.cut(0, e.at)
	case "ctrl+k":
		e.text = e.text[:e.at]
	default:
		if k.Text == "" {
			return false
		}
		e.insert(k.Text)
	}
	return true
}

// cut takes out [from, to).
func (e *edit) cut(from, to int) {
	e.text = append(e.text[:from], e.text[to:]...)
	e.at = from
}

func (e *edit) wordLeft() int {
	i := e.at
	for i > 0 && e.text[i-1] == ' ' {
		i--
	}
	for i > 0 && e.text[i-1] != ' ' {
		i--
	}
	return i
}
