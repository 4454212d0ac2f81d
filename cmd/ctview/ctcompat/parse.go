package ctcompat

import (
	"fmt"
	"io"
	"math"
	"strings"

	"ctview/model"
)

// A parser reads command lines into commands, one after the other. warn takes the warnings that conntrack prints on the
// way. Not for several goroutines at once.
type parser struct {
	g      *getopt
	cmd    *command
	hasOp  bool
	flags  uint32 // options of the protocol given, by number
	merges int    // how many -p were read
	warn   io.Writer
	labels string                     // path of connlabel.conf
	first  map[*protocol][]longOption // what the first -p of a line adds

	hasHelper bool
}

func newParser(posix bool, labels string, warn io.Writer) *parser {
	g := newGetopt(nil, shortOptions, longOptions, posix)
	g.exact = exactOptions
	return &parser{g: g, warn: warn, labels: labels, first: map[*protocol][]longOption{}}
}

// parse reads args, whose first word is the program's name. The error is an *exitError.
func (p *parser) parse(args []string) (*command, error) {
	p.g.reset(args)
	*p = parser{g: p.g, cmd: &command{op: opNone}, warn: p.warn, labels: p.labels, first: p.first}
	for {
		opt := p.g.next()
		if opt == optEnd {
			break
		}
		if err := p.option(opt); err != nil {
			return nil, err
		}
	}
	return p.cmd, p.finish()
}

// option carries out one option.
func (p *parser) option(opt int) error {
	switch opt {
	case optNoValue:
		return usageErrorf("option `%s' requires an argument", p.g.args[p.g.index-1])
	case optUnknown:
		return usageErrorf("unknown option `%s'", p.g.args[p.g.index-1])
	case 'L', 'I', 'D', 'G', 'F', 'E', 'V', 'h', 'C', 'S', 'U', 'A':
		return p.command(opt)
	case 's', 'd', 'r', 'q', '[', ']', '{', '}':
		return p.address(opt, p.g.value)
	case 'n', 'g', 'j':
		return p.nat(opt)
	case 'p':
		return p.protocol(p.g.value)
	case 'w', '(', ')', 'i', 'c', 't', 'b', 'm':
		return p.number(opt, p.g.value)
	case 'l', '<', '>':
		return p.label(opt)
	case 'u', 'e', 'o', 'f', 'z', 'a', optHelper:
		return p.choice(opt, p.g.value)
	}
	if p.cmd.proto == nil || p.cmd.proto.fields == nil {
		return nil
	}
	flag, err := p.cmd.proto.set(&p.cmd.t, opt, p.g.value)
	p.flags |= flag
	return err
}

// choice takes the options whose argument is a word or a list of words, or that have none.
func (p *parser) choice(opt int, arg string) error {
	c := p.cmd
	switch opt {
	case 'u':
		c.opts |= optStatus
		c.t.has |= hasStatus
		return p.status(arg)
	case 'e':
		c.opts |= optEventMask
		return p.events(arg)
	case 'o':
		c.opts |= optOutput
		return p.output(arg)
	case 'f':
		return p.familyOption(arg)
	case 'z':
		c.opts |= optZero
	case 'a':
		fmt.Fprintf(p.warn, "WARNING: ignoring -%c, deprecated option.\n", opt)
	case optHelper:
		p.hasHelper, c.t.helper = true, arg
	}
	return nil
}

// optionalWord returns the argument of an option that may have one: glued to it, or the next word unless that looks
// like an option. conntrack drops a glued one, so that `-Fexpect` empties the other table and `-D -n10.0.0.1` deletes
// every flow with source NAT.
func (p *parser) optionalWord() (string, bool) {
	g := p.g
	if g.hasValue {
		return g.value, true
	}
	if g.index < len(g.args) && !strings.HasPrefix(g.args[g.index], "-") && !strings.HasPrefix(g.args[g.index], "!") {
		g.index++
		return g.args[g.index-1], true
	}
	return "", false
}

