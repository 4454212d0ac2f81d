package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"ctview/model"
)

// Ping sends n echo requests, one each interval, and waits for the kernel's own reply to each.
func (l *Lab) Ping(ctx context.Context, f From, n int, interval time.Duration) (model.Key, error) {
	from, to := l.host(f), farAddr[f.v()]
	network, typ, p := "ip4:1", byte(8), model.ProtoICMP // ICMP_ECHO
	if f.V6 {
		network, typ, p = "ip6:58", 128, model.ProtoICMPv6 // ICMPV6_ECHO_REQUEST
	}
	id := l.nextPort()
	k := l.key(p, netip.AddrPortFrom(from, id), netip.AddrPortFrom(to, uint16(typ)<<8))
	c, err := l.client.ListenPacket(network, from.String())
	if err != nil {
		return k, fmt.Errorf("lab: %w", err)
	}
	defer c.Close()
	for seq := range n {
		if seq > 0 {
			if err := sleep(ctx, interval); err != nil {
				return k, err
			}
		}
		if err := echo(c, to, typ, id, uint16(seq)); err != nil {
			return k, fmt.Errorf("lab: ping %s: %w", to, err)
		}
	}
	return k, nil
}

// echo sends one request and reads until its reply comes. A raw socket gets the replies to everybody's requests.
func echo(c net.PacketConn, to netip.Addr, typ byte, id, seq uint16) error {
	req := binary.BigEndian.AppendUint16([]byte{typ, 0, 0, 0}, id)
	req = binary.BigEndian.AppendUint16(req, seq)
	req = append(req, make([]byte, 48)...)
	reply := byte(129) // ICMPV6_ECHO_REPLY; the kernel fills in ICMPv6 checksums
	if typ == 8 {
		reply = 0
		binary.BigEndian.PutUint16(req[2:], ^fold(sum(req)))
	}
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	if _, err := c.WriteTo(req, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 512)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return errors.Join(errors.New("no reply"), err)
		}
		b := buf[:n]
		if n >= 8 && b[0] == reply && binary.BigEndian.Uint16(b[4:]) == id && binary.BigEndian.Uint16(b[6:]) == seq {
			return nil
		}
	}
}
