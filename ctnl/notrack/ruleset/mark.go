package ruleset

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"
)

// Version is in the comment of the skeleton's rules; a ctview that finds another one keeps its hands off.
const Version = "ctview v1"

// A direction of a rule: its own or that of the answers.
const (
	DirOrig  = 0
	DirReply = 1
)

var dirNames = [2]string{"orig", "reply"}

// A Tag is what the comment of an element or a rule says.
type Tag struct {
	ID   string
	Dir  int
	Rule string // the rule's text, for rules that are not elements
	Meta
}

// String writes the tag: "ctview 3f2a1c orig by=root at=1795354000 keep=600 try=60".
func (t Tag) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ctview %s %s", t.ID, dirNames[t.Dir])
	if t.When != 0 {
		fmt.Fprintf(&b, " by=%s at=%d keep=%d try=%d", t.Who, t.When, t.Keep, t.Trial)
		if t.Nanos != 0 {
			fmt.Fprintf(&b, " ns=%d", t.Nanos)
		}
		if t.Owner != 0 {
			fmt.Fprintf(&b, " pid=%d", t.Owner)
		}
	}
	if t.Rule != "" {
		b.WriteString(" : " + t.Rule)
	}
	return b.String()
}

// ParseTag reads a comment; ok is false for comments that are not ctview's. Comments are foreign input: anybody can
// write one, so what does not parse is not ours.
func ParseTag(s string) (t Tag, ok bool) {
	head, rule, _ := strings.Cut(s, " : ")
	t.Rule = rule
	w := strings.Fields(head)
	if len(w) < 3 || w[0] != "ctview" || !isID(w[1]) {
		return Tag{}, false
	}
	t.ID = w[1]
	switch w[2] {
	case dirNames[DirOrig]:
	case dirNames[DirReply]:
		t.Dir = DirReply
	default:
		return Tag{}, false
	}
	for _, f := range w[3:] {
		k, v, _ := strings.Cut(f, "=")
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case k == "by":
			t.Who = Word(v)
		case err != nil:
			return Tag{}, false
		case k == "at":
			t.When = n
		case k == "ns" && n >= 0 && n < 1e9:
			t.Nanos = n
		case k == "keep":
			t.Keep = model.Keep(n)
		case k == "try":
			t.Trial = n
		case k == "pid":
			t.Owner = int(n)
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

// Made returns when the rule was made, the zero time where the comment does not say.
func (m *Meta) Made() time.Time { return time.Unix(m.When, m.Nanos) }

// Meta is what the kernel keeps beside the match, in comments.
type Meta struct {
	Who   string
	When  int64 // Unix seconds
	Nanos int64 // of that second
	Keep  model.Keep
	Trial int64 // seconds that it lives unconfirmed
	Owner int   // PID of the session, 0 for none
}

// Names of ctview's tables, all of family inet.
const (
	TableName     = "ctview"  // shared by every ctview: rules that outlive the program
	SessionPrefix = "ctview-" // and the PID: rules that end with it
)

// Word keeps what is harmless in a comment, at most 24 bytes of it.
func Word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._@-", r) {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 24)]
}
