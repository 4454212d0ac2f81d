package model

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// A PortRange is a range of ports or, for a single port, twice the same. The zero value is any port.
type PortRange struct {
	Lo, Hi uint16
}

// Port returns the range of one port.
func Port(p uint16) PortRange { return PortRange{p, p} }

// Any reports whether r is every port.
func (r PortRange) Any() bool { return r == PortRange{} || r == PortRange{0, 65535} }

// Single reports whether r is exactly one port.
func (r PortRange) Single() bool { return r.Lo == r.Hi && r.Hi != 0 }

// Size returns how many ports r has.
func (r PortRange) Size() int {
	if r.Any() {
		return 1 << 16
	}
	return int(r.Hi) - int(r.Lo) + 1
}

// Contains reports whether p is in r.
func (r PortRange) Contains(p uint16) bool { return r.Any() || r.Lo <= p && p <= r.Hi }

// String returns "80" or "8000-8999"; "any" for every port.
func (r PortRange) String() string {
	switch {
	case r.Any():
		return "any"
	case r.Lo == r.Hi:
		return strconv.Itoa(int(r.Lo))
	}
	return strconv.Itoa(int(r.Lo)) + "-" + strconv.Itoa(int(r.Hi))
}

// An ICMPMatch restricts a rule to one kind of ICMP or ICMPv6 message, and to an identifier. The zero value is any.
type ICMPMatch struct {
	Type    uint8
	ID      uint16
	HasType bool
	HasID   bool
}

// A Rule says which packets a NOTRACK rule takes out of connection tracking: those that its fields describe, and, unless
// OneWay, those that answer them. It is a comparable value. The zero value of each part matches everything; a rule of
// nothing but zero values is not valid (Check).
type Rule struct {
	Family Family // 0: IPv4 and IPv6
	Proto  Proto  // meaningful with HasProto
	// Src and Dst are single addresses as /32 or /128, or prefixes. The zero Prefix is any address.
	Src, Dst     netip.Prefix
	Sport, Dport PortRange
	ICMP         ICMPMatch
	// Iface is the interface on which packets of the rule's own direction arrive. Answers are matched whatever
	// interface they come in on: which one that will be is not known before routing.
	Iface    string
	HasProto bool
	OneWay   bool // this direction only
}

// Errors of Rule.Check. Their texts are shown to people.
var (
	ErrRuleEmpty      = errors.New("the rule matches every packet: name an address, a protocol with a port, or an interface")
	ErrRulePortProto  = errors.New("a port needs a protocol that has ports: tcp, udp, udplite, sctp or dccp")
	errRuleFamilies   = errors.New("the two addresses are of different families")
	errRuleAnswers    = errors.New("the answers to it could be any packet: say one-way, or name an address or a protocol with a port")
	errRuleICMP       = errors.New("an ICMP type or identifier needs protocol icmp or icmpv6")
	errRuleICMPFamily = errors.New("icmp is a protocol of IPv4 and icmpv6 of IPv6: the rule would match nothing")
	ErrRuleIface      = errors.New("an interface name has 1 to 15 bytes, none of them a slash or a blank")
)

// Check reports why r cannot be installed, nil where it can.
func (r *Rule) Check() error {
	ports := !r.Sport.Any() || !r.Dport.Any()
	switch {
	case ports && !(r.HasProto && r.Proto.HasPorts()):
		return ErrRulePortProto
	case r.Src.IsValid() && r.Dst.IsValid() && r.Src.Addr().Is4() != r.Dst.Addr().Is4():
		return errRuleFamilies
	case (r.ICMP.HasType || r.ICMP.HasID) && !(r.HasProto && r.Proto.IsICMP()):
		return errRuleICMP
	case r.HasProto && r.Proto == ProtoICMP && r.ImpliedFamily() != IPv4, r.HasProto && r.Proto == ProtoICMPv6 && r.ImpliedFamily() != IPv6:
		return errRuleICMPFamily
	case r.Iface != "" && (len(r.Iface) > 15 || strings.ContainsAny(r.Iface, "/ \t\n") || r.Iface == "." || r.Iface == ".."):
		return ErrRuleIface
	}
	if r.HasProto && !r.Proto.HasPorts() {
		return nil
	}
	own, back := r.restricts(), r.Reverse()
	switch {
	case !own:
		return ErrRuleEmpty
	case !r.OneWay && !back.restricts():
		return errRuleAnswers
	}
	return nil
}

