package format

import (
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"ctview/model"
)

// AppendJSONString appends s, which may be foreign, as a JSON string. The result is valid UTF-8 whatever s holds: a byte that is not becomes
// \ufffd. Characters that a terminal obeys (C0, DEL, C1, direction marks, line separators) are escaped, so that JSON can
// be looked at as it is.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			dst = append(dst, `\ufffd`...)
		case r < 0xa0, model.Reorders(r):
			dst = appendJSONRune(dst, r)
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += max(n, 1)
	}
	return append(dst, '"')
}

func appendJSONRune(dst []byte, r rune) []byte {
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		dst, r = appendJSONRune(dst, hi), lo
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// AppendWord appends a foreign text for eyes as one word: escaped, blanks too, so that it cannot look like more columns or
// fields than it is.
func AppendWord(dst []byte, s string) []byte {
	from := len(dst)
	return substitute(model.AppendEscaped(dst, s), from, escapedBlank)
}

// appendField appends the value of a NAME=VALUE field: a word with FixEscape. conntrack(8) prints blanks as they are.
func appendField(dst []byte, s string, fix Fix) []byte {
	if fix&FixEscape != 0 {
		return AppendWord(dst, s)
	}
	return model.AppendEscaped(dst, s)
}

// escapedBlank returns what stands for a blank of whatever width in a word, "" for every other character.
func escapedBlank(r rune) string {
	switch {
	case r == ' ':
		return `\x20`
	case r >= 0x80 && unicode.Is(unicode.Zs, r):
		return fmt.Sprintf(`\u{%04x}`, r)
	}
	return ""
}

// escapedComma is escapedBlank for one of the words of a list.
func escapedComma(r rune) string {
	if r == ',' {
		return `\x2c`
	}
	return ""
}

// substitute rewrites the text dst[from:]: each character for which with returns something is replaced by that. Names
// that need it are rare and short.
func substitute(dst []byte, from int, with func(rune) string) []byte {
	for i := from; i < len(dst); {
		r, n := utf8.DecodeRune(dst[i:])
		s := with(r)
		if s == "" {
			i += n
			continue
		}
		end := len(dst)
		dst = append(dst, dst[i+n:]...) // the rest waits behind the end
		rest := len(dst) - end
		dst = append(dst, s...)
		dst = append(dst, dst[end:end+rest]...)
		dst = append(dst[:i], dst[end+rest:]...)
		i += len(s)
	}
	return dst
}

// xmlEntity returns what stands for r in XML, "" for r itself. AppendEscaped has dealt with control characters.
func xmlEntity(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&quot;"
	case 0xfffe, 0xffff: // not characters, to XML
		return "\ufffd"
	}
	return ""
}

// appendQuoted appends a word as conntrack -R reads it: in quotes where it must be, and then '"' and '\' after a '\'.
// Control bytes are escaped for the terminal's sake; such a name does not come back as it was.
func appendQuoted(dst []byte, s string) []byte {
	from := len(dst)
	dst = model.AppendEscaped(append(dst, '"'), s)
	return quoteWord(dst, from)
}

// quoteWord makes dst[from:], an opening quote and a word, a word that -R reads, in quotes only if it needs them.
func quoteWord(dst []byte, from int) []byte {
	bare := len(dst) > from+1
	for _, c := range dst[from+1:] {
		bare = bare && c != ' ' && c != '"' && c != '\\' && c != '#' && c != '\''
	}
	if bare {
		return append(dst[:from], dst[from+1:]...)
	}
	return append(substitute(dst, from+1, wordEscape), '"')
}

func wordEscape(r rune) string {
	switch r {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	}
	return ""
}
