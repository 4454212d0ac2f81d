package notrack

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"ctview/model"
)

// wideMatch returns the expressions that match a rule's own direction: the latch, then what the rule says.
func wideMatch(set string, r *model.Rule) []expr.Any {
	es := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: set},
	}
	if fs := r.Families(); len(fs) == 1 {
		es = append(es, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, cmpEq([]byte{byte(fs[0])}))
	}
	if r.Iface != "" {
		name := make([]byte, 16) // IFNAMSIZ
		copy(name, r.Iface)
		es = append(es, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, cmpEq(name))
	}
	es = append(es, addrMatch(r.Src, false)...)
	es = append(es, addrMatch(r.Dst, true)...)
	if r.HasProto {
		es = append(es, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, cmpEq([]byte{byte(r.Proto)}))
	}
	es = append(es, portMatch(r.Sport, 0)...)
	es = append(es, portMatch(r.Dport, 2)...)
	if r.ICMP.HasType { // icmphdr.type
		es = append(es, transport(0, 1), cmpEq([]byte{r.ICMP.Type}))
	}
	if r.ICMP.HasID { // icmphdr.un.echo.id
		es = append(es, transport(4, 2), cmpEq(binaryutil.BigEndian.PutUint16(r.ICMP.ID)))
	}
	return es
}

func cmpEq(b []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b} }

func transport(off, n uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: off, Len: n, DestRegister: 1}
}

func addrMatch(p netip.Prefix, dst bool) []expr.Any {
	if !p.IsValid() || p.Bits() == 0 {
		return nil
	}
	a := p.Addr().AsSlice()
	n := uint32(len(a))
	off := uint32(12) // iphdr.saddr
	if n == 16 {
		off = 8 // ipv6hdr.saddr
	}
	if dst {
		off += n
	}
	es := []expr.Any{&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: n, DestRegister: 1}}
	if !p.IsSingleIP() {
		mask := make([]byte, n)
		for i := range p.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		es = append(es, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: n, Mask: mask, Xor: make([]byte, n)})
	}
	return append(es, cmpEq(a))
}

func portMatch(r model.PortRange, off uint32) []expr.Any {
	switch {
	case r.Any():
		return nil
	case r.Lo == r.Hi:
		return []expr.Any{transport(off, 2), cmpEq(binaryutil.BigEndian.PutUint16(r.Lo))}
	}
	return []expr.Any{transport(off, 2), &expr.Range{Op: expr.CmpOpEq, Register: 1,
		FromData: binaryutil.BigEndian.PutUint16(r.Lo), ToData: binaryutil.BigEndian.PutUint16(r.Hi)}}
}
