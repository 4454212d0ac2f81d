package notrack

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An evaluator walks an imagined packet through the chains of a ruleset. It knows three answers, so that a rule that it
// cannot judge makes a result uncertain, never wrong. It collects what the packet could meet.
type evaluator struct {
	rs    *ruleset
	c     *conn // reads the elements of sets on demand; nil in tests
	steps int   // rules looked at; bounded, because chains can call each other

	drop []string // places and rules that may drop it
	nat  []met    // rules that translate
	zone []met    // rules that put it in a zone
}

// A met is a rule that the packet meets, and how certainly.
type met struct {
	where string
	sure  tri
}

// maxSteps bounds one walk.
const maxSteps = 200_000

// hook runs the base chains of one hook in the order of their priorities. kinds says which chain types take part.
func (e *evaluator) hook(h uint32, p *packet, kinds ...string) outcome {
	var chains []*nftChain
	for i := range e.rs.chains {
		c := &e.rs.chains[i]
		if c.base && c.hook == h && (c.family == unix.NFPROTO_INET || c.family == p.family) && slices.Contains(kinds, c.typ) &&
			!ours(&nftTable{family: c.family, name: c.table}) {
			chains = append(chains, c)
		}
	}
	slices.SortStableFunc(chains, func(a, b *nftChain) int { return int(a.prio) - int(b.prio) })
	out := accepts
	for _, c := range chains {
		o := e.chain(c, p, yes, 0)
		if o&falls != 0 {
			if c.policy == nfDrop {
				e.drop = append(e.drop, fmt.Sprintf("%s %s/%s (policy drop)", familyName(c.family), c.table, c.name))
				o |= drops
			} else {
				o |= accepts
			}
		}
		out |= o & drops
		if o&accepts == 0 {
			return out &^ accepts
		}
	}
	return out
}

