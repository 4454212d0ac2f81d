package ctnl

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// loopbackNet is this machine's as a whole.
var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

// LocalAddrs are the addresses of a namespace: those that its interfaces hold.
type LocalAddrs map[netip.Addr]int

// Index returns the interface that holds addr; ok is false where none does.
func (l LocalAddrs) Index(addr netip.Addr) (index int, ok bool) {
	if index, ok = l[addr]; !ok && loopbackNet.Contains(addr) {
		index, ok = l[netip.AddrFrom4([4]byte{127, 0, 0, 1})]
	}
	return index, ok
}

// LocalAddrs asks for the addresses of all interfaces in the namespace. It needs no privilege.
func (n *Netns) LocalAddrs() (LocalAddrs, error) {
	all, _, err := n.Addrs()
	return all, err
}

// Addrs is LocalAddrs that also returns the addresses that the interfaces take broadcasts on (IFA_BROADCAST).
func (n *Netns) Addrs() (all LocalAddrs, broadcast []netip.Addr, err error) {
	ms, err := n.askRoute(unix.RTM_GETADDR, netlink.Dump, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return nil, nil, fmt.Errorf("ctnl: addresses: %w", err)
	}
	all = LocalAddrs{}
	for _, m := range ms {
		if m.Header.Type == unix.RTM_NEWADDR && len(m.Data) >= unix.SizeofIfAddrmsg {
			if b := readLocalAddr(m.Data, all); b.IsValid() {
				broadcast = append(broadcast, b)
			}
		}
	}
	return all, broadcast, nil
}

// askRoute puts one question to rtnetlink in the namespace.
func (n *Netns) askRoute(typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte) (ms []netlink.Message, err error) {
	var c *netlink.Conn
	err = n.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_ROUTE, nil)
		return err
	})
	if err != nil {
		return nil, errnoError(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	ms, err = c.Execute(netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | flags}, Data: body})
	return ms, errnoError(err)
}

// RouteTo returns the index of the interface that a packet to addr would leave by (RTM_GETROUTE, RTA_OIF), that of the
// loopback interface for the namespace's own addresses. It needs no privilege; the error is the kernel's, ENETUNREACH
// where there is no route.
func (n *Netns) RouteTo(addr netip.Addr) (index int, err error) {
	var r request
	family := uint8(unix.AF_INET)
	if addr.Is6() {
		family = unix.AF_INET6
	}
	r.b = append(make([]byte, 0, 64), family, uint8(addr.BitLen()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // struct rtmsg
	r.bytes(unix.RTA_DST, addr.AsSlice()...)
	ms, err := n.askRoute(unix.RTM_GETROUTE, 0, r.b)
	if err != nil {
		return 0, fmt.Errorf("ctnl: route to %s: %w", addr, err)
	}
	for _, m := range ms {
		if m.Header.Type != unix.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg {
			continue
		}
		for b := m.Data[unix.SizeofRtMsg:]; len(b) > 0; {
			typ, v, rest, ok := attr(b)
			if !ok {
				return 0, fmt.Errorf("ctnl: route to %s: %w", addr, ErrMalformed)
			}
			b = rest
			if typ == unix.RTA_OIF && len(v) == 4 {
				return int(binary.NativeEndian.Uint32(v)), nil
			}
		}
	}
	return 0, fmt.Errorf("ctnl: route to %s: %w", addr, unix.ENETUNREACH)
}

// PolicyRouting reports whether the route of a packet may depend on more than its destination: a rule of RTM_GETRULE leads
// to another table than local, main and default, or ends the look-up by itself.
func (n *Netns) PolicyRouting() (bool, error) {
	r, err := n.routingRules()
	return r.other, err
}

// routing says what the rules of RTM_GETRULE ask for.
type routing struct{ other, mark, ports bool }

func (n *Netns) routingRules() (r routing, err error) {
	ms, err := n.askRoute(unix.RTM_GETRULE, netlink.Dump, make([]byte, unix.SizeofRtMsg)) // struct fib_rule_hdr is as long
	if err != nil {
		return r, fmt.Errorf("ctnl: routing rules: %w", err)
	}
	for _, m := range ms {
		if m.Header.Type != unix.RTM_NEWRULE || len(m.Data) < unix.SizeofRtMsg {
			continue
		}
		table, action := m.Data[4], m.Data[7]
		r.other = r.other || action != unix.FR_ACT_TO_TBL || table != unix.RT_TABLE_LOCAL && table != unix.RT_TABLE_MAIN && table != unix.RT_TABLE_DEFAULT
		for b := m.Data[unix.SizeofRtMsg:]; len(b) > 0; {
			typ, _, rest, ok := attr(b)
			if !ok {
				return r, fmt.Errorf("ctnl: routing rules: %w", ErrMalformed)
			}
			b = rest
			switch typ {
			case unix.FRA_FWMARK:
				r.mark = true
			case unix.FRA_IP_PROTO, unix.FRA_SPORT_RANGE, unix.FRA_DPORT_RANGE:
				r.ports = true
			}
		}
	}
	return r, nil
}

// readLocalAddr adds the address of one RTM_NEWADDR, and returns the broadcast address that comes with it. IFA_LOCAL is the own end of a point-to-point link, where
// IFA_ADDRESS is the other's; IPv6 without a peer has IFA_ADDRESS only.
func readLocalAddr(b []byte, all LocalAddrs) (broadcast netip.Addr) {
	index := int(binary.NativeEndian.Uint32(b[4:]))
	var address, local netip.Addr
	for b = b[unix.SizeofIfAddrmsg:]; len(b) > 0; {
		typ, v, rest, ok := attr(b)
		if !ok {
			return netip.Addr{}
		}
		b = rest
		switch a, _ := netip.AddrFromSlice(v); typ {
		case unix.IFA_ADDRESS:
			address = a
		case unix.IFA_LOCAL:
			local = a
		case unix.IFA_BROADCAST:
			broadcast = a
		}
	}
	if !local.IsValid() {
		local = address
	}
	if local.IsValid() {
		all[local] = index
	}
	return broadcast
}

// InterfaceName returns the name of an interface in the namespace, unescaped; "" where there is none.
func (n *Netns) InterfaceName(index int) (name string) {
	_ = n.Do(func() error {
		i, err := net.InterfaceByIndex(index)
		if err == nil {
			name = i.Name
		}
		return err
	})
	return name
}