// tableNames in the order in which a prefix is looked for.
var tableNames = []struct {
	name  string
	table tab
}{{"expect", tableExpect}, {"conntrack", tableConntrack}, {"dying", tableDying}, {"unconfirmed", tableUnconfirmed}}

// command takes a command letter and its table.
func (p *parser) command(letter int) error {
	tab := tableConntrack
	if word, ok := p.optionalWord(); ok {
		found := false
		for _, n := range tableNames {
			if strings.HasPrefix(n.name, word) {
				tab, found = n.table, true
				break
			}
		}
		if !found {
			return usageErrorf("unknown type `%s'", word)
		}
	}
	onExpect := 0
	switch tab {
	case tableExpect:
		onExpect = 1
	case tableDying, tableUnconfirmed:
		if letter != 'L' {
			return usageErrorf("Can't do that command with tables `dying' and `unconfirmed'")
		}
	}
	op := opsOf[letter][onExpect]
	if op == opNone {
		return usageErrorf("Can't do --%s on expectations", longName(letter))
	}
	if p.hasOp {
		return usageErrorf("Invalid commands combination")
	}
	p.hasOp = true
	p.cmd.op, p.cmd.table = op, tab
	return nil
}

func (p *parser) setFamily(f model.Family) error {
	if p.cmd.family != 0 && p.cmd.family != f {
		return usageErrorf("mismatched address family")
	}
	p.cmd.family = f
	return nil
}

func (p *parser) familyOption(arg string) error {
	p.cmd.opts |= optFamily
	switch {
	case strings.HasPrefix(arg, "ipv4"):
		return p.setFamily(model.IPv4)
	case strings.HasPrefix(arg, "ipv6"):
		return p.setFamily(model.IPv6)
	}
	return usageErrorf("`%s' unsupported protocol", arg)
}

// addressOptions are the options that take an address, and the mask that a prefix length sets.
var addressOptions = map[int]struct{ opt, mask optSet }{
	's': {optSrc, optMaskSrc}, 'd': {optDst, optMaskDst}, 'r': {optReplySrc, 0}, 'q': {optReplyDst, 0},
	'[': {optTupleSrc, optMaskSrc}, ']': {optTupleDst, optMaskDst}, '{': {optMaskSrc, 0}, '}': {optMaskDst, 0},
	'n': {optSrcNAT, 0}, 'g': {optDstNAT, 0}, 'j': {optAnyNAT, 0},
}

func (p *parser) address(letter int, arg string) error {
	a, ok := parseAddress(arg)
	if !ok {
		return usageErrorf("Invalid IP address `%s'", arg)
	}
	if err := p.setFamily(a.family); err != nil {
		return err
	}
	o := addressOptions[letter]
	if a.bits != noPrefix && o.mask == 0 {
		return usageErrorf("CIDR notation unavailable for `--%s'", longName(letter))
	}
	if a.bits == badPrefix {
		return usageErrorf("Invalid netmask")
	}
	p.cmd.opts |= o.opt
	p.cmd.t.setAddress(letter, a)
	if a.bits != noPrefix && a.bits != maxBits(a.family) {
		p.cmd.opts |= o.mask
		mask := address{family: a.family, addr: prefixMask(a.family, a.bits)}
		if o.mask == optMaskSrc {
			p.cmd.t.setAddress('{', mask)
		} else {
			p.cmd.t.setAddress('}', mask)
		}
	}
	return nil
}

// setAddress stores the address that an option letter names.
func (t *template) setAddress(letter int, a address) {
	switch letter {
	case 's':
		t.orig.Src, t.orig.Family, t.has = a.addr, a.family, t.has|hasOrigSrc|hasOrigFamily
	case 'd':
		t.orig.Dst, t.orig.Family, t.has = a.addr, a.family, t.has|hasOrigDst|hasOrigFamily
	case 'r':
		t.reply.Src, t.reply.Family, t.has = a.addr, a.family, t.has|hasReplySrc|hasReplyFamily
	case 'q':
		t.reply.Dst, t.reply.Family, t.has = a.addr, a.family, t.has|hasReplyDst|hasReplyFamily
	case '[':
		t.expTuple.Src, t.expTuple.Family, t.expTuple.hasSrc = a.addr, a.family, true
	case ']':
		t.expTuple.Dst, t.expTuple.Family, t.expTuple.hasDst = a.addr, a.family, true
	case '{':
		t.expMask.Src, t.expMask.Family, t.expMask.hasSrc = a.addr, a.family, true
	case '}':
		t.expMask.Dst, t.expMask.Family, t.expMask.hasDst = a.addr, a.family, true
	}
}

