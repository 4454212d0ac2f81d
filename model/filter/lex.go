package filter

import "strings"

// tokenKind says what a token is.
type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokAtom             // word, number, address, range: a run of letters, digits and _ . : / - % +
	tokString           // quoted; text is unescaped
	tokSaved            // @name; text is the name
	tokPunct            // ( ) { } , ! = == != < <= > >= ~ & && ||
)

// A token is a piece of a filter text. Pos and end are byte offsets.
type token struct {
	kind     tokenKind
	text     string
	pos, end int
}

// is reports whether t is the punctuation s.
func (t *token) is(s string) bool { return t.kind == tokPunct && t.text == s }

// isWord reports whether t is the word s in any case.
func (t *token) isWord(s string) bool { return t.kind == tokAtom && foldWord(t.text) == s }

// foldWord returns a word as the language compares it: lower case, "_" for "-".
func foldWord(s string) string {
	for i := range len(s) {
		if c := s[i]; c == '-' || c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = foldByte(b[j])
			}
			return string(b)
		}
	}
	return s
}

func foldByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	if c == '-' {
		return '_'
	}
	return c
}

// isAtomByte reports whether c can stand in an atom. Bytes of other scripts can, so that such a word is one error.
func isAtomByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("_.:/-%+", c) >= 0
}

// lex splits text into tokens; the last is a tokEnd at the end of the text.
func lex(text string) ([]token, *Error) {
	var toks []token
	for i := 0; i < len(text); {
		c := text[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '"' || c == '\'':
			s, n := unquote(text[i:])
			if n < 0 {
				return toks, &Error{Text: text, Pos: i, End: i + 1, Msg: "the quote is never closed",
					Cure: "add " + string(c) + " at its end"}
			}
			i += n
			toks = append(toks, token{tokString, s, start, i})
		case c == '@':
			for i++; i < len(text) && isAtomByte(text[i]); i++ {
			}
			toks = append(toks, token{tokSaved, text[start+1 : i], start, i})
		case isAtomByte(c):
			for i++; i < len(text) && isAtomByte(text[i]); i++ {
			}
			toks = append(toks, token{tokAtom, text[start:i], start, i})
		default:
			n := punctLen(text[i:])
			if n == 0 {
				return toks, badByte(text, i)
			}
			i += n
			toks = append(toks, token{tokPunct, text[start:i], start, i})
		}
	}
	return append(toks, token{kind: tokEnd, pos: len(text), end: len(text)}), nil
}

// punctLen returns the length of the punctuation at the start of s, 0 for none.
func punctLen(s string) int {
	if len(s) >= 2 {
		switch s[:2] {
		case "==", "!=", "<=", ">=", "&&", "||":
			return 2
		}
	}
	if strings.IndexByte("(){},!=<>~&", s[0]) >= 0 {
		return 1
	}
	return 0
}

func badByte(text string, i int) *Error {
	e := &Error{Text: text, Pos: i, End: i + 1, Msg: quote(text[i:i+1]) + " means nothing here"}
	switch text[i] {
	case '|':
		e.Cure, e.Suggestions = `write "or"`, []string{"or"}
	case ';':
		e.Cure, e.Suggestions = `write "and" or "or"`, []string{" and", " or"}
	case '[', ']':
		e.Cure = "write the address without brackets and its port by itself: dst 2001:db8::1 and dport 443"
	default:
		e.Cure = "take it out, or put the text in double quotes"
	}
	return e
}

// unquote reads the quoted string at the start of s and returns it and its length with the quotes, -1 if it does not
// end. \" \' \\ stand for the second character, \xNN for a byte; any other backslash for itself.
func unquote(s string) (string, int) {
	var b []byte
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return string(b), i + 1
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`"'\`, s[i+1]) >= 0:
			i++
			b = append(b, s[i])
		case s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' && hexValue(s[i+2]) < 16 && hexValue(s[i+3]) < 16:
			b = append(b, hexValue(s[i+2])<<4|hexValue(s[i+3]))
			i += 3
		default:
			b = append(b, s[i])
		}
	}
	return "", -1
}

func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
