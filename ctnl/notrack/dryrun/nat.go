package dryrun

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// A target is what a NAT rule translates to. The zero value is a destination that is not known.
type target struct {
	source bool            // the source is translated, not the destination
	own    bool            // to an address of this host
	lo, hi netip.Addr      // not valid: not known
	ports  model.PortRange // zero: kept, or not known
}

// natTarget reads the target of an nft expression from the registers that it names.
func natTarget(m *machine, x *ruleset.Expr) (t target) {
	port := func(attr uint16) uint16 {
		if b := m.get(x.U32(attr), 2); x.Attr(attr) != nil && !slices.Contains(b.known, false) {
			return binary.BigEndian.Uint16(b.b)
		}
		return 0
	}
	switch x.Name {
	case "masq":
		return target{source: true, own: true}
	case "redir":
		t = target{own: true, ports: model.PortRange{Lo: port(unix.NFTA_REDIR_REG_PROTO_MIN), Hi: port(unix.NFTA_REDIR_REG_PROTO_MAX)}}
	default:
		n := 4
		if x.U32(unix.NFTA_NAT_FAMILY) == unix.NFPROTO_IPV6 {
			n = 16
		}
		addr := func(attr uint16) (a netip.Addr) {
			if b := m.get(x.U32(attr), n); x.Attr(attr) != nil && !slices.Contains(b.known, false) {
				a, _ = netip.AddrFromSlice(b.b)
			}
			return a
		}
		t = target{source: x.U32(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_SNAT, lo: addr(unix.NFTA_NAT_REG_ADDR_MIN), hi: addr(unix.NFTA_NAT_REG_ADDR_MAX),
			ports: model.PortRange{Lo: port(unix.NFTA_NAT_REG_PROTO_MIN), Hi: port(unix.NFTA_NAT_REG_PROTO_MAX)}}
	}
	return t.whole()
}

// whole makes a single value of a range of which only the beginning was given.
func (t target) whole() target {
	if !t.hi.IsValid() {
		t.hi = t.lo
	}
	if t.ports.Hi < t.ports.Lo {
		t.ports.Hi = t.ports.Lo
	}
	return t
}

// xtTarget reads the target of iptables-nft.
func xtTarget(name string, info []byte) (t target) {
	t.source = name == "SNAT" || name == "MASQUERADE"
	t.own = name == "MASQUERADE" || name == "REDIRECT"
	if name != "NETMAP" {
		t.lo, t.hi, t.ports = ruleset.XTRange(info)
	}
	return t.whole()
}

// legacyTarget reads the target from a line of iptables-save.
func legacyTarget(name string, r *ruleset.XTRule) (t target) {
	t.source = name == "SNAT" || name == "MASQUERADE"
	t.own = name == "MASQUERADE" || name == "REDIRECT"
	t.lo, t.hi, t.ports = r.NATRange()
	return t.whole()
}

// within says whether every address that t translates to is one of p, none of them, or some.
func (s *Survey) within(t *target, p netip.Prefix, dev string) Tri {
	switch {
	case !p.IsValid():
		return Yes
	case t.lo.IsValid():
		lo, hi := p.Contains(t.lo), p.Contains(t.hi)
		switch {
		case lo && hi:
			return Yes
		case lo || hi, t.lo.Is4() == p.Addr().Is4() && t.lo.Less(p.Addr()) && p.Addr().Less(t.hi):
			return Maybe
		}
		return No
	case !t.own:
		return Maybe
	}
	some, all := No, Yes
	for _, a := range s.addrs(dev) {
		switch {
		case a.Is4() != p.Addr().Is4() || a.IsLoopback() || a.IsLinkLocalUnicast():
		case p.Contains(a):
			some = Maybe
		default:
			all = No
		}
	}
	if some == Maybe && all == Yes {
		return Yes
	}
	return some
}

// NAT returns the NAT rules that concern packets of r, as they come: rules that would translate connections which begin
// with them, and rules whose translated connections have them for answers. Untracked, neither is translated any more.
func (s *Survey) NAT(r *model.Rule) []Met {
	var out []Met
	for i, d := range r.Directions() {
		for _, f := range d.Families() {
			begun := s.begun(&d, f)
			if i > 0 && r.Exact() { // which end begins it nobody knows
				begun = perhaps(begun)
			}
			out = append(append(out, begun...), s.answers(&d, f)...)
		}
	}
	return out
}

func perhaps(ms []Met) []Met {
	for i := range ms {
		ms[i].Sure = min(ms[i].Sure, Maybe)
	}
	return ms
}

// begun returns the NAT rules that new connections of one direction meet.
func (s *Survey) begun(r *model.Rule, f model.Family) (out []Met) {
	ways := s.paths(r)
	for _, w := range ways {
		res := s.walk(s.packet(r, f, w, expr.CtStateBitNEW), w, []string{"nat"}, []string{"nat"})
		res.nat = slices.DeleteFunc(res.nat, func(m Met) bool { // to what it is already
			return m.to.source && m.to.own && r.Src.IsSingleIP() && s.isLocal(r.Src) == Yes
		})
		switch {
		case len(ways) > 1:
			perhaps(res.nat)
		case res.out == translates: // whichever of them it is
			for i := range res.nat {
				res.nat[i].Sure = Yes
			}
		}
		out = append(out, res.nat...)
	}
	return out
}

// answers returns the NAT rules of connections whose answers look like packets of r. Where such a connection goes before it
// is translated is not known, who begins it is: the one that r sends to, or, behind the translation of sources, anybody.
func (s *Survey) answers(r *model.Rule, f model.Family) (out []Met) {
	add := func(ms []Met, source bool, addr netip.Prefix, port model.PortRange, dev string) {
		for _, m := range ms {
			if m.to.source != source {
				continue
			}
			sure := s.within(&m.to, addr, dev)
			switch {
			case port.Any():
				if !m.to.ports.Any() { // one port of all
					sure = min(sure, Maybe)
				}
			case source && m.to.ports.Any() && port.Hi < 1024: // ports of clients stay above (nf_nat_l4proto_unique_tuple)
				sure = No
			default:
				sure = min(sure, rangeTri(m.to.ports, port.Lo, port.Hi))
			}
			if client := r.Dport; r.Exact() || !source && !client.Any() && client.Hi < 1024 { // a client's port is rarely that
				sure = min(sure, Maybe)
			}
			if m.Sure = sure; sure != No {
				out = append(out, m)
			}
		}
	}
	if r.Proto.IsICMP() || r.HasProto && !r.Proto.HasPorts() {
		return nil // echoes and the like: the tuple is told by begun of the other direction
	}
	nat := []string{"nat"}
	before := model.Rule{Family: f, Proto: r.Proto, HasProto: r.HasProto, Src: r.Dst, Sport: r.Dport}
	for _, w := range [...]path{localIn, localOut} {
		if local := s.isLocal(before.Src); w == localIn && local == Yes || w == localOut && local == No {
			continue
		}
		p := s.packet(&before, f, w, expr.CtStateBitNEW)
		add(s.walk(p, w, nat, nat).nat, false, r.Src, r.Sport, "")
	}
	after := model.Rule{Family: f, Proto: r.Proto, HasProto: r.HasProto, Dst: r.Src, Dport: r.Sport}
	if s.isLocal(after.Dst) != Yes {
		p := s.packet(&after, f, forwarded, expr.CtStateBitNEW)
		add(s.walk(p, forwarded, nat, nat).nat, true, r.Dst, r.Dport, p.oif)
	}
	return out
}
