package model

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendEscaped appends s to dst so that a terminal shows it and never obeys it: control characters (C0, DEL, C1) and
// bytes that are not UTF-8 become \xNN, the line and paragraph separators, the marks that change the direction of text and
// the characters that show as nothing become \u{NNNN}. A backslash stays as it is: the result is for eyes, not for parsing back.
func AppendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1, r < 0x20, r == 0x7f:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case r >= 0x80 && r < 0xa0:
			dst = append(dst, '\\', 'x', hexDigits[byte(r)>>4], hexDigits[byte(r)&15])
		case Reorders(r):
			dst = append(dst, '\\', 'u', '{')
			if r > 0xffff {
				dst = strconv.AppendUint(dst, uint64(r>>16), 16)
			}
			dst = append(dst, hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15], '}')
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += max(n, 1)
	}
	return dst
}

// Escape returns s as AppendEscaped writes it, s itself where nothing needs escaping.
func Escape(s string) string {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return string(AppendEscaped(nil, s))
		}
	}
	return s
}

// Reorders reports whether r is a separator or a bidirectional control that changes how the text after it is laid out, or a
// character that shows as nothing, with which two names look the same that are not: Unicode's format characters, variation
// selectors and what else it calls default ignorable.
func Reorders(r rune) bool {
	return r >= 0xad && (unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// Width returns about how many columns a terminal uses for s: two for the wide scripts of East Asia, none for
// combining marks.
func Width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r >= 0x300 && r < 0x370, r >= 0x200b && r <= 0x200d, r >= 0xfe00 && r <= 0xfe0f:
		case r >= 0x1100 && r < 0x1160, r >= 0x2e80 && r < 0xa4d0, r >= 0xac00 && r < 0xd7a4, r >= 0xf900 && r < 0xfb00,
			r >= 0xfe30 && r < 0xfe70, r >= 0xff00 && r < 0xff61, r >= 0x1f300 && r < 0x1f650, r >= 0x20000 && r < 0x40000:
			n += 2
		default:
			n++
		}
	}
	return n
}
