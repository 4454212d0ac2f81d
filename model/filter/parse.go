package filter

import (
	"slices"
	"strings"

	"ctview/model"
)

const (
	maxDepth = 200   // of parentheses, and of saved filters in each other
	maxNodes = 20000 // of a filter with its saved filters written out
)

// A parser reads one filter text by recursive descent. Each function reads from the current token and leaves the next
// one current; the first error ends it.
type parser struct {
	text  string
	toks  []token
	at    int
	depth int
	opt   *Options
	saved []string // the saved filters that this text stands in, outermost first
	nodes *int     // predicates so far, those of saved filters included
	loose bool     // keep @name as a predicate that matches nothing instead of looking it up

	mixed []mixSite // places that mix and with or
	want  want      // what could stand at the current token, for completion
}

// A want says what the parser looks for.
type want struct {
	kind    wantKind
	field   field
	rels    bool // comparison words may stand here too
	set     bool // inside braces
	hosts   bool // host, net or port may stand here, too
	closing bool // an open parenthesis may be closed here
}

// wantKind says what kind of word can stand at a place.
type wantKind uint8

const (
	wantPrimary wantKind = iota // a predicate, not, (
	wantJoin                    // and, or, a predicate, )
	wantCt                      // after ct
	wantSide                    // after orig or reply
	wantMaster                  // after master
	wantRel                     // a comparison
	wantValue                   // a value of the field
	wantComma                   // , or }
)

// A mixSite is a list of operands joined by both and and or.
type mixSite struct {
	spans  [][2]int // of the operands
	or     []bool   // or[i] joins operands i and i+1
	at, to int      // the word that mixes
}

