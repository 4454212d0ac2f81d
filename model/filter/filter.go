package filter

import (
	"slices"
	"strings"

	"ctview/model"
)

// A Filter is a compiled filter expression. nil matches every flow. It is immutable and safe for concurrent use.
type Filter struct {
	text  string
	root  *node
	ops   []op
	entry int32
	extra bool
	owner bool
	route bool
	ended bool // asks whether a flow has ended
}

// Options are the names that a filter may use besides the language's own. The zero value knows none.
type Options struct {
	// Saved holds the filters behind @name: name without the @ → text.
	Saved map[string]string
	// Labels gives the bit of a connection label's name (connlabel.conf); nil: bit numbers only.
	Labels func(name string) (bit int, ok bool)
	// LabelName is the inverse of Labels. It lets ~ and text searches see label names.
	LabelName func(bit int) (name string, ok bool)
	// Services gives the port of a service that the built-in list does not have (/etc/services).
	Services func(name string) (port uint16, ok bool)
	// Once says that each flow is judged by one reading of its counters: rate and pps, which take two, are errors.
	Once bool
	// Living says that only flows that are there are judged: ended and lived, which are of those that are gone, are errors.
	Living bool
}

// Parse compiles text. A text without words gives nil, nil: everything. The error is always a *Error.
func Parse(text string, opt Options) (*Filter, error) {
	root, err := parseText(text, &opt)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, nil
	}
	f := &Filter{text: text, root: root}
	c := compiler{opt: &opt}
	f.entry = c.gen(root, false, opAccept, opReject)
	f.ops = c.ops
	f.extra, f.owner, f.route = c.extra, c.owner, c.route
	f.ended = slices.ContainsFunc(f.ops, func(o op) bool { return o.code == opStatus && o.hi&uint64(model.StatusDying) != 0 })
	return f, nil
}

// Match reports whether the flow matches. x may be nil: no labels, no security context. now is Unix nanoseconds. A
// comparison with a value that the kernel did not tell is never true, and neither is its negation. Match does not
// allocate.
func (f *Filter) Match(fl *model.Flow, x *model.Extra, now int64) bool {
	if f == nil {
		return true
	}
	match, _ := f.run(fl, x, now, -1, false)
	return match
}

// MatchKnown is Match that also tells why a flow does not match: unknown is true when the answer hangs on a value that
// the kernel did not tell (bytes without accounting, age without timestamps). A flow that matches is never unknown.
func (f *Filter) MatchKnown(fl *model.Flow, x *model.Extra, now int64) (match, unknown bool) {
	if f == nil {
		return true, false
	}
	return f.known(fl, x, now, -1)
}

func (f *Filter) known(fl *model.Flow, x *model.Extra, at, past int64) (match, unknown bool) {
	match, seen := f.run(fl, x, at, past, false)
	if match || !seen {
		return match, false
	}
	// Negations stand at the leaves only, so the whole is monotone in them: it could be true just if it is true with
	// every unknown leaf taken for true.
	unknown, _ = f.run(fl, x, at, past, true)
	return false, unknown
}

// MatchEnded is MatchKnown for a flow that ended at the time end, Unix nanoseconds: its age is that at its end, which is also what it
// lived.
func (f *Filter) MatchEnded(fl *model.Flow, x *model.Extra, end, now int64) (match, unknown bool) {
	if f == nil {
		return true, false
	}
	if f.ended && fl.Status&model.StatusDying == 0 {
		last := *fl
		last.Status |= model.StatusDying
		fl = &last
	}
	return f.known(fl, x, end, max(now-end, 0))
}

// MatchEvent is MatchKnown for what an event of a kind told of a flow at the time at, Unix nanoseconds. The age is the
// flow's at the event: none at its NEW, also where the kernel keeps no timestamps. A flow has ended with its DESTROY.
func (f *Filter) MatchEvent(kind model.Kind, fl *model.Flow, x *model.Extra, at int64) (match, unknown bool) {
	switch {
	case f == nil:
		return true, false
	case kind == model.New && fl.Known&model.KnownStart == 0 && f.Timed():
		begun := *fl
		begun.First, begun.Known = at, fl.Known|model.KnownStart
		fl = &begun
	case kind == model.Destroy:
		return f.MatchEnded(fl, x, at, at)
	}
	return f.MatchKnown(fl, x, at)
}

// Text returns the text that f was parsed from, "" for nil.
func (f *Filter) Text() string {
	if f == nil {
		return ""
	}
	return f.text
}

// String returns f in the one form that equal filters share: fully parenthesised, saved filters written out, services
// and labels as numbers. Parsing it gives an equal filter with the same String. "" for nil.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return string(f.root.append(nil))
}

// NeedsExtra reports whether Match looks at the Extra: labels, security context, master.
func (f *Filter) NeedsExtra() bool { return f != nil && f.extra }

