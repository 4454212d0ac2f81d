package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A route sends to through via; via nowhere makes it a black hole, which drops without an answer.
type route struct {
	to  netip.Prefix
	via netip.Addr
}

var (
	nowhere  netip.Addr
	anywhere = [2]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
)

func prefixes(s ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(s))
	for i := range s {
		p[i] = netip.MustParsePrefix(s[i])
	}
	return p
}

// attach gives link its addresses, brings it up, and adds the routes.
func (n *NS) attach(link string, addrs []netip.Prefix, routes []route) error {
	h, err := n.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	dev, err := h.LinkByName(link)
	if err != nil {
		return fmt.Errorf("lab: %s: link %s: %w", n.name, link, err)
	}
	if err := h.LinkSetUp(dev); err != nil {
		return fmt.Errorf("lab: %s: link %s: %w", n.name, link, err)
	}
	for _, a := range addrs {
		// NODAD: an IPv6 address is usable at once; nobody else can have it here.
		err := h.AddrAdd(dev, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD})
		if err != nil {
			return fmt.Errorf("lab: %s: address %s: %w", n.name, a, err)
		}
	}
	for _, r := range routes {
		// A FIN that is sent again moves conntrack on, to LAST_ACK and TIME_WAIT, though the other half is open. On
		// a loaded machine an answer may take longer than the usual 200 ms: wait for a second.
		nr := &netlink.Route{Dst: ipNet(r.to), Gw: r.via.AsSlice(), LinkIndex: dev.Attrs().Index, RtoMin: 1000}
		if r.via == nowhere {
			nr = &netlink.Route{Dst: ipNet(r.to), Type: unix.RTN_BLACKHOLE}
		}
		if err := h.RouteAdd(nr); err != nil {
			return fmt.Errorf("lab: %s: route to %s: %w", n.name, r.to, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// handle returns a route netlink socket inside the namespace.
func (n *NS) handle() (*netlink.Handle, error) {
	fd, err := n.dup()
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	h, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: netlink: %w", n.name, err)
	}
	return h, nil
}

// introduce waits until both ends of a link pass packets and tells each the other's link-layer address, so that the
// first packet waits for nothing: a new address answers to IPv6's solicitations only when a kernel worker has come round.
func introduce(link string, a *NS, aAddrs []netip.Prefix, b *NS, bAddrs []netip.Prefix) error {
	for _, n := range []*NS{a, b} {
		if err := n.carrier(link); err != nil {
			return err
		}
	}
	if err := a.meet(link, b, bAddrs); err != nil {
		return err
	}
	return b.meet(link, a, aAddrs)
}

// meet makes the other end of link n's permanent neighbour with all its addresses.
func (n *NS) meet(link string, other *NS, addrs []netip.Prefix) error {
	h, err := n.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	o, err := other.handle()
	if err != nil {
		return err
	}
	defer o.Close()
	dev, err := h.LinkByName(link)
	if err != nil {
		return fmt.Errorf("lab: %s: link %s: %w", n.name, link, err)
	}
	end, err := o.LinkByName(link)
	if err != nil {
		return fmt.Errorf("lab: %s: link %s: %w", other.name, link, err)
	}
	for _, a := range addrs {
		err := h.NeighSet(&netlink.Neigh{LinkIndex: dev.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: a.Addr().AsSlice(), HardwareAddr: end.Attrs().HardwareAddr})
		if err != nil {
			return fmt.Errorf("lab: %s: neighbour %s: %w", n.name, a.Addr(), err)
		}
		if err := other.settled(o, a.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until packets to a are n's own: the route that makes an IPv6 address local comes from a kernel worker
// (addrconf_dad_completed, also without DAD), and what arrives before is sent on or dropped.
func (n *NS) settled(h *netlink.Handle, a netip.Addr) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r, err := h.RouteGet(a.AsSlice())
		if err == nil && len(r) > 0 && r[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("lab: %s: %s is no address of its own", n.name, a), err)
		}
	}
}

// carrier waits until link passes packets: the kernel notices up to a second after both ends are up, and loses what is
// sent before. On newer kernels the question itself makes it notice.
func (n *NS) carrier(link string) error {
	h, err := n.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		dev, err := h.LinkByName(link)
		if err != nil {
			return fmt.Errorf("lab: %s: link %s: %w", n.name, link, err)
		}
		if state := dev.Attrs().OperState; state == netlink.OperUp {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("lab: %s: link %s is %s", n.name, link, state)
		}
	}
}
