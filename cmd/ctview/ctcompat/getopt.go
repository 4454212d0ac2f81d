package ctcompat

import "strings"

// argKind says whether an option takes an argument.
type argKind uint8

const (
	argNone argKind = iota
	argRequired
	argOptional // only glued to the option: -nVALUE, --src-nat=VALUE
)

// A longOption is an option that is written --name. val is what next returns for it.
type longOption struct {
	name string
	arg  argKind
	val  int
}

// What getopt.next returns beside the options' values.
const (
	optEnd     = -1
	optUnknown = '?'
	optNoValue = ':' // the argument that an option requires is missing
)

// A getopt cuts a command line into options as getopt_long(3) of glibc 2.36 does, permutation, abbreviation and
// clusters included. index is optind: the next word to look at; callers may advance it past a word that they took.
// args is its own copy, reordered while it runs, operands last.
type getopt struct {
	args  []string // args[0] is the program's name
	short map[byte]argKind
	long  [][]longOption // tables, in order
	exact []longOption   // like long, but never abbreviated
	posix bool           // POSIXLY_CORRECT: stop at the first operand

	index    int
	value    string // optarg
	hasValue bool   // optarg != NULL

	cluster           string // rest of a word of short options
	firstOp, behindOp int    // operands skipped so far: args[firstOp:behindOp]
}

// newGetopt returns a getopt over args, whose first word is the program's name.
func newGetopt(args []string, short map[byte]argKind, long []longOption, posix bool) *getopt {
	g := &getopt{short: short, long: [][]longOption{long}, posix: posix}
	g.reset(args)
	return g
}

// reset begins anew with a copy of args.
func (g *getopt) reset(args []string) {
	*g = getopt{args: append(g.args[:0], args...), short: g.short, long: g.long[:1], exact: g.exact, posix: g.posix, index: 1, firstOp: 1, behindOp: 1}
}

// next returns the value of the next option, optEnd, optUnknown or optNoValue.
func (g *getopt) next() int {
	g.value, g.hasValue = "", false
	if g.cluster == "" {
		if done := g.advance(); done {
			return optEnd
		}
		word := g.args[g.index]
		if strings.HasPrefix(word, "--") {
			return g.longOption(word[2:])
		}
		g.cluster = word[1:]
	}
	return g.shortOption()
}

// advance moves index to the next word that is an option, and the operands before it behind it. It reports whether
// there is none.
func (g *getopt) advance() (done bool) {
	g.behindOp = min(g.behindOp, g.index)
	g.firstOp = min(g.firstOp, g.index)
	if !g.posix {
		g.exchange()
		for g.index < len(g.args) && isOperand(g.args[g.index]) {
			g.index++
		}
		g.behindOp = g.index
	}
	if g.index < len(g.args) && g.args[g.index] == "--" {
		g.index++
		g.exchange()
		g.behindOp = len(g.args)
		g.index = len(g.args)
	}
	if g.index >= len(g.args) {
		if g.firstOp != g.behindOp {
			g.index = g.firstOp
		}
		return true
	}
	return isOperand(g.args[g.index]) // only under POSIXLY_CORRECT
}

// exchange swaps the operands skipped with the options read after them, so that the operands stand last.
func (g *getopt) exchange() {
	switch {
	case g.firstOp == g.behindOp:
		g.firstOp = g.index
	case g.behindOp != g.index:
		ops := append([]string(nil), g.args[g.firstOp:g.behindOp]...)
		n := copy(g.args[g.firstOp:], g.args[g.behindOp:g.index])
		copy(g.args[g.firstOp+n:], ops)
		g.firstOp += n
		g.behindOp = g.index
	}
}

func isOperand(word string) bool { return word == "" || word[0] != '-' || word == "-" }

func (g *getopt) shortOption() int {
	c := g.cluster[0]
	g.cluster = g.cluster[1:]
	if g.cluster == "" {
		g.index++
	}
	kind, ok := g.short[c]
	switch {
	case !ok:
		return optUnknown
	case kind == argNone:
		return int(c)
	case g.cluster != "":
		g.setValue(g.cluster)
		g.cluster = ""
		g.index++
	case kind == argOptional:
	case g.index >= len(g.args):
		return optNoValue
	default:
		g.setValue(g.args[g.index])
		g.index++
	}
	return int(c)
}

func (g *getopt) longOption(word string) int {
	name, value, glued := strings.Cut(word, "=")
	o := g.find(name)
	g.index++
	switch {
	case o == nil:
		return optUnknown
	case glued && o.arg == argNone:
		return optUnknown
	case glued:
		g.setValue(value)
	case o.arg == argRequired:
		if g.index >= len(g.args) {
			return optNoValue
		}
		g.setValue(g.args[g.index])
		g.index++
	}
	return o.val
}

// find returns the option called name, or the one that name abbreviates: nil where several different ones match.
func (g *getopt) find(name string) *longOption {
	for _, table := range g.long {
		if o := named(table, name); o != nil {
			return o
		}
	}
	if o := named(g.exact, name); o != nil {
		return o
	}
	var found *longOption
	for _, table := range g.long {
		for i := range table {
			o := &table[i]
			switch {
			case !strings.HasPrefix(o.name, name):
			case found == nil:
				found = o
			case found.arg != o.arg || found.val != o.val:
				return nil
			}
		}
	}
	return found
}

func named(table []longOption, name string) *longOption {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

func (g *getopt) setValue(s string) { g.value, g.hasValue = s, true }
