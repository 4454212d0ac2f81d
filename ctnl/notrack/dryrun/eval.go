package dryrun

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
)

// An evaluator walks an imagined packet through the chains of a ruleset. It knows three answers, so that a rule that it
// cannot judge makes a result uncertain, never wrong. It collects what the packet could meet.
type evaluator struct {
	rs    *ruleset.Ruleset
	c     *ruleset.Reader // reads the elements of sets on demand; nil in tests
	steps int             // rules looked at; bounded, because chains can call each other

	drop []string // places and rules that may drop it
	nat  []Met    // rules that translate
	zone []Met    // rules that put it in a zone
	help []Met    // rules that give its connection a helper
}

// A Met is a rule that the packet meets, and how certainly.
type Met struct {
	Where string
	Sure  Tri
	to    target // of a NAT rule
}

// maxSteps bounds one walk.
const maxSteps = 200_000

// hook runs the base chains of one hook in the order of their priorities. kinds says which chain types take part.
func (e *evaluator) hook(h uint32, p *packet, kinds ...string) outcome {
	var chains []*ruleset.Chain
	for i := range e.rs.Chains {
		c := &e.rs.Chains[i]
		if c.Base && c.Hook == h && (c.Family == unix.NFPROTO_INET || c.Family == p.family) && slices.Contains(kinds, c.Type) &&
			!e.rs.OwnChain(c) {
			chains = append(chains, c)
		}
	}
	slices.SortStableFunc(chains, func(a, b *ruleset.Chain) int { return int(a.Prio) - int(b.Prio) })
	out := accepts
	for _, c := range chains {
		o := e.chain(c, p, Yes, 0)
		if o&falls != 0 {
			if c.Policy == ruleset.VerdictDrop {
				e.drop = append(e.drop, fmt.Sprintf("%s %s/%s (policy drop)", ruleset.FamilyName(c.Family), c.Table, c.Name))
				o |= drops
			} else {
				o |= accepts
			}
		}
		out |= o & (drops | translates)
		if o&accepts == 0 {
			return out &^ accepts
		}
	}
	return out
}

// chain walks one chain; reach says how certainly the packet comes here. falls in the outcome means that it may reach
// the end, or return.
func (e *evaluator) chain(c *ruleset.Chain, p *packet, reach Tri, depth int) (out outcome) {
	if depth > 16 {
		return accepts | drops
	}
	for i := range c.Rules {
		if e.steps++; e.steps > maxSteps {
			return out | accepts | drops
		}
		s := e.rule(&c.Rules[i], p, reach, depth)
		out |= s.out
		if s.back {
			out |= falls
		}
		if !s.next {
			return out
		}
		if s.out != 0 || s.back {
			reach = min(reach, Maybe)
		}
	}
	return out | falls
}

// A step is what one rule does to the packet: the verdicts that it may give, whether the next rule may be reached, and
// whether the chain may be left.
type step struct {
	out        outcome
	next, back bool
}

func (e *evaluator) rule(r *ruleset.Rule, p *packet, reach Tri, depth int) step {
	m := &machine{e: e, p: p, r: r, sure: reach, match: Yes}
	for i := range r.Exprs {
		v, end := m.step(&r.Exprs[i])
		if m.match == No {
			break
		}
		if end {
			return e.verdict(r, p, v, m, depth)
		}
	}
	return step{next: true}
}

func (e *evaluator) verdict(r *ruleset.Rule, p *packet, v ruleset.Verdict, m *machine, depth int) step {
	unsure := m.match != Yes
	switch v.Code {
	case unix.NFT_CONTINUE, unix.NFT_BREAK:
		return step{next: true}
	case ruleset.VerdictAccept:
		return step{out: accepts, next: unsure}
	case natVerdict:
		return step{out: translates, next: unsure}
	case ruleset.VerdictDrop:
		e.drop = append(e.drop, r.Place()+": "+ruleset.RuleText(e.rs, r))
		return step{out: drops, next: unsure}
	case nfQueue:
		return step{out: accepts | drops, next: unsure}
	case unix.NFT_RETURN:
		return step{next: unsure, back: true}
	case unix.NFT_JUMP, unix.NFT_GOTO:
		for i := range e.rs.Chains {
			c := &e.rs.Chains[i]
			if c.Family != r.Family || c.Table != r.Table || c.Name != v.Chain {
				continue
			}
			o := e.chain(c, p, min(m.sure, m.match), depth+1)
			if v.Code == unix.NFT_GOTO {
				return step{o &^ falls, unsure, o&falls != 0}
			}
			return step{o &^ falls, unsure || o&falls != 0, false}
		}
	}
	return step{out: accepts | drops, next: true}
}

const nfQueue = 3

// natVerdict is no code of the kernel: a NAT expression accepts the packet, translated.
const natVerdict = 0x1000

// A machine runs the expressions of one rule.
type machine struct {
	e     *evaluator
	p     *packet
	r     *ruleset.Rule
	sure  Tri // how certainly the rule is reached
	match Tri
	reg   [80]byte
	known [80]bool
}

