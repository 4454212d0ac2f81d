package dryrun

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// A Survey is the namespace's firewall and addresses at one time, and the questions that a preview asks of them. It is for
// one goroutine.
type Survey struct {
	ns       ruleset.Namespace
	rd       *ruleset.Reader
	rs       *ruleset.Ruleset
	xt       []ruleset.XTRule
	xtc      []ruleset.XTChain
	local    map[string][]netip.Addr // by interface
	policy   bool                    // routes depend on more than the destination
	loose    bool                    // nf_conntrack_tcp_loose: TCP is picked up in mid-stream
	liberal  bool                    // nf_conntrack_tcp_be_liberal: packets outside the window are not INVALID
	Tracking ruleset.Tracked
	// Unread are legacy tables whose rules could not be read: nothing is known of what they do.
	Unread []string
}

// Open reads what stands in ns now: one consistent ruleset, the legacy tables, the addresses. It changes and creates
// nothing. Errors wrap ctnl.ErrPermission. The caller closes the Survey.
func Open(ns ruleset.Namespace) (*Survey, error) {
	s := &Survey{ns: ns, rs: &ruleset.Ruleset{}}
	rd, err := ruleset.Dial(ns)
	if err != nil {
		return nil, err
	}
	s.rd = rd
	if _, err := rd.Generation(); err == nil {
		if s.rs, err = rd.Read(); err != nil {
			rd.Close()
			return nil, err
		}
	} else if err := ruleset.Wrap("ask for the ruleset", err); errors.Is(err, ctnl.ErrPermission) {
		rd.Close()
		return nil, err
	}
	l := ruleset.LegacyRead(ns)
	s.xt, s.xtc, s.Unread = l.Rules, l.Chains, l.Unread
	s.Tracking = ruleset.Tracking(s.rs, ns)
	s.loose = ruleset.ReadIn(ns, "/proc/sys/net/netfilter/nf_conntrack_tcp_loose") != "0"
	liberal := ruleset.ReadIn(ns, "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
	s.liberal = liberal != "" && liberal != "0"
	if err := ns.Do(s.network); err != nil {
		rd.Close()
		return nil, err
	}
	return s, nil
}

// network reads addresses and routing of the thread's namespace.
func (s *Survey) network() error {
	ifs, err := net.Interfaces()
	if err != nil {
		return err
	}
	s.local = map[string][]netip.Addr{}
	for _, i := range ifs {
		as, err := i.Addrs()
		if err != nil {
			return err
		}
		for _, a := range as {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				s.local[i.Name] = append(s.local[i.Name], p.Addr().Unmap())
			}
		}
	}
	here, err := ctnl.OpenNetns("")
	if err != nil {
		return err
	}
	defer here.Close()
	s.policy, err = here.PolicyRouting()
	return err
}

// addrs returns the addresses of an interface, of all where it is not known.
func (s *Survey) addrs(dev string) (as []netip.Addr) {
	for name, a := range s.local {
		if dev == "" || dev == name {
			as = append(as, a...)
		}
	}
	return as
}

// Close gives the netlink socket back.
func (s *Survey) Close() { s.rd.Close() }

// A path is the way of a packet through this host.
type path uint8

const (
	forwarded path = iota
	localIn
	localOut
	loopback
)

// hooks of a path, in order (NF_INET_*).
var pathHooks = [...][]uint32{
	forwarded: {unix.NF_INET_PRE_ROUTING, unix.NF_INET_FORWARD, unix.NF_INET_POST_ROUTING},
	localIn:   {unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_IN},
	localOut:  {unix.NF_INET_LOCAL_OUT, unix.NF_INET_POST_ROUTING},
	loopback: {unix.NF_INET_LOCAL_OUT, unix.NF_INET_POST_ROUTING, unix.NF_INET_PRE_ROUTING,
		unix.NF_INET_LOCAL_IN},
}

var xtChains = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// isLocal says whether a prefix is this host's.
func (s *Survey) isLocal(p netip.Prefix) Tri {
	switch {
	case !p.IsValid():
		return Maybe
	case p.Addr().IsLoopback():
		return Yes
	case p.IsSingleIP():
		return triOf(slices.Contains(s.addrs(""), p.Addr()))
	case slices.ContainsFunc(s.addrs(""), p.Contains):
		return Maybe
	}
	return No
}

