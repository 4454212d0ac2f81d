package states

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"ctview/model"
)

// slowDecode is Decode by gopacket.
func slowDecode(b []byte) (s model.Sample, ok bool) {
	first := layers.LayerTypeIPv4
	if len(b) > 0 && b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b, first, gopacket.NoCopy)
	var src, dst netip.Addr
	var proto model.Proto
	switch n := p.NetworkLayer().(type) {
	case *layers.IPv4:
		src, _ = netip.AddrFromSlice(n.SrcIP.To4())
		dst, _ = netip.AddrFromSlice(n.DstIP.To4())
		proto, s.Len = model.Proto(n.Protocol), int(n.Length)
	case *layers.IPv6:
		src, _ = netip.AddrFromSlice(n.SrcIP)
		dst, _ = netip.AddrFromSlice(n.DstIP)
		proto, s.Len = model.Proto(n.NextHeader), int(n.Length)+40
	default:
		return s, false
	}
	var sport, dport uint16
	switch l := p.TransportLayer().(type) {
	case *layers.TCP:
		proto, sport, dport = model.ProtoTCP, uint16(l.SrcPort), uint16(l.DstPort)
		s.HasPort = len(l.Contents) > 13 // gopacket gives a layer for what is cut off, too
		if s.HasPort {
			s.TCP = tcpFlags(l.Contents[13])
		}
	case *layers.UDP:
		proto, sport, dport = model.ProtoUDP, uint16(l.SrcPort), uint16(l.DstPort)
		s.HasPort = len(l.Contents) == 8
	}
	s.Tuple = model.TupleOf(proto, src, dst, sport, dport)
	return s, true
}

func packet(t testing.TB, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, ls...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packets(t testing.TB) [][]byte {
	ip4 := &layers.IPv4{Version: 4, IHL: 5, TTL: 9, Protocol: layers.IPProtocolTCP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
	udp4 := *ip4
	udp4.Protocol = layers.IPProtocolUDP
	ip6 := &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: layers.IPProtocolTCP,
		SrcIP: netip.MustParseAddr("2001:db8::1").AsSlice(), DstIP: netip.MustParseAddr("2001:db8::2").AsSlice()}
	return [][]byte{
		packet(t, ip4, &layers.TCP{SrcPort: 1000, DstPort: 80, SYN: true, FIN: true}, gopacket.Payload("abc")),
		packet(t, &udp4, &layers.UDP{SrcPort: 5, DstPort: 53}, gopacket.Payload("abc")),
		packet(t, ip6, &layers.TCP{SrcPort: 1000, DstPort: 80, ACK: true, RST: true}),
	}
}

func TestDecodeAsGopacket(t *testing.T) {
	for i, b := range packets(t) {
		var got model.Sample
		if !Decode(b, &got) {
			t.Fatalf("packet %d not decoded", i)
		}
		want, _ := slowDecode(b)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packet %d (-want +got)\n%s", i, diff)
		}
	}
}

// TestDecodeICMPError reads the packet that an ICMP error quotes.
func TestDecodeICMPError(t *testing.T) {
	inner := packets(t)[1]
	b := packet(t, &layers.IPv4{Version: 4, IHL: 5, TTL: 9, Protocol: layers.IPProtocolICMPv4, SrcIP: []byte{10, 0, 0, 9}, DstIP: []byte{10, 0, 0, 1}},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}, gopacket.Payload(inner))
	var s model.Sample
	if !Decode(b, &s) || !s.HasInner || s.Inner.Sport != 5 || s.Inner.Dport != 53 || s.Inner.Proto != model.ProtoUDP {
		t.Errorf("%+v", s)
	}
	if near := s.Near(); near[0] != s.Inner || near[1] != s.Inner.Invert() {
		t.Errorf("near: %+v", near)
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range packets(f) {
		f.Add(b)
		f.Add(b[:21])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got model.Sample
		if !Decode(b, &got) {
			return
		}
		if len(b) > 0 && b[0]>>4 == 6 && b[6] != 6 && b[6] != 17 {
			return // gopacket reads extension headers in another way
		}
		want, ok := slowDecode(b)
		if !ok || !want.HasPort {
			return
		}
		if diff := cmp.Diff(want.Tuple, got.Tuple); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
