package lab

import (
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The pieces of rules, in nft's words. Each uses register 1 (and 2 for NAT's port) and leaves nothing in it.

func exprs(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// saddr and daddr are "ip saddr P" or "ip6 saddr P", and the same for daddr.
func saddr(p netip.Prefix) []expr.Any { return addrMatch(p, 12, 8) }
func daddr(p netip.Prefix) []expr.Any { return addrMatch(p, 16, 24) }

func addrMatch(p netip.Prefix, off4, off6 uint32) []expr.Any {
	family, off := byte(unix.NFPROTO_IPV4), off4
	if p.Addr().Is6() {
		family, off = unix.NFPROTO_IPV6, off6
	}
	size, mask := uint32(p.Addr().BitLen()/8), net.CIDRMask(p.Bits(), p.Addr().BitLen())
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// proto is "meta l4proto P"; sport and dport add "th sport N" and "th dport N".
func proto(p byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{p}},
	}
}

func sport(p byte, port uint16) []expr.Any { return append(proto(p), portMatch(0, port)...) }
func dport(p byte, port uint16) []expr.Any { return append(proto(p), portMatch(2, port)...) }

func portMatch(off uint32, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: off, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// oifname is "oifname NAME".
func oifname(name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(name), 0)},
	}
}

// setZone, setMark and setLabel are "ct zone set N", "ct mark set N" and "ct label set BIT".
func setZone(zone uint16) []expr.Any {
	return ctSet(expr.CtKeyZONE, binaryutil.NativeEndian.PutUint16(zone))
}

func setMark(mark uint32) []expr.Any {
	return ctSet(expr.CtKeyMARK, binaryutil.NativeEndian.PutUint32(mark))
}

func setLabel(bit int) []expr.Any {
	// The kernel's bitmap is an array of longs; on little-endian machines that is plain byte order.
	label := make([]byte, 16)
	word := binaryutil.NativeEndian.PutUint64(1 << (bit % 64))
	copy(label[bit/64*8:], word)
	return ctSet(expr.CtKeyLABELS, label)
}

func ctSet(key expr.CtKey, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: value},
		&expr.Ct{Key: key, Register: 1, SourceRegister: true},
	}
}

// object is "counter name NAME" or "ct helper set NAME".
func object(typ nftables.ObjType, name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: int(typ), Name: name}}
}

// dnat is "dnat ip to ADDR:PORT" or its IPv6 form.
func dnat(to netip.AddrPort) []expr.Any {
	family := uint32(unix.NFPROTO_IPV4)
	if to.Addr().Is6() {
		family = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: to.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(to.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2},
	}
}
