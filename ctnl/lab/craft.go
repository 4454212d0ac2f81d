package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// openRaw opens the raw sockets through which crafted packets leave the client and the server, one for each family.
func (l *Lab) openRaw() error {
	for i, n := range []*NS{l.client, l.server} {
		l.raw[i] = map[int]int{}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			err := n.Do(func() error {
				fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
				if err == nil {
					l.raw[i][family] = fd
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("lab: %s: raw socket: %w", n.name, err)
			}
		}
	}
	return nil
}

func (l *Lab) closeRaw() error {
	var errs []error
	for i := range l.raw {
		for _, fd := range l.raw[i] {
			errs = append(errs, unix.Close(fd))
		}
		l.raw[i] = nil
	}
	return errors.Join(errs...)
}

// Who sends a crafted packet.
const (
	byClient = 0
	byServer = 1
)

// send puts a packet with an IP header of our own on the client's or server's wire.
func (l *Lab) send(who int, src, dst netip.Addr, proto model.Proto, payload []byte) error {
	family := unix.AF_INET
	if dst.Is6() {
		family = unix.AF_INET6
	}
	err := unix.Sendto(l.raw[who][family], ipPacket(src, dst, proto, payload), 0, sockaddr(netip.AddrPortFrom(dst, 0)))
	if err != nil {
		return fmt.Errorf("lab: send %s packet to %s: %w", proto, dst, err)
	}
	return nil
}

// A talk is a flow between a ghost and a dead address, both played by us. Replies go to where the router says that
// they must go, so translated sources are met.
type talk struct {
	lab      *Lab
	key      model.Key
	src, dst netip.AddrPort
	seq      [2]uint32 // TCP: the next sequence number of client and server
}

// talk chooses the ends of a new flow in zone 0.
func (l *Lab) talk(f From, p model.Proto, dport uint16) *talk {
	t := &talk{lab: l, dst: netip.AddrPortFrom(l.dead(f), dport), seq: [2]uint32{1000, 7000}}
	t.src = netip.AddrPortFrom(l.ghost(f), l.nextPort())
	t.key = l.key(p, t.src, t.dst)
	return t
}

// ask sends a packet of the client's.
func (t *talk) ask(payload []byte) error {
	return t.lab.send(byClient, t.src.Addr(), t.dst.Addr(), t.key.Proto, payload)
}

// answer sends a packet of the server's, made by build for the ends that the server sees.
func (t *talk) answer(ctx context.Context, build func(src, dst netip.AddrPort) []byte) error {
	f, err := t.lab.await(ctx, t.key, nil)
	if err != nil {
		return err
	}
	r := f.Reply()
	src, dst := netip.AddrPortFrom(r.SrcAddr(), r.Sport), netip.AddrPortFrom(r.DstAddr(), r.Dport)
	return t.lab.send(byServer, src.Addr(), dst.Addr(), t.key.Proto, build(src, dst))
}

// A step is one segment of a TCP script.
type step struct {
	who   int
	flags byte
	data  int
	state model.State // that the router is in after it
}

// scripts are the ways into each TCP state (tcp_conntracks in nf_conntrack_proto_tcp.c).
var scripts = map[model.State][]step{
	model.TCPSynSent:     {opening[0]},
	model.TCPSynSent2:    {opening[0], {byServer, syn, 0, model.TCPSynSent2}},
	model.TCPSynRecv:     opening[:2],
	model.TCPEstablished: opening,
	model.TCPFinWait:     append(opening[:len(opening):len(opening)], closing[:1]...),
	model.TCPCloseWait:   append(opening[:len(opening):len(opening)], closing[:2]...),
	model.TCPLastAck:     append(opening[:len(opening):len(opening)], closing[:3]...),
	model.TCPTimeWait:    append(opening[:len(opening):len(opening)], closing...),
	model.TCPClose:       append(opening[:len(opening):len(opening)], step{byServer, rst | ack, 0, model.TCPClose}),
}

var (
	opening = []step{
		{byClient, syn, 0, model.TCPSynSent},
		{byServer, syn | ack, 0, model.TCPSynRecv},
		{byClient, ack, 0, model.TCPEstablished},
		{byClient, ack | psh, 300, model.TCPEstablished},
		{byServer, ack | psh, 900, model.TCPEstablished},
	}
	closing = []step{
		{byClient, fin | ack, 0, model.TCPFinWait},
		{byServer, ack, 0, model.TCPCloseWait},
		{byServer, fin | ack, 0, model.TCPLastAck},
		{byClient, ack, 0, model.TCPTimeWait},
	}
)

// State brings a TCP flow of crafted segments, in zone 0, into state s and leaves it there, as if both hosts had
// vanished: it stays until the router's timeout for s. It returns when the router says that it is in s.
func (l *Lab) State(ctx context.Context, f From, s model.State) (model.Key, error) {
	t := l.talk(f, model.ProtoTCP, 443)
	steps, ok := scripts[s]
	if !ok {
		return t.key, fmt.Errorf("lab: no way into TCP state %s", model.StateName(model.ProtoTCP, s))
	}
	for _, st := range steps {
		if err := t.play(ctx, st); err != nil {
			return t.key, err
		}
		if err := l.Await(ctx, t.key, func(f *model.Flow) bool { return f.State == st.state }); err != nil {
			return t.key, err
		}
	}
	return t.key, nil
}

// play sends the segment of one step.
func (t *talk) play(ctx context.Context, st step) error {
	seq, ackn := t.seq[st.who], uint32(0)
	if st.flags&ack != 0 {
		ackn = t.seq[1-st.who]
	}
	t.seq[st.who] += uint32(st.data)
	if st.flags&(syn|fin) != 0 {
		t.seq[st.who]++
	}
	if st.who == byClient {
		return t.ask(tcpSegment(t.src, t.dst, st.flags, seq, ackn, st.data))
	}
	return t.answer(ctx, func(src, dst netip.AddrPort) []byte {
		return tcpSegment(src, dst, st.flags, seq, ackn, st.data)
	})
}

// Invalid sends a segment with SYN and FIN set, which is INVALID and gets no flow. It returns when the router has
// counted it.
func (l *Lab) Invalid(ctx context.Context, f From) error {
	t := l.talk(f, model.ProtoTCP, 443)
	return l.awaitCount(ctx, "invalid", func() error { return t.ask(tcpSegment(t.src, t.dst, syn|fin, 1, 0, 0)) })
}

// replied holds of a flow that has been answered.
func replied(f *model.Flow) bool { return f.Status.Has(model.StatusSeenReply) }

// GRE exchanges a packet each way.
func (l *Lab) GRE(ctx context.Context, f From) (model.Key, error) {
	t := l.talk(f, model.ProtoGRE, 0)
	t.key.Sport = 0 // version 0 has no key in the tuple
	if err := t.ask(grePacket("there")); err != nil {
		return t.key, err
	}
	if err := t.answer(ctx, func(_, _ netip.AddrPort) []byte { return grePacket("and back") }); err != nil {
		return t.key, err
	}
	return t.key, l.Await(ctx, t.key, replied)
}

// UDPLite exchanges a datagram each way.
func (l *Lab) UDPLite(ctx context.Context, f From) (model.Key, error) {
	t := l.talk(f, model.ProtoUDPLite, 5004)
	if err := t.ask(udpLite(t.src, t.dst, "there")); err != nil {
		return t.key, err
	}
	err := t.answer(ctx, func(src, dst netip.AddrPort) []byte { return udpLite(src, dst, "and back") })
	if err != nil {
		return t.key, err
	}
	return t.key, l.Await(ctx, t.key, replied)
}

// SCTP sets an association up: the router's state is ESTABLISHED when it returns.
func (l *Lab) SCTP(ctx context.Context, f From) (model.Key, error) {
	const initChunk, initAck, cookieEcho, cookieAck = 1, 2, 10, 11
	const clientTag, serverTag = 0x11111111, 0x22222222
	t := l.talk(f, model.ProtoSCTP, 2905)
	ask := func(vtag uint32, typ byte, value []byte) error {
		return t.ask(sctpPacket(t.src, t.dst, vtag, typ, value))
	}
	answer := func(typ byte, value []byte) error {
		return t.answer(ctx, func(src, dst netip.AddrPort) []byte { return sctpPacket(src, dst, clientTag, typ, value) })
	}
	if err := ask(0, initChunk, sctpInit(clientTag)); err != nil {
		return t.key, err
	}
	if err := answer(initAck, sctpInit(serverTag)); err != nil {
		return t.key, err
	}
	if err := l.Await(ctx, t.key, replied); err != nil {
		return t.key, err
	}
	if err := ask(serverTag, cookieEcho, []byte("cookie")); err != nil {
		return t.key, err
	}
	if err := l.awaitSCTP(ctx, t.key, 3); err != nil { // COOKIE_ECHOED
		return t.key, err
	}
	if err := answer(cookieAck, nil); err != nil {
		return t.key, err
	}
	return t.key, l.awaitSCTP(ctx, t.key, 4) // ESTABLISHED
}

func (l *Lab) awaitSCTP(ctx context.Context, k model.Key, s model.State) error {
	return l.Await(ctx, k, func(f *model.Flow) bool { return f.State == s })
}
