package model

import (
	"strconv"
	"strings"
)

// A subject is what stands before a comparison: the word as the user wrote it, its direction, and where it begins.
type subject struct {
	word string // folded, with the direction, for messages: "reply dport"
	at   int    // index of its first token
	end  int    // byte offset behind it
	side side
	ct   bool
	fam  Family // from "orig ip saddr", 0 if not said
}

// predicate reads a predicate that begins with a word.
func (p *parser) predicate() (*node, *FilterError) {
	start := p.tok()
	s := subject{at: p.at}
	w := foldWord(start.text)
	if w == "ct" {
		s.ct = true
		p.next()
		p.want = want{kind: wantCt}
		w = foldWord(p.tok().text)
		if t := p.tok(); t.kind != tokAtom {
			return nil, p.fail(start, `nothing follows "ct"`, "write for example ct state established or ct mark 1")
		}
	}
	if sd, ok := sideWords[w]; ok {
		return p.sided(&s, sd)
	}
	if f, ok := fieldWords[w]; ok {
		s.end = p.next().end
		s.word = w
		return p.compare(&s, f, w)
	}
	if s.ct {
		return nil, p.unknownAfter("ct", p.tok())
	}
	if n := p.flag(w); n != nil {
		return n, nil
	}
	return p.other(start, w)
}

// sided reads what follows orig or reply.
func (p *parser) sided(s *subject, sd side) (*node, *FilterError) {
	t := p.next()
	s.side = sd
	p.want = want{kind: wantSide}
	if f, ok := familyWords[foldWord(p.tok().text)]; ok && p.tok().kind == tokAtom {
		p.next()
		s.fam = f
	}
	word := p.tok()
	w := foldWord(word.text)
	f, ok := fieldWords[w]
	switch {
	case word.kind != tokAtom || isReserved(w):
		return nil, p.fail(t, quote(t.text)+" wants a field", "write for example "+foldWord(t.text)+" src 10.0.0.1 or "+foldWord(t.text)+" bytes > 1M")
	case !ok:
		return nil, p.unknownAfter(t.text, word)
	case s.fam != 0 && f != fieldAddr:
		return nil, p.fail(word, quote(word.text)+" is no address", "leave the family out, or write saddr or daddr")
	case f != fieldAddr && f != fieldPort && !fieldInfos[f].sided:
		return nil, p.fail(t, fieldInfos[f].name+" has no direction", "leave "+quote(t.text)+" out")
	}
	s.end = p.next().end
	s.word = foldWord(t.text) + " " + w
	return p.compare(s, f, w)
}

// unknownAfter is the error for a word that cannot follow the word before.
func (p *parser) unknownAfter(before string, t *token) *FilterError {
	var words []string
	for w, f := range fieldWords {
		if before == "ct" || fieldInfos[f].sided || f == fieldAddr || f == fieldPort {
			words = append(words, w)
		}
	}
	near := suggest(t.text, sortedWords(words))
	if _, ok := flagWords[foldWord(t.text)]; ok || p.isProtoOrFamily(foldWord(t.text)) {
		return p.fail(t, quote(t.text)+" can't follow "+quote(before), "leave "+quote(before)+" out")
	}
	cure := didYouMean(near)
	if cure == "" && before == "ct" {
		cure = "write for example ct state established or ct mark 1"
	} else if cure == "" {
		cure = "write for example " + foldWord(before) + " src 10.0.0.1 or " + foldWord(before) + " bytes > 1M"
	}
	return p.fail(t, quote(t.text)+" can't follow "+quote(before), cure, near...)
}

func (p *parser) isProtoOrFamily(w string) bool {
	_, fam := familyWords[w]
	_, proto := protoWord(w)
	return fam || proto
}

// flag reads a predicate of one word, nil if w is none.
func (p *parser) flag(w string) *node {
	if fl, ok := flagWords[w]; ok {
		p.next()
		return &node{pred: pred{field: fieldFlag, flag: fl}}
	}
	if pr, ok := protoWord(w); ok {
		p.next()
		return &node{pred: pred{field: fieldProto, vals: []val{{lo: uint64(pr)}}}}
	}
	if f, ok := familyWords[w]; ok {
		p.next()
		return &node{pred: pred{field: fieldFamily, vals: []val{{lo: uint64(f)}}}}
	}
	return nil
}

