package filter

import (
	"slices"
	"strconv"

	"ctview/model"
)

// And returns the filter text that also asks for add, or, with negate, for not add. Parentheses are added only
// where they are needed. A condition that old already has is not said again.
func And(old, add string, negate bool) string {
	if isBlank(add) {
		return old
	}
	shape := parseLoose(add, true)
	term := add
	if shape == nil || shape.kind == nodeOr || negate && shape.kind != nodePred {
		term = "(" + add + ")"
	}
	if negate {
		term = "not " + term
	}
	if isBlank(old) {
		return term
	}
	if hasConjunct(old, term) {
		return old
	}
	if o := parseLoose(old, true); o == nil || o.kind == nodeOr {
		old = "(" + old + ")"
	}
	return old + " and " + term
}

// hasConjunct reports whether old surely asks for term already.
func hasConjunct(old, term string) bool {
	o, t := parseLoose(old, false), parseLoose(term, false)
	if o == nil || t == nil {
		return false
	}
	all := []*node{o}
	if o.kind == nodeAnd {
		all = o.kids
	}
	want := string(t.append(nil))
	return slices.ContainsFunc(all, func(n *node) bool { return string(n.append(nil)) == want })
}

// isBlank reports whether s has no words.
func isBlank(s string) bool {
	toks, err := lex(s)
	return err == nil && len(toks) == 1
}

// parseLoose parses text without the names that only its user knows: saved filters stay as they are, and with
// anyName every label and service is taken for known, which tells the shape but not the meaning. It returns nil for a
// text that is empty or wrong.
func parseLoose(text string, anyName bool) *node {
	n, err := looseParser(text, anyName).parse()
	if err != nil {
		return nil
	}
	return n
}

func looseParser(text string, anyName bool) *parser {
	var opt Options
	if anyName {
		opt.Labels = func(string) (int, bool) { return 0, true }
		opt.Services = func(string) (uint16, bool) { return 0, true }
	}
	return &parser{text: text, opt: &opt, nodes: new(int), loose: true}
}

// A Named is a condition that a row meets.
type Named struct {
	Name string // what it compares, for a menu: "src", "src/24", "state"
	Text string // the filter text: "src 10.0.0.1"
}

// ByRow returns the conditions that a menu "filter by a value of this row" offers, those asked for most first.
func ByRow(r *model.Row) []Named {
	f := &r.Flow
	out := []Named{
		{"state", ByValue(model.ColState, r)}, {"zone", ByValue(model.ColZone, r)}, {"helper", ByValue(model.ColHelper, r)},
		{"src", ByValue(model.ColSrc, r)}, {prefixName("src", f.Family), byPrefix(model.ColSrc, r)},
		{"dst", ByValue(model.ColDst, r)}, {prefixName("dst", f.Family), byPrefix(model.ColDst, r)},
		{"sport", ByValue(model.ColSport, r)}, {"dport", ByValue(model.ColDport, r)}, {"proto", ByValue(model.ColProto, r)},
		{"mark", ByValue(model.ColMark, r)}, {"ct state", ByValue(model.ColCtState, r)}, {"nat", ByValue(model.ColNAT, r)},
		{"labels", ByValue(model.ColLabels, r)}, {"secctx", ByValue(model.ColSecctx, r)},
	}
	if r.Extra.Owner.Known {
		for _, c := range []model.Column{model.ColProc, model.ColPID, model.ColUser, model.ColCgroup} {
			out = append(out, Named{c.String(), ByValue(c, r)})
		}
	}
	if r.Extra.Route != (model.Route{}) {
		out = append(out, Named{"iif", ByValue(model.ColIif, r)}, Named{"oif", ByValue(model.ColOif, r)})
	}
	if f.ReplySrc != f.Dst {
		out = append(out, Named{"reply src", ByValue(model.ColReplySrc, r)})
	}
	if f.ReplyDst != f.Src {
		out = append(out, Named{"reply dst", ByValue(model.ColReplyDst, r)})
	}
	return slices.DeleteFunc(out, func(x Named) bool { return x.Text == "" })
}

// prefixName returns the menu's name of a byPrefix: "src/24" for IPv4, "src/64" for IPv6.
func prefixName(name string, fam model.Family) string {
	return name + "/" + strconv.Itoa(prefixLen(fam))
}

func prefixLen(fam model.Family) int {
	if fam == model.IPv4 {
		return 24
	}
	return 64
}

// byPrefix returns the condition that an address of the row's network meets: its /24, or /64 for IPv6. "" for
// columns that hold no address.
func byPrefix(c model.Column, r *model.Row) string {
	addr, word := RowAddr(c, r)
	if word == "" {
		return ""
	}
	p, err := r.Flow.Family.Addr(addr).Prefix(prefixLen(r.Flow.Family))
	if err != nil {
		return ""
	}
	return word + " " + p.String()
}

