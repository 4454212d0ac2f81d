package filter

import (
	"slices"
	"strings"
	"sync"

	"ctview/model"
)

// labelNone is the value of "label none", one past the last bit.
const labelNone = model.LabelBits

// name reads the comparison of a name field.
func (p *parser) name(s *subject, pr *pred) *Error {
	p.want = want{kind: wantValue, field: pr.field, rels: true}
	if t := p.tok(); t.is("~") {
		p.next()
		p.want.rels = false
		t = p.tok()
		if t.kind != tokString && t.kind != tokAtom || t.text == "" || t.kind == tokAtom && isReserved(foldWord(t.text)) {
			return p.fail(t, s.word+" ~ wants a text", `for example `+s.word+` ~ "ft"`)
		}
		pr.rel, pr.text = relHas, t.text
		if err := p.containing(t, s, pr); err != nil {
			return err
		}
		p.next()
		return nil
	}
	if err := p.equality(s, pr); err != nil {
		return err
	}
	return p.values(s, pr, func(t *token, pr *pred) (val, *Error) { return p.nameVal(t, s, pr.field) })
}

// nameVal reads one word of the field.
func (p *parser) nameVal(t *token, s *subject, f field) (val, *Error) {
	w := foldWord(t.text)
	switch f {
	case fieldState:
		if containsFold(stateWords(), w) {
			return val{name: w}, nil
		}
		if containsFold(ctStateWords, w) {
			return val{}, p.otherField(t, s, "unknown state "+quote(t.text), "ct state", w)
		}
		return val{}, p.unknownName(t, "state", stateWords())
	case fieldCtState:
		if i := indexFold(ctStateWords, w); i >= 0 {
			return val{lo: uint64(i) + 1}, nil
		}
		if containsFold(stateWords(), w) {
			return val{}, p.otherField(t, s, "unknown ct state "+quote(t.text), "state", w)
		}
		return val{}, p.unknownName(t, "ct state", ctStateWords)
	case fieldPhase:
		if i := indexFold(phaseWords, w); i >= 0 {
			return val{lo: uint64(i) + 1}, nil
		}
		return val{}, p.unknownName(t, "phase", phaseWords)
	case fieldFamily:
		if f, ok := familyWords[w]; ok {
			return val{lo: uint64(f)}, nil
		}
		return val{}, p.unknownName(t, "family", []string{"ipv4", "ipv6"})
	case fieldStatus:
		if i := statusBit(w); i >= 0 {
			return val{lo: uint64(i)}, nil
		}
		return val{}, p.unknownName(t, "status", statusWords())
	case fieldProto:
		return p.protoVal(t, w)
	case fieldLabel:
		return p.labelVal(t, w)
	}
	if w == wordNone && t.kind == tokAtom {
		return val{}, nil
	}
	return val{name: t.text}, nil
}

// statusWords are the status bits as the filter language writes them, by bit number.
var statusWords = sync.OnceValue(func() []string {
	var ws []string
	for _, n := range model.StatusNames() {
		ws = append(ws, foldWord(n))
	}
	return ws
})

// statusBit returns the bit of a status word, nft's names and ours included; -1 for none.
func statusBit(w string) int {
	switch w {
	case "snat":
		w = "src_nat"
	case "dnat":
		w = "dst_nat"
	case "replied":
		w = "seen_reply"
	case "fixed":
		w = "fixed_timeout"
	}
	return slices.Index(statusWords(), w)
}

func (p *parser) protoVal(t *token, w string) (val, *Error) {
	if pr, ok := protoWord(w); ok {
		return val{lo: uint64(pr)}, nil
	}
	if pr, ok := moreProtos[w]; ok {
		return val{lo: uint64(pr)}, nil
	}
	if n, ok, big := parseInt(t.text); ok {
		if big || n > 255 {
			return val{}, p.fail(t, "protocol "+t.text+" is too large", "protocols go from 0 to 255")
		}
		return val{lo: n}, nil
	}
	return val{}, p.unknownName(t, "protocol", protoWords())
}

func protoWords() []string {
	var ws []string
	for _, pr := range flagProtos {
		ws = append(ws, pr.Name())
	}
	for n := range moreProtos {
		ws = append(ws, n)
	}
	slices.Sort(ws[len(flagProtos):])
	return ws
}

