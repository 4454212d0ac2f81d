package filter

import (
	"net/netip"
	"strconv"
	"unicode/utf8"

	"ctview/model"
)

// nodeKind says what joins a node's parts.
type nodeKind uint8

const (
	nodePred nodeKind = iota
	nodeAnd
	nodeOr
	nodeNot
)

// A node is an expression. And and Or have two or more kids, none of the same kind; Not has one, which is no Not.
type node struct {
	kind nodeKind
	kids []*node
	pred pred
}

// ends is a set of the four addresses or ports of a flow.
type ends uint8

const (
	origSrc ends = 1 << iota
	origDst
	replySrc
	replyDst

	origEnds  = origSrc | origDst
	replyEnds = replySrc | replyDst
	allEnds   = origEnds | replyEnds
)

// side is the direction that a predicate asks of.
type side uint8

const (
	sideBoth side = iota
	sideOrig
	sideReply
)

// String returns the word with a blank behind it, "" for both directions.
func (s side) String() string {
	switch s {
	case sideOrig:
		return "orig "
	case sideReply:
		return "reply "
	}
	return ""
}

// rel is how a predicate compares.
type rel uint8

const (
	relEq rel = iota // any of the values
	relNe            // not any of the values: plain negation
	relLt
	relLe
	relGt
	relGe
	relHas // contains the text, "~"
)

var relTexts = [...]string{relEq: "=", relNe: "!=", relLt: "<", relLe: "<=", relGt: ">", relGe: ">=", relHas: "~"}

// A pred is one comparison. Which parts it uses depends on the field.
type pred struct {
	field field
	// master says that the flow meant is the one that this one was expected by: fieldAddr, fieldPort, fieldHelper.
	master bool

	flag flag   // fieldFlag
	ends ends   // fieldAddr, fieldPort
	side side   // amounts, zone, ICMP and GRE fields
	rel  rel    // relEq and relNe take several values, the others one
	vals []val  // what is compared with
	text string // relHas, fieldText, fieldSaved
}

// A val is a value to compare with.
type val struct {
	lo, hi uint64 // number or range of numbers; names of a closed list by number, in lo
	mask   uint64 // with masked: (x & mask) == lo
	masked bool
	addr   netip.Prefix // fieldAddr
	name   string       // state, helper, secctx and those of a holder; "" is none
}

// each calls fn for the predicates of n in the order of the text.
func (n *node) each(fn func(*pred)) {
	if n.kind == nodePred {
		fn(&n.pred)
	}
	for _, k := range n.kids {
		k.each(fn)
	}
}

// join makes an And or Or of kids: flat, and the kid itself where there is one.
func join(kind nodeKind, kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	n := &node{kind: kind}
	for _, k := range kids {
		if k.kind == kind {
			n.kids = append(n.kids, k.kids...)
		} else {
			n.kids = append(n.kids, k)
		}
	}
	return n
}

// negate returns not n.
func negate(n *node) *node {
	if n.kind == nodeNot {
		return n.kids[0]
	}
	return &node{kind: nodeNot, kids: []*node{n}}
}

// append appends the canonical text of n.
func (n *node) append(dst []byte) []byte {
	switch n.kind {
	case nodeNot:
		return n.kids[0].append(append(dst, "not "...))
	case nodeAnd, nodeOr:
		word := " and "
		if n.kind == nodeOr {
			word = " or "
		}
		dst = append(dst, '(')
		for i, k := range n.kids {
			if i > 0 {
				dst = append(dst, word...)
			}
			dst = k.append(dst)
		}
		return append(dst, ')')
	}
	return n.pred.append(dst)
}

// word returns the words before the comparison: "src", "reply dport", "master src", "ctstate", "tcp".
func (p *pred) word() string {
	if p.master {
		other := *p
		if other.master = false; p.ends == origEnds {
			other.ends = allEnds // a master is known by its original tuple
		}
		return "master " + other.word()
	}
	switch p.field {
	case fieldFlag:
		return flagNames[p.flag]
	case fieldText:
		return `"`
	case fieldSaved:
		return "@" + p.text
	case fieldProto:
		if name, ok := p.protoFlag(); ok {
			return name
		}
	case fieldFamily:
		if name, ok := p.familyFlag(); ok {
			return name
		}
	case fieldAddr:
		either := "host"
		for _, v := range p.vals {
			if !v.addr.IsSingleIP() {
				either = "net"
			}
		}
		return p.ends.word("src", "dst", either)
	case fieldPort:
		return p.ends.word("sport", "dport", "port")
	}
	return p.side.String() + fieldInfos[p.field].name
}

func (e ends) word(src, dst, either string) string {
	switch e {
	case origSrc:
		return src
	case origDst:
		return dst
	case replySrc:
		return "reply " + src
	case replyDst:
		return "reply " + dst
	case origEnds:
		return "orig " + either
	case replyEnds:
		return "reply " + either
	}
	return either
}

