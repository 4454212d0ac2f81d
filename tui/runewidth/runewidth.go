// Package runewidth stands for github.com/mattn/go-runewidth (go.mod replaces it). x/ansi asks that one how wide a code point is, and
// it answers from a table of 2.2 MB that it makes at the first such question: an eighth of what the screen of a small table needs.
// Here clipperhouse/displaywidth answers, which is linked in anyway. It has what x/ansi calls and nothing else.
package runewidth

import "github.com/clipperhouse/displaywidth"

// A Condition says whether what is ambiguous by East Asian Width is two columns wide.
type Condition struct {
	EastAsianWidth, StrictEmojiNeutral bool // the second is true, always
}

// RuneWidth returns the columns of a code point by itself.
func (c *Condition) RuneWidth(r rune) int {
	if r >= 0x1f1e6 && r <= 0x1f1ff {
		return 1 // half of a flag, for which displaywidth says what the flag has
	}
	return displaywidth.Options{EastAsianWidth: c.EastAsianWidth}.Rune(r)
}
