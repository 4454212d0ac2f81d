package notrack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// ctviewChain is one of the four chains of a table of ours.
type ctviewChain struct {
	name   string
	hook   *nftables.ChainHook
	prio   nftables.ChainPriority
	pre    bool // prerouting
	verify bool
}

var ctviewChains = [...]ctviewChain{
	{"pre", nftables.ChainHookPrerouting, ruleset.PrioNotrack, true, false},
	{"out", nftables.ChainHookOutput, ruleset.PrioNotrack, false, false},
	{"pre_verify", nftables.ChainHookPrerouting, ruleset.PrioVerify, true, true},
	{"out_verify", nftables.ChainHookOutput, ruleset.PrioVerify, false, true},
}

var (
	flows4Type = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr, nftables.TypeInetProto,
		nftables.TypeInetService, nftables.TypeInetService)
	flows6Type = nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIP6Addr, nftables.TypeInetProto,
		nftables.TypeInetService, nftables.TypeInetService)
)

// A builder collects one transaction for one table.
type builder struct {
	target
	t      *nftables.Table
	verify bool // the leak counters are there, or being made
}

func newBuilder(tgt target) *builder {
	return &builder{target: tgt, t: &nftables.Table{Name: tgt.table, Family: nftables.TableFamilyINet}}
}

// A lack is what a table lacks before rules can stand in it.
type lack struct {
	table  bool
	sets   []model.Family
	chains []ctviewChain
	verify bool // the leak counters are there, or will be
}

// lacking finds it: everything, or the leak counters where both families are tracked by now: a rule that uses conntrack in
// a table of family inet would switch on the one that is not. A table of that name that somebody else has made, or put
// something into, is refused.
func lacking(rs *ruleset.Ruleset, in *installed, table string, tracked ruleset.Tracked) (l lack, err error) {
	exists, err := usable(rs, in, table)
	if err != nil {
		return l, err
	}
	have := map[string]bool{}
	for i := range rs.Chains {
		if c := &rs.Chains[i]; c.Family == unix.NFPROTO_INET && c.Table == table {
			have[c.Name] = len(c.Rules) > 0 // emptied by somebody, it is filled again
		}
	}
	l.table, l.verify = !exists, tracked.All() || have["pre_verify"]
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		if rs.Sets[ruleset.SetName{Family: unix.NFPROTO_INET, Table: table, Name: flowSetName(f)}] == nil {
			l.sets = append(l.sets, f)
		}
	}
	for _, ch := range ctviewChains {
		if !have[ch.name] && (!ch.verify || l.verify) {
			l.chains = append(l.chains, ch)
		}
	}
	return l, nil
}

// skeleton adds what the table lacks.
func (b *builder) skeleton(l lack) error {
	if l.table {
		b.c.CreateTable(b.t) // NLM_F_EXCL: whoever else is making it now wins, and we look again
	}
	for _, f := range l.sets {
		if err := b.c.AddSet(b.flowSet(f), nil); err != nil {
			return fmt.Errorf("notrack: %w", err)
		}
	}
	b.verify = l.verify
	for _, ch := range l.chains {
		b.chain(ch)
	}
	return nil
}

// usable reports whether the table exists, and why ctview does not put rules into it, if it is not, or not all, ctview's.
func usable(rs *ruleset.Ruleset, in *installed, table string) (exists bool, err error) {
	i := slices.IndexFunc(rs.Tables, func(t ruleset.Table) bool { return t.Family == unix.NFPROTO_INET && t.Name == table })
	if i < 0 {
		return false, nil
	}
	own, foreign := rs.Own(&rs.Tables[i])
	if foreign == "" {
		foreign = in.foreign[table]
	}
	switch {
	case foreign != "":
		err = fmt.Errorf("notrack: table inet %s has something in it (%s): %w; nothing was changed", table, model.Escape(foreign), ErrNotOurs)
	case !own && table == ruleset.TableName:
		err = fmt.Errorf("notrack: table inet %s: %w; nothing was changed", table, ErrNotOurs)
	}
	return true, err
}

