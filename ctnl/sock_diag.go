package ctnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ctview/model"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Socket is an end of a flow on this machine, as sock_diag tells of it.
type Socket struct {
	UID       uint32
	Inode     uint32 // what /proc/PID/fd says in "socket:[INODE]"; 0: no process holds it any more
	Listening bool   // the flow has no socket of its own yet, or none at all (UDP): this one takes its packets
}

// Layout of struct inet_diag_req_v2 and inet_diag_msg (<linux/inet_diag.h>).
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagReqLen       = 56
	diagReqID        = 8 // struct inet_diag_sockid
	diagMsgLen       = 72
	diagMsgID        = 4
	diagMsgUID       = 64
	diagMsgInode     = 68
	tcpListen        = 10 // TCP_LISTEN
)

// FindSocket returns the socket of the namespace that owns the flow between local and remote, or takes its packets. It
// needs no privilege. local must be an address of this machine: a socket bound to no address would be found for any.
// Errors wrap ErrGone where there is none, ErrUnsupported for protocols without sock_diag.
func (n *Netns) FindSocket(proto model.Proto, local, remote netip.AddrPort) (Socket, error) {
	if proto != model.ProtoTCP && proto != model.ProtoUDP && proto != model.ProtoUDPLite {
		return Socket{}, fmt.Errorf("ctnl: find socket: %s: %w", proto, ErrUnsupported)
	}
	var c *netlink.Conn
	err := n.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
		return err
	})
	if err != nil {
		return Socket{}, fmt.Errorf("ctnl: find socket: %w", errnoError(err))
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return Socket{}, fmt.Errorf("ctnl: find socket: %w", err)
	}
	s, err := findSocket(c, proto, local, remote, false)
	if proto != model.ProtoTCP && errors.Is(err, unix.ENOENT) {
		// udp_dump_one takes source and destination the other way round "for historical reasons"; kernels differ.
		s, err = findSocket(c, proto, local, remote, true)
	}
	if err != nil {
		return Socket{}, fmt.Errorf("ctnl: find socket: %w", errnoError(err))
	}
	return s, nil
}

// findSocket asks for one socket; swapped says to exchange the ends in the request.
func findSocket(c *netlink.Conn, proto model.Proto, local, remote netip.AddrPort, swapped bool) (s Socket, err error) {
	src, dst := local, remote
	if swapped {
		src, dst = remote, local
	}
	ms, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request},
		Data:   diagRequest(proto, src, dst),
	})
	if err != nil {
		return s, err
	}
	for _, m := range ms {
		if m.Header.Type == sockDiagByFamily {
			return parseDiag(m.Data, proto, local, remote)
		}
	}
	return s, unix.ENOENT
}