// restricts reports whether r leaves out any packet of its families and its protocol, however it is written: 0.0.0.0/0 is
// every address, and 1-65535 every port, since none is sent from or to port 0.
func (r *Rule) restricts() bool {
	all := func(p PortRange) bool { return p.Any() || p.Lo <= 1 && p.Hi == 65535 }
	return r.Src.Bits() > 0 || r.Dst.Bits() > 0 || !all(r.Sport) || !all(r.Dport) || r.Iface != "" || r.ICMP != ICMPMatch{}
}

// Families returns the families that r matches: one, or both where nothing in it says which.
func (r *Rule) Families() []Family {
	switch f := r.ImpliedFamily(); f {
	case 0:
		return []Family{IPv4, IPv6}
	default:
		return []Family{f}
	}
}

// ImpliedFamily returns the family that the addresses, Family or the protocol of r fix, 0 where both are meant.
func (r *Rule) ImpliedFamily() Family {
	for _, p := range [...]netip.Prefix{r.Src, r.Dst} {
		switch {
		case !p.IsValid():
		case p.Addr().Is4():
			return IPv4
		default:
			return IPv6
		}
	}
	switch {
	case r.Family != 0:
		return r.Family
	case r.HasProto && r.Proto == ProtoICMP:
		return IPv4
	case r.HasProto && r.Proto == ProtoICMPv6:
		return IPv6
	}
	return 0
}

// Exact reports whether r is one 5-tuple: both addresses, the protocol and what its packets carry of ports.
func (r *Rule) Exact() bool {
	if !r.HasProto || !r.Src.IsSingleIP() || !r.Dst.IsSingleIP() || r.Iface != "" {
		return false
	}
	switch {
	case r.Proto.HasPorts():
		return r.Sport.Single() && r.Dport.Single()
	case r.Proto.IsICMP():
		return r.ICMP.HasID
	}
	return true
}

// Tuples returns the tuple of an exact rule of a protocol with ports, and the one that answers it.
func (r *Rule) Tuples() (orig, reply Tuple) {
	orig = Tuple{Src: r.Src.Addr().As16(), Dst: r.Dst.Addr().As16(), Sport: r.Sport.Lo, Dport: r.Dport.Lo,
		Proto: r.Proto, Family: r.ImpliedFamily()}
	return orig, orig.Invert()
}

// Reverse returns the rule of the packets that answer r's, without OneWay and without the interface.
func (r Rule) Reverse() Rule {
	r.Src, r.Dst = r.Dst, r.Src
	r.Sport, r.Dport = r.Dport, r.Sport
	r.Iface = ""
	if r.ICMP.HasType {
		if t, ok := icmpReply(r.Proto, r.ICMP.Type); ok {
			r.ICMP.Type = t
		}
	}
	return r
}

// Directions returns the rule of r's own packets and, unless r is one-way, that of the packets that answer them.
func (r *Rule) Directions() []Rule {
	if r.OneWay {
		return []Rule{*r}
	}
	return []Rule{*r, r.Reverse()}
}

// Covers reports whether packets of f match r in either direction of f, so that the rule takes at least a part of the
// flow out of tracking. An interface cannot be told from a flow and is taken as matching.
func (r *Rule) Covers(f *Flow) bool {
	o, p := f.Orig(), f.Reply()
	if r.MatchTuple(&o) || r.MatchTuple(&p) {
		return true
	}
	if r.OneWay {
		return false
	}
	rev := r.Reverse()
	return rev.MatchTuple(&o) || rev.MatchTuple(&p)
}

