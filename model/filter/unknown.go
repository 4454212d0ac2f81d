package filter

import (
	"slices"
	"strings"

	"ctview/model"
)

// unknownAfter is the error for a word that cannot follow the word before.
func (p *parser) unknownAfter(before string, t *token) *Error {
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

// other reads what begins a predicate without being a word of the language: an address, or an error with advice.
func (p *parser) other(t *token, w string) (*node, *Error) {
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

// plain is a word without what separates its parts.
func plain(w string) string { return strings.ReplaceAll(w, "_", "") }

// bareNumber is the error for a number without a field.
func (p *parser) bareNumber(t *token) *Error {
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
	return p.fail(t, model.Escape(t.text), writeOneOf(tries), tries...)
}

// unknownWord is the error for a word that the language does not have. It is never taken for a text to search.
func (p *parser) unknownWord(t *token, w string) *Error {
	msg := "unknown word " + quote(t.text)
	write := func(tries ...string) *Error {
		return p.fail(t, msg, writeOneOf(tries), tries...)
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
	if containsFold(phaseWords, w) { // before a state of the same name, which only SCTP or DCCP has
		tries = append(tries, "phase "+w)
	}
	for _, s := range stateWords() {
		if plain(foldWord(s)) == plain(w) && w != "none" { // time_wait is one of TCP, timewait of DCCP
			tries = append(tries, "state "+foldWord(s))
		}
	}
	if containsFold(ctStateWords, w) {
		tries = append(tries, "ct state "+w)
	}
	if containsFold(model.StatusNames(), w) && len(tries) == 0 {
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
	if near := suggest(w, primaryWords()); len(near) > 0 {
		begun := slices.ContainsFunc(near, func(n string) bool { return strings.HasPrefix(foldWord(n), w) })
		for _, s := range stateWords() {
			if s = foldWord(s); !begun && len(w) >= 3 && strings.HasPrefix(s, w) { // est is no typing error
				near = append([]string{"state " + s}, near...)
				break
			}
		}
		return p.fail(t, msg, didYouMean(near), near...)
	}
	if near := suggest(w, stateWords()); len(near) > 0 {
		return p.fail(t, msg, "did you mean state "+near[0]+"?", "state "+near[0])
	}
	if near := suggest(w, foreignNames()); len(near) > 0 {
		return p.fail(t, msg, "did you mean "+foreignWords[near[0]][0]+"?", foreignWords[near[0]]...)
	}
	quoted := string(appendQuoted(nil, t.text))
	return p.fail(t, msg, "to search for a text put it in double quotes", quoted)
}
