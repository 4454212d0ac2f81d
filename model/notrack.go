package model

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A Keep says how long a NOTRACK rule lives once it is confirmed: a number of seconds, or one of the two constants.
type Keep int64

// The two lives without a length.
const (
	KeepUntilRemoved Keep = 0
	KeepSession      Keep = -1 // until the ctview that installed it ends
)

// String returns "until removed", "until ctview ends" or the time as in "10m".
func (k Keep) String() string {
	switch k {
	case KeepUntilRemoved:
		return "until removed"
	case KeepSession:
		return "until ctview ends"
	}
	return shortDuration(time.Duration(k) * time.Second)
}

// shortDuration writes whole seconds without the zero parts that time.Duration.String adds.
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	for _, zero := range [...]string{"m0s", "h0m"} {
		if n := len(s) - len(zero); n > 0 && s[n:] == zero {
			s = s[:n+1]
		}
	}
	return s
}

// A NotrackRule is a rule, or a set of exact 5-tuples under one name, that a ctview installed. It is read back from the
// kernel: ctview keeps no file.
type NotrackRule struct {
	ID      string // six hexadecimal digits made of what it matches: the same rule has the same name everywhere
	Rules   []Rule
	Backend string // "nftables", "iptables-nft", "iptables-legacy"
	Table   string // where it stands: "inet ctview", "inet ctview-4711", "raw"
	Hooks   string // "prerouting output"
	// Packets and Bytes count what was taken out of tracking: in the rules' own direction and in that of the answers.
	Packets, Bytes [2]uint64
	Leaked         uint64 // packets that match and are tracked all the same; meaningful with HasLeak
	HasLeak        bool   // there is a leak counter: only where tracking was active at installation
	Left           time.Duration
	Limited        bool // Left is meaningful: the kernel drops the rule then
	Pending        bool // not confirmed
	Keep           Keep // what confirming makes of it
	Who            string
	When           time.Time
	Owner          uint32 // PID of the ctview whose session it belongs to, 0 for none
	Mine           bool   // Owner is the process that asked
}

// Text returns what the rule matches in one line.
func (r *NotrackRule) Text() string { return RulesText(r.Rules) }

// RulesText returns one line for rules: the rule itself, or the first one and how many there are.
func RulesText(rs []Rule) string {
	switch len(rs) {
	case 0:
		return "nothing"
	case 1:
		return rs[0].String()
	}
	return rs[0].String() + " and " + strconv.Itoa(len(rs)-1) + " more"
}

// A ForeignRule is a NOTRACK rule that ctview did not make. It is shown, never touched. The texts are not escaped.
type ForeignRule struct {
	Place      string // "inet fw4/notrack_lan", "iptables-legacy raw/PREROUTING"
	Hook       string // "prerouting", or "" for a chain that no hook leads to directly
	Match      string // nft or iptables text of the rule
	Packets    uint64
	Bytes      uint64
	HasCounter bool
}

// A NotrackWarning is something that a preview found.
type NotrackWarning struct {
	Kind   NotrackWarningKind
	Refuse bool // the rule will not be installed
	Ask    bool // a question of its own: a general "yes" does not answer it
	Text   string
	Count  int // flows concerned, where the warning is about flows
}

// A NotrackWarningKind says what a warning is about.
type NotrackWarningKind uint8

// The kinds, in the order in which they are shown.
const (
	WarnNAT NotrackWarningKind = iota + 1
	WarnSession
	WarnFirewall
	WarnBack
	WarnZone
	WarnHelper
	WarnOffload
	WarnPMTU
	WarnWide
	WarnInactive
	WarnExists
)

// String returns the word that the preview puts before the text.
func (k NotrackWarningKind) String() string {
	switch k {
	case WarnNAT:
		return "NAT"
	case WarnSession:
		return "session"
	case WarnFirewall:
		return "firewall"
	case WarnBack:
		return "the end"
	case WarnZone:
		return "zone"
	case WarnHelper:
		return "helper"
	case WarnOffload:
		return "flowtable"
	case WarnPMTU:
		return "path MTU"
	case WarnWide:
		return "wide"
	case WarnInactive:
		return "tracking"
	case WarnExists:
		return "exists"
	}
	return ""
}

// Word returns what answers a warning of the kind that asks: a word on the screen, a flag of the command; "" if none does.
func (k NotrackWarningKind) Word() string {
	switch k {
	case WarnNAT:
		return "nat"
	case WarnSession:
		return "mine"
	case WarnFirewall, WarnBack:
		return "cut"
	}
	return ""
}

// A NotrackPreview is what a rule would do, found without changing anything.
type NotrackPreview struct {
	ID      string
	Rules   []Rule
	Backend string
	Why     string // why this backend
	// SessionUnknown: the operator may have connections that are not in Session.
	SessionUnknown bool
	Setup          []string // commands that make what the rules stand in, where it is not there
	Commands       []string // the rules as nft or iptables commands, for a shell
	Covered        int      // flows that the rules cover now
	Sample         []Flow   // some of them
	Warnings       []NotrackWarning
	Session        string // the operator's own ssh connection, "" if there is none
	// SessionHit reports that the rules match it: installing asks for a word of its own.
	SessionHit bool
	Active     bool // connection tracking is active in the namespace
}

