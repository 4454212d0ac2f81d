package filter

import (
	"slices"
	"strings"
)

// suggest returns the words that w was perhaps meant for, nearest first, three at most: those within a small edit
// distance of it, those that it begins, and those that it contains. Words are compared folded.
func suggest(w string, words []string) []string {
	const longest = 32
	w = foldWord(w)
	if w == "" || len(w) > longest {
		return nil
	}
	type scored struct {
		word string
		cost int
	}
	var found []scored
	for _, x := range words {
		fx := foldWord(x)
		cost := typoDistance(w, fx)
		switch {
		case cost <= allowed(w, fx) && !otherWord(w, fx):
		case len(w) >= 2 && strings.HasPrefix(fx, w):
			cost = 3
		case len(w) >= 4 && strings.Contains(fx, w):
			cost = 4
		default:
			continue
		}
		if !slices.ContainsFunc(found, func(s scored) bool { return s.word == x }) {
			found = append(found, scored{x, cost})
		}
	}
	slices.SortStableFunc(found, func(a, b scored) int { return a.cost - b.cost })
	var out []string
	for _, s := range found {
		if len(out) == 3 || len(out) > 0 && s.cost > found[0].cost+1 {
			break
		}
		out = append(out, s.word)
	}
	return out
}

// allowed returns how many edits apart two words may be to be taken for each other: one for short ones, three for long.
func allowed(a, b string) int {
	switch n := min(len(a), len(b)); {
	case n <= 2:
		return 0
	case n <= 4:
		return 1
	case n <= 7:
		return 2
	default:
		return 3
	}
}

// otherWord reports whether two short words differ in one letter that nobody hits for the other: top is no tcp. In longer words the
// rest tells what was meant.
func otherWord(a, b string) bool {
	if len(a) != len(b) || len(a) > 3 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i < len(a) && a[i+1:] == b[i+1:] && !neighbours(a[i], b[i])
}

// neighbours reports whether two keys touch on a keyboard; layouts of the Latin alphabet differ in few of them.
func neighbours(a, b byte) bool {
	rows := [...]string{"1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm"}
	place := func(c byte) (row, col int) {
		for r, keys := range rows {
			if i := strings.IndexByte(keys, c); i >= 0 {
				return r, i
			}
		}
		return -2, -2
	}
	ra, ca := place(a)
	rb, cb := place(b)
	switch { // each row stands half a key to the right of the one above
	case ra < 0 || rb < 0:
		return false
	case ra == rb:
		return ca-cb == 1 || cb-ca == 1
	case ra > rb:
		ra, rb, ca, cb = rb, ra, cb, ca
	}
	return rb-ra == 1 && (ca == cb || ca == cb+1)
}

// typoDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal
// string alignment).
func typoDistance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			d := prev[j-1]
			if a[i-1] != b[j-1] {
				d++
			}
			d = min(d, prev[j]+1, cur[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			cur[j] = d
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// didYouMean turns suggestions into a question, "" for none.
func didYouMean(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return "did you mean " + words[0] + "?"
	}
	return "did you mean " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1] + "?"
}