// chain walks one chain; reach says how certainly the packet comes here. falls in the outcome means that it may reach
// the end, or return.
func (e *evaluator) chain(c *nftChain, p *packet, reach tri, depth int) (out outcome) {
	if depth > 16 {
		return accepts | drops
	}
	for i := range c.rules {
		if e.steps++; e.steps > maxSteps {
			return out | accepts | drops
		}
		s := e.rule(&c.rules[i], p, reach, depth)
		out |= s.out
		if s.back {
			out |= falls
		}
		if !s.next {
			return out
		}
		if s.out != 0 || s.back {
			reach = min(reach, maybe)
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

func (e *evaluator) rule(r *nftRule, p *packet, reach tri, depth int) step {
	m := &machine{e: e, p: p, r: r, sure: reach, match: yes}
	for i := range r.exprs {
		v, end := m.step(&r.exprs[i])
		if m.match == no {
			break
		}
		if end {
			return e.verdict(r, p, v, m, depth)
		}
	}
	return step{next: true}
}

func (e *evaluator) verdict(r *nftRule, p *packet, v verdict, m *machine, depth int) step {
	unsure := m.match != yes
	switch v.code {
	case unix.NFT_CONTINUE, unix.NFT_BREAK:
		return step{next: true}
	case nfAccept:
		return step{out: accepts, next: unsure}
	case nfDrop:
		e.drop = append(e.drop, r.place()+": "+ruleText(e.rs, r))
		return step{out: drops, next: unsure}
	case nfQueue:
		return step{out: accepts | drops, next: unsure}
	case unix.NFT_RETURN:
		return step{next: unsure, back: true}
	case unix.NFT_JUMP, unix.NFT_GOTO:
		for i := range e.rs.chains {
			c := &e.rs.chains[i]
			if c.family != r.family || c.table != r.table || c.name != v.chain {
				continue
			}
			o := e.chain(c, p, min(m.sure, m.match), depth+1)
			if v.code == unix.NFT_GOTO {
				return step{o &^ falls, unsure, o&falls != 0}
			}
			return step{o &^ falls, unsure || o&falls != 0, false}
		}
	}
	return step{out: accepts | drops, next: true}
}

const nfQueue = 3

// A machine runs the expressions of one rule.
type machine struct {
	e     *evaluator
	p     *packet
	r     *nftRule
	sure  tri // how certainly the rule is reached
	match tri
	reg   [80]byte
	known [80]bool
}

// at returns the offset of a register: NFT_REG_1… are 16 bytes, NFT_REG32_00… 4.
func at(reg uint32) int {
	if reg >= unix.NFT_REG32_00 {
		return min(int(reg-unix.NFT_REG32_00)*4, 60)
	}
	if reg >= 1 && reg <= 4 {
		return int(reg-1) * 16
	}
	return 0
}

func (m *machine) load(reg uint32, v []byte, known bool) {
	o := at(reg)
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
	for i := range min((n+3)&^3, len(m.known)-at(reg)) {
		m.known[at(reg)+i] = false
	}
}

func (m *machine) get(reg uint32, n int) bits {
	o := at(reg)
	n = min(n, len(m.reg)-o)
	return bits{m.reg[o : o+n], m.known[o : o+n]}
}

// needs narrows the rule's answer.
func (m *machine) needs(t tri) { m.match = min(m.match, t) }

// step runs one expression; end is true where it gives a verdict.
func (m *machine) step(x *nftExpr) (v verdict, end bool) {
	switch x.name {
	case "counter", "log", "objref", "notrack", "dup", "last", "secmark", "dynset":
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
		dreg := be32(attr(x.data, unix.NFTA_IMMEDIATE_DREG))
		d := attr(x.data, unix.NFTA_IMMEDIATE_DATA)
		if dreg == unix.NFT_REG_VERDICT {
			if p := parseVerdict(attr(d, unix.NFTA_DATA_VERDICT)); p != nil {
				return *p, true
			}
			return verdict{code: nfQueue}, true
		}
		m.load(dreg, attr(d, unix.NFTA_DATA_VALUE), true)
	case "match":
		m.needs(matchXT(x, m.p))
	case "target":
		return m.target(x)
	case "reject":
		return verdict{code: nfDrop}, true
	case "nat", "masq", "redir":
		m.e.nat = append(m.e.nat, met{m.where(), min(m.sure, m.match)})
		return verdict{code: nfAccept}, true
	case "queue":
		return verdict{code: nfQueue}, true
	default: // limit, quota, fib, numgen, hash, socket, exthdr, byteorder, …: nobody knows
		m.needs(maybe)
		m.known = [80]bool{}
	}
	return verdict{}, false
}

func (m *machine) where() string { return m.r.place() + ": " + ruleText(m.e.rs, m.r) }

func (m *machine) meta(x *nftExpr) {
	d := attr(x.data, unix.NFTA_META_DREG)
	if d == nil {
		return // sets something
	}
	v, ok := m.p.meta(be32(attr(x.data, unix.NFTA_META_KEY)))
	if !ok {
		v = make([]byte, 16)
	}
	m.load(be32(d), v, ok)
}

func (m *machine) payload(x *nftExpr) {
	d := attr(x.data, unix.NFTA_PAYLOAD_DREG)
	if d == nil {
		return
	}
	off, n := int(be32(attr(x.data, unix.NFTA_PAYLOAD_OFFSET))), int(be32(attr(x.data, unix.NFTA_PAYLOAD_LEN)))
	var h bits
	switch be32(attr(x.data, unix.NFTA_PAYLOAD_BASE)) {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		h = m.p.net
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		h = m.p.th
	}
	if off+n > len(h.b) || n > 16 {
		m.forget(be32(d), min(n, 16))
		return
	}
	m.load(be32(d), h.b[off:off+n], true)
	copy(m.known[at(be32(d)):], h.known[off:off+n])
}

func (m *machine) ct(x *nftExpr) {
	key := be32(attr(x.data, unix.NFTA_CT_KEY))
	d := attr(x.data, unix.NFTA_CT_DREG)
	switch {
	case d == nil:
		if key == unix.NFT_CT_ZONE {
			m.e.zone = append(m.e.zone, met{m.where(), min(m.sure, m.match)})
		}
	case key == unix.NFT_CT_STATE:
		m.load(be32(d), hostBytes(m.p.state), true)
	case m.p.state == expr.CtStateBitUNTRACKED || m.p.state == expr.CtStateBitINVALID:
		m.needs(no) // no entry: the expression breaks the rule (nft_ct_get_eval)
	default:
		m.forget(be32(d), 16)
	}
}

func (m *machine) cmp(x *nftExpr) tri {
	want := attr(attr(x.data, unix.NFTA_CMP_DATA), unix.NFTA_DATA_VALUE)
	got := m.get(be32(attr(x.data, unix.NFTA_CMP_SREG)), len(want))
	if len(got.b) < len(want) {
		return maybe
	}
	op := be32(attr(x.data, unix.NFTA_CMP_OP))
	switch op {
	case unix.NFT_CMP_EQ:
		return equal(got, want)
	case unix.NFT_CMP_NEQ:
		return equal(got, want).not()
	}
	if slices.Contains(got.known, false) {
		return maybe
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
func equal(got bits, want []byte) tri {
	all := yes
	for i := range want {
		if !got.known[i] {
			all = maybe
		} else if got.b[i] != want[i] {
			return no
		}
	}
	return all
}

func (m *machine) inRange(x *nftExpr) tri {
	from := attr(attr(x.data, unix.NFTA_RANGE_FROM_DATA), unix.NFTA_DATA_VALUE)
	to := attr(attr(x.data, unix.NFTA_RANGE_TO_DATA), unix.NFTA_DATA_VALUE)
	got := m.get(be32(attr(x.data, unix.NFTA_RANGE_SREG)), len(from))
	if len(got.b) < len(from) || slices.Contains(got.known, false) {
		return maybe
	}
	t := triOf(bytes.Compare(got.b, from) >= 0 && bytes.Compare(got.b, to) <= 0)
	if be32(attr(x.data, unix.NFTA_RANGE_OP)) == unix.NFT_RANGE_NEQ {
		return t.not()
	}
	return t
}

func (m *machine) bitwise(x *nftExpr) {
	n := int(be32(attr(x.data, unix.NFTA_BITWISE_LEN)))
	dst := be32(attr(x.data, unix.NFTA_BITWISE_DREG))
	mask := attr(attr(x.data, unix.NFTA_BITWISE_MASK), unix.NFTA_DATA_VALUE)
	xor := attr(attr(x.data, unix.NFTA_BITWISE_XOR), unix.NFTA_DATA_VALUE)
	src := m.get(be32(attr(x.data, unix.NFTA_BITWISE_SREG)), n)
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
	copy(m.known[at(dst):], known)
}

// target judges an xtables target of iptables-nft.
func (m *machine) target(x *nftExpr) (verdict, bool) {
	switch xtName(*x) {
	case "REJECT":
		return verdict{code: nfDrop}, true
	case "MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP":
		m.e.nat = append(m.e.nat, met{m.where(), min(m.sure, m.match)})
		return verdict{code: nfAccept}, true
	case "CT":
		if xtZone(x) {
			m.e.zone = append(m.e.zone, met{m.where(), min(m.sure, m.match)})
		}
	case "QUEUE", "NFQUEUE", "SYNPROXY", "TPROXY":
		return verdict{code: nfQueue}, true
	}
	return verdict{code: unix.NFT_CONTINUE}, true
}