func (m *machine) load(reg uint32, v []byte, known bool) {
	o := ruleset.Register(reg)
	n := min(len(v), len(m.reg)-o)
	copy(m.reg[o:], v[:n])
	for i := range (n + 3) &^ 3 {
		if i >= n {
			m.reg[o+i] = 0 // the kernel pads registers with zeros
		}
		m.known[o+i] = known
	}
}

// forget makes a register unknown.
func (m *machine) forget(reg uint32, n int) {
	for i := range min((n+3)&^3, len(m.known)-ruleset.Register(reg)) {
		m.known[ruleset.Register(reg)+i] = false
	}
}

func (m *machine) get(reg uint32, n int) bits {
	o := ruleset.Register(reg)
	n = min(n, len(m.reg)-o)
	return bits{m.reg[o : o+n], m.known[o : o+n]}
}

// needs narrows the rule's answer.
func (m *machine) needs(t Tri) { m.match = min(m.match, t) }

// step runs one expression; end is true where it gives a verdict.
func (m *machine) step(x *ruleset.Expr) (v ruleset.Verdict, end bool) {
	switch x.Name {
	case "counter", "log", "notrack", "dup", "last", "secmark", "dynset":
	case "objref":
		if m.e.rs.GivesHelper(m.r, x) {
			sure := min(m.sure, m.match)
			if x.Attr(unix.NFTA_OBJREF_SET_NAME) != nil {
				sure = min(sure, Maybe) // whether the map has an object for the packet
			}
			m.e.help = append(m.e.help, Met{Where: m.where(), Sure: sure})
		}
	case "meta":
		m.meta(x)
	case "payload":
		m.payload(x)
	case "ct":
		m.ct(x)
	case "cmp":
		m.needs(m.cmp(x))
	case "range":
		m.needs(m.inRange(x))
	case "bitwise":
		m.bitwise(x)
	case "lookup":
		return m.lookup(x)
	case "immediate":
		dreg := x.U32(unix.NFTA_IMMEDIATE_DREG)
		d := x.Attr(unix.NFTA_IMMEDIATE_DATA)
		if dreg == unix.NFT_REG_VERDICT {
			if p := ruleset.ParseVerdict(ruleset.Attr(d, unix.NFTA_DATA_VERDICT)); p != nil {
				return *p, true
			}
			return ruleset.Verdict{Code: nfQueue}, true
		}
		m.load(dreg, ruleset.Attr(d, unix.NFTA_DATA_VALUE), true)
	case "match":
		m.needs(matchXT(x, m.p))
	case "target":
		return m.target(x)
	case "reject":
		return ruleset.Verdict{Code: ruleset.VerdictDrop}, true
	case "synproxy": // takes what has the cookie of a handshake, and drops every other ACK (nft_synproxy_eval_v4)
		proto, ok := m.p.meta(unix.NFT_META_L4PROTO)
		switch {
		case !ok:
			m.needs(Maybe)
		case proto[0] != unix.IPPROTO_TCP:
			m.needs(No)
		}
		return ruleset.Verdict{Code: ruleset.VerdictDrop}, true
	case "nat", "masq", "redir":
		m.met(natTarget(m, x))
		return ruleset.Verdict{Code: natVerdict}, true
	case "fib":
		m.fib(x)
	case "queue":
		return ruleset.Verdict{Code: nfQueue}, true
	default: // limit, quota, numgen, hash, socket, exthdr, byteorder, …: nobody knows
		m.needs(Maybe)
		m.known = [80]bool{}
	}
	return ruleset.Verdict{}, false
}

// met notes a rule that translates to t.
func (m *machine) met(t target) {
	m.e.nat = append(m.e.nat, Met{m.where(), min(m.sure, m.match), t})
}

// fib answers the one question of a routing look-up that is known: whether an address is this host's.
func (m *machine) fib(x *ruleset.Expr) {
	local := m.p.dstLocal
	if x.U32(unix.NFTA_FIB_FLAGS)&unix.NFTA_FIB_F_SADDR != 0 {
		local = m.p.srcLocal
	}
	kind := uint32(unix.RTN_LOCAL)
	if local == No {
		kind = unix.RTN_UNICAST
	}
	known := local != Maybe && x.U32(unix.NFTA_FIB_RESULT) == unix.NFT_FIB_RESULT_ADDRTYPE
	m.load(x.U32(unix.NFTA_FIB_DREG), hostBytes(kind), known)
}

func (m *machine) where() string { return m.r.Place() + ": " + ruleset.RuleText(m.e.rs, m.r) }

func (m *machine) meta(x *ruleset.Expr) {
	d := x.Attr(unix.NFTA_META_DREG)
	if d == nil {
		return // sets something
	}
	v, ok := m.p.meta(x.U32(unix.NFTA_META_KEY))
	if !ok {
		v = make([]byte, 16)
	}
	m.load(ruleset.U32(d), v, ok)
}

