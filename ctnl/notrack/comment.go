package notrack

import (
	"fmt"
	"strconv"
	"strings"

	"ctview/model"
)

// version is in the comment of the skeleton's rules; a ctview that finds another one keeps its hands off.
const version = "ctview v1"

// A direction of a rule: its own or that of the answers.
const (
	dirOrig  = 0
	dirReply = 1
)

var dirNames = [2]string{"orig", "reply"}

// A tag is what the comment of an element or a rule says.
type tag struct {
	id   string
	dir  int
	rule string // the rule's text, for rules that are not elements
	meta
}

// String writes the tag: "ctview 3f2a1c orig by=root at=1795354000 keep=600 try=60".
func (t tag) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ctview %s %s", t.id, dirNames[t.dir])
	if t.when != 0 {
		fmt.Fprintf(&b, " by=%s at=%d keep=%d try=%d", t.who, t.when, t.keep, t.trial)
		if t.owner != 0 {
			fmt.Fprintf(&b, " pid=%d", t.owner)
		}
	}
	if t.rule != "" {
		b.WriteString(" : " + t.rule)
	}
	return b.String()
}

// parseTag reads a comment; ok is false for comments that are not ctview's. Comments are foreign input: anybody can
// write one, so what does not parse is not ours.
func parseTag(s string) (t tag, ok bool) {
	head, rule, _ := strings.Cut(s, " : ")
	t.rule = rule
	w := strings.Fields(head)
	if len(w) < 3 || w[0] != "ctview" || !isID(w[1]) {
		return tag{}, false
	}
	t.id = w[1]
	switch w[2] {
	case dirNames[dirOrig]:
	case dirNames[dirReply]:
		t.dir = dirReply
	default:
		return tag{}, false
	}
	for _, f := range w[3:] {
		k, v, _ := strings.Cut(f, "=")
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case k == "by":
			t.who = word(v)
		case err != nil:
			return tag{}, false
		case k == "at":
			t.when = n
		case k == "keep":
			t.keep = model.Keep(n)
		case k == "try":
			t.trial = n
		case k == "pid":
			t.owner = int(n)
		}
	}
	return t, true
}

func isID(s string) bool {
	if len(s) != 6 {
		return false
	}
	for _, c := range s {
		if !strings.ContainsRune("0123456789abcdef", c) {
			return false
		}
	}
	return true
}
