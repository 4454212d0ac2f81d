package filter

import (
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

// Dynamic is what can be completed besides the language's own words: what the table holds at the moment.
type Dynamic struct {
	Zones   []uint16
	Helpers []string
	Labels  []string // names
	Saved   []string // names of saved filters, without the @
}

// A Completion is a text that could stand in place of text[From:To].
type Completion struct {
	Insert   string // ends in a blank where something must follow
	Show     string // for a list: "zone <n>" where Insert is "zone "
	Hint     string // what it means, a few words; may be empty
	From, To int
}

// Complete returns what could stand at the cursor, a byte offset, best first: words that go on from the one that the
// cursor is in or behind, or, behind a blank, all that make sense there. A text that is wrong before the cursor has
// no completions, but one that mixes and with or has its two readings. Wrong words are left to Parse's error,
// which suggests.
func Complete(text string, cursor int, dyn Dynamic) []Completion {
	cursor = min(max(cursor, 0), len(text))
	toks, lexErr := lex(text[:cursor])
	if lexErr != nil {
		return nil
	}
	c := completer{dyn: &dyn, from: cursor, to: cursor}
	if n := len(toks); n >= 2 {
		if t := &toks[n-2]; t.end == cursor && (t.kind == tokAtom || t.kind == tokSaved) {
			c.from, c.word = t.pos, foldWord(text[t.pos:cursor])
			for c.to < len(text) && isAtomByte(text[c.to]) {
				c.to++
			}
		}
	}
	w, ok := wanted(text[:c.from])
	if !ok {
		return nil
	}
	c.blank = c.to < len(text) && text[c.to] == ' '
	if readings := mixedReadings(text); len(readings) > 0 && cursor == len(text) {
		for _, r := range readings {
			c.out = append(c.out, Completion{Insert: r, Show: r, To: len(text)})
		}
		return c.out
	}
	c.fill(&w)
	return c.out
}

// wanted returns what could follow text; ok is false where text is wrong.
func wanted(text string) (want, bool) {
	toks, lexErr := lex(text)
	if lexErr != nil {
		return want{}, false
	}
	if len(toks) == 1 {
		return want{kind: wantPrimary}, true
	}
	p := looseParser(text, true)
	p.toks = toks
	_, err := p.or()
	return p.want, p.tok().kind == tokEnd && (err == nil || p.want.kind != wantJoin || p.depth > 0)
}

// mixedReadings returns both readings of a text that mixes and with or.
func mixedReadings(text string) []string {
	if _, err := looseParser(text, true).parse(); err != nil && err.Mixed {
		return err.Suggestions
	}
	return nil
}

// A completer gathers completions of one word.
type completer struct {
	dyn      *Dynamic
	word     string // what is typed of it, folded
	from, to int
	blank    bool // a blank follows the word already
	out      []Completion
}

// add offers insert if the typed word begins it, or begins one of its words.
func (c *completer) add(insert, show, hint string) {
	bare := foldWord(strings.TrimRight(insert, " "))
	if c.word != "" && (bare == c.word && insert == bare || !beginsWord(bare, c.word)) {
		return
	}
	if c.blank {
		insert = strings.TrimRight(insert, " ")
	}
	if show == "" {
		show = strings.TrimRight(insert, " ")
	}
	if !slices.ContainsFunc(c.out, func(x Completion) bool { return x.Insert == insert }) {
		c.out = append(c.out, Completion{Insert: insert, Show: show, Hint: hint, From: c.from, To: c.to})
	}
}

// beginsWord reports whether prefix begins s or a word of it.
func beginsWord(s, prefix string) bool {
	return strings.HasPrefix(s, prefix) || strings.Contains(s, " "+prefix)
}

// fill adds all that fits w.
func (c *completer) fill(w *want) {
	switch w.kind {
	case wantPrimary:
		c.primaries()
	case wantJoin:
		c.add("and ", "", "both")
		c.add("or ", "", "either")
		if w.closing && c.word == "" {
			c.add(")", "", "close the parenthesis")
		}
		if c.word != "" {
			c.primaries()
		}
	case wantComma:
		if c.word == "" {
			c.add(", ", ",", "one more")
			c.add("}", "", "close the set")
		}
	case wantCt:
		for _, f := range []string{"state", "mark", "status", "zone", "helper", "label", "bytes", "packets",
			"avgpkt", "expiration", "id"} {
			c.add(f+" ", "", ctHints[f])
		}
		c.add("original ", "", "of the original side")
		c.add("reply ", "", "of the reply side")
	case wantSide:
		for _, f := range sidedWords {
			c.add(f+" ", "", "")
		}
	case wantMaster:
		for _, f := range []string{"src", "dst", "sport", "dport", "host", "port", "helper"} {
			c.add(f+" ", "", "of the flow that announced it")
		}
	case wantRel:
		if c.word == "" {
			c.relations()
		}
	case wantValue:
		c.values(w)
	}
	if c.word != "" {
		// What begins with the word comes before what has it inside.
		slices.SortStableFunc(c.out, func(a, b Completion) int {
			return boolInt(strings.HasPrefix(foldWord(b.Insert), c.word)) - boolInt(strings.HasPrefix(foldWord(a.Insert), c.word))
		})
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

var ctHints = map[string]string{"state": "as nft means it: new, established …", "expiration": "the timeout"}

// sidedWords can follow orig and reply.
var sidedWords = []string{"src", "dst", "sport", "dport", "host", "port", "bytes", "packets", "rate", "pps", "avgpkt", "zone",
	"pid", "proc", "user", "cgroup"}

// primaries adds what can begin a predicate, what is asked for most first.
func (c *completer) primaries() {
	for _, w := range []struct{ insert, show, hint string }{
		{"state ", "", "as in the STATE column"}, {"src ", "src <address>", "source: address or prefix"},
		{"dst ", "dst <address>", "destination: address or prefix"}, {"dport ", "dport <port>", "destination port"},
		{"zone ", "zone <n>", "zone of both directions"}, {"helper ", "", "conntrack helper"}, {"tcp", "", ""}, {"udp", "", ""},
		{"host ", "host <address>", "any of the four addresses"}, {"port ", "port <port>", "any of the four ports"},
		{"not ", "", "the next condition must be false"}, {"bytes > ", "bytes > <n>", "bytes of both directions"},
		{"rate > ", "rate > <n>", "bytes a second now"}, {"age > ", "age > <time>", "time since its start"},
		{"ct state ", "", "as nft means it"}, {"phase ", "", "opening, open, closing, closed"},
	} {
		c.add(w.insert, w.show, w.hint)
	}
	c.add("ended", "", "the flow has ended: in Recent and events")
	c.add("ended ", "ended <time>", "no longer ago")
	c.add("lived < ", "lived < <time>", "of flows that ended: their whole life")
	for i, n := range flagNames {
		c.add(n, "", flagHints[i])
	}
	for _, p := range flagProtos {
		c.add(p.Name(), "", "")
	}
	c.add("ip", "", "IPv4")
	c.add("ip6", "", "IPv6")
	for f := fieldBytes; f <= fieldOif; f++ {
		c.field(f)
	}
	c.add("sport ", "sport <port>", "source port")
	c.add("net ", "net <prefix>", "any of the four addresses")
	c.add("ct ", "", "words as nft writes them")
	c.add("expected by ", "expected by <helper>", "announced by a helper")
	c.add("master ", "", "of the flow that announced it")
	for _, f := range []string{"src", "dst", "sport", "dport"} {
		c.add("reply "+f+" ", "", "of the reply side")
	}
	for _, n := range sortedWords(slices.Clone(c.dyn.Saved)) {
		c.add("@"+n, "", "saved filter")
	}
}

// field adds a field, with its directions.
func (c *completer) field(f field) {
	info := &fieldInfos[f]
	tail, show := " ", ""
	switch info.shape {
	case shapeAmount:
		tail, show = " > ", " > <n>"
	case shapeNumber:
		show = " <n>"
	}
	name := func(s string) string {
		if show == "" {
			return ""
		}
		return s + info.name + show
	}
	c.add(info.name+tail, name(""), info.hint)
	if !info.sided {
		return
	}
	hint, _, _ := strings.Cut(info.hint, " of both directions")
	if sideMatters(f) {
		c.add("orig "+info.name+tail, name("orig "), hint+" of the original side")
	}
	c.add("reply "+info.name+tail, name("reply "), hint+" of the reply side")
}

func (c *completer) relations() {
	for _, r := range []struct{ rel, hint string }{{"> ", "more than"}, {"< ", "less than"}, {">= ", "at least"},
		{"<= ", "at most"}, {"= ", "exactly"}, {"!= ", "not"}} {
		c.add(r.rel, "", r.hint)
	}
}

// values adds values of a field, and, where none is typed yet, the signs that can stand before one.
func (c *completer) values(w *want) {
	if w.hosts && w.rels {
		c.add("port ", "port <port>", "")
		c.add("net ", "net <prefix>", "")
		c.add("host ", "host <address>", "")
	}
	switch w.field {
	case fieldState:
		for _, s := range stateWords() {
			c.add(s, "", stateHint(s))
		}
	case fieldCtState:
		for i, hint := range []string{"no reply yet", "a reply was seen", "expected by another flow", "no flow is", "no flow is"} {
			c.add(ctStateWords[i], "", hint)
		}
	case fieldPhase:
		for i, hint := range []string{"handshake, or no reply yet", "established, or replied", "being closed", "finished"} {
			c.add(phaseWords[i], "", hint)
		}
	case fieldProto:
		for _, p := range protoWords() {
			c.add(p, "", "")
		}
	case fieldFamily:
		c.add("ipv4", "", "")
		c.add("ipv6", "", "")
	case fieldStatus:
		for _, s := range statusWords() {
			c.add(s, "", "")
		}
	case fieldZone:
		zones := slices.Clone(c.dyn.Zones)
		slices.Sort(zones)
		for _, z := range slices.Compact(zones) {
			c.add(strconv.Itoa(int(z)), "", "")
		}
	case fieldPort:
		c.servicePorts()
	default:
		c.names(w.field)
	}
	if c.word != "" || !w.rels {
		return
	}
	c.add("!= ", "", "not")
	c.add("{", "", "one of several")
	if fieldInfos[w.field].shape == shapeName {
		c.add("~ ", "", "contains")
	}
}

// names adds values that come from the machine, and examples of amounts.
func (c *completer) names(f field) {
	var names, more []string
	switch f {
	case fieldHelper:
		names, more = c.dyn.Helpers, append([]string{wordNone}, wellKnownHelpers...)
	case fieldLabel:
		names, more = c.dyn.Labels, []string{wordNone}
	case fieldSecctx, fieldProc, fieldUser, fieldCgroup, fieldIif, fieldOif:
		more = []string{wordNone}
	case fieldBytes:
		more = []string{"1k", "1M", "10M", "1G", "1Gi"}
	case fieldPackets, fieldPPS:
		more = []string{"10", "100", "1k", "1M"}
	case fieldAvgPkt:
		more = []string{"100", "500", "1k"}
	case fieldRate:
		more = []string{"10kB/s", "1MB/s", "5Mbit", "1Gbit"}
	case fieldAge, fieldTimeout, fieldLived, fieldEnded:
		more = []string{"10s", "1m", "30m", "1h", "1d"}
	}
	for _, n := range sortedWords(slices.Clone(names)) {
		if n != "" {
			c.add(string(appendName(nil, n)), "", "")
		}
	}
	for _, n := range more {
		hint := ""
		if n == wordNone {
			hint = "without"
		}
		c.add(n, "", hint)
	}
}

// servicePorts adds the services that the word begins; all of them would be too many.
func (c *completer) servicePorts() {
	if c.word == "" || isNumeric(c.word) {
		return
	}
	for _, n := range model.ServiceNames() {
		if strings.HasPrefix(foldWord(n), c.word) {
			port, _ := model.ServicePort(n)
			c.add(n, "", strconv.Itoa(int(port)))
		}
	}
}

// stateHint says which protocols have the state.
func stateHint(s string) string {
	var names []string
	for _, p := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
		if containsFold(model.StateNames(p), s) {
			names = append(names, p.Name())
		}
	}
	switch {
	case len(names) > 0:
		return strings.Join(names, " ")
	case s == "offload":
		return "in a flowtable"
	}
	return "protocols without states"
}
