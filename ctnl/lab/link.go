package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
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
func (n *NS) attach(name string, addrs []netip.Prefix, routes []route) error {
	c, err := n.rtnl()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.up(name); err != nil {
		return err
	}
	l, err := c.link(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := c.address(l.index, a); err != nil {
			return err
		}
	}
	for _, r := range routes {
		if err := c.route(l.index, r); err != nil {
			return err
		}
	}
	return nil
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
func (n *NS) meet(name string, other *NS, addrs []netip.Prefix) error {
	c, err := n.rtnl()
	if err != nil {
		return err
	}
	defer c.Close()
	o, err := other.rtnl()
	if err != nil {
		return err
	}
	defer o.Close()
	here, err := c.link(name)
	if err != nil {
		return err
	}
	there, err := o.link(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := c.neighbour(here.index, a.Addr(), there.addr); err != nil {
			return err
		}
		if err := o.settled(a.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until packets to a are the namespace's own: the route that makes an IPv6 address local comes from a kernel
// worker (addrconf_dad_completed, also without DAD), and what arrives before is sent on or dropped.
func (c rtnl) settled(a netip.Addr) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		local, err := c.isLocal(a)
		if local {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("lab: %s: %s is no address of its own", c.name, a), err)
		}
	}
}

// carrier waits until link passes packets: the kernel notices up to a second after both ends are up, and loses what is
// sent before. On newer kernels the question itself makes it notice.
func (n *NS) carrier(name string) error {
	c, err := n.rtnl()
	if err != nil {
		return err
	}
	defer c.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l, err := c.link(name)
		if err != nil {
			return err
		}
		if l.state == operUp {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("lab: %s: link %s passes nothing: its operational state is %d", n.name, name, l.state)
		}
	}
}

// operUp is IF_OPER_UP of <linux/if.h>.
const operUp = 6
