package filter

import (
	"ctview/model"
)

// A subject is what stands before a comparison: the word as the user wrote it, its direction, and where it begins.
type subject struct {
	word string // folded, with the direction, for messages: "reply dport"
	at   int    // index of its first token
	end  int    // byte offset behind it
	side side
	ct   bool
	fam  model.Family // from "orig ip saddr", 0 if not said
}

// predicate reads a predicate that begins with a word.
func (p *parser) predicate() (*node, *Error) {
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
	if w == wordMaster && !s.ct {
		return p.master(&s)
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
	if w == flagNames[flagExpected] && p.peek().isWord(wordBy) {
		return p.expectedBy(&s)
	}
	if w == wordEnded && p.endedWhen() {
		s.end = p.next().end
		s.word = w
		return p.compare(&s, fieldEnded, w)
	}
	if w == wordEnded && p.opt.Living {
		return nil, p.ofGone(start)
	}
	if n := p.flag(w); n != nil {
		return n, nil
	}
	return p.other(start, w)
}

// ofGone is the error for a word that no flow which is there has an answer to.
func (p *parser) ofGone(word *token) *Error {
	return p.fail(word, quote(word.text)+" is of flows that have ended, and here are those that are there",
		"look at ctview events, or at Recent on the screen (7)")
}

// expectedBy reads "expected by ftp": master helper ftp.
func (p *parser) expectedBy(s *subject) (*node, *Error) {
	p.next()
	s.end = p.next().end
	s.word = flagNames[flagExpected] + " " + wordBy
	n, err := p.compare(s, fieldHelper, wordMaster)
	if err != nil {
		return nil, err
	}
	n.pred.master = true
	return n, nil
}

// endedWhen reports whether the word "ended" at the current token is compared with a time.
func (p *parser) endedWhen() bool {
	t := p.peek()
	_, order := orderRel(t)
	return order || t.is("=") || t.is("==") || t.is("!=") || t.kind == tokAtom && t.text[0] >= '0' && t.text[0] <= '9' && !looksLikeAddr(t.text)
}

// master reads what follows master: an address, a port or the helper of the flow that announced this one.
func (p *parser) master(s *subject) (*node, *Error) {
	t := p.next()
	s.side = sideOrig // the kernel tells no other tuple of it (CTA_TUPLE_MASTER)
	p.want = want{kind: wantMaster}
	word := p.tok()
	w := foldWord(word.text)
	f, ok := fieldWords[w]
	if word.kind != tokAtom || !ok || f != fieldAddr && f != fieldPort && f != fieldHelper {
		return nil, p.fail(t, quote(t.text)+" wants an address, a port or helper", "write for example master src 10.0.0.1, master dport 21 or master helper ftp")
	}
	if f == fieldHelper {
		s.side = sideBoth
	}
	s.end = p.next().end
	s.word = wordMaster + " " + w
	n, err := p.compare(s, f, w)
	if err != nil {
		return nil, err
	}
	n.pred.master = true
	return n, nil
}

// sided reads what follows orig or reply.
func (p *parser) sided(s *subject, sd side) (*node, *Error) {
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
		sw := foldWord(t.text)
		return nil, p.fail(t, quote(t.text)+" wants a field", "write for example "+sw+" src 10.0.0.1 or "+sw+" bytes > 1M")
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

// flag reads a predicate of one word, nil if w is none.
func (p *parser) flag(w string) *node {
	if fl, ok := flagWords[w]; ok {
		p.next()
		n := &node{pred: pred{field: fieldFlag, flag: fl}}
		if (fl == flagNAT || fl == flagSNAT || fl == flagDNAT) && p.tok().isWord(wordNone) { // as helper none
			p.next()
			return negate(n)
		}
		return n
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
func (p *parser) compare(s *subject, f field, w string) (*node, *Error) {
	pr := pred{field: f, side: s.side}
	if s.side == sideOrig && !sideMatters(f) {
		pr.side = sideBoth
	}
	var err *Error
	switch {
	case p.opt.Once && (f == fieldRate || f == fieldPPS):
		word := &p.toks[p.at-1]
		return nil, p.fail(word, quote(word.text)+" takes two readings of the counters, and here there is one",
			"read twice with --over 1s where the command has it, or look at the screen: ctview")
	case p.opt.Living && (f == fieldEnded || f == fieldLived):
		return nil, p.ofGone(&p.toks[p.at-1])
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
func sideMatters(f field) bool {
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
