package states

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"ctview/model"
)

// Decode reads the addresses, ports and TCP flags of an IP packet, of which the end may be missing, into s. It reports
// whether b begins with an IP header. Fragments after the first have no ports. The tests hold it against gopacket,
// whose size a program that decodes four headers does not need.
func Decode(b []byte, s *model.Sample) bool {
	t, rest, n, ok := network(b)
	if !ok {
		return false
	}
	s.Len = n
	s.HasPort = transport(&t, rest)
	s.Tuple = t
	if t.Proto == model.ProtoTCP && len(rest) > 13 {
		s.TCP = tcpFlags(rest[13])
	}
	if isICMPError(&t) && s.HasPort && len(rest) > 8 {
		if inner, r, _, ok := network(rest[8:]); ok {
			transport(&inner, r)
			s.Inner, s.HasInner = inner, true
		}
	}
	return true
}

// network reads an IPv4 or IPv6 header. n is the length that the header says; rest is nil for later fragments.
func network(b []byte) (t model.Tuple, rest []byte, n int, ok bool) {
	if len(b) < 20 {
		return t, nil, 0, false
	}
	switch b[0] >> 4 {
	case 4:
		ihl := int(b[0]&15) * 4
		if ihl < 20 || ihl > len(b) {
			return t, nil, 0, false
		}
		src, _ := netip.AddrFromSlice(b[12:16])
		dst, _ := netip.AddrFromSlice(b[16:20])
		t = model.TupleOf(model.Proto(b[9]), src, dst, 0, 0)
		if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 {
			rest = b[ihl:]
		}
		return t, rest, int(binary.BigEndian.Uint16(b[2:])), true
	case 6:
		return network6(b)
	}
	return t, nil, 0, false
}

// network6 skips the extension headers.
func network6(b []byte) (t model.Tuple, rest []byte, n int, ok bool) {
	if len(b) < 40 {
		return t, nil, 0, false
	}
	src, _ := netip.AddrFromSlice(b[8:24])
	dst, _ := netip.AddrFromSlice(b[24:40])
	n = 40 + int(binary.BigEndian.Uint16(b[4:]))
	next := b[6]
	rest = b[40:]
	for rest != nil {
		size := 0
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(rest) >= 2 {
				size = 8 + int(rest[1])*8
			}
		case 44: // fragment
			if len(rest) >= 8 && binary.BigEndian.Uint16(rest[2:])&^7 == 0 {
				size = 8
			}
		case 51: // authentication
			if len(rest) >= 2 {
				size = 8 + int(rest[1])*4
			}
		default:
			return model.TupleOf(model.Proto(next), src, dst, 0, 0), rest, n, true
		}
		if len(rest) >= 1 {
			next = rest[0]
		}
		if size == 0 || size > len(rest) {
			rest = nil
			break
		}
		rest = rest[size:]
	}
	return model.TupleOf(model.Proto(next), src, dst, 0, 0), nil, n, true
}

// transport reads ports, or type, code and identifier, and reports whether they were there.
func transport(t *model.Tuple, b []byte) bool {
	switch {
	case t.Proto.HasPorts() && len(b) >= 4:
		t.Sport, t.Dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		return true
	case t.Proto.IsICMP() && len(b) >= 8:
		t.Dport = binary.BigEndian.Uint16(b)
		if !isICMPError(t) {
			t.Sport = binary.BigEndian.Uint16(b[4:])
		}
		return true
	}
	return false
}

// isICMPError reports whether the message quotes a packet.
func isICMPError(t *model.Tuple) bool {
	typ := t.Dport >> 8
	switch t.Proto {
	case model.ProtoICMP: // unreachable, source quench, redirect, time exceeded, parameter problem
		return typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12
	case model.ProtoICMPv6:
		return typ >= 1 && typ <= 4
	}
	return false
}

var flagNames = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

func tcpFlags(f byte) string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}
