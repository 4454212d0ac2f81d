// Package uniseg stands for github.com/rivo/uniseg (go.mod replaces it). ultraviolet asks that one where a typed character ends, and
// clipperhouse/uax29 how wide what is drawn is; each has the tables of Unicode, 0.36 MB those of rivo. Here the question goes to
// the others, which are linked in anyway. It has what ultraviolet calls and nothing else.
package uniseg

import "github.com/clipperhouse/uax29/v2/graphemes"

// FirstGraphemeCluster returns the first character of b, of however many code points, and what follows it. Width and state are
// not told, nor is the state of an earlier call needed.
func FirstGraphemeCluster(b []byte, _ int) (cluster, rest []byte, width, state int) {
	n := len(graphemes.FromBytes(b).First())
	return b[:n:n], b[n:], 0, -1
}

// Graphemes goes through the characters of a text.
type Graphemes struct{ it *graphemes.Iterator[string] }

// NewGraphemes stands before the first character of s.
func NewGraphemes(s string) *Graphemes { return &Graphemes{graphemes.FromString(s)} }

// Next goes to the next character; it reports whether there is one.
func (g *Graphemes) Next() bool { return g.it.Next() }

// Str returns the character.
func (g *Graphemes) Str() string { return g.it.Value() }