// diagRequest writes a struct inet_diag_req_v2 that names one socket.
func diagRequest(proto model.Proto, src, dst netip.AddrPort) []byte {
	b := make([]byte, diagReqLen)
	b[0], b[1] = unix.AF_INET6, byte(proto)
	if src.Addr().Is4() {
		b[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // every state
	id := b[diagReqID:]
	binary.BigEndian.PutUint16(id, src.Port())
	binary.BigEndian.PutUint16(id[2:], dst.Port())
	copy(id[4:20], src.Addr().AsSlice())
	copy(id[20:36], dst.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

// parseDiag reads a struct inet_diag_msg and refuses a socket that is not of this flow: one with another local port, or
// one that is connected elsewhere.
func parseDiag(b []byte, proto model.Proto, local, remote netip.AddrPort) (s Socket, err error) {
	if len(b) < diagMsgLen {
		return s, errShort
	}
	id := b[diagMsgID:]
	sport, dport := binary.BigEndian.Uint16(id), binary.BigEndian.Uint16(id[2:])
	own, peer := diagAddr(b[0], id[4:20]), diagAddr(b[0], id[20:36])
	switch {
	case sport != local.Port(), !own.IsUnspecified() && own != local.Addr():
		return s, unix.ENOENT
	case dport != 0 && (dport != remote.Port() || peer != remote.Addr()):
		return s, unix.ENOENT
	}
	s.UID = binary.NativeEndian.Uint32(b[diagMsgUID:])
	s.Inode = binary.NativeEndian.Uint32(b[diagMsgInode:])
	s.Listening = b[1] == tcpListen || proto != model.ProtoTCP && dport == 0
	return s, nil
}

// An InetSocket is a row of the namespace's sockets of TCP, UDP and UDP-Lite.
type InetSocket struct {
	Socket
	Proto         model.Proto
	Local, Remote netip.AddrPort // Remote has port 0 where it is connected to nobody
	Only6         bool           // IPV6_V6ONLY
	Cgroup        uint64         // id in the hierarchy of cgroup2 (INET_DIAG_CGROUP_ID); 0: not told
}

// The states of sockets that nobody can hold: closed ones that wait, and those that are being opened by a listener.
const diagUnheld = 1<<3 | 1<<6 | 1<<12 // TCP_SYN_RECV, TCP_TIME_WAIT, TCP_NEW_SYN_RECV

// Attributes of inet_diag_msg (<linux/inet_diag.h>).
const (
	diagV6Only   = 11 // INET_DIAG_SKV6ONLY
	diagCgroupID = 21 // INET_DIAG_CGROUP_ID, since Linux 5.9
)

// Sockets calls fn for every socket of TCP, UDP and UDP-Lite in the namespace that somebody holds. It needs no privilege.
// Protocols that this kernel has no sock_diag for are left out; the error wraps ErrUnsupported where it has none at all.
func (n *Netns) Sockets(fn func(*InetSocket)) error {
	var c *netlink.Conn
	err := n.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("ctnl: sockets: %w", errnoError(err))
	}
	defer c.Close()
	told := false
	for _, proto := range []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoUDPLite} {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			err := dumpSockets(c, family, proto, fn)
			if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPROTONOSUPPORT) && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("ctnl: sockets: %s: %w", proto, errnoError(err))
			}
			told = told || err == nil
		}
	}
	if !told {
		return fmt.Errorf("ctnl: sockets: %w", ErrUnsupported)
	}
	return nil
}

// dumpSockets asks for the sockets of one protocol and family.
func dumpSockets(c *netlink.Conn, family byte, proto model.Proto, fn func(*InetSocket)) error {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	b := make([]byte, diagReqLen)
	b[0], b[1] = family, byte(proto)
	binary.NativeEndian.PutUint32(b[4:], ^uint32(diagUnheld))
	ms, err := c.Execute(netlink.Message{Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump}, Data: b})
	if err != nil {
		return err
	}
	var s InetSocket
	for _, m := range ms {
		if m.Header.Type != sockDiagByFamily {
			continue
		}
		if err := s.read(m.Data, proto); err != nil {
			return err
		}
		if s.Inode != 0 {
			fn(&s)
		}
	}
	return nil
}

// read reads a struct inet_diag_msg with its attributes.
func (s *InetSocket) read(b []byte, proto model.Proto) error {
	if len(b) < diagMsgLen {
		return errShort
	}
	id := b[diagMsgID:]
	local, remote := netip.AddrFrom4([4]byte(id[4:8])), netip.AddrFrom4([4]byte(id[20:24]))
	if b[0] == unix.AF_INET6 {
		local, remote = netip.AddrFrom16([16]byte(id[4:20])), netip.AddrFrom16([16]byte(id[20:36]))
		if local.Is4In6() { // a socket of IPv6 that is used for IPv4
			local, remote = local.Unmap(), remote.Unmap()
		}
	}
	*s = InetSocket{
		Socket: Socket{UID: binary.NativeEndian.Uint32(b[diagMsgUID:]), Inode: binary.NativeEndian.Uint32(b[diagMsgInode:])},
		Proto:  proto, Local: netip.AddrPortFrom(local, binary.BigEndian.Uint16(id)),
		Remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(id[2:])),
	}
	s.Listening = b[1] == tcpListen || proto != model.ProtoTCP && s.Remote.Port() == 0
	for b = b[diagMsgLen:]; len(b) > 0; {
		typ, v, rest, ok := attr(b)
		if !ok {
			return ErrMalformed
		}
		b = rest
		switch {
		case typ == diagV6Only && len(v) > 0:
			s.Only6 = v[0] != 0
		case typ == diagCgroupID && len(v) == 8:
			s.Cgroup = binary.NativeEndian.Uint64(v)
		}
	}
	return nil
}

// diagAddr reads an address of struct inet_diag_sockid. IPv4 over a socket of IPv6 is told as IPv4.
func diagAddr(family byte, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}