func (m *machine) payload(x *ruleset.Expr) {
	d := x.Attr(unix.NFTA_PAYLOAD_DREG)
	if d == nil {
		return
	}
	off, n := int(x.U32(unix.NFTA_PAYLOAD_OFFSET)), int(x.U32(unix.NFTA_PAYLOAD_LEN))
	var h bits
	switch x.U32(unix.NFTA_PAYLOAD_BASE) {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		h = m.p.net
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		h = m.p.th
	}
	if off+n > len(h.b) || n > 16 {
		m.forget(ruleset.U32(d), min(n, 16))
		return
	}
	m.load(ruleset.U32(d), h.b[off:off+n], true)
	copy(m.known[ruleset.Register(ruleset.U32(d)):], h.known[off:off+n])
}

func (m *machine) ct(x *ruleset.Expr) {
	key := x.U32(unix.NFTA_CT_KEY)
	d := x.Attr(unix.NFTA_CT_DREG)
	switch {
	case d == nil:
		if key == unix.NFT_CT_ZONE {
			m.e.zone = append(m.e.zone, Met{Where: m.where(), Sure: min(m.sure, m.match)})
		}
	case key == unix.NFT_CT_STATE:
		m.load(ruleset.U32(d), hostBytes(m.p.state), true)
	case m.p.state == expr.CtStateBitUNTRACKED || m.p.state == expr.CtStateBitINVALID:
		m.needs(No) // no entry: the expression breaks the rule (nft_ct_get_eval)
	default:
		m.forget(ruleset.U32(d), 16)
	}
}

func (m *machine) cmp(x *ruleset.Expr) Tri {
	want := x.Value(unix.NFTA_CMP_DATA)
	got := m.get(x.U32(unix.NFTA_CMP_SREG), len(want))
	if len(got.b) < len(want) {
		return Maybe
	}
	op := x.U32(unix.NFTA_CMP_OP)
	switch op {
	case unix.NFT_CMP_EQ:
		return equal(got, want)
	case unix.NFT_CMP_NEQ:
		return equal(got, want).not()
	}
	if slices.Contains(got.known, false) {
		return Maybe
	}
	c := bytes.Compare(got.b, want)
	switch op {
	case unix.NFT_CMP_LT:
		return triOf(c < 0)
	case unix.NFT_CMP_LTE:
		return triOf(c <= 0)
	case unix.NFT_CMP_GT:
		return triOf(c > 0)
	}
	return triOf(c >= 0)
}

// equal compares; one known byte that differs is enough for a no.
func equal(got bits, want []byte) Tri {
	all := Yes
	for i := range want {
		if !got.known[i] {
			all = Maybe
		} else if got.b[i] != want[i] {
			return No
		}
	}
	return all
}

func (m *machine) inRange(x *ruleset.Expr) Tri {
	from := x.Value(unix.NFTA_RANGE_FROM_DATA)
	to := x.Value(unix.NFTA_RANGE_TO_DATA)
	got := m.get(x.U32(unix.NFTA_RANGE_SREG), len(from))
	if len(got.b) < len(from) || slices.Contains(got.known, false) {
		return Maybe
	}
	t := triOf(bytes.Compare(got.b, from) >= 0 && bytes.Compare(got.b, to) <= 0)
	if x.U32(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
		return t.not()
	}
	return t
}

func (m *machine) bitwise(x *ruleset.Expr) {
	n := int(x.U32(unix.NFTA_BITWISE_LEN))
	dst := x.U32(unix.NFTA_BITWISE_DREG)
	mask := x.Value(unix.NFTA_BITWISE_MASK)
	xor := x.Value(unix.NFTA_BITWISE_XOR)
	src := m.get(x.U32(unix.NFTA_BITWISE_SREG), n)
	if len(mask) != n || len(xor) != n || len(src.b) != n { // shifts, and operations of registers
		m.forget(dst, min(n, 16))
		return
	}
	v, known := make([]byte, n), make([]bool, n)
	for i := range n {
		v[i] = src.b[i]&mask[i] ^ xor[i]
		known[i] = src.known[i] || mask[i] == 0
	}
	m.load(dst, v, true)
	copy(m.known[ruleset.Register(dst):], known)
}

// target judges an xtables target of iptables-nft.
func (m *machine) target(x *ruleset.Expr) (ruleset.Verdict, bool) {
	switch ruleset.XTName(*x) {
	case "REJECT":
		return ruleset.Verdict{Code: ruleset.VerdictDrop}, true
	case "MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP":
		m.met(xtTarget(ruleset.XTName(*x), x.Attr(unix.NFTA_TARGET_INFO)))
		return ruleset.Verdict{Code: natVerdict}, true
	case "CT":
		if xtZone(x) {
			m.e.zone = append(m.e.zone, Met{Where: m.where(), Sure: min(m.sure, m.match)})
		}
		if m.e.rs.GivesHelper(m.r, x) {
			m.e.help = append(m.e.help, Met{Where: m.where(), Sure: min(m.sure, m.match)})
		}
	case "QUEUE", "NFQUEUE", "SYNPROXY", "TPROXY":
		return ruleset.Verdict{Code: nfQueue}, true
	}
	return ruleset.Verdict{Code: unix.NFT_CONTINUE}, true
}