// nat takes -n, -g and -j with their optional address.
func (p *parser) nat(letter int) error {
	t := &p.cmd.t
	p.cmd.opts |= addressOptions[letter].opt
	word, ok := p.optionalWord()
	if !ok {
		return nil
	}
	host, port, hasPort, err := splitPort(word)
	if err != nil {
		return err
	}
	if err := p.address(letter, host); err != nil {
		return err
	}
	a, _ := parseAddress(host)
	r := natRange{addr: a.addr, family: a.family}
	if hasPort {
		n, err := parseDecimal(port, "port", math.MaxUint16)
		if err != nil {
			return err
		}
		r.port = uint16(n)
	}
	if letter == 'n' || letter == 'j' {
		t.snat, t.has = r, t.has|hasSNAT
		if hasPort {
			t.has |= hasSNATPort
		}
	}
	if letter == 'g' || letter == 'j' {
		t.dnat, t.has = r, t.has|hasDNAT
		if hasPort {
			t.has |= hasDNATPort
		}
	}
	return nil
}

func (p *parser) protocol(arg string) error {
	p.cmd.opts |= optProto
	proto, num, ok := findProtocol(arg)
	if !ok {
		return usageErrorf("`%s' unsupported protocol", arg)
	}
	p.cmd.proto, p.cmd.num = proto, num
	p.cmd.t.orig.Proto = num
	p.cmd.t.has |= hasOrigProto
	p.merges++
	if p.merges == 1 && p.first[proto] == nil {
		p.first[proto] = proto.longFor(offsetStep)
	}
	long := p.first[proto]
	if p.merges > 1 {
		long = proto.longFor(p.merges * offsetStep)
	}
	p.g.long = append(p.g.long, long)
	return nil
}

// number takes the options whose argument is a number: -t, -b, -m, the zones, -i and -c.
func (p *parser) number(letter int, arg string) (err error) {
	c, t := p.cmd, &p.cmd.t
	var n uint64
	switch letter {
	case 't':
		c.opts, t.has = c.opts|optTimeout, t.has|hasTimeout
		n, err = parseDecimal(arg, "-t", math.MaxUint32)
		t.timeout = uint32(n)
	case 'b':
		c.opts |= optBufferSize
		n, err = parseDecimal(arg, "-b", math.MaxInt32)
		c.buffer = int(n)
	case 'm':
		c.opts |= optMark
		t.mark, err = parseMark(arg)
	case 'w':
		c.opts, t.has = c.opts|optZone, t.has|hasZone
		n, err = parseNumber(arg, "-w", math.MaxUint16)
		t.zone = uint16(n)
	case '(':
		c.opts, t.has = c.opts|optOrigZone, t.has|hasOrigZone
		n, err = parseNumber(arg, "--orig-zone", math.MaxUint16)
		t.orig.zone = uint16(n)
	case ')':
		c.opts, t.has = c.opts|optReplyZone, t.has|hasReplyZone
		n, err = parseNumber(arg, "--reply-zone", math.MaxUint16)
		t.reply.zone = uint16(n)
	case 'i':
		c.opts, t.has = c.opts|optID, t.has|hasID
		n, err = parseNumber(arg, "-i", math.MaxUint32)
		t.id = uint32(n)
	case 'c':
		c.opts, t.has = c.opts|optSecmark, t.has|hasSecmark
		n, err = parseNumber(arg, "-c", math.MaxUint32)
		t.secmark = uint32(n)
	}
	return err
}