// MatchTuple reports whether packets of tuple t match r in r's own direction. The interface is not compared.
func (r *Rule) MatchTuple(t *Tuple) bool {
	if f := r.ImpliedFamily(); f != 0 && f != t.Family || r.HasProto && r.Proto != t.Proto {
		return false
	}
	if r.Src.IsValid() && !r.Src.Contains(t.SrcAddr()) || r.Dst.IsValid() && !r.Dst.Contains(t.DstAddr()) {
		return false
	}
	if t.Proto.HasPorts() {
		return r.Sport.Contains(t.Sport) && r.Dport.Contains(t.Dport)
	}
	if t.Proto.IsICMP() {
		typ, _, id := t.ICMP()
		return (!r.ICMP.HasType || r.ICMP.Type == typ) && (!r.ICMP.HasID || r.ICMP.ID == id)
	}
	return true
}

// RuleFromFlow returns the exact rule of f's original tuple, both directions.
func RuleFromFlow(f *Flow) Rule {
	t := f.Orig()
	return RuleFromTuple(&t)
}

// RuleFromTuple returns the exact rule of t, both directions.
func RuleFromTuple(t *Tuple) Rule {
	s, d := t.SrcAddr(), t.DstAddr()
	r := Rule{Family: t.Family, Proto: t.Proto, HasProto: true,
		Src: netip.PrefixFrom(s, s.BitLen()), Dst: netip.PrefixFrom(d, d.BitLen())}
	switch {
	case t.Proto.HasPorts():
		r.Sport, r.Dport = Port(t.Sport), Port(t.Dport)
	case t.Proto.IsICMP():
		typ, _, id := t.ICMP()
		r.ICMP = ICMPMatch{Type: typ, ID: id, HasType: true, HasID: true}
	}
	return r
}

// String returns r in the grammar of ParseRule: "tcp 10.0.0.1:1234 > 10.0.0.2:80", "udp 10.0.1.0/24 > any:53 iif lan0",
// "tcp [2001:db8::1]:1 > any:80-89 one-way".
func (r Rule) String() string {
	b := make([]byte, 0, 64)
	switch f := r.ImpliedFamily(); {
	case r.HasProto:
		b = append(b, r.Proto.String()...)
		if f == IPv6 && !r.Src.IsValid() && !r.Dst.IsValid() && r.Proto != ProtoICMPv6 {
			b = append(b, " ip6"...)
		} else if f == IPv4 && !r.Src.IsValid() && !r.Dst.IsValid() && r.Proto != ProtoICMP {
			b = append(b, " ip"...)
		}
	case f == IPv6:
		b = append(b, "ip6"...)
	case f == IPv4:
		b = append(b, "ip"...)
	default:
		b = append(b, "any"...)
	}
	b = appendSide(append(b, ' '), r.Src, r.Sport)
	b = appendSide(append(b, " > "...), r.Dst, r.Dport)
	if r.ICMP.HasType {
		b = strconv.AppendUint(append(b, " type "...), uint64(r.ICMP.Type), 10)
	}
	if r.ICMP.HasID {
		b = strconv.AppendUint(append(b, " id "...), uint64(r.ICMP.ID), 10)
	}
	if r.Iface != "" {
		b = AppendEscaped(append(b, " iif "...), r.Iface)
	}
	if r.OneWay {
		b = append(b, " one-way"...)
	}
	return string(b)
}

func appendSide(b []byte, p netip.Prefix, ports PortRange) []byte {
	bracket := p.IsValid() && p.Addr().Is6() && !ports.Any()
	if bracket {
		b = append(b, '[')
	}
	switch {
	case !p.IsValid():
		b = append(b, "any"...)
	case p.IsSingleIP():
		b = p.Addr().AppendTo(b)
	default:
		b = p.AppendTo(b)
	}
	if bracket {
		b = append(b, ']')
	}
	if !ports.Any() {
		b = append(append(b, ':'), ports.String()...)
	}
	return b
}