// RowAddr returns the address of a column and the word of the language for it, "" for other columns.
func RowAddr(c model.Column, r *model.Row) ([16]byte, string) {
	switch c {
	case model.ColSrc:
		return r.Flow.Src, "src"
	case model.ColDst:
		return r.Flow.Dst, "dst"
	case model.ColReplySrc:
		return r.Flow.ReplySrc, "reply src"
	case model.ColReplyDst:
		return r.Flow.ReplyDst, "reply dst"
	}
	return [16]byte{}, ""
}

// ByValue returns the condition that the row meets by its value of the column: "zone 5", "helper ftp", "src
// 10.0.0.1". It matches the row, and "" where there is no such condition: amounts, and values that are not known.
func ByValue(c model.Column, r *model.Row) string {
	f := &r.Flow
	if addr, word := RowAddr(c, r); word != "" {
		return word + " " + f.Family.Addr(addr).String()
	}
	switch c {
	case model.ColProto:
		if n := f.Proto.Name(); n != "" {
			return n
		}
		return "proto " + f.Proto.String()
	case model.ColState:
		return "state " + foldWord(f.StateText())
	case model.ColSport, model.ColDport, model.ColReplySport, model.ColReplyDport:
		return portFilter(c, f)
	case model.ColNAT:
		return natFilter(f)
	case model.ColZone:
		return "zone " + strconv.Itoa(int(f.Zone))
	case model.ColHelper:
		return "helper " + string(appendName(nil, f.Helper.String()))
	case model.ColMark:
		return "mark " + string(appendNumVal(nil, &val{lo: uint64(f.Mark), hi: uint64(f.Mark)}, 16))
	case model.ColID:
		return "id " + strconv.FormatUint(uint64(f.ID), 10)
	case model.ColFamily:
		if f.Family == model.IPv4 {
			return "ip"
		}
		return "ip6"
	case model.ColCtState:
		return "ct state " + f.CtState().String()
	case model.ColPhase:
		return "phase " + f.Phase().String()
	case model.ColFlags, model.ColStatus:
		return flagsFilter(f)
	case model.ColLabels:
		return labelsFilter(&r.Extra.Labels)
	case model.ColIif, model.ColOif:
		return c.String() + " " + string(appendName(nil, r.Extra.Route.Text(c)))
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return ownerFilter(c, &r.Extra.Owner)
	case model.ColSecctx:
		return "secctx " + string(appendName(nil, r.Extra.Secctx))
	}
	return ""
}

// portFilter returns the condition of a port column. For ICMP the ports hold identifier, type and code, for GRE the
// keys.
func portFilter(c model.Column, f *model.Flow) string {
	port, word, side := f.Sport, "sport ", ""
	switch c {
	case model.ColDport:
		port, word = f.Dport, "dport "
	case model.ColReplySport:
		port, side = f.ReplySport, "reply "
	case model.ColReplyDport:
		port, word, side = f.ReplyDport, "dport ", "reply "
	}
	num := func(n uint16) string { return strconv.Itoa(int(n)) }
	switch {
	case f.Proto.HasPorts():
		return side + word + num(port)
	case f.Proto.IsICMP() && word == "sport ":
		return side + "icmp_id " + num(port)
	case f.Proto.IsICMP():
		return side + "icmp_type " + num(port>>8) + " and " + side + "icmp_code " + num(port&0xff)
	case f.Proto == model.ProtoGRE && word == "sport ":
		return side + "srckey " + num(port)
	case f.Proto == model.ProtoGRE:
		return side + "dstkey " + num(port)
	}
	return ""
}

func natFilter(f *model.Flow) string {
	switch s, d := f.SNAT(), f.DNAT(); {
	case s && d:
		return "snat and dnat"
	case s:
		return "snat"
	case d:
		return "dnat"
	}
	return "not nat"
}

// flagsFilter joins the flags that the row has: "assured", "unreplied and expected".
func flagsFilter(f *model.Flow) string {
	text := ""
	for _, x := range [...]struct {
		on   bool
		word string
	}{
		{f.Status&model.StatusSeenReply == 0, "unreplied"}, {f.Status&model.StatusAssured != 0, "assured"},
		{f.Status&model.StatusExpected != 0, "expected"}, {f.Offloaded(), "offload"},
		{f.Status&model.StatusFixedTimeout != 0, "fixed"}, {f.Status&model.StatusDying != 0, "dying"},
	} {
		if x.on {
			if text != "" {
				text += " and "
			}
			text += x.word
		}
	}
	if text == "" {
		return "replied and not assured"
	}
	return text
}

// labelsFilter asks for all labels that are set, by their bits.
func labelsFilter(l *model.Labels) string {
	text := ""
	for i := l.Next(0); i < model.LabelBits; i = l.Next(i + 1) {
		if text != "" {
			text += " and "
		}
		text += "label " + strconv.Itoa(i)
	}
	if text == "" {
		return "label " + wordNone
	}
	return text
}