// protoFlag returns the flag that says the same as p, "tcp" for "proto tcp".
func (p *pred) protoFlag() (string, bool) {
	if p.rel != relEq || len(p.vals) != 1 {
		return "", false
	}
	name := model.Proto(p.vals[0].lo).Name()
	return name, name != ""
}

func (p *pred) familyFlag() (string, bool) {
	if p.rel != relEq || len(p.vals) != 1 {
		return "", false
	}
	if model.Family(p.vals[0].lo) == model.IPv4 {
		return "ip", true
	}
	return "ip6", true
}

// append appends the canonical text of p.
func (p *pred) append(dst []byte) []byte {
	if p.field == fieldText {
		return appendQuoted(dst, p.text)
	}
	dst = append(dst, p.word()...)
	switch p.field {
	case fieldFlag, fieldSaved:
		return dst
	case fieldProto:
		if _, ok := p.protoFlag(); ok {
			return dst
		}
	case fieldFamily:
		if _, ok := p.familyFlag(); ok {
			return dst
		}
	}
	dst = append(dst, ' ')
	if p.rel == relHas {
		return appendQuoted(append(dst, "~ "...), p.text)
	}
	if p.rel != relEq || fieldInfos[p.field].shape == shapeAmount {
		dst = append(append(dst, relTexts[p.rel]...), ' ')
	}
	if len(p.vals) == 1 {
		return p.appendVal(dst, &p.vals[0])
	}
	dst = append(dst, '{')
	for i := range p.vals {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = p.appendVal(dst, &p.vals[i])
	}
	return append(dst, '}')
}

// appendVal appends a value so that the parser reads it back.
func (p *pred) appendVal(dst []byte, v *val) []byte {
	switch p.field {
	case fieldAddr:
		if v.addr.IsSingleIP() {
			return v.addr.Addr().AppendTo(dst)
		}
		return v.addr.AppendTo(dst)
	case fieldBytes, fieldAvgPkt, fieldPackets, fieldPPS:
		return appendCount(dst, v.lo)
	case fieldRate:
		return appendBitRate(dst, v.lo)
	case fieldAge, fieldTimeout, fieldLived, fieldEnded:
		return appendSeconds(dst, v.lo)
	case fieldMark:
		return appendNumVal(dst, v, 16)
	case fieldState:
		return append(dst, v.name...)
	case fieldHelper, fieldSecctx, fieldProc, fieldUser, fieldCgroup, fieldIif, fieldOif:
		return appendName(dst, v.name)
	case fieldProto:
		return append(dst, model.Proto(v.lo).String()...)
	case fieldFamily:
		return append(dst, model.Family(v.lo).String()...)
	case fieldStatus:
		return append(dst, foldWord(model.StatusNames()[v.lo])...)
	case fieldCtState:
		return append(dst, model.CtState(v.lo).String()...)
	case fieldPhase:
		return append(dst, model.Phase(v.lo).String()...)
	case fieldLabel:
		if v.lo == labelNone {
			return append(dst, wordNone...)
		}
	}
	return appendNumVal(dst, v, 10)
}

func appendNumVal(dst []byte, v *val, base int) []byte {
	num := func(dst []byte, n uint64) []byte {
		if base == 16 && n > 9 {
			return strconv.AppendUint(append(dst, "0x"...), n, 16)
		}
		return strconv.AppendUint(dst, n, 10)
	}
	if v.masked {
		return strconv.AppendUint(append(num(dst, v.lo), "/0x"...), v.mask, 16)
	}
	dst = num(dst, v.lo)
	if v.hi != v.lo {
		dst = num(append(dst, '-'), v.hi)
	}
	return dst
}

// appendName appends a helper's name or security context: as a word where the parser takes it for one, else quoted.
func appendName(dst []byte, name string) []byte {
	if name == "" {
		return append(dst, wordNone...)
	}
	if isReserved(foldWord(name)) || foldWord(name) == wordNone {
		return appendQuoted(dst, name)
	}
	for i := range len(name) {
		if !isAtomByte(name[i]) || name[i] >= 0x7f {
			return appendQuoted(dst, name)
		}
	}
	return append(dst, name...)
}

// appendQuoted appends s as the lexer reads strings: quotes, backslashes and what is not printable ASCII or UTF-8 are
// escaped.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i, r := range s {
		switch {
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == 0xfffd || r < 0x20 || r >= 0x7f && r < 0xa0 || model.Reorders(r):
			_, n := utf8.DecodeRuneInString(s[i:])
			for j := i; j < i+n; j++ {
				dst = append(dst, '\\', 'x', "0123456789abcdef"[s[j]>>4], "0123456789abcdef"[s[j]&15])
			}
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