// paths returns the ways that packets of r's own direction can take.
func (s *Survey) paths(r *model.Rule) []path {
	src, dst := s.isLocal(r.Src), s.isLocal(r.Dst)
	var ps []path
	for _, x := range [...]struct {
		p        path
		src, dst bool
	}{{forwarded, false, false}, {localIn, false, true}, {localOut, true, false}, {loopback, true, true}} {
		if src != triOf(!x.src) && dst != triOf(!x.dst) && !(x.p == loopback && (src == Maybe || dst == Maybe)) {
			ps = append(ps, x.p)
		}
	}
	return ps
}

// packet imagines a packet of r on a path, with the interfaces that routing would choose.
func (s *Survey) packet(r *model.Rule, f model.Family, w path, state uint32) *packet {
	p := packetOf(r, f, state)
	p.srcLocal, p.dstLocal = s.isLocal(r.Src), s.isLocal(r.Dst)
	switch w {
	case loopback:
		p.iif, p.oif = "lo", "lo"
	default:
		if w != localIn {
			p.oif = s.route(r.Dst)
		}
		if w != localOut && p.iif == "" {
			p.iif = s.route(r.Src) // where packets to it would leave; routing is mostly symmetric
		}
	}
	return p
}

// route returns the interface that packets to a single address leave by, "" where it is not known: policy
// routing may send it elsewhere.
func (s *Survey) route(p netip.Prefix) (name string) {
	if !p.IsSingleIP() || s.policy && s.isLocal(p) != Yes {
		return ""
	}
	_ = s.ns.Do(func() error {
		here, err := ctnl.OpenNetns("")
		if err != nil {
			return err
		}
		defer here.Close()
		i, err := here.RouteTo(p.Addr())
		if err == nil {
			name = here.InterfaceName(i)
		}
		return err
	})
	return name
}

// A walk is what happened to one imagined packet.
type walk struct {
	out       outcome
	drop      []string
	nat, zone []Met
	help      []Met
}

// walk takes a packet through the hooks of a path. kinds are nft chain types, tables the legacy ones.
func (s *Survey) walk(p *packet, w path, kinds, tables []string) walk {
	e := &evaluator{rs: s.rs, c: s.rd}
	x := &xtEvaluator{rules: s.xt, chains: s.xtc}
	res := walk{out: accepts}
	iif, oif := p.iif, p.oif
	for _, h := range pathHooks[w] {
		p.iif, p.oif = iif, oif
		if h == unix.NF_INET_PRE_ROUTING || h == unix.NF_INET_LOCAL_IN {
			p.oif = ""
		}
		if h == unix.NF_INET_LOCAL_OUT || h == unix.NF_INET_POST_ROUTING && w != forwarded {
			p.iif = ""
		}
		o := e.hook(h, p, kinds...)
		if o&accepts != 0 {
			legacy := x.hook(xtChains[h], p, tables...)
			if o |= legacy & (drops | translates); legacy&accepts == 0 {
				o = o&^accepts | legacy
			}
		}
		res.out |= o & (drops | translates)
		if o&accepts == 0 {
			res.out &^= accepts
			break
		}
	}
	p.iif, p.oif = iif, oif
	res.drop = append(e.drop, x.drop...)
	res.nat = append(e.nat, x.nat...)
	res.zone = append(e.zone, x.zone...)
	res.help = append(e.help, x.help...)
	return res
}

var (
	filterKinds  = []string{"filter", "route"}
	filterTables = []string{"mangle", "filter"}
)

// UntrackedDropped returns where packets of r are dropped as untracked while they pass as established; sure is false
// where it depends on more than the rule says.
func (s *Survey) UntrackedDropped(r *model.Rule) (where []string, sure bool) {
	least := Yes
	for _, d := range r.Directions() {
		if most, l, w := s.dropped(&d, expr.CtStateBitESTABLISHED, expr.CtStateBitUNTRACKED); most != No {
			least, where = min(least, l), append(where, w...)
		}
	}
	return where, least == Yes && len(where) > 0
}

// AnswersDropped returns where the answers to packets of r, which is one-way, are dropped while they pass as established:
// tracking sees no packet that they answer, so they are new themselves, or, where the entry was left, acknowledge what it
// has not seen, which is INVALID. sure is as for UntrackedDropped.
func (s *Survey) AnswersDropped(r *model.Rule, left bool) (where []string, sure bool) {
	d, state, tcp := r.Reverse(), uint32(expr.CtStateBitNEW), r.Proto == model.ProtoTCP
	if left = left && r.Exact(); left && (!tcp || s.liberal) {
		return nil, false
	}
	if tcp && (left || !s.loose) {
		state = expr.CtStateBitINVALID
	}
	_, least, where := s.dropped(&d, expr.CtStateBitESTABLISHED, state)
	return where, least == Yes
}

