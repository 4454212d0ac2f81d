package filter

import (
	"strconv"
	"strings"
)

// number reads the comparison of a number field.
func (p *parser) number(s *subject, pr *pred) *Error {
	p.want = want{kind: wantValue, field: pr.field, rels: true}
	if pr.field == fieldMark {
		if done, err := p.maskedMark(s, pr); done || err != nil {
			return err
		}
	}
	if _, ok := orderRel(p.tok()); ok {
		return p.ordered(s, pr, p.numVal)
	}
	if err := p.equality(s, pr); err != nil {
		return err
	}
	return p.values(s, pr, p.numVal)
}

// ordered reads < <= > >= and one number.
func (p *parser) ordered(s *subject, pr *pred, read func(*token, *pred) (val, *Error)) *Error {
	pr.rel, _ = orderRel(p.next())
	p.want.rels = false
	t := p.tok()
	if t.is("{") {
		return p.fail(t, "a set can't be compared with "+relTexts[pr.rel], "write one number, or = for a set")
	}
	if t.kind != tokAtom || isReserved(foldWord(t.text)) {
		return p.missing(s, pr.field, t)
	}
	v, err := read(t, pr)
	if err != nil {
		return err
	}
	if v.masked || v.lo != v.hi {
		return p.fail(t, quote(t.text)+" can't be compared with "+relTexts[pr.rel], "write one number")
	}
	p.next()
	p.want = want{kind: wantJoin}
	pr.vals = []val{v}
	return nil
}

// orderRel returns the order that t asks for.
func orderRel(t *token) (rel, bool) {
	if t.kind == tokPunct {
		switch t.text {
		case "<":
			return relLt, true
		case "<=":
			return relLe, true
		case ">":
			return relGt, true
		case ">=":
			return relGe, true
		}
	}
	return 0, false
}

// maskedMark reads nft's way to write a mask: mark & 0xf0 == 0x10, mark and 0xf0 == 0x10.
func (p *parser) maskedMark(s *subject, pr *pred) (bool, *Error) {
	if t := p.tok(); !t.is("&") && !(t.isWord("and") && isNumeric(p.peek().text)) {
		return false, nil
	}
	amp := p.next()
	t := p.tok()
	mask, ok, big := parseInt(t.text)
	if !ok || big || mask > fieldInfos[fieldMark].max || t.kind != tokAtom {
		return true, p.fail(amp, `"`+amp.text+`" wants a mask`, "for example mark & 0xf0 == 0x10")
	}
	p.next()
	op := p.tok()
	switch {
	case op.is("=="), op.is("="):
	case op.is("!="):
		pr.rel = relNe
	default:
		return true, p.fail(op, s.word+" with a mask wants == or !=", "for example mark & 0xf0 == 0x10")
	}
	p.next()
	t = p.tok()
	if t.kind != tokAtom {
		return true, p.missing(s, pr.field, t)
	}
	v, err := p.numVal(t, pr)
	if err != nil {
		return true, err
	}
	if v.masked || v.lo != v.hi {
		return true, p.fail(t, quote(t.text)+" is no single number", "write for example 0x10")
	}
	p.next()
	v.masked, v.mask = true, mask
	pr.vals = []val{v}
	return true, p.checkMask(t, &v)
}

// checkMask refuses a masked number that no flow can have.
func (p *parser) checkMask(t *token, v *val) *Error {
	if v.lo&^v.mask == 0 {
		return nil
	}
	fixed := string(appendNumVal(nil, &val{lo: v.lo & v.mask, mask: v.mask, masked: true}, 16))
	return p.fail(t, quote(t.text)+" has bits outside the mask and so never matches", "did you mean "+fixed+"?", fixed)
}

// negative reports whether s is a number below 0.
func negative(s string) bool { return len(s) > 1 && s[0] == '-' && s[1] >= '0' && s[1] <= '9' }

// less is the error for a number below 0. A program in C may have printed a mark as one.
func (p *parser) less(t *token, f field, s string) *Error {
	if n, ok, big := parseInt(s[1:]); ok && !big && f == fieldMark && n > 0 && n <= 1<<31 {
		fixed := "0x" + strconv.FormatUint(1<<32-n, 16)
		return p.fail(t, quote(s)+" is below 0", "as 32 bits it is "+fixed, fixed)
	}
	return p.fail(t, quote(s)+" is below 0", "write for example "+fieldInfos[f].eg)
}

// numVal reads a number, a range, or a number and its mask.
func (p *parser) numVal(t *token, pr *pred) (val, *Error) {
	if negative(t.text) && t.kind == tokAtom {
		return val{}, p.less(t, pr.field, t.text)
	}
	info := &fieldInfos[pr.field]
	num := func(s string) (uint64, *Error) {
		n, ok, big := parseInt(s)
		switch {
		case !ok || t.kind == tokString:
			what := quote(t.text) + " is no number"
			if pr.field == fieldPort {
				what = quote(t.text) + " is no port"
			}
			return 0, p.fail(t, what, "write for example "+info.like)
		case big || n > info.max:
			hi := strconv.FormatUint(info.max, 10)
			if pr.field == fieldMark {
				hi = "0xffffffff"
			}
			return 0, p.fail(t, info.name+" "+s+" is too large", plural(info.name)+" go from 0 to "+hi)
		}
		return n, nil
	}
	if a, b, ok := strings.Cut(t.text, "/"); ok && pr.field != fieldPort {
		n, err := num(a)
		if err != nil {
			return val{}, err
		}
		mask, err := num(b)
		if err != nil {
			return val{}, err
		}
		v := val{lo: n, hi: n, mask: mask, masked: true}
		return v, p.checkMask(t, &v)
	}
	for _, sep := range []string{"..", ":"} { // Wireshark's and iptables' ranges
		if a, b, ok := strings.Cut(t.text, sep); ok && isNumeric(a) && isNumeric(b) {
			return val{}, p.fail(t, quote(t.text)+" is no range", "write "+a+"-"+b, a+"-"+b)
		}
	}
	a, b, ok := strings.Cut(t.text, "-")
	lo, err := num(a)
	if err != nil || !ok {
		return val{lo: lo, hi: lo}, err
	}
	hi, err := num(b)
	if err != nil {
		return val{}, err
	}
	if hi < lo {
		return val{}, p.fail(t, "the range "+t.text+" is empty", "write "+b+"-"+a, b+"-"+a)
	}
	return val{lo: lo, hi: hi}, nil
}

// plural returns the plural of a number field's name for messages.
func plural(name string) string {
	switch name {
	case "id":
		return "ids"
	case "srckey", "dstkey":
		return "GRE keys"
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "icmp_", "ICMP "), " id", " identifier") + "s"
}