// parseText parses a whole text; nil, nil for one without words.
func parseText(text string, opt *Options) (*node, error) {
	nodes := 0
	p := parser{text: text, opt: opt, nodes: &nodes}
	n, err := p.parse()
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (p *parser) parse() (*node, *Error) {
	toks, err := lex(p.text)
	if err != nil {
		// What stands before the broken quote may be wrong, too, but the quote may swallow the cure.
		return nil, err
	}
	p.toks = toks
	if p.tok().kind == tokEnd {
		return nil, nil
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.tok(); t.kind != tokEnd {
		return nil, p.unexpected(t)
	}
	if len(p.mixed) > 0 {
		return nil, p.mixError()
	}
	return n, nil
}

// tok returns the current token.
func (p *parser) tok() *token { return &p.toks[p.at] }

// peek returns the token after the current one, the last one at the end.
func (p *parser) peek() *token { return &p.toks[min(p.at+1, len(p.toks)-1)] }

// next makes the next token current and returns the one before.
func (p *parser) next() *token {
	t := &p.toks[p.at]
	if t.kind != tokEnd {
		p.at++
	}
	return t
}

// fail makes an error at t.
func (p *parser) fail(t *token, msg, cure string, suggestions ...string) *Error {
	return &Error{Text: p.text, Pos: t.pos, End: t.end, Msg: msg, Cure: cure, Suggestions: slices.Clone(suggestions)} // Rank moves them
}

// startsPrimary reports whether a predicate can begin with t.
func startsPrimary(t *token) bool {
	switch t.kind {
	case tokAtom:
		return !t.isWord("and") && !t.isWord("or") && !t.isWord("in")
	case tokString, tokSaved:
		return true
	}
	return t.is("(") || t.is("!")
}

// or reads operands joined by and, or, or nothing (and). A mix of both is noted and read with and binding tighter.
func (p *parser) or() (*node, *Error) {
	var alts, ands []*node
	var site mixSite
	for {
		p.want = want{kind: wantPrimary}
		from := p.tok().pos
		n, err := p.not()
		if err != nil {
			return nil, err
		}
		ands = append(ands, n)
		site.spans = append(site.spans, [2]int{from, p.toks[p.at-1].end})

		p.want = want{kind: wantJoin, closing: p.depth > 0}
		t := p.tok()
		isOr := t.isWord("or") || t.is("||")
		isAnd := t.isWord("and") || t.is("&&")
		if !isOr && !isAnd && !startsPrimary(t) {
			break
		}
		if len(site.or) > 0 && site.or[0] != isOr && site.to == 0 {
			site.at, site.to = t.pos, t.end
		}
		site.or = append(site.or, isOr)
		if isOr {
			alts, ands = append(alts, join(nodeAnd, ands)), nil
		}
		if isOr || isAnd {
			p.next()
			if err := p.operandAfter(t); err != nil {
				return nil, err
			}
		}
	}
	if site.to > 0 {
		p.mixed = append(p.mixed, site)
	}
	return join(nodeOr, append(alts, join(nodeAnd, ands))), nil
}

// operandAfter checks that something follows the word t.
func (p *parser) operandAfter(t *token) *Error {
	p.want = want{kind: wantPrimary}
	n := p.tok()
	if startsPrimary(n) {
		return nil
	}
	name := foldWord(t.text)
	switch name {
	case "&&":
		name = "and"
	case "||":
		name = "or"
	case "!":
		name = "not"
	}
	if n.kind == tokEnd || n.is(")") {
		return p.fail(t, `nothing follows "`+name+`"`, "add what it joins, or take it out")
	}
	return p.fail(n, quote(n.text)+` can't follow "`+name+`"`, "take one of them out")
}

// not reads not, ! and a primary. "not" binds to the next primary only.
func (p *parser) not() (*node, *Error) {
	negated := false
	for p.tok().isWord("not") || p.tok().is("!") {
		t := p.next()
		negated = !negated
		if err := p.operandAfter(t); err != nil {
			return nil, err
		}
	}
	n, err := p.primary()
	if err != nil || !negated {
		return n, err
	}
	return negate(n), nil
}

func (p *parser) primary() (*node, *Error) {
	t := p.tok()
	if *p.nodes++; *p.nodes > maxNodes {
		cure := "name addresses and ports in sets: host {10.0.0.1, 10.0.0.2}"
		if len(p.saved) > 0 {
			cure = "use fewer saved filters in each other"
		}
		return nil, p.fail(t, "the filter is too large", cure)
	}
	switch {
	case t.is("("):
		return p.parens()
	case t.kind == tokSaved:
		p.next()
		return p.savedFilter(t)
	case t.kind == tokString:
		p.next()
		if t.text == "" {
			return nil, p.fail(t, "the quotes are empty", "write the text to search for between them")
		}
		return &node{pred: pred{field: fieldText, text: t.text}}, nil
	case t.kind == tokAtom && !isReserved(foldWord(t.text)):
		return p.predicate()
	}
	return nil, p.unexpected(t)
}

func (p *parser) parens() (*node, *Error) {
	open := p.next()
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(open, "too many parentheses in each other", "take some out")
	}
	p.want = want{kind: wantPrimary}
	if p.tok().is(")") {
		return nil, &Error{Text: p.text, Pos: open.pos, End: p.tok().end, Msg: "the parentheses are empty",
			Cure: "take them out"}
	}
	if p.tok().kind == tokEnd {
		return nil, p.fail(open, `"(" is never closed`, `add ")"`)
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.tok().is(")") {
		if t := p.tok(); t.kind != tokEnd {
			return nil, p.unexpected(t)
		}
		return nil, p.fail(open, `"(" is never closed`, `add ")"`)
	}
	p.next()
	p.depth--
	return n, nil
}

// unexpected is the error for a token that cannot stand where it does.
func (p *parser) unexpected(t *token) *Error {
	switch {
	case t.kind == tokEnd:
		return p.fail(t, "the filter ends too early", "add a condition")
	case t.is(")"):
		return p.fail(t, `")" without "("`, "take it out")
	case t.is("{"):
		return p.fail(t, `"{" without a field before it`, "write for example port {80, 443}")
	case t.is("}"):
		return p.fail(t, `"}" without "{"`, "take it out")
	case t.isWord("and"), t.isWord("or"), t.is("&&"), t.is("||"):
		return p.fail(t, quote(t.text)+" has nothing before it", "take it out")
	case t.isWord("in"):
		return p.fail(t, `"in" without a field before it`, "write for example port in {80, 443}")
	case t.is(","):
		return p.fail(t, `"," stands between values of a set only`, `write "and" or "or", or braces: port {80, 443}`)
	case t.is("&"):
		return p.fail(t, `"&" stands after mark only`, `write "and"`, "and")
	}
	return p.fail(t, quote(t.text)+" without a field before it", "write for example bytes > 10M or dport = 443")
}

// savedFilter reads the filter behind @name.
func (p *parser) savedFilter(t *token) (*node, *Error) {
	name := t.text
	if name == "" {
		return nil, p.fail(t, `"@" without a name`, "write the name of a saved filter behind it")
	}
	if p.loose {
		return &node{pred: pred{field: fieldSaved, text: name}}, nil
	}
	name, text, ok := p.lookUp(name)
	if !ok {
		return nil, p.unknownSaved(t)
	}
	if slices.Contains(p.saved, name) {
		loop := append(slices.Clone(p.saved[slices.Index(p.saved, name):]), name)
		return nil, p.fail(t, "@"+name+" refers to itself", "@"+strings.Join(loop, " → @"))
	}
	if len(p.saved) >= maxDepth {
		return nil, p.fail(t, "too many saved filters in each other", "use fewer")
	}
	inner := parser{text: text, opt: p.opt, nodes: p.nodes, saved: append(slices.Clone(p.saved), name)}
	n, err := inner.parse()
	if err != nil {
		if !strings.HasPrefix(err.Msg, "in @") { // the innermost is the one to mend
			err.Msg = "in @" + name + ": " + err.Msg
		}
		return nil, p.fail(t, err.Msg, err.Cure)
	}
	if n == nil {
		return nil, p.fail(t, "@"+name+" is empty and so matches everything", "leave it out")
	}
	return n, nil
}

// lookUp finds a saved filter by its name as typed, else by the same name in other letters.
func (p *parser) lookUp(name string) (string, string, bool) {
	if text, ok := p.opt.Saved[name]; ok {
		return name, text, true
	}
	for _, n := range p.savedNames() {
		if foldWord(n) == foldWord(name) {
			return n, p.opt.Saved[n], true
		}
	}
	return name, "", false
}

func (p *parser) savedNames() []string {
	var names []string
	for n := range p.opt.Saved {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (p *parser) unknownSaved(t *token) *Error {
	names := p.savedNames()
	near := suggest(t.text, names)
	for i := range near {
		near[i] = "@" + model.Escape(near[i])
	}
	cure := didYouMean(near)
	switch {
	case cure != "":
	case len(names) == 0:
		cure = "no filter is saved"
	case len(names) <= 5:
		cure = "saved are @" + model.Escape(strings.Join(names, ", @"))
	}
	return p.fail(t, "unknown saved filter "+quote("@"+t.text), cure, near...)
}

// mixError is the error for and and or without parentheses. It offers both readings of the whole text.
func (p *parser) mixError() *Error {
	first := p.mixed[0]
	for _, s := range p.mixed {
		if s.at < first.at {
			first = s
		}
	}
	a, b := p.reading(true), p.reading(false)
	return &Error{Text: p.text, Pos: first.at, End: first.to, Msg: `"and" and "or" together`,
		Cure: "write " + model.Escape(a) + ", or " + model.Escape(b), Suggestions: []string{a, b}, Whole: true, Mixed: true}
}

// reading returns the text with parentheses that make or (tightOr) or and the tighter one at each mixed site.
func (p *parser) reading(tightOr bool) string {
	opens, closes := map[int]int{}, map[int]int{}
	for _, s := range p.mixed {
		for i := 0; i < len(s.or); {
			j := i
			for j < len(s.or) && s.or[j] == tightOr {
				j++
			}
			if j > i {
				opens[s.spans[i][0]]++
				closes[s.spans[j][1]]++
			}
			i = j + 1
		}
	}
	var b strings.Builder
	for i := 0; i <= len(p.text); i++ {
		b.WriteString(strings.Repeat(")", closes[i]))
		b.WriteString(strings.Repeat("(", opens[i]))
		if i < len(p.text) {
			b.WriteByte(p.text[i])
		}
	}
	return strings.TrimSpace(b.String())
}
