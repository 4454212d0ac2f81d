package lab

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"ctview/model"
)

// Crafted packets: for what no socket of this kernel would send. They are complete, with right checksums, because
// conntrack drops what is damaged.

// TCP flag bits.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
)

// tcpSegment returns a TCP segment with a window of 64 KiB and n bytes of data.
func tcpSegment(src, dst netip.AddrPort, flags byte, seq, ackn uint32, n int) []byte {
	b := make([]byte, 20+n)
	putPorts(b, src, dst)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ackn)
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 0xffff)
	checksum(b, 16, src.Addr(), dst.Addr(), byte(model.ProtoTCP))
	return b
}

// udpLite returns a UDP-Lite datagram whose checksum covers all of it (RFC 3828).
func udpLite(src, dst netip.AddrPort, data string) []byte {
	b := append(make([]byte, 8), data...)
	putPorts(b, src, dst)
	checksum(b, 6, src.Addr(), dst.Addr(), byte(model.ProtoUDPLite))
	return b
}

// sctpPacket returns an SCTP packet with one chunk (RFC 9260).
func sctpPacket(src, dst netip.AddrPort, vtag uint32, typ byte, value []byte) []byte {
	b := make([]byte, 16, 16+len(value))
	putPorts(b, src, dst)
	binary.BigEndian.PutUint32(b[4:], vtag)
	b[12] = typ
	binary.BigEndian.PutUint16(b[14:], uint16(4+len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// sctpInit returns the value of an INIT or INIT ACK chunk.
func sctpInit(tag uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, tag)
	b = binary.BigEndian.AppendUint32(b, 65536) // window
	b = append(b, 0, 1, 0, 1)                   // one stream each way
	return binary.BigEndian.AppendUint32(b, 1)  // first TSN
}

// grePacket returns a version 0 GRE packet that carries nothing but its header and data (RFC 2784).
func grePacket(data string) []byte { return append([]byte{0, 0, 0x08, 0x00}, data...) }

func putPorts(b []byte, src, dst netip.AddrPort) {
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
}

// ipPacket puts the IP header before a payload. The kernel fills in IPv4's checksum and identification.
func ipPacket(src, dst netip.Addr, proto model.Proto, payload []byte) []byte {
	if src.Is4() {
		b := make([]byte, 20, 20+len(payload))
		b[0], b[8], b[9] = 4<<4|5, 64, byte(proto)
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		s, d := src.As4(), dst.As4()
		copy(b[12:], s[:])
		copy(b[16:], d[:])
		return append(b, payload...)
	}
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 6<<4, byte(proto), 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	s, d := src.As16(), dst.As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
	return append(b, payload...)
}

// checksum writes the Internet checksum of b with its pseudo header at offset off.
func checksum(b []byte, off int, src, dst netip.Addr, proto byte) {
	s := sum(src.AsSlice()) + sum(dst.AsSlice()) + uint32(proto) + uint32(len(b)) + sum(b)
	binary.BigEndian.PutUint16(b[off:], ^fold(s))
}

func sum(b []byte) (s uint32) {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
