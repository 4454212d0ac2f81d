package ctnl

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"

	"ctview/model"

	"golang.org/x/sys/unix"
)

// A RouteReader asks which way flows take that are forwarded: RTM_GETROUTE as for a packet that comes in by an interface,
// with its source and its mark, so that routing rules count. It needs no privilege. Not safe for concurrent use.
type RouteReader struct {
	ns    *Netns
	fd    int
	seq   uint32
	req   request
	buf   []byte
	by    model.RouteBy
	other bool              // routing rules lead to tables of their own
	names map[uint32]string // of interfaces
	home  map[homeKey]uint32
	// Restores is whether rules give packets the mark of their flow before they are routed. Where a mark makes a difference
	// and they do not, the route is not known.
	Restores bool
}

// A homeKey is an address on its own: the way to it is where a packet from it is thought to come in.
type homeKey struct {
	addr   [16]byte
	family model.Family
	mark   uint32
}

// routeBatch is how many requests go in a datagram: their answers, of a good 1 KiB each, fit a receive buffer of the usual size.
const routeBatch = 64

// NewRouteReader opens one in the namespace.
func (n *Netns) NewRouteReader() (*RouteReader, error) {
	r := &RouteReader{ns: n, fd: -1, buf: make([]byte, 8<<10)}
	err := n.Do(func() (err error) {
		r.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ctnl: routes: %w", errnoError(err))
	}
	wait := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
	_ = unix.SetsockoptInt(r.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	if err := unix.Bind(r.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		r.Close()
		return nil, fmt.Errorf("ctnl: routes: %w", errnoError(err))
	}
	return r, r.Refresh()
}

// Close gives the socket back.
func (r *RouteReader) Close() {
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}

// By tells what routes hang on, as of the last Refresh.
func (r *RouteReader) By() model.RouteBy { return r.by }

// Refresh forgets what was found out of interfaces and of what is routed by, and looks again.
func (r *RouteReader) Refresh() error {
	r.names, r.home = map[uint32]string{}, map[homeKey]uint32{}
	err := r.ns.Do(func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			r.names[uint32(l.Index)] = l.Name
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ctnl: interfaces: %w", errnoError(err))
	}
	rules, err := r.ns.routingRules()
	if err != nil {
		return err
	}
	r.other, r.by = rules.other, model.RouteBy{Mark: rules.mark, Ports: rules.ports || r.hashesPorts()}
	return nil
}

// hashesPorts reports whether one of several paths is chosen by ports, too.
func (r *RouteReader) hashesPorts() (yes bool) {
	_ = r.ns.Do(func() error {
		for _, family := range []string{"ipv4", "ipv6"} {
			b, err := os.ReadFile("/proc/sys/net/" + family + "/fib_multipath_hash_policy")
			yes = yes || err == nil && strings.TrimSpace(string(b)) != "0"
		}
		return nil
	})
	return yes
}

// A query asks which interface a packet leaves by.
type query struct {
	key  *model.RouteKey
	back bool   // it answers: from Dst to Src
	bare bool   // from here, and the source does not count
	in   uint32 // it comes in by; 0, where it is not bare: not known, and not asked
	out  uint32 // the answer; 0 where it is not sent on
}

// Look tells the routes of ways, in their order; what is not forwarded, or not known, is the zero Route. It costs some
// 5 µs for each.
func (r *RouteReader) Look(keys []model.RouteKey) ([]model.Route, error) {
	found, err := r.look(keys)
	if err != nil {
		return nil, err
	}
	if r.by.Mark && !r.Restores {
		if err := r.unmarked(keys, found); err != nil {
			return nil, err
		}
	}
	routes := make([]model.Route, len(keys))
	for i, w := range found {
		routes[i] = model.Route{In: r.names[w.in], Out: r.names[w.out]}
	}
	return routes, nil
}

// unmarked leaves unknown what goes another way without its mark: packets need not have that of their flow.
func (r *RouteReader) unmarked(keys []model.RouteKey, found []way) error {
	var bare []model.RouteKey
	var at []int
	for i, k := range keys {
		if k.Mark != 0 {
			k.Mark = 0
			bare, at = append(bare, k), append(at, i)
		}
	}
	plain, err := r.look(bare)
	for n, i := range at {
		if err == nil && plain[n] != found[i] {
			found[i] = way{}
		}
	}
	return err
}

// A way is a route in numbers of interfaces.
type way struct{ in, out uint32 }

// look finds the way in both directions. Each asks from where the other comes: the first guess is the way to the source on its
// own. With routing rules it holds only if both agree in the end.
func (r *RouteReader) look(keys []model.RouteKey) ([]way, error) {
	found := make([]way, len(keys))
	there, back := make([]query, len(keys)), make([]query, len(keys))
	if err := r.guess(keys, found); err != nil {
		return nil, err
	}
	step := func() error {
		for i := range keys {
			there[i], back[i] = query{key: &keys[i], in: found[i].in}, query{key: &keys[i], back: true}
		}
		if err := r.ask(there); err != nil {
			return err
		}
		for i := range keys {
			back[i].in = there[i].out
		}
		return r.ask(back)
	}
	if err := step(); err != nil {
		return nil, err
	}
	turned := false
	for i := range keys {
		was := found[i].in
		found[i] = way{in: back[i].out, out: there[i].out}
		turned = turned || r.other && found[i].in != was && found[i].in != 0
	}
	if !turned {
		return found, nil
	}
	if err := step(); err != nil {
		return nil, err
	}
	for i := range keys {
		if w := (way{in: back[i].out, out: there[i].out}); w != found[i] {
			found[i] = way{}
		}
	}
	return found, nil
}

// guess fills in where packets of each source are likely to come in.
func (r *RouteReader) guess(keys []model.RouteKey, found []way) error {
	var qs []query
	var asked []homeKey
	for i := range keys {
		k := &keys[i]
		h := homeKey{k.Src, k.Family, k.Mark}
		if _, ok := r.home[h]; !ok {
			r.home[h] = 0
			qs, asked = append(qs, query{key: k, back: true, bare: true}), append(asked, h)
		}
	}
	if err := r.ask(qs); err != nil {
		for _, h := range asked {
			delete(r.home, h)
		}
		return err
	}
	for i, h := range asked {
		r.home[h] = qs[i].out
	}
	for i := range keys {
		found[i].in = r.home[homeKey{keys[i].Src, keys[i].Family, keys[i].Mark}]
	}
	return nil
}

// ask answers queries.
func (r *RouteReader) ask(qs []query) error {
	for len(qs) > 0 {
		n := min(len(qs), routeBatch)
		if err := r.askSome(qs[:n]); err != nil {
			return fmt.Errorf("ctnl: routes: %w", errnoError(err))
		}
		qs = qs[n:]
	}
	return nil
}

// askSome answers as many queries as go into one datagram.
func (r *RouteReader) askSome(qs []query) error {
	r.req.reset()
	first, asked := r.seq+1, 0
	for i := range qs {
		r.seq++ // of one that is left out, too: the answer's number is its place
		if qs[i].bare || qs[i].in != 0 {
			r.req.route(&qs[i], r.seq)
			asked++
		}
	}
	if asked == 0 {
		return nil
	}
	if err := unix.Sendto(r.fd, r.req.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for asked > 0 {
		n, from, err := unix.Recvfrom(r.fd, r.buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return ErrTimeout
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue // not the kernel
		}
		for b := r.buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return ErrMalformed
			}
			i := binary.NativeEndian.Uint32(b[8:]) - first
			if i < uint32(len(qs)) { // else of a question that was given up
				asked--
				if binary.NativeEndian.Uint16(b[4:]) == unix.RTM_NEWROUTE {
					qs[i].out = outOf(b[unix.NLMSG_HDRLEN:size])
				}
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
	return nil
}

// route adds an RTM_GETROUTE.
func (r *request) route(q *query, seq uint32) {
	src, dst, sport, dport := q.key.Src, q.key.Dst, q.key.Sport, q.key.Dport
	if q.back {
		src, dst, sport, dport = dst, src, dport, sport
	}
	family, addr := uint8(unix.AF_INET), func(a [16]byte) []byte { return a[12:] }
	if q.key.Family == model.IPv6 {
		family, addr = unix.AF_INET6, func(a [16]byte) []byte { return a[:] }
	}
	bits := uint8(8 * len(addr(dst)))
	r.start = len(r.b)
	r.b = binary.NativeEndian.AppendUint32(r.b, 0) // length, set by end
	r.b = binary.NativeEndian.AppendUint16(r.b, unix.RTM_GETROUTE)
	r.b = binary.NativeEndian.AppendUint16(r.b, unix.NLM_F_REQUEST)
	r.b = binary.NativeEndian.AppendUint32(r.b, seq)
	r.b = append(r.b, 0, 0, 0, 0)                                    // port: the kernel knows
	r.b = append(r.b, family, bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0) // struct rtmsg
	if q.bare {
		r.b[len(r.b)-10] = 0
	} else {
		r.bytes(unix.RTA_SRC, addr(src)...)
		r.native(unix.RTA_IIF, q.in)
	}
	r.bytes(unix.RTA_DST, addr(dst)...)
	if q.key.Mark != 0 {
		r.native(unix.RTA_MARK, q.key.Mark)
	}
	if q.key.Proto == model.ProtoTCP || q.key.Proto == model.ProtoUDP { // rtm_getroute_parse_ip_proto knows no other with ports
		r.bytes(unix.RTA_IP_PROTO, uint8(q.key.Proto))
		r.uint16(unix.RTA_SPORT, sport)
		r.uint16(unix.RTA_DPORT, dport)
	}
	r.end()
}

// native adds a number as this machine writes it.
func (r *request) native(typ uint16, v uint32) {
	r.b = binary.NativeEndian.AppendUint16(r.b, nlaHdrLen+4)
	r.b = binary.NativeEndian.AppendUint16(r.b, typ)
	r.b = binary.NativeEndian.AppendUint32(r.b, v)
}

// outOf reads the interface that a struct rtmsg with its attributes leads to: 0 where the packet stays here, or is refused.
func outOf(b []byte) (index uint32) {
	if len(b) < unix.SizeofRtMsg || b[7] != unix.RTN_UNICAST {
		return 0
	}
	for b = b[unix.SizeofRtMsg:]; len(b) > 0; {
		typ, v, rest, ok := attr(b)
		if !ok {
			return 0
		}
		b = rest
		if typ == unix.RTA_OIF && len(v) == 4 {
			return binary.NativeEndian.Uint32(v)
		}
	}
	return 0
}