// labelVal reads a label: none, its bit, or its name.
func (p *parser) labelVal(t *token, w string) (val, *Error) {
	if w == wordNone && t.kind == tokAtom {
		return val{lo: labelNone, hi: labelNone}, nil
	}
	if p.opt.Labels != nil {
		for _, n := range []string{t.text, strings.ToLower(t.text)} {
			if bit, ok := p.opt.Labels(n); ok && bit >= 0 && bit < labelNone {
				return val{lo: uint64(bit), hi: uint64(bit)}, nil
			}
		}
	}
	var names []string
	for bit := range model.LabelBits {
		n, ok := p.labelName(bit)
		if ok && foldWord(n) == w {
			return val{lo: uint64(bit), hi: uint64(bit)}, nil
		}
		if ok {
			names = append(names, n)
		}
	}
	if n, ok, big := parseInt(t.text); ok {
		if big || n >= labelNone {
			return val{}, p.fail(t, "label "+t.text+" is too large", "labels are bits from 0 to 127")
		}
		return val{lo: n, hi: n}, nil
	}
	near := suggest(t.text, names)
	cure := didYouMean(near)
	if cure == "" {
		cure = "write its bit, 0 to 127, or name it in connlabel.conf"
	}
	return val{}, p.fail(t, "unknown label "+quote(t.text), cure, near...)
}

func (p *parser) labelName(bit int) (string, bool) {
	if p.opt.LabelName == nil {
		return "", false
	}
	return p.opt.LabelName(bit)
}

// containing finds the values of a closed list that contain the text of pr.
func (p *parser) containing(t *token, s *subject, pr *pred) *Error {
	add := func(words []string, value func(i int) val) {
		for i, w := range words {
			if w != "" && hasFold(w, pr.text) {
				pr.vals = append(pr.vals, value(i))
			}
		}
	}
	plus := func(n int) func(int) val { return func(i int) val { return val{lo: uint64(i + n), hi: uint64(i + n)} } }
	switch pr.field {
	case fieldState:
		add(stateWords(), func(i int) val { return val{name: stateWords()[i]} })
	case fieldCtState:
		add(ctStateWords, plus(1))
	case fieldPhase:
		add(phaseWords, plus(1))
	case fieldStatus:
		add(statusWords(), plus(0))
	case fieldFamily:
		add([]string{"ipv4", "ipv6"}, func(i int) val { return val{lo: uint64([]model.Family{model.IPv4, model.IPv6}[i])} })
	case fieldProto:
		for i := range 256 {
			add([]string{model.Proto(i).String()}, func(int) val { return val{lo: uint64(i)} })
		}
	case fieldLabel:
		for i := range model.LabelBits {
			n, _ := p.labelName(i)
			add([]string{n}, plus(i))
		}
	default:
		return nil
	}
	if len(pr.vals) == 0 && !(p.loose && pr.field == fieldLabel) { // loose: label names are not known
		return p.fail(t, "no "+s.word+" contains "+quote(pr.text), "write a part of one")
	}
	return nil
}

// unknownName is the error for a word that the list does not have.
func (p *parser) unknownName(t *token, what string, words []string) *Error {
	near := suggest(t.text, words)
	cure := didYouMean(near)
	if cure == "" {
		cure = "known are " + strings.Join(words[:min(len(words), 6)], ", ")
		if len(words) > 6 {
			cure += " …"
		}
	}
	return p.fail(t, "unknown "+what+" "+quote(t.text), cure, near...)
}

// otherField is the error for a value that another field has. The suggestion is the whole text with that field.
func (p *parser) otherField(t *token, s *subject, msg, field, w string) *Error {
	e := p.fail(t, msg, "write "+field+" "+w)
	e.Whole = true
	e.Suggestions = []string{p.text[:p.toks[s.at].pos] + field + p.text[s.end:]}
	return e
}

// indexFold returns the index of the folded word w in words, which are compared folded; -1 if it is not there.
func indexFold(words []string, w string) int {
	return slices.IndexFunc(words, func(x string) bool { return foldWord(x) == w })
}

func containsFold(words []string, w string) bool { return indexFold(words, w) >= 0 }

// sortedWords sorts words in place, so that what came from a map has an order.
func sortedWords(words []string) []string {
	slices.Sort(words)
	return words
}

// hasFold reports whether s contains sub when both are folded.
func hasFold(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if equalFoldAt(s[i:], sub) {
			return true
		}
	}
	return false
}

// equalFoldAt reports whether s begins with sub when both are folded.
func equalFoldAt(s, sub string) bool {
	for j := range len(sub) {
		if foldByte(s[j]) != foldByte(sub[j]) {
			return false
		}
	}
	return true
}

// equalFold reports whether two names are the same word.
func equalFold(a, b string) bool { return len(a) == len(b) && equalFoldAt(a, b) }
