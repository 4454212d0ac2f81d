package ctcompat

import (
	"fmt"
	"io"
	"math"
	"strings"

	"ctview/model"
)

// A parser reads one command line into a command. warn takes the warnings that conntrack prints on the way.
type parser struct {
	g      *getopt
	cmd    *command
	hasOp  bool
	flags  uint32 // options of the protocol given, by number
	merges int    // how many -p were read
	warn   io.Writer
	labels string // path of connlabel.conf

	hasHelper bool
}

// parse reads args, whose first word is the program's name. The error is an *exitError.
func parse(args []string, posix bool, labels string, warn io.Writer) (*command, error) {
	g := newGetopt(args, shortOptions, longOptions, posix)
	g.exact = exactOptions
	p := &parser{g: g, cmd: &command{op: opNone}, warn: warn, labels: labels}
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
	c, t, arg := p.cmd, &p.cmd.t, p.g.value
	switch opt {
	case optNoValue:
		return usageErrorf("option `%s' requires an argument", p.g.args[p.g.index-1])
	case optUnknown:
		return usageErrorf("unknown option `%s'", p.g.args[p.g.index-1])
	case 'L', 'I', 'D', 'G', 'F', 'E', 'V', 'h', 'C', 'S', 'U', 'A':
		return p.command(opt)
	case 's', 'd', 'r', 'q', '[', ']', '{', '}':
		return p.address(opt, arg)
	case 'n', 'g', 'j':
		return p.nat(opt)
	case 'p':
		return p.protocol(arg)
	case 't':
		n, err := parseDecimal(arg, "-t", math.MaxUint32)
		c.opts |= optTimeout
		t.timeout, t.has = uint32(n), t.has|hasTimeout
		return err
	case 'u':
		c.opts |= optStatus
		t.has |= hasStatus
		return p.status(arg)
	case 'e':
		c.opts |= optEventMask
		return p.events(arg)
	case 'o':
		c.opts |= optOutput
		return p.output(arg)
	case 'z':
		c.opts |= optZero
	case 'w', '(', ')', 'i', 'c':
		return p.number(opt, arg)
	case 'm':
		c.opts |= optMark
		var err error
		t.mark, err = parseMark(arg)
		return err
	case 'l', '<', '>':
		return p.label(opt)
	case 'a':
		fmt.Fprintf(p.warn, "WARNING: ignoring -%c, deprecated option.\n", opt)
	case 'f':
		return p.familyOption(arg)
	case optHelper:
		p.hasHelper, t.helper = true, arg
	case 'b':
		n, err := parseDecimal(arg, "-b", math.MaxInt32)
		c.opts |= optBufferSize
		c.buffer = int(n)
		return err
	default:
		if c.proto == nil || c.proto.fields == nil {
			return nil
		}
		flag, err := c.proto.set(t, opt, arg)
		p.flags |= flag
		return err
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
	table table
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
	p.g.long = append(p.g.long, proto.longFor(p.merges*offsetStep))
	return nil
}

// number takes -w, --orig-zone, --reply-zone, -i and -c.
func (p *parser) number(letter int, arg string) error {
	t := &p.cmd.t
	var limit uint64 = math.MaxUint16
	name := "--" + longName(letter)
	switch letter {
	case 'i', 'c':
		limit, name = math.MaxUint32, "-"+string(rune(letter))
	case 'w':
		name = "-w"
	}
	n, err := parseNumber(arg, name, limit)
	switch letter {
	case 'w':
		p.cmd.opts |= optZone
		t.zone, t.has = uint16(n), t.has|hasZone
	case '(':
		p.cmd.opts |= optOrigZone
		t.orig.zone, t.has = uint16(n), t.has|hasOrigZone
	case ')':
		p.cmd.opts |= optReplyZone
		t.reply.zone, t.has = uint16(n), t.has|hasReplyZone
	case 'i':
		p.cmd.opts |= optID
		t.id, t.has = uint32(n), t.has|hasID
	case 'c':
		p.cmd.opts |= optSecmark
		t.secmark, t.has = uint32(n), t.has|hasSecmark
	}
	return err
}