// dropped walks packets of d's own direction, in a state, on every way that they may take, and returns where those are
// dropped that pass in the state of today. Of the ways on which there is such a place, least is how sure it is of each, most
// of any.
func (s *Survey) dropped(d *model.Rule, today, state uint32) (most, least Tri, where []string) {
	least = Yes
	for _, f := range d.Families() {
		ways := s.paths(d)
		for _, w := range ways {
			p := s.packet(d, f, w, today)
			if d.Proto == model.ProtoTCP {
				p.flags(tcpACK)
			}
			now := s.walk(p, w, filterKinds, filterTables)
			p = s.packet(d, f, w, state)
			if d.Proto == model.ProtoTCP && state != expr.CtStateBitUNTRACKED {
				p.flags(tcpACK)
			}
			then := s.walk(p, w, filterKinds, filterTables)
			if now.out&accepts == 0 || then.out&drops == 0 || now.out == then.out {
				continue
			}
			t := Maybe
			if then.out == drops && len(ways) == 1 {
				t = Yes
			}
			most, least, where = max(most, t), min(least, t), append(where, last(then.drop)...)
		}
	}
	return most, min(least, most), where
}

// last returns the rule that decided, the one met last.
func last(s []string) []string { return s[max(0, len(s)-1):] }

// InvalidDropped returns where ICMP errors about packets of r are dropped as invalid while related ones pass.
func (s *Survey) InvalidDropped(r *model.Rule) (where []string) {
	for _, d := range r.Directions() {
		for _, f := range d.Families() {
			e := model.Rule{Family: f, Proto: model.ProtoICMP, HasProto: true, Dst: d.Src, ICMP: model.ICMPMatch{Type: 3, HasType: true}}
			if f == model.IPv6 { // destination unreachable (1) or packet too big (2)
				e.Proto, e.ICMP.Type = model.ProtoICMPv6, 2
			}
			if !r.HasProto || r.Proto.IsICMP() || e.Dst.IsValid() && e.Dst.Addr().IsLoopback() {
				continue
			}
			for _, w := range s.paths(&e) {
				if w == loopback {
					continue
				}
				now := s.walk(s.packet(&e, f, w, expr.CtStateBitRELATED), w, filterKinds, filterTables)
				then := s.walk(s.packet(&e, f, w, expr.CtStateBitINVALID), w, filterKinds, filterTables)
				if now.out&accepts != 0 && then.out&drops != 0 && now.out != then.out { // what may drop both is nothing of ours
					where = append(where, last(then.drop)...)
				}
			}
		}
	}
	return where
}

// Zone returns the rules that put packets of r in a zone.
func (s *Survey) Zone(r *model.Rule) []Met {
	var out []Met
	for _, d := range r.Directions() {
		for _, f := range d.Families() {
			ways := s.paths(&d)
			for _, w := range ways {
				for _, m := range s.walk(s.packet(&d, f, w, expr.CtStateBitUNTRACKED), w, filterKinds, []string{"raw"}).zone {
					if len(ways) > 1 {
						m.Sure = min(m.Sure, Maybe)
					}
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// Helper returns the rules that give connections of r a helper when they begin, by whichever end. Untracked packets reach
// no helper.
func (s *Survey) Helper(r *model.Rule) []Met {
	var out []Met
	for _, d := range r.Directions() {
		for _, f := range d.Families() {
			ways := s.paths(&d)
			for _, w := range ways {
				p := s.packet(&d, f, w, expr.CtStateBitNEW)
				for _, m := range s.walk(p, w, filterKinds, []string{"raw", "mangle", "filter"}).help {
					if len(ways) > 1 {
						m.Sure = min(m.Sure, Maybe)
					}
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// Offload returns where a rule hands flows to a flowtable, "" for nowhere.
func (s *Survey) Offload() string {
	for i := range s.rs.Chains {
		for j := range s.rs.Chains[i].Rules {
			if r := &s.rs.Chains[i].Rules[j]; r.Has("flow_offload") {
				return r.Place()
			}
		}
	}
	return ""
}
