package notrack

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ctview/model"
)

// A survey is the namespace's firewall and addresses at one time, and the questions that a preview asks of them.
type survey struct {
	ns     Namespace
	rd     *conn
	rs     *ruleset
	xt     []xtRule
	xtc    []xtChain
	local  []netip.Addr
	active bool
}

func newSurvey(ns Namespace) (*survey, error) {
	s := &survey{ns: ns, rs: &ruleset{}}
	rd, err := dialConn(ns)
	if err != nil {
		return nil, err
	}
	s.rd = rd
	if _, err := rd.generation(); err == nil {
		if s.rs, err = rd.readRuleset(); err != nil {
			rd.Close()
			return nil, err
		}
	} else if err := wrap("ask for the ruleset", err); errors.Is(err, ErrPermission) {
		rd.Close()
		return nil, err
	}
	s.xt, s.xtc = legacyRead(ns)
	s.active = active(s.rs, ns)
	_ = ns.Do(func() error {
		as, err := net.InterfaceAddrs()
		for _, a := range as {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				s.local = append(s.local, p.Addr().Unmap())
			}
		}
		return err
	})
	return s, nil
}

func (s *survey) close() { s.rd.Close() }

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
func (s *survey) isLocal(p netip.Prefix) tri {
	switch {
	case !p.IsValid():
		return maybe
	case p.Addr().IsLoopback():
		return yes
	case p.IsSingleIP():
		return triOf(slices.Contains(s.local, p.Addr()))
	case slices.ContainsFunc(s.local, p.Contains):
		return maybe
	}
	return no
}

// paths returns the ways that packets of r's own direction can take.
func (s *survey) paths(r *model.Rule) []path {
	src, dst := s.isLocal(r.Src), s.isLocal(r.Dst)
	var ps []path
	for _, x := range [...]struct {
		p        path
		src, dst bool
	}{{forwarded, false, false}, {localIn, false, true}, {localOut, true, false}, {loopback, true, true}} {
		if src != triOf(!x.src) && dst != triOf(!x.dst) && !(x.p == loopback && (src == maybe || dst == maybe)) {
			ps = append(ps, x.p)
		}
	}
	return ps
}

// packet imagines a packet of r on a path, with the interfaces that routing would choose.
func (s *survey) packet(r *model.Rule, f model.Family, w path, state uint32) *packet {
	p := packetOf(r, f, state)
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

// route returns the interface that packets to a single address leave by, "" where it is not known.
func (s *survey) route(p netip.Prefix) (name string) {
	if !p.IsSingleIP() {
		return ""
	}
	_ = s.ns.Do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		rs, err := h.RouteGet(net.IP(p.Addr().AsSlice()))
		if err != nil || len(rs) == 0 {
			return err
		}
		l, err := h.LinkByIndex(rs[0].LinkIndex)
		if err == nil {
			name = l.Attrs().Name
		}
		return err
	})
	return name
}

// A walk is what happened to one imagined packet.
type walk struct {
	out       outcome
	drop      []string
	nat, zone []met
}

// walk takes a packet through the hooks of a path. kinds are nft chain types, tables the legacy ones.
func (s *survey) walk(p *packet, w path, kinds, tables []string) walk {
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
			o |= x.hook(xtChains[h], p, tables...) & drops
			if len(x.drop) > 0 && x.hook(xtChains[h], p, tables...)&accepts == 0 {
				o = drops
			}
		}
		res.out |= o & drops
		if o&accepts == 0 {
			res.out &^= accepts
			break
		}
	}
	p.iif, p.oif = iif, oif
	res.drop = append(e.drop, x.drop...)
	res.nat = append(e.nat, x.nat...)
	res.zone = append(e.zone, x.zone...)
	return res
}

var (
	filterKinds  = []string{"filter", "route"}
	filterTables = []string{"mangle", "filter"}
)

// directions returns the rule and, unless it is one-way, that of the answers.
func directions(r *model.Rule) []model.Rule {
	if r.OneWay {
		return []model.Rule{*r}
	}
	return []model.Rule{*r, r.Reverse()}
}

// untrackedDropped returns where packets of r are dropped as untracked while they pass as established; sure is false
// where it depends on more than the rule says.
func (s *survey) untrackedDropped(r *model.Rule) (where []string, sure bool) {
	sure = true
	for _, d := range directions(r) {
		for _, f := range d.Families() {
			ways := s.paths(&d)
			for _, w := range ways {
				now := s.walk(s.packet(&d, f, w, expr.CtStateBitESTABLISHED), w, filterKinds, filterTables)
				then := s.walk(s.packet(&d, f, w, expr.CtStateBitUNTRACKED), w, filterKinds, filterTables)
				if now.out&accepts == 0 || then.out&drops == 0 || now.out == then.out {
					continue
				}
				sure = sure && then.out == drops && len(ways) == 1
				where = append(where, last(then.drop)...)
			}
		}
	}
	return where, sure && len(where) > 0
}

// last returns the rule that decided, the one met last.
func last(s []string) []string { return s[max(0, len(s)-1):] }

// invalidDropped returns where ICMP errors about packets of r are dropped as invalid while related ones pass.
func (s *survey) invalidDropped(r *model.Rule) (where []string) {
	for _, d := range directions(r) {
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
				if now.out&accepts != 0 && now.out&drops == 0 && then.out&drops != 0 {
					where = append(where, last(then.drop)...)
				}
			}
		}
	}
	return where
}

// nat returns the NAT rules that new connections of r's direction meet.
func (s *survey) nat(r *model.Rule) []met {
	var out []met
	for _, f := range r.Families() {
		ways := s.paths(r)
		for _, w := range ways {
			for _, m := range s.walk(s.packet(r, f, w, expr.CtStateBitNEW), w, []string{"nat"}, []string{"nat"}).nat {
				if len(ways) > 1 {
					m.sure = min(m.sure, maybe)
				}
				out = append(out, m)
			}
		}
	}
	return out
}

// zone returns the rules that put packets of r in a zone.
func (s *survey) zone(r *model.Rule) []met {
	var out []met
	for _, d := range directions(r) {
		for _, f := range d.Families() {
			ways := s.paths(&d)
			for _, w := range ways {
				for _, m := range s.walk(s.packet(&d, f, w, expr.CtStateBitUNTRACKED), w, filterKinds, []string{"raw"}).zone {
					if len(ways) > 1 {
						m.sure = min(m.sure, maybe)
					}
					out = append(out, m)
				}
			}
		}
	}
	return out
}
