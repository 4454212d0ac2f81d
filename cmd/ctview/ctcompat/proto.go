package ctcompat

import (
	"bufio"
	"math"
	"os"
	"strconv"
	"strings"

	"ctview/model"
)

// A field is what an option of a protocol sets.
type field uint8

const (
	fSport field = iota
	fDport
	fReplySport
	fReplyDport
	fMaskSport
	fMaskDport
	fState
	fTupleSport
	fTupleDport
	fVTagOrig
	fVTagReply
	fRole
	fICMPType
	fICMPCode
	fICMPID
)

// A protocol is what -p adds: options, which commands take them, and the help text.
type protocol struct {
	name   string
	num    model.Proto
	fields []field  // by option number
	names  []string // of the options in error texts, by option number
	long   []protoOption
	base   int // long option values are base + option number + 1
	legal  map[opCode]string
	pairs  [2]string // the texts of the pairs that must be complete
	help   string
}

// A protoOption is a long spelling of option number n.
type protoOption struct {
	name string
	n    int
}

// offsetStep separates the option values of one -p from those of the next.
const offsetStep = 256

// longFor returns p's options with their values moved by offset.
func (p *protocol) longFor(offset int) []longOption {
	out := make([]longOption, len(p.long))
	for i, o := range p.long {
		out[i] = longOption{o.name, argRequired, offset + p.base + o.n + 1}
	}
	return out
}

// set carries out the option whose value getopt returned. An option of another -p, named by a value that this protocol
// gives to its own, is taken for its own, as in conntrack.
func (p *protocol) set(t *template, val int, arg string) (flag uint32, err error) {
	n := val%offsetStep - p.base - 1
	if n < 0 || n >= len(p.fields) {
		return 0, nil
	}
	return 1 << n, p.setField(t, p.fields[n], "--"+p.names[n], arg)
}

func (p *protocol) setField(t *template, f field, option, arg string) error {
	switch f {
	case fState:
		return p.setState(t, arg)
	case fRole:
		return setRole(t, arg)
	case fVTagOrig, fVTagReply:
		n, err := parseDecimal(arg, option, math.MaxUint32)
		t.vtag[f-fVTagOrig] = uint32(n)
		t.has |= hasVTagOrig << (f - fVTagOrig)
		return err
	case fICMPType, fICMPCode, fICMPID:
		return setICMP(t, f, option, arg)
	}
	parse := parseDecimal
	if p.num == model.ProtoGRE {
		parse = parseNumber
	}
	n, err := parse(arg, option, math.MaxUint16)
	if err != nil {
		return err
	}
	p.setPort(t, f, uint16(n))
	return nil
}

func (p *protocol) setPort(t *template, f field, port uint16) {
	switch f {
	case fSport:
		t.orig.Sport, t.orig.Proto, t.has = port, p.num, t.has|hasOrigSport|hasOrigProto
	case fDport:
		t.orig.Dport, t.orig.Proto, t.has = port, p.num, t.has|hasOrigDport|hasOrigProto
	case fReplySport:
		t.reply.Sport, t.reply.Proto, t.has = port, p.num, t.has|hasReplySport|hasReplyProto
	case fReplyDport:
		t.reply.Dport, t.reply.Proto, t.has = port, p.num, t.has|hasReplyDport|hasReplyProto
	case fMaskSport:
		t.expMask.Sport, t.expMask.Proto = port, p.num
	case fMaskDport:
		t.expMask.Dport, t.expMask.Proto = port, p.num
	case fTupleSport:
		t.expTuple.Sport, t.expTuple.Proto = port, p.num
	case fTupleDport:
		t.expTuple.Dport, t.expTuple.Proto = port, p.num
	}
}

func (p *protocol) setState(t *template, arg string) error {
	for i, name := range model.StateNames(p.num) {
		if name == arg {
			t.state = model.State(i)
			t.has |= stateAttr(p.num)
			return nil
		}
	}
	switch p.num {
	case model.ProtoTCP:
		if arg == "LISTEN" { // what SYN_SENT2 was before Linux 2.6.31
			t.state, t.has = model.TCPSynSent2, t.has|hasTCPState
			return nil
		}
		return usageErrorf("unknown TCP state `%s'", arg)
	case model.ProtoSCTP:
		return usageErrorf("unknown SCTP state `%s'", arg)
	}
	return usageErrorf("Unknown DCCP state `%s'", arg)
}

func stateAttr(p model.Proto) attr {
	switch p {
	case model.ProtoSCTP:
		return hasSCTPState
	case model.ProtoDCCP:
		return hasDCCPState
	}
	return hasTCPState
}

