package dryrun

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/model"
)

// A Tri is the answer to "does it match?" for a packet of which not everything is known.
type Tri int8

const (
	No Tri = iota
	Maybe
	Yes
)

func (t Tri) not() Tri { return Yes - t }

func triOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// A bits is a string of bytes of which some are known.
type bits struct {
	b     []byte
	known []bool
}

func newBits(n int) bits { return bits{make([]byte, n), make([]bool, n)} }

func (x bits) set(off int, v ...byte) {
	for i, c := range v {
		x.b[off+i], x.known[off+i] = c, true
	}
}

// A packet is what an imagined packet of a flow or a rule looks like to the rules.
type packet struct {
	family   uint8
	proto    uint8
	hasProto bool
	net, th  bits // network and transport header
	iif, oif string
	state    uint32 // NF_CT_STATE_*: one bit
	src, dst netip.Prefix
	sport    model.PortRange
	dport    model.PortRange
	icmpType int // -1 unknown

	srcLocal, dstLocal Tri // the address is this host's
}

// packetOf imagines a packet of a rule's own direction in one family.
func packetOf(r *model.Rule, f model.Family, state uint32) *packet {
	p := &packet{family: uint8(f), proto: uint8(r.Proto), hasProto: r.HasProto, state: state, iif: r.Iface,
		src: r.Src, dst: r.Dst, sport: r.Sport, dport: r.Dport, icmpType: -1, th: newBits(20), srcLocal: Maybe, dstLocal: Maybe}
	if f == model.IPv4 {
		p.net = newBits(20)
		p.net.set(0, 0x45)
		if r.HasProto {
			p.net.set(9, byte(r.Proto))
		}
		p.address(12, r.Src)
		p.address(16, r.Dst)
	} else {
		p.net = newBits(40)
		if r.HasProto {
			p.net.set(6, byte(r.Proto))
		}
		p.address(8, r.Src)
		p.address(24, r.Dst)
	}
	if r.Sport.Single() {
		p.th.set(0, byte(r.Sport.Lo>>8), byte(r.Sport.Lo))
	}
	if r.Dport.Single() {
		p.th.set(2, byte(r.Dport.Lo>>8), byte(r.Dport.Lo))
	}
	if r.ICMP.HasType {
		p.icmpType = int(r.ICMP.Type)
		p.th.set(0, r.ICMP.Type)
	}
	if r.HasProto && r.Proto == model.ProtoTCP && state == expr.CtStateBitESTABLISHED {
		p.flags(tcpACK)
	}
	return p
}

// tcpACK is the flag of every packet of a connection but the first.
const tcpACK = 0x10

// flags makes the flags of a TCP header known.
func (p *packet) flags(f byte) { p.th.set(13, f) }

// address makes the whole bytes of a prefix known.
func (p *packet) address(off int, a netip.Prefix) {
	if a.IsValid() {
		p.net.set(off, a.Addr().AsSlice()[:a.Bits()/8]...)
	}
}

// meta returns what the key loads, and whether it is known.
func (p *packet) meta(key uint32) ([]byte, bool) {
	switch key {
	case unix.NFT_META_NFPROTO:
		return []byte{p.family}, true
	case unix.NFT_META_L4PROTO:
		return []byte{p.proto}, p.hasProto
	case unix.NFT_META_PROTOCOL:
		if p.family == unix.NFPROTO_IPV4 {
			return []byte{0x08, 0x00}, true
		}
		return []byte{0x86, 0xdd}, true
	case unix.NFT_META_IIFNAME:
		return ifName(p.iif), p.iif != ""
	case unix.NFT_META_OIFNAME:
		return ifName(p.oif), p.oif != ""
	case unix.NFT_META_IIFTYPE:
		if p.iif != "" { // told apart only: loopback or not
			b := make([]byte, 2)
			if p.iif == "lo" {
				binary.NativeEndian.PutUint16(b, unix.ARPHRD_LOOPBACK)
			}
			return b, true
		}
	}
	return nil, false
}

func ifName(s string) []byte {
	b := make([]byte, 16)
	copy(b, s)
	return b
}

// An outcome is the set of ways that a chain can end.
type outcome uint8

const (
	accepts outcome = 1 << iota
	drops
	falls      // reaches the end or returns
	translates // accepted with other addresses or ports
)
