package ruleset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ctview/model"
	"ctview/model/finding"
)

// XTRange reads the addresses and ports that a NAT target of iptables-nft names: struct nf_nat_ipv4_multi_range_compat with one
// range, or nf_nat_range. What it does not name is not valid, or zero.
func XTRange(info []byte) (lo, hi netip.Addr, ports model.PortRange) {
	const mapIPs, mapPorts = 1, 2 // NF_NAT_RANGE_MAP_IPS, _PROTO_SPECIFIED
	n := 4
	switch {
	case len(info) < 20:
		return lo, hi, ports
	case len(info) < 40:
		info = info[4:]
	default:
		n = 16
	}
	flags := binary.NativeEndian.Uint32(info)
	if flags&mapIPs != 0 {
		lo, hi = mapped(info[4:4+n]), mapped(info[4+n:4+2*n])
	}
	if flags&mapPorts != 0 {
		ports = model.PortRange{Lo: binary.BigEndian.Uint16(info[4+2*n:]), Hi: binary.BigEndian.Uint16(info[6+2*n:])}
	}
	return lo, hi, ports
}

// mapped reads union nf_inet_addr: an IPv4 address stands in its first word.
func mapped(b []byte) netip.Addr {
	if len(b) == 16 && !slices.ContainsFunc(b[4:], func(c byte) bool { return c != 0 }) {
		b = b[:4]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// NATRange reads the addresses and ports that a NAT rule of iptables-save names.
func (r *XTRule) NATRange() (lo, hi netip.Addr, ports model.PortRange) {
	to := r.Option("--to-destination") + r.Option("--to-source")
	addrs, p := to, r.Option("--to-ports")
	if i := strings.LastIndexByte(to, ':'); i >= 0 && (strings.Count(to, ":") == 1 || strings.HasPrefix(to, "[")) {
		addrs, p = to[:i], to[i+1:]
	}
	first, last, _ := strings.Cut(strings.Trim(addrs, "[]"), "-")
	lo, _ = netip.ParseAddr(first)
	hi, _ = netip.ParseAddr(last)
	return lo, hi, portRange(p)
}

// proto is the protocol of the packets that the rule matches, 0 where it matches those of several.
func (r *XTRule) proto() model.Proto {
	i := slices.Index(r.Args, "-p")
	if i < 0 || i > 0 && r.Args[i-1] == "!" {
		return 0
	}
	p, err := model.ParseProto(r.Option("-p"))
	if err != nil {
		return 0
	}
	return p
}

// portRange reads "80" or "80-90", the zero range for anything else.
func portRange(s string) (r model.PortRange) {
	lo, hi, more := strings.Cut(s, "-")
	if !more {
		hi = lo
	}
	a, errA := strconv.ParseUint(lo, 10, 16)
	b, errB := strconv.ParseUint(hi, 10, 16)
	if errA != nil || errB != nil || a > b {
		return r
	}
	return model.PortRange{Lo: uint16(a), Hi: uint16(b)}
}

var families = map[uint8]model.Family{unix.NFPROTO_IPV4: model.IPv4, unix.NFPROTO_IPV6: model.IPv6}

// natRule reads a rule of nftables that translates sources; ok is false for another. Of one that translates destinations dest is
// true, and where to is in n; not valid where the rule takes it from a map.
func (rs *Ruleset) natRule(c *Chain, r *Rule) (n finding.NATRule, ok, dest bool) {
	regs := map[int][]byte{} // byte offset of the register → value
	kind := map[int]uint32{} // byte offset of the register → key of meta that is in it
	for i := range r.Exprs {
		x := &r.Exprs[i]
		reg := func(attr uint16) []byte {
			if x.Attr(attr) == nil {
				return nil
			}
			return regs[Register(x.U32(attr))]
		}
		port := func(attr uint16) uint16 {
			if b := reg(attr); len(b) >= 2 {
				return binary.BigEndian.Uint16(b)
			}
			return 0
		}
		// fromMap: the register is asked for, and what is in it is not known.
		fromMap := func(attr uint16) bool { return x.Attr(attr) != nil && reg(attr) == nil }
		switch {
		case x.Name == "meta" && x.Attr(unix.NFTA_META_DREG) != nil:
			kind[Register(x.U32(unix.NFTA_META_DREG))] = x.U32(unix.NFTA_META_KEY)
		case x.Name == "payload" && x.U32(unix.NFTA_PAYLOAD_BASE) == unix.NFT_PAYLOAD_NETWORK_HEADER && c.Family != unix.NFPROTO_IPV6 &&
			x.U32(unix.NFTA_PAYLOAD_OFFSET) == 9 && x.U32(unix.NFTA_PAYLOAD_LEN) == 1: // ip protocol
			kind[Register(x.U32(unix.NFTA_PAYLOAD_DREG))] = unix.NFT_META_L4PROTO
		case x.Name == "cmp" && x.U32(unix.NFTA_CMP_OP) == unix.NFT_CMP_EQ:
			v := x.Value(unix.NFTA_CMP_DATA)
			switch kind[Register(x.U32(unix.NFTA_CMP_SREG))] {
			case unix.NFT_META_L4PROTO:
				n.Proto = model.Proto(slices.Concat(v, []byte{0})[0])
			case unix.NFT_META_NFPROTO:
				n.Family = families[slices.Concat(v, []byte{0})[0]]
			}
		case x.Name == "immediate":
			regs[Register(x.U32(unix.NFTA_IMMEDIATE_DREG))] = Attr(x.Attr(unix.NFTA_IMMEDIATE_DATA), unix.NFTA_DATA_VALUE)
		case x.Name == "masq":
			const regMin, regMax = 2, 3 // NFTA_MASQ_REG_PROTO_MIN, _MAX
			n.Ports, ok = model.PortRange{Lo: port(regMin), Hi: port(regMax)}, true
			n.Open = fromMap(regMin)
		case x.Name == "nat":
			dest = x.U32(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT
			n.Lo, _ = netip.AddrFromSlice(reg(unix.NFTA_NAT_REG_ADDR_MIN))
			n.Hi, _ = netip.AddrFromSlice(reg(unix.NFTA_NAT_REG_ADDR_MAX))
			n.Ports, ok = model.PortRange{Lo: port(unix.NFTA_NAT_REG_PROTO_MIN), Hi: port(unix.NFTA_NAT_REG_PROTO_MAX)}, !dest
			n.Mapped, n.Open = !n.Lo.IsValid(), fromMap(unix.NFTA_NAT_REG_PROTO_MIN)
		case x.Name == "target" && XTName(*x) == "DNAT":
			n.Lo, n.Hi, n.Ports = XTRange(x.Attr(unix.NFTA_TARGET_INFO))
			dest = true
		case x.Name == "target" && (XTName(*x) == "SNAT" || XTName(*x) == "MASQUERADE"):
			n.Lo, n.Hi, n.Ports = XTRange(x.Attr(unix.NFTA_TARGET_INFO))
			n.Mapped, ok = XTName(*x) == "SNAT" && !n.Lo.IsValid(), true
		default: // another value may be where the protocol was
			clear(kind)
		}
	}
	if f := families[c.Family]; f != 0 {
		n.Family = f
	}
	n.Place = FamilyName(c.Family) + " " + c.Table + "/" + c.Name
	if n = whole(n); ok && c.Type == "nat" && n.Ports != (model.PortRange{}) && !r.Has("target") {
		n.Widen = rs.widen(r, &n)
	}
	return n, ok, dest
}

// whole makes a single value of a range of which only the beginning was given.
func whole(n finding.NATRule) finding.NATRule {
	if !n.Hi.IsValid() {
		n.Hi = n.Lo
	}
	n.Ports.Hi = max(n.Ports.Hi, n.Ports.Lo)
	return n
}

// widen is the command that replaces a rule by one with every port, "" where ctview cannot write all that the rule says.
func (rs *Ruleset) widen(r *Rule, n *finding.NATRule) string {
	text := RuleText(rs, r)
	i := strings.LastIndex(text, "snat to ")
	to := ""
	switch {
	case strings.ContainsAny(text, "<@") || strings.Contains(text, "-m "):
		return ""
	case i < 0:
		if i = strings.LastIndex(text, "masquerade"); i < 0 {
			return ""
		}
		to = "masquerade to :1024-65535"
	default:
		addr := n.Lo.String()
		if n.Lo.Is6() {
			addr = "[" + addr + "]"
		}
		if n.Hi != n.Lo {
			addr += "-" + n.Hi.String()
		}
		family := "ip"
		if n.Lo.Is6() {
			family = "ip6"
		}
		to = "snat " + family + " to " + addr + ":1024-65535"
	}
	return fmt.Sprintf("nft replace rule %s %s %s handle %d %s", FamilyName(r.Family), finding.Word(r.Table), finding.Word(r.Chain), r.Handle,
		finding.Word(strings.TrimSpace(text[:i]+to)))
}