// NeedsOwner reports whether Match looks at Extra.Owner.
func (f *Filter) NeedsOwner() bool { return f != nil && f.owner }

// NeedsRoute reports whether Match looks at Extra.Route.
func (f *Filter) NeedsRoute() bool { return f != nil && f.route }

// NeedsMaster reports whether Match looks at Extra.MasterHelper, which only a table knows that has the masters, too.
func (f *Filter) NeedsMaster() bool {
	needs := false
	if f != nil {
		f.root.each(func(p *pred) { needs = needs || p.master && p.field == fieldHelper })
	}
	return needs
}

// Names returns the words of the language that f compares ("zone", "state", "src", "tcp" …), each once, in the order
// of the text.
func (f *Filter) Names() []string {
	if f == nil {
		return nil
	}
	var names []string
	f.root.each(func(p *pred) {
		if n := p.word(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	})
	return names
}

// whose are the nouns of UnknownNoun that a flow has, whether it is known or not.
var whose = []string{"master", "place", "process", "user", "cgroup"}

// UnknownNoun names what the kernel must tell for f to be decided: "byte count or rate"; "" when f asks for nothing that can
// be missing.
func (f *Filter) UnknownNoun() string {
	if f == nil {
		return ""
	}
	var nouns []string
	f.root.each(func(p *pred) {
		n := fieldInfos[p.field].noun
		if p.field == fieldFlag && (p.flag == flagForwarded || p.flag == flagLocal) {
			n = "place"
		}
		if p.master {
			n = "master"
		}
		if n != "" && !slices.Contains(nouns, n) {
			nouns = append(nouns, n)
		}
	})
	return strings.Join(nouns, " or ")
}

// UnknownText says of n flows, or of what else one is called, that f could not judge them: "3 flows without byte count", "1 event
// whose master is not known".
func (f *Filter) UnknownText(n int, one string) string {
	var without, known []string
	for noun := range strings.SplitSeq(f.UnknownNoun(), " or ") {
		switch {
		case noun == "":
		case slices.Contains(whose, noun):
			known = append(known, noun)
		default:
			without = append(without, noun)
		}
	}
	t := model.Plural(n, one)
	switch {
	case len(without) > 0 && len(known) > 0:
		return t + " without " + strings.Join(without, " or ") + ", or whose " + strings.Join(known, " or ") + " is not known"
	case len(known) > 0:
		return t + " whose " + strings.Join(known, " or ") + " is not known"
	case len(without) > 0:
		return t + " without " + strings.Join(without, " or ")
	}
	return t + " without a value that the filter compares"
}

// UnknownCures tell what makes the kernel tell what UnknownNoun names, without what settings that are on would do: on reports that
// of nf_conntrack_acct or nf_conntrack_timestamp, where that is the whole reason. nil: nothing is known of them.
func (f *Filter) UnknownCures(on func(setting string) bool) []string {
	var out []string
	noun := f.UnknownNoun()
	for _, h := range []struct{ of, setting, cure string }{
		{"count", "nf_conntrack_acct", "bytes and packets are counted for flows that begin with net.netfilter.nf_conntrack_acct=1"},
		{"rate", "", "rates need net.netfilter.nf_conntrack_acct=1, and flows that were there at both readings"},
		{"master", "", "a master is known of flows in the table, as long as it is in there itself: list, count, the screen"},
		{"process", "", "the process of another user is seen with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, which root has"},
		{"age", "nf_conntrack_timestamp", "age is told of flows that begin with net.netfilter.nf_conntrack_timestamp=1"},
	} {
		if strings.Contains(noun, h.of) && !(h.setting != "" && on != nil && on(h.setting)) {
			out = append(out, h.cure)
		}
	}
	return out
}

// Timed reports whether the answer changes with nothing but the time: an age, a timeout, or what an end
// has to do with is compared.
func (f *Filter) Timed() bool {
	return f != nil && slices.ContainsFunc(f.ops, func(o op) bool {
		return o.code == opAge || o.code == opTimeout || o.code == opLived || o.code == opEnded
	})
}

// Lasting reports whether the answer is the same for the whole life of a flow: what is compared are tuples, zone and protocol. Then
// flows that match can be reckoned from those that are there, those that began and those that ended.
func (f *Filter) Lasting() bool {
	lasting := true
	if f != nil {
		f.root.each(func(p *pred) {
			switch p.field {
			case fieldAddr, fieldPort, fieldZone, fieldID, fieldICMPType, fieldICMPCode, fieldICMPID, fieldSrcKey, fieldDstKey, fieldProto, fieldFamily:
			case fieldFlag:
				switch p.flag {
				case flagSNAT, flagDNAT, flagNAT, flagExpected:
				default:
					lasting = false
				}
			default:
				lasting = false
			}
		})
	}
	return lasting
}