func setRole(t *template, arg string) error {
	for role, name := range []string{"client", "server"} {
		if len(arg) <= len(name) && strings.EqualFold(arg, name[:len(arg)]) {
			t.role, t.has = uint8(role), t.has|hasDCCPRole
			return nil
		}
	}
	return usageErrorf("Unknown DCCP role `%s'", arg)
}

func setICMP(t *template, f field, option, arg string) error {
	limit := uint64(math.MaxUint8)
	if f == fICMPID {
		limit = math.MaxUint16
	}
	n, err := parseDecimal(arg, option, limit)
	switch f {
	case fICMPType:
		t.icmpType, t.has = uint8(n), t.has|hasICMPType
	case fICMPCode:
		t.icmpCode, t.has = uint8(n), t.has|hasICMPCode
	default:
		t.icmpID, t.has = uint16(n), t.has|hasICMPID
	}
	return err
}

// check applies the legality table of p to the options given (a bit per option number), and sets what goes with a
// command line of p.
func (p *protocol) check(op opCode, flags uint32, t *template) error {
	if p.names == nil {
		return nil
	}
	if p.num == model.ProtoDCCP && flags == 0 && (op == opCreate || op == opAdd) {
		return nil // a flow of a kernel that tracks no DCCP: -o save knows no more of it. conntrack cannot restore it
	}
	legal := p.legal[op]
	if err := checkLegal(legal, flags, p.names); err != nil {
		return err
	}
	if strings.Contains(legal, "?") && flags&3 != 3 && flags&12 != 12 {
		if flags&3 == 0 && flags&12 != 0 {
			return usageErrorf("you have to specify %s", p.pairs[1])
		}
		return usageErrorf("you have to specify %s", p.pairs[0])
	}
	if p.num == model.ProtoTCP {
		t.tcpFlags = tcpFlagBeLiberal | tcpFlagSackPerm
		if t.has.has(hasTCPState) && t.state >= model.TCPTimeWait {
			t.tcpFlags |= tcpFlagCloseInit
		}
		t.has |= hasTCPFlags
	}
	return nil
}

// Flags of a TCP flow that no packets were seen of: accept whatever window and options come
// (<linux/netfilter/nf_conntrack_tcp.h>).
const (
	tcpFlagSackPerm  = 0x02
	tcpFlagCloseInit = 0x04
	tcpFlagBeLiberal = 0x08
)

// checkLegal compares the options given with a row of a legality table.
func checkLegal(legal string, given uint32, names []string) error {
	for i, name := range names {
		mark := byte('.')
		if i < len(legal) {
			mark = legal[i]
		}
		switch set := given&(1<<i) != 0; {
		case mark == '!' && !set:
			return usageErrorf("You need to supply the `--%s' option for this command", name)
		case mark == '.' && set:
			return usageErrorf("Illegal option `--%s' with this command", name)
		}
	}
	return nil
}

// findProtocol reads the argument of -p: a protocol that conntrack knows, a name from /etc/protocols, a number.
func findProtocol(arg string) (*protocol, model.Proto, bool) {
	for _, p := range protocols {
		if strings.EqualFold(p.name, arg) {
			return p, p.num, true
		}
	}
	if num, ok := lookupProtocol(arg); ok {
		return &unknownProtocol, num, true
	}
	n, rest, ok := cutNumber(arg)
	if !ok || rest != "" || n > math.MaxUint8 {
		return nil, 0, false
	}
	for _, p := range protocols {
		if p.num == model.Proto(n) {
			return p, p.num, true
		}
	}
	return &unknownProtocol, model.Proto(n), true
}

// protocolsFile is where getprotobyname(3) looks.
const protocolsFile = "/etc/protocols"

func lookupProtocol(name string) (num model.Proto, ok bool) {
	eachProtocol(func(n model.Proto, names []string) bool {
		for _, s := range names {
			if s == name {
				num, ok = n, true
			}
		}
		return !ok
	})
	return num, ok
}

// protocolName returns the official name of num in /etc/protocols, "unknown" if it has none.
func protocolName(num model.Proto) string {
	name := "unknown"
	eachProtocol(func(n model.Proto, names []string) bool {
		if n == num {
			name = names[0]
		}
		return n != num
	})
	return name
}

// eachProtocol calls fn for each line of /etc/protocols until it returns false.
func eachProtocol(fn func(n model.Proto, names []string) bool) {
	f, err := os.Open(protocolsFile)
	if err != nil {
		return // no such names on this system
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		n, err := strconv.ParseUint(words[1], 10, 8)
		if err != nil {
			continue
		}
		if !fn(model.Proto(n), append([]string{words[0]}, words[2:]...)) {
			return
		}
	}
}