// Refused returns the text of the first warning that forbids the rule, "" if none does.
func (p *NotrackPreview) Refused() string {
	for _, w := range p.Warnings {
		if w.Refuse {
			return w.Text
		}
	}
	return ""
}

// Words returns the words that answer the questions of a preview, each once.
func (p *NotrackPreview) Words() []string {
	var words []string
	if p.SessionHit {
		words = append(words, WarnSession.Word())
	}
	return askedWords(words, p.Warnings)
}

// Unanswered returns why a rule is not to be installed unless somebody is asked: the refusal, or the first question; "" for
// neither.
func (p *NotrackPreview) Unanswered() string {
	if why := p.Refused(); why != "" {
		return why
	}
	for _, w := range p.Warnings {
		if w.Ask || w.Kind == WarnSession {
			return w.Text
		}
	}
	return ""
}

func askedWords(words []string, ws []NotrackWarning) []string {
	for _, w := range ws {
		if word := w.Kind.Word(); w.Ask && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// Changed reports whether now, a later preview of the same, says something that was not said in p: a refusal, a warning, the
// operator's own session, other rules, or clearly more flows. Fewer flows are no reason to ask again, and of many a tenth
// more: on a busy router nobody could ever answer in time.
func (p *NotrackPreview) Changed(now *NotrackPreview) bool {
	return now.Covered > p.Covered+p.Covered/10 || now.SessionHit && !p.SessionHit || now.Backend != p.Backend ||
		!slices.Equal(p.Rules, now.Rules) || unsaid(p.Warnings, now.Warnings)
}

// unsaid reports whether a warning of now was not said before.
func unsaid(before, now []NotrackWarning) bool {
	said := map[string]bool{}
	key := func(w *NotrackWarning) string {
		return fmt.Sprint(w.Kind, w.Refuse, w.Ask) + strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' { // counts of flows, times left
				return -1
			}
			return r
		}, w.Text)
	}
	for i := range before {
		said[key(&before[i])] = true
	}
	return slices.ContainsFunc(now, func(w NotrackWarning) bool {
		return !said[key(&w)] && (w.Kind != WarnExists || w.Refuse)
	})
}

// A NotrackEnd is what becomes of the connections that rules keep out of tracking when those rules end.
type NotrackEnd struct {
	Rules    []NotrackRule
	Warnings []NotrackWarning // of WarnBack; connections that are certain to be cut are a question
}

// Words returns the word that answers the question of an end, if it has one.
func (e *NotrackEnd) Words() []string { return askedWords(nil, e.Warnings) }

// Changed reports whether now, the end of the same request later, says what was not said in e: a warning, or another rule.
func (e *NotrackEnd) Changed(now *NotrackEnd) bool {
	return unsaid(e.Warnings, now.Warnings) || slices.ContainsFunc(now.Rules, func(r NotrackRule) bool {
		return !slices.ContainsFunc(e.Rules, func(x NotrackRule) bool { return x.ID == r.ID })
	})
}

// CutText says in short whether warnings tell of connections that are cut at the end of a rule, "" where none does.
func CutText(ws []NotrackWarning) (text string) {
	for _, w := range ws {
		switch {
		case w.Kind == WarnBack && w.Ask:
			return "connections will be cut then"
		case w.Kind == WarnBack:
			text = "connections may be cut then"
		}
	}
	return text
}

// A NotrackResult tells what installing a rule did.
type NotrackResult struct {
	Rule    NotrackRule
	Existed bool // the rule was there already: nothing was made twice
	Deleted int  // entries deleted from the table
	// Kept is how many entries were left, because nothing has shown yet that the rule holds, and their connections would be
	// cut if it did not.
	Kept     int
	Gone     int // entries that had ended by themselves
	Restored int // entries that were deleted and are there again, because the rule was taken back
	Packets  uint64
	Verified bool // packets were seen, all of them untracked
	// TakenBack says why the rule was removed again: its packets were tracked all the same.
	TakenBack string
}

// A NotrackLoss tells that rules of ctview's were removed by another program, before their time.
type NotrackLoss struct {
	Rules []NotrackRule // as they stood when last seen
	PID   uint32        // of the program, 0 where the kernel does not tell
	Name  string        // of the program, unescaped
	At    time.Time
}

// SortRules sorts rules by what they say. It is sort.Slice, as for every large type that is sorted where time does not count:
// slices.SortFunc is compiled for each of them anew, 20 to 40 kB of the binary.
func SortRules(rules []Rule) {
	sort.Slice(rules, func(i, j int) bool { return rules[i].String() < rules[j].String() })
}

// SortNotrackRules sorts rules by when they were installed, those of one moment by their name.
func SortNotrackRules(rules []NotrackRule) {
	sort.Slice(rules, func(i, j int) bool {
		a, b := &rules[i], &rules[j]
		return cmp.Or(a.When.Compare(b.When), strings.Compare(a.ID, b.ID)) < 0
	})
}
