package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// A rtnl is a route netlink socket of a namespace. It has the seven requests that the lab makes: vishvananda/netlink was
// 0.45 MB of the router's binary for them, and jsimonetti/rtnetlink cannot set a route's rto_min.
type rtnl struct {
	*netlink.Conn
	name string // of the namespace, for errors
}

// A link is what the kernel says of an interface.
type link struct {
	index int
	addr  []byte // link-layer address
	state byte   // IF_OPER_*
}

// rtnl opens a socket inside the namespace. Close it.
func (n *NS) rtnl() (c rtnl, err error) {
	c.name = n.name
	err = n.Do(func() (err error) {
		c.Conn, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true})
		return err
	})
	if err != nil {
		return c, fmt.Errorf("lab: %s: netlink: %w", n.name, err)
	}
	return c, nil
}

// ask sends one request: the fixed struct, then attributes.
func (c rtnl) ask(what string, typ netlink.HeaderType, flags netlink.HeaderFlags, fixed []byte, attrs func(*netlink.AttributeEncoder)) ([]netlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	attrs(e)
	b, err := e.Encode()
	if err == nil {
		var ms []netlink.Message
		m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | flags}, Data: append(fixed, b...)}
		if ms, err = c.Execute(m); err == nil {
			return ms, nil
		}
	}
	return nil, fmt.Errorf("lab: %s: %s: %w", c.name, what, err)
}

const (
	toMake = netlink.Acknowledge | netlink.Create | netlink.Excl
	toSet  = netlink.Acknowledge | netlink.Create | netlink.Replace
)

// ifInfo is struct ifinfomsg.
func ifInfo(index int, flags, change uint32) []byte {
	b := binary.NativeEndian.AppendUint32(make([]byte, 4), uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// veth makes a pair of links of one name, the other end in the namespace of fd.
func (c rtnl) veth(name string, fd int) error {
	_, err := c.ask("link "+name, unix.RTM_NEWLINK, toMake, ifInfo(0, 0, 0), func(e *netlink.AttributeEncoder) {
		e.String(unix.IFLA_IFNAME, name)
		e.Nested(unix.IFLA_LINKINFO, func(e *netlink.AttributeEncoder) error {
			e.String(unix.IFLA_INFO_KIND, "veth")
			e.Nested(unix.IFLA_INFO_DATA, func(e *netlink.AttributeEncoder) error {
				peer := netlink.NewAttributeEncoder()
				peer.String(unix.IFLA_IFNAME, name)
				peer.Uint32(unix.IFLA_NET_NS_FD, uint32(fd))
				b, err := peer.Encode()
				e.Bytes(1, append(ifInfo(0, 0, 0), b...)) // VETH_INFO_PEER
				return err
			})
			return nil
		})
	})
	return err
}

// link looks an interface up.
func (c rtnl) link(name string) (l link, err error) {
	ms, err := c.ask("link "+name, unix.RTM_GETLINK, 0, ifInfo(0, 0, 0), func(e *netlink.AttributeEncoder) { e.String(unix.IFLA_IFNAME, name) })
	if err != nil {
		return l, err
	}
	for _, m := range ms {
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		l.index = int(binary.NativeEndian.Uint32(m.Data[4:]))
		err = ctnl.EachAttr(m.Data[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
			switch {
			case typ == unix.IFLA_ADDRESS:
				l.addr = v
			case typ == unix.IFLA_OPERSTATE && len(v) == 1:
				l.state = v[0]
			}
		})
	}
	return l, err
}

func (c rtnl) up(name string) error {
	l, err := c.link(name)
	if err == nil {
		_, err = c.ask("link "+name, unix.RTM_NEWLINK, netlink.Acknowledge, ifInfo(l.index, unix.IFF_UP, unix.IFF_UP), func(*netlink.AttributeEncoder) {})
	}
	return err
}

func afOf(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// address gives a link an address. An IPv6 one is usable at once (NODAD): nobody else can have it here.
func (c rtnl) address(index int, p netip.Prefix) error {
	fixed := binary.NativeEndian.AppendUint32([]byte{afOf(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}, uint32(index))
	_, err := c.ask("address "+p.String(), unix.RTM_NEWADDR, toMake, fixed, func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.IFA_LOCAL, p.Addr().AsSlice())
		e.Bytes(unix.IFA_ADDRESS, p.Addr().AsSlice())
	})
	return err
}

// route adds a route by a link, or a black hole.
func (c rtnl) route(index int, r route) error {
	typ, scope := byte(unix.RTN_UNICAST), byte(unix.RT_SCOPE_UNIVERSE)
	if r.via == nowhere {
		typ = unix.RTN_BLACKHOLE
	}
	fixed := []byte{afOf(r.to.Addr()), byte(r.to.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, scope, typ, 0, 0, 0, 0}
	_, err := c.ask("route to "+r.to.String(), unix.RTM_NEWROUTE, toMake, fixed, func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.RTA_DST, r.to.Addr().AsSlice())
		if r.via == nowhere {
			return
		}
		e.Bytes(unix.RTA_GATEWAY, r.via.AsSlice())
		e.Uint32(unix.RTA_OIF, uint32(index))
		e.Nested(unix.RTA_METRICS, func(e *netlink.AttributeEncoder) error {
			// A FIN that is sent again moves conntrack on, to LAST_ACK and TIME_WAIT, though the other half is open. On
			// a loaded machine an answer may take longer than the usual 200 ms: wait for a second.
			e.Uint32(unix.RTAX_RTO_MIN, 1000)
			return nil
		})
	})
	return err
}

// neighbour makes the holder of an address known for good.
func (c rtnl) neighbour(index int, a netip.Addr, lladdr []byte) error {
	fixed := binary.NativeEndian.AppendUint32([]byte{afOf(a), 0, 0, 0}, uint32(index))
	fixed = append(binary.NativeEndian.AppendUint16(fixed, unix.NUD_PERMANENT), 0, 0)
	_, err := c.ask("neighbour "+a.String(), unix.RTM_NEWNEIGH, toSet, fixed, func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.NDA_DST, a.AsSlice())
		e.Bytes(unix.NDA_LLADDR, lladdr)
	})
	return err
}

// isLocal reports whether packets to a are delivered here.
func (c rtnl) isLocal(a netip.Addr) (bool, error) {
	ms, err := c.ask("route to "+a.String(), unix.RTM_GETROUTE, 0, []byte{afOf(a), byte(a.BitLen()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		func(e *netlink.AttributeEncoder) { e.Bytes(unix.RTA_DST, a.AsSlice()) })
	return err == nil && len(ms) > 0 && len(ms[0].Data) > 7 && ms[0].Data[7] == unix.RTN_LOCAL, err
}