// compare reads the comparison behind the subject.
func (p *parser) compare(s *subject, f field, w string) (*node, *FilterError) {
	pr := pred{field: f, side: s.side}
	if s.side == sideOrig && !p.sideMatters(f) {
		pr.side = sideBoth
	}
	var err *FilterError
	switch {
	case f == fieldAddr || f == fieldPort:
		err = p.endpoint(s, &pr, w)
	case fieldInfos[f].shape == shapeAmount:
		err = p.amount(s, &pr)
	case fieldInfos[f].shape == shapeNumber:
		if before := p.before(s.at); f == fieldID && !s.ct && (before.isWord("icmp") || before.isWord("icmpv6")) {
			pr.field = fieldICMPID // "icmp id 4711" as in nft and on the screen
		}
		err = p.number(s, &pr)
	default:
		if f == fieldState && s.ct {
			pr.field = fieldCtState
			s.word = "ct state"
		}
		err = p.name(s, &pr)
	}
	if err != nil {
		return nil, err
	}
	return &node{pred: pr}, nil
}

// sideMatters reports whether "orig" says more than nothing: not for fields of the tuple, which mean the original one.
func (p *parser) sideMatters(f field) bool {
	switch f {
	case fieldICMPType, fieldICMPCode, fieldICMPID, fieldSrcKey, fieldDstKey:
		return false
	}
	return true
}

// before returns the token before the one at index i, an empty one at the start.
func (p *parser) before(i int) *token {
	if i <= 0 {
		return &token{}
	}
	return &p.toks[i-1]
}

// endpoint reads addresses or ports.
func (p *parser) endpoint(s *subject, pr *pred, w string) *FilterError {
	p.want = want{kind: wantAddr}
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
	if w == "src" || w == "dst" {
		t := p.tok()
		switch {
		case t.isWord("port") && s.fam == 0:
			pr.field = fieldPort
			s.word += " port"
			p.next()
		case t.isWord("host") || t.isWord("net"):
			s.word += " " + foldWord(t.text)
			p.next()
		}
	}
	fam := s.fam
	if before := p.before(s.at); fam == 0 && before.kind == tokAtom && s.side == sideBoth && !s.ct {
		if b := p.before(s.at - 1); !b.isWord("family") && !b.isWord("l3proto") {
			fam = familyWords[foldWord(before.text)] // "ip saddr 10.0.0.1" in the manner of nft
		}
	}
	p.want = want{kind: wantValue, field: pr.field, rels: true, ends: pr.ends}
	if _, ok := orderRel(p.tok()); ok && pr.field == fieldPort {
		return p.ordered(s, pr, p.portVal)
	}
	if err := p.equality(s, pr); err != nil {
		return err
	}
	if pr.field == fieldPort {
		return p.values(s, pr, p.portVal)
	}
	return p.values(s, pr, func(t *token, _ *pred) (val, *FilterError) { return p.addrVal(t, s, fam) })
}

