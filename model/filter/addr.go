package filter

import (
	"strings"

	"ctview/model"
)

// endpoint reads addresses or ports.
func (p *parser) endpoint(s *subject, pr *pred, w string) *Error {
	switch w {
	case "src", "saddr", "sport", "proto_src":
		pr.ends = origSrc | replySrc
	case "dst", "daddr", "dport", "proto_dst":
		pr.ends = origDst | replyDst
	default:
		pr.ends = allEnds
	}
	switch {
	case s.side == sideReply:
		pr.ends &= replyEnds
	case s.side == sideOrig, pr.ends != allEnds:
		pr.ends &= origEnds
	}
	pr.side = sideBoth
	more := w == "src" || w == "dst"
	if more {
		t := p.tok()
		switch {
		case t.isWord("port") && s.fam == 0:
			pr.field = fieldPort
			s.word += " port"
			p.next()
			more = false
		case t.isWord("host") || t.isWord("net"):
			s.word += " " + foldWord(t.text)
			p.next()
			more = false
		}
	}
	fam := s.fam
	if before := p.before(s.at); fam == 0 && before.kind == tokAtom && s.side == sideBoth && !s.ct {
		if b := p.before(s.at - 1); !b.isWord("family") && !b.isWord("l3proto") {
			fam = familyWords[foldWord(before.text)] // "ip saddr 10.0.0.1" in the manner of nft
		}
	}
	p.want = want{kind: wantValue, field: pr.field, rels: true, hosts: more}
	if _, ok := orderRel(p.tok()); ok && pr.field == fieldPort {
		return p.ordered(s, pr, p.portVal)
	}
	if err := p.equality(s, pr); err != nil {
		return err
	}
	if pr.field == fieldPort {
		return p.values(s, pr, p.portVal)
	}
	return p.values(s, pr, func(t *token, _ *pred) (val, *Error) { return p.addrVal(t, s, fam) })
}

// equality reads = == != or in, which may be missing.
func (p *parser) equality(s *subject, pr *pred) *Error {
	t := p.tok()
	switch {
	case t.is("="), t.is("=="), t.isWord("in"):
	case t.is("!="):
		pr.rel = relNe
	case t.kind == tokPunct && strings.Contains("<=>=~", t.text):
		cure := "write = or !="
		if fieldInfos[pr.field].shape == shapeName {
			cure = "write =, != or ~"
		}
		return p.fail(t, s.word+" can't be compared with "+t.text, cure)
	default:
		return nil
	}
	p.next()
	p.want.rels = false
	return nil
}

// values reads one value, several between commas, or a set in braces.
func (p *parser) values(s *subject, pr *pred, read func(*token, *pred) (val, *Error)) *Error {
	w := p.want
	open := p.tok()
	set := open.is("{")
	if set {
		p.next()
		w.set, w.rels = true, false
		p.want = w
		if p.tok().is("}") {
			return &Error{Text: p.text, Pos: open.pos, End: p.tok().end, Msg: "the set is empty",
				Cure: "write values between the braces"}
		}
	}
	for {
		t := p.tok()
		if t.kind == tokEnd && set {
			return p.fail(open, `"{" is never closed`, `add "}"`)
		}
		if t.kind != tokAtom && t.kind != tokString || t.kind == tokAtom && isReserved(foldWord(t.text)) {
			return p.missing(s, pr.field, t)
		}
		v, err := read(t, pr)
		if err != nil {
			return err
		}
		p.next()
		pr.vals = append(pr.vals, v)
		if p.want = (want{kind: wantComma, set: true}); !set {
			p.want = want{kind: wantJoin}
		}
		if !p.tok().is(",") {
			break
		}
		p.next()
		w.rels = false
		p.want = w
	}
	if !set {
		return nil
	}
	if t := p.tok(); !t.is("}") {
		if t.kind == tokEnd {
			return p.fail(open, `"{" is never closed`, `add "}"`)
		}
		return p.fail(t, quote(t.text)+" in a set", "put a comma before it, or close the set with }")
	}
	p.next()
	return nil
}

// missing is the error for a subject without a value.
func (p *parser) missing(s *subject, f field, t *token) *Error {
	e := p.fail(t, s.word+" wants "+fieldInfos[f].want, "for example "+fieldInfos[f].like)
	if t.kind == tokEnd {
		e.Pos, e.End = len(p.text), len(p.text)
	}
	return e
}

func (p *parser) addrVal(t *token, s *subject, fam model.Family) (val, *Error) {
	a, bad, cure, fixed := parseAddrVal(t.text)
	switch {
	case bad != "" && strings.HasSuffix(bad, "with a port"):
		_, port, _ := strings.Cut(t.text[strings.LastIndexByte(t.text, ']')+1:], ":")
		word := "port"
		if strings.HasSuffix(s.word, "src") || strings.HasSuffix(s.word, "saddr") {
			word = "sport"
		} else if strings.HasSuffix(s.word, "dst") || strings.HasSuffix(s.word, "daddr") {
			word = "dport"
		}
		fixed += " and " + word + " " + port
		return val{}, p.fail(t, bad, "write "+s.word+" "+fixed, fixed)
	case bad != "" && fixed != "":
		return val{}, p.fail(t, bad, cure, fixed)
	case bad != "":
		return val{}, p.fail(t, bad, cure)
	case fam == model.IPv4 && !a.Addr().Is4():
		return val{}, p.fail(t, t.text+" is an IPv6 address", "write ip6 in place of ip")
	case fam == model.IPv6 && a.Addr().Is4():
		return val{}, p.fail(t, t.text+" is an IPv4 address", "write ip in place of ip6")
	}
	return val{addr: a}, nil
}

// portVal reads a port, a range or a service.
func (p *parser) portVal(t *token, pr *pred) (val, *Error) {
	if port, ok := servicePort(t.text, p.opt); ok {
		return val{lo: uint64(port), hi: uint64(port)}, nil
	}
	if t.text != "" && (t.text[0] >= '0' && t.text[0] <= '9') || negative(t.text) {
		return p.numVal(t, pr)
	}
	near := suggest(t.text, model.ServiceNames())
	cure := didYouMean(near)
	if cure == "" {
		cure = "write its number"
	}
	return val{}, p.fail(t, "unknown service "+quote(t.text), cure, near...)
}
