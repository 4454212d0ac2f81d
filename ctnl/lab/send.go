package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"ctview/model"
)

// A Packet is one that no socket sends: its addresses are whatever they are said to be. The client's ghosts and the server's
// dead addresses take what is sent to them without a word, so both ends of a flow can be played.
type Packet struct {
	Src, Dst   netip.AddrPort
	Proto      model.Proto // TCP or UDP
	FromServer bool        // it comes from the server's side
	Ack        bool        // TCP: SYN and ACK instead of SYN alone
	Reset      bool        // TCP: RST and ACK
	Midway     bool        // TCP: ACK with a byte, as from the middle of a connection
	Data       int         // UDP: bytes of zeros
}

// Send puts a packet on the wire of the client or the server. It returns before the router has it.
func (l *Lab) Send(p Packet) error {
	who := byClient
	if p.FromServer {
		who = byServer
	}
	var b []byte
	switch p.Proto {
	case model.ProtoTCP:
		switch {
		case p.Midway:
			b = tcpSegment(p.Src, p.Dst, ack|psh, 5000, 9000, 1)
		case p.Reset:
			b = tcpSegment(p.Src, p.Dst, rst|ack, 0, 2, 0)
		case p.Ack:
			b = tcpSegment(p.Src, p.Dst, syn|ack, 1, 2, 0)
		default:
			b = tcpSegment(p.Src, p.Dst, syn, 1, 0, 0)
		}
	case model.ProtoUDP:
		b = make([]byte, 8+p.Data)
		putPorts(b, p.Src, p.Dst)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
		checksum(b, 6, p.Src.Addr(), p.Dst.Addr(), byte(model.ProtoUDP))
	default:
		return fmt.Errorf("lab: send: protocol %s", p.Proto)
	}
	return l.send(who, p.Src.Addr(), p.Dst.Addr(), p.Proto, b)
}