// Numbers of the sets within a transaction. google/nftables would count them up in a package variable without a lock.
const (
	idFlows4 = iota + 1
	idFlows6
	idLatch
)

func (b *builder) flowSet(f model.Family) *nftables.Set {
	s := &nftables.Set{Table: b.t, ID: idFlows4, Name: flowSetName(f), KeyType: flows4Type, HasTimeout: true, Counter: true,
		KeyByteOrder: binaryutil.BigEndian}
	if f == model.IPv6 {
		s.ID, s.KeyType = idFlows6, flows6Type
	}
	return s
}

func flowSetName(f model.Family) string {
	if f == model.IPv6 {
		return "flows6"
	}
	return "flows4"
}

func (b *builder) chain(ch ctviewChain) {
	accept := nftables.ChainPolicyAccept
	c := b.c.AddChain(&nftables.Chain{Name: ch.name, Table: b.t, Hooknum: ch.hook, Priority: nftables.ChainPriorityRef(ch.prio),
		Type: nftables.ChainTypeFilter, Policy: &accept})
	if ch.pre {
		// What comes from the loopback interface went through output before and carries its state already. Matching it
		// here would change nothing and count it twice.
		b.rule(c, ruleset.Version, []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_LOOPBACK)},
			&expr.Verdict{Kind: expr.VerdictAccept}})
	}
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		b.rule(c, ruleset.Version, ch.wrap(flowLookup(b.flowSet(f).Name, f)))
	}
}

// wrap completes a match: notrack, or, behind conntrack, the count of what is tracked all the same. The state comes
// before the lookup there, because a lookup that matches counts the element.
func (ch ctviewChain) wrap(match []expr.Any) []expr.Any {
	if !ch.verify {
		return append(match, &expr.Counter{}, &expr.Notrack{})
	}
	return append(append([]expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(expr.CtStateBitUNTRACKED)},
	}, match...), &expr.Counter{})
}

func (b *builder) rule(c *nftables.Chain, comment string, es []expr.Any) {
	b.c.AddRule(&nftables.Rule{Table: b.t, Chain: c, Exprs: es,
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment)})
}

// flowLookup matches ip saddr . ip daddr . meta l4proto . th sport . th dport @set.
func flowLookup(set string, f model.Family) []expr.Any {
	off, alen := uint32(12), uint32(4) // iphdr.saddr
	if f == model.IPv6 {
		off, alen = 8, 16 // ipv6hdr.saddr
	}
	reg := func(bytes uint32) uint32 { return unix.NFT_REG32_00 + bytes/4 }
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(f)}},
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: alen, DestRegister: unix.NFT_REG_1},
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: off + alen, Len: alen, DestRegister: reg(alen)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(2 * alen)},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2, DestRegister: reg(2*alen + 4)},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: reg(2*alen + 8)},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set},
	}
}

// flowKey is the element of a tuple: each field padded to a register.
func flowKey(t *model.Tuple) []byte {
	var k []byte
	if t.Family == model.IPv4 {
		k = append(append(k, t.Src[12:]...), t.Dst[12:]...)
	} else {
		k = append(append(k, t.Src[:]...), t.Dst[:]...)
	}
	return append(k, byte(t.Proto), 0, 0, 0,
		byte(t.Sport>>8), byte(t.Sport), 0, 0, byte(t.Dport>>8), byte(t.Dport), 0, 0)
}

// keyTuple is the inverse of flowKey.
func keyTuple(f model.Family, k []byte) (t model.Tuple, ok bool) {
	n := 4
	if f == model.IPv6 {
		n = 16
	}
	if len(k) != 2*n+12 {
		return t, false
	}
	src, ok1 := netip.AddrFromSlice(k[:n])
	dst, ok2 := netip.AddrFromSlice(k[n : 2*n])
	p := k[2*n:]
	return model.TupleOf(model.Proto(p[0]), src, dst, uint16(p[4])<<8|uint16(p[5]), uint16(p[8])<<8|uint16(p[9])), ok1 && ok2
}