// equality reads = == != or in, which may be missing.
func (p *parser) equality(s *subject, pr *pred) *FilterError {
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
func (p *parser) values(s *subject, pr *pred, read func(*token, *pred) (val, *FilterError)) *FilterError {
	w := p.want
	open := p.tok()
	set := open.is("{")
	if set {
		p.next()
		w.set, w.rels = true, false
		p.want = w
		if p.tok().is("}") {
			return &FilterError{Text: p.text, Pos: open.pos, End: p.tok().end, Msg: "the set is empty",
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
func (p *parser) missing(s *subject, f field, t *token) *FilterError {
	what, like, _ := strings.Cut(fieldInfos[f].want, ": ")
	e := p.fail(t, s.word+" wants "+what, "for example "+like)
	if t.kind == tokEnd {
		e.Pos, e.End = len(p.text), len(p.text)
	}
	return e
}

func (p *parser) addrVal(t *token, s *subject, fam Family) (val, *FilterError) {
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
	case fam == IPv4 && !a.Addr().Is4():
		return val{}, p.fail(t, t.text+" is an IPv6 address", "write ip6 in place of ip")
	case fam == IPv6 && a.Addr().Is4():
		return val{}, p.fail(t, t.text+" is an IPv4 address", "write ip in place of ip6")
	}
	return val{addr: a}, nil
}

// portVal reads a port, a range or a service.
func (p *parser) portVal(t *token, pr *pred) (val, *FilterError) {
	if port, ok := servicePort(t.text, p.opt); ok {
		return val{lo: uint64(port), hi: uint64(port)}, nil
	}
	if t.text != "" && (t.text[0] >= '0' && t.text[0] <= '9') {
		return p.numVal(t, pr)
	}
	var names []string
	for n := range services {
		names = append(names, n)
	}
	near := suggest(t.text, sortedWords(names))
	cure := didYouMean(near)
	if cure == "" {
		cure = "write its number"
	}
	return val{}, p.fail(t, "unknown service "+quote(t.text), cure, near...)
}

// other reads what begins a predicate without being a word of the language: an address, or an error with advice.
func (p *parser) other(t *token, w string) (*node, *FilterError) {
	a, _, _, _ := parseAddrVal(t.text)
	if a.IsValid() {
		p.next()
		pr := pred{field: fieldAddr, ends: allEnds, vals: []val{{addr: a}}}
		return &node{pred: pr}, nil
	}
	if before := p.before(p.at); (before.isWord("icmp") || before.isWord("icmpv6")) && (w == "type" || w == "code") {
		p.next()
		pr := pred{field: fieldICMPType}
		if w == "code" {
			pr.field = fieldICMPCode
		}
		if err := p.number(&subject{word: foldWord(before.text) + " " + w}, &pr); err != nil {
			return nil, err
		}
		return &node{pred: pr}, nil
	}
	if looksLikeAddr(t.text) {
		_, err := p.addrVal(t, &subject{word: "host"}, 0)
		for i := range err.Suggestions {
			if strings.Contains(err.Suggestions[i], " ") {
				err.Suggestions[i] = "host " + err.Suggestions[i]
			}
		}
		return nil, err
	}
	if c := t.text[0]; c >= '0' && c <= '9' || c == '-' || c == '+' {
		return nil, p.bareNumber(t)
	}
	return nil, p.unknownWord(t, w)
}

// bareNumber is the error for a number without a field.
func (p *parser) bareNumber(t *token) *FilterError {
	n, ok, _ := parseInt(t.text)
	lo, hi, isRange := strings.Cut(t.text, "-")
	var tries []string
	switch {
	case ok && n < 1<<16:
		tries = []string{"port " + t.text, "zone " + t.text}
	case ok && n < 1<<32:
		tries = []string{"mark " + t.text, "id " + t.text}
	case ok:
		tries = []string{"bytes > " + t.text}
	case isRange && isNumeric(lo) && isNumeric(hi):
		tries = []string{"port " + t.text}
	default:
		for _, f := range []field{fieldBytes, fieldRate, fieldAge} {
			if _, unit, bad := parseAmount(f, t.text); bad == amountOK && unit != "" {
				tries = append(tries, fieldInfos[f].name+" > "+t.text)
			}
		}
	}
	if len(tries) == 0 {
		return p.fail(t, quote(t.text)+" is no address and no field", "write for example port 443 or host 10.0.0.1")
	}
	return p.fail(t, Escape(t.text), `write "`+strings.Join(tries, `" or "`)+`"`, tries...)
}

// unknownWord is the error for a word that the language does not have. It is never taken for a text to search.
func (p *parser) unknownWord(t *token, w string) *FilterError {
	msg := "unknown word " + quote(t.text)
	write := func(tries ...string) *FilterError {
		return p.fail(t, msg, "write "+strings.Join(tries, " or "), tries...)
	}
	if ours, ok := foreignWords[w]; ok {
		return write(ours...)
	}
	if left, right, ok := strings.Cut(t.text, ":"); ok && left != "" && right != "" {
		if f, ok := fieldWords[foldWord(left)]; ok {
			if fieldInfos[f].shape == shapeAmount {
				return write(left + " > " + right)
			}
			return write(left + " " + right)
		}
	}
	var tries []string
	if containsFold(stateWords, w) && w != "none" {
		tries = append(tries, "state "+w)
	}
	if containsFold(ctStateWords, w) {
		tries = append(tries, "ct state "+w)
	}
	if containsFold(phaseWords, w) && len(tries) == 0 {
		tries = append(tries, "phase "+w)
	}
	if containsFold(statusNames[:], w) && len(tries) == 0 {
		tries = append(tries, "status "+w)
	}
	if containsFold(wellKnownHelpers, w) {
		tries = append(tries, "helper "+t.text)
	}
	if _, ok := servicePort(t.text, p.opt); ok {
		tries = append(tries, "port "+t.text)
	}
	if pr, ok := moreProtos[w]; ok {
		tries = append(tries, "proto "+pr.String())
	}
	if len(tries) > 0 {
		return write(tries...)
	}
	if near := suggest(w, primaryWords); len(near) > 0 {
		return p.fail(t, msg, didYouMean(near), near...)
	}
	if near := suggest(w, stateWords); len(near) > 0 {
		return p.fail(t, msg, "did you mean state "+near[0]+"?", "state "+near[0])
	}
	quoted := string(appendQuoted(nil, t.text))
	return p.fail(t, msg, "to search for a text put it in double quotes", quoted)
}

// number reads the comparison of a number field.
func (p *parser) number(s *subject, pr *pred) *FilterError {
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
func (p *parser) ordered(s *subject, pr *pred, read func(*token, *pred) (val, *FilterError)) *FilterError {
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
func (p *parser) maskedMark(s *subject, pr *pred) (bool, *FilterError) {
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
func (p *parser) checkMask(t *token, v *val) *FilterError {
	if v.lo&^v.mask == 0 {
		return nil
	}
	fixed := string(appendNumVal(nil, &val{lo: v.lo & v.mask, mask: v.mask, masked: true}, 16))
	return p.fail(t, quote(t.text)+" has bits outside the mask and so never matches", "did you mean "+fixed+"?", fixed)
}

// numVal reads a number, a range, or a number and its mask.
func (p *parser) numVal(t *token, pr *pred) (val, *FilterError) {
	info := &fieldInfos[pr.field]
	num := func(s string) (uint64, *FilterError) {
		n, ok, big := parseInt(s)
		switch {
		case !ok || t.kind == tokString:
			what := quote(t.text) + " is no number"
			if pr.field == fieldPort {
				what = quote(t.text) + " is no port"
			}
			_, like, _ := strings.Cut(info.want, ": ")
			return 0, p.fail(t, what, "write for example "+like)
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

// amount reads the comparison of an amount: the relation must be there.
func (p *parser) amount(s *subject, pr *pred) *FilterError {
	info := &fieldInfos[pr.field]
	_, like, _ := strings.Cut(info.want, ": ")
	like, _, _ = strings.Cut(like, " or ")
	like, _, _ = strings.Cut(like, ",")
	p.want = want{kind: wantRel, field: pr.field}
	t := p.tok()
	r, ok := orderRel(t)
	switch {
	case ok:
	case t.is("="), t.is("=="):
		r = relEq
	case t.is("!="):
		r = relNe
	default:
		e := p.fail(t, s.word+" wants a comparison", "")
		if t.kind == tokAtom && !isReserved(foldWord(t.text)) {
			if _, _, bad := parseAmount(pr.field, t.text); bad == amountOK {
				like = t.text
				e.Suggestions = []string{"> " + like, "< " + like}
			}
		}
		e.Cure = "write " + s.word + " > " + like + " or " + s.word + " < " + like
		return e
	}
	p.next()
	p.want = want{kind: wantValue, field: pr.field}
	t = p.tok()
	if t.kind != tokAtom || isReserved(foldWord(t.text)) {
		if t.is("{") {
			return p.fail(t, s.word+" takes one value", "write for example "+s.word+" > "+like)
		}
		return p.missing(s, pr.field, t)
	}
	n, unit, bad := parseAmount(pr.field, t.text)
	if err := p.amountError(t, s, pr.field, unit, bad); err != nil {
		return err
	}
	if u := p.peek(); unit == "" && u.kind == tokAtom {
		if _, unit, bad := parseAmount(pr.field, t.text+u.text); bad == amountOK && unit != "" {
			fixed := t.text + u.text
			return &FilterError{Text: p.text, Pos: t.pos, End: u.end, Msg: "a blank before the unit",
				Cure: "write " + fixed, Suggestions: []string{fixed}}
		}
	}
	p.next()
	pr.rel, pr.vals = r, []val{{lo: n, hi: n}}
	return nil
}

// amountError turns a problem with the amount t into an error.
func (p *parser) amountError(t *token, s *subject, f field, unit string, bad amountProblem) *FilterError {
	switch bad {
	case amountNone:
		_, like, _ := strings.Cut(fieldInfos[f].want, ": ")
		if like == "" {
			like = "100k or 5Mbit"
		}
		return p.fail(t, quote(t.text)+" is no amount", "write for example "+s.word+" > "+firstExample(like))
	case amountBig:
		return p.fail(t, t.text+" is too large", "write a smaller value")
	case amountBits:
		num := t.text[:len(t.text)-len(unit)]
		c := strings.ToUpper(unit[:1])
		if c == "K" {
			c = "k"
		}
		a, b := num+c+"bit", num+c+"B/s"
		return p.fail(t, t.text+" could be bits or bytes", "write "+a+" or "+b, a, b)
	case amountUnit:
		takes := map[field]string{
			fieldBytes: "bytes take k, M, G, T (1000) and Ki, Mi, Gi, Ti (1024)", fieldAvgPkt: "bytes take k, M, G and Ki, Mi, Gi",
			fieldRate: "rates take k, M, G, Ki, Mi, Gi (bytes a second) and kbit, Mbit, Gbit", fieldPackets: "packets take k, M, G and T",
			fieldPPS: "packet rates take k, M, G and T", fieldAge: "times take d, h, m and s, as in 1h30m",
			fieldTimeout: "times take d, h, m and s, as in 1h30m",
		}[f]
		return p.fail(t, "unknown unit "+quote(unit)+" in "+Escape(t.text), takes)
	}
	return nil
}

func firstExample(s string) string {
	s, _, _ = strings.Cut(s, " or ")
	s, _, _ = strings.Cut(s, ",")
	return s
}
