package ctnl

import "ctview/model"

// A parsedTuple is a CTA_TUPLE_* with what its proto part said. ICMP and port attributes are kept apart until the
// protocol is known, so that their order does not matter.
type parsedTuple struct {
	t            model.Tuple
	zone         uint16
	hasZone      bool
	id           uint16
	icmpTyp      uint8
	icmpCode     uint8
	sport, dport uint16
}

// parse reads a tuple. Family stays 0 where it has no addresses.
func (p *parsedTuple) parse(b []byte) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		var err error
		switch typ {
		case ctaTupleIP:
			err = p.addresses(v)
		case ctaTupleProto:
			err = p.proto(v)
		case ctaTupleZone:
			if !be16(v, &p.zone) {
				err = errValueLen
			}
			p.hasZone = true
		}
		if err != nil {
			return err
		}
	}
	if p.t.Proto.IsICMP() {
		p.t.Sport, p.t.Dport = p.id, uint16(p.icmpTyp)<<8|uint16(p.icmpCode)
	} else {
		p.t.Sport, p.t.Dport = p.sport, p.dport
	}
	return nil
}

func (p *parsedTuple) addresses(b []byte) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		family, dst := model.IPv4, &p.t.Src
		switch typ {
		case ctaIPv4Src:
		case ctaIPv4Dst:
			dst = &p.t.Dst
		case ctaIPv6Src:
			family = model.IPv6
		case ctaIPv6Dst:
			family, dst = model.IPv6, &p.t.Dst
		default:
			continue
		}
		switch {
		case p.t.Family != 0 && p.t.Family != family:
			return errFamilies
		case family == model.IPv4 && len(v) == 4:
			*dst = [16]byte{10: 0xff, 11: 0xff, 12: v[0], 13: v[1], 14: v[2], 15: v[3]}
		case family == model.IPv6 && len(v) == 16:
			*dst = [16]byte(v)
		default:
			return errValueLen
		}
		p.t.Family = family
	}
	return nil
}

func (p *parsedTuple) proto(b []byte) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaProtoNum:
			ok = u8(v, (*uint8)(&p.t.Proto))
		case ctaProtoSrcPort:
			ok = be16(v, &p.sport)
		case ctaProtoDstPort:
			ok = be16(v, &p.dport)
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			ok = be16(v, &p.id)
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			ok = u8(v, &p.icmpTyp)
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			ok = u8(v, &p.icmpCode)
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}