// chunk is how many elements one message carries: a netlink attribute ends at 64 KiB.
const chunk = 200

// group adds the elements and rules of g, whole or not at all: a tuple can belong to one rule only.
func (b *builder) group(g *group, have map[string]string) error {
	elems := map[model.Family][]nftables.SetElement{}
	seen := map[string]bool{}
	var wide []model.Rule
	for _, r := range g.rules {
		if !r.Exact() || !r.Proto.HasPorts() {
			wide = append(wide, r)
			continue
		}
		o, p := r.Tuples()
		for dir, t := range [...]model.Tuple{o, p} {
			k := flowKey(&t)
			if dir == ruleset.DirReply && r.OneWay || seen[string(k)] {
				continue
			}
			if id, ok := have[string(k)]; ok {
				return fmt.Errorf("notrack: %s: rule %s has packets of it already: %w; nothing was changed. Remove that one, or wait until it ends",
					r, id, ErrOverlap)
			}
			seen[string(k)] = true
			elems[t.Family] = append(elems[t.Family], nftables.SetElement{Key: k, Timeout: g.life,
				Comment: ruleset.Tag{ID: g.id, Dir: dir, Meta: g.Meta}.String()})
		}
	}
	for f, es := range elems {
		for i := 0; i < len(es); i += chunk {
			if err := b.c.SetAddElements(b.flowSet(f), es[i:min(i+chunk, len(es))]); err != nil {
				return fmt.Errorf("notrack: %w", err)
			}
		}
	}
	return b.wide(g, wide)
}

// familiesOf returns the families that rules match packets of, IPv4 first.
func familiesOf(rules []model.Rule) (fams []model.Family) {
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		if slices.ContainsFunc(rules, func(r model.Rule) bool { return slices.Contains(r.Families(), f) }) {
			fams = append(fams, f)
		}
	}
	return fams
}

// latchName is the set whose elements keep the wide rules of an id alive.
func latchName(id string) string { return ruleset.LatchPrefix + id }

// latch is a set of families: rules have no time-out in nftables, elements do, so every wide rule asks first whether
// its family is still in here. When the elements expire, the rules match nothing.
func (b *builder) latch(id string) *nftables.Set {
	return &nftables.Set{Table: b.t, ID: idLatch, Name: latchName(id), KeyType: nftables.TypeNFProto, HasTimeout: true,
		KeyByteOrder: binaryutil.NativeEndian}
}

func (b *builder) wide(g *group, rules []model.Rule) error {
	if len(rules) == 0 {
		return nil
	}
	set := b.latch(g.id)
	var es []nftables.SetElement
	for _, f := range familiesOf(rules) {
		es = append(es, nftables.SetElement{Key: []byte{byte(f)}, Timeout: g.life, Comment: ruleset.Tag{ID: g.id, Meta: g.Meta}.String()})
	}
	if err := b.c.AddSet(set, es); err != nil {
		return fmt.Errorf("notrack: %w", err)
	}
	for _, ch := range ctviewChains {
		if ch.verify && !b.verify {
			continue
		}
		c := &nftables.Chain{Name: ch.name, Table: b.t}
		for i := range rules {
			b.wideRule(c, ch, set.Name, g.id, &rules[i])
		}
	}
	return nil
}

// wideRule adds a rule, and that of its answers, to one chain.
func (b *builder) wideRule(c *nftables.Chain, ch ctviewChain, set, id string, r *model.Rule) {
	if r.Iface == "" || ch.pre { // no packet has come in where output runs
		b.rule(c, ruleset.Tag{ID: id, Rule: r.String()}.String(), ch.wrap(wideMatch(set, r)))
	}
	if !r.OneWay {
		rev := r.Reverse()
		b.rule(c, ruleset.Tag{ID: id, Dir: ruleset.DirReply, Rule: r.String()}.String(), ch.wrap(wideMatch(set, &rev)))
	}
}
