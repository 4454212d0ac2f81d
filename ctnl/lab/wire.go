package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of the servers and of what stands for them.
var (
	webAddr  = [2]netip.Addr{addr("203.0.113.7"), addr("2001:db8:2::7")}
	ftpAddr  = [2]netip.Addr{addr("203.0.113.21"), addr("2001:db8:2::21")}
	dnsAddr  = [2]netip.Addr{addr("192.0.2.53"), addr("2001:db8:2::53")}
	dnatAddr = [2]netip.Addr{addr("203.0.113.80"), addr("2001:db8:2::80")}
	farAddr  = [2]netip.Addr{addr("198.51.100.80"), addr("2001:db8:2::7")}
)

// A network is one of the subnets that the client's hosts live in: host n has number 10+n.
type network struct {
	prefix netip.Prefix
	hosts  int
}

var (
	homeNets = [2]network{{netip.MustParsePrefix("192.168.1.0/24"), 8}, {netip.MustParsePrefix("2001:db8:1::/64"), 8}}
	zoneNets = [2][2]network{
		{{netip.MustParsePrefix("10.5.0.0/24"), 4}, {netip.MustParsePrefix("2001:db8:5::/64"), 4}},
		{{netip.MustParsePrefix("10.7.0.0/24"), 4}, {netip.MustParsePrefix("2001:db8:7::/64"), 4}},
	}
	natNet6 = network{netip.MustParsePrefix("fd00:9::/64"), 1}

	ghostNets = [2]netip.Prefix{netip.MustParsePrefix("192.168.1.128/25"), netip.MustParsePrefix("2001:db8:1:ff::/64")}
	deadNets  = [2]netip.Prefix{netip.MustParsePrefix("203.0.113.192/26"), netip.MustParsePrefix("2001:db8:2:dead::/64")}
)

// host returns the address of host i, counted from 0.
func (n network) host(i int) netip.Addr { return nth(n.prefix, 10+i) }

// gateway returns the router's address.
func (n network) gateway() netip.Addr { return nth(n.prefix, 1) }

// nth returns the address that is i above the prefix's first, in the notation that reads best: ::10 for 10.
func nth(p netip.Prefix, i int) netip.Addr {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		a[3] += byte(i)
		return netip.AddrFrom4(a)
	}
	a := p.Addr().As16()
	a[15] = byte(i/10<<4 | i%10)
	return netip.AddrFrom16(a)
}

func insideNets() []network {
	return []network{homeNets[0], homeNets[1], zoneNets[0][0], zoneNets[0][1], zoneNets[1][0], zoneNets[1][1], natNet6}
}

// wire makes the two veth pairs, the addresses and the routes.
func (l *Lab) wire() error {
	r, err := l.router.handle()
	if err != nil {
		return err
	}
	defer r.Close()
	for name, peer := range map[string]*NS{"lan": l.client, "wan": l.server} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(peer.FD())}
		if err := r.LinkAdd(veth); err != nil {
			return fmt.Errorf("lab: link %s: %w", name, err)
		}
	}
	var inside, gateways []netip.Prefix
	for _, n := range insideNets() {
		for i := range n.hosts {
			inside = append(inside, netip.PrefixFrom(n.host(i), n.prefix.Bits()))
		}
		gateways = append(gateways, netip.PrefixFrom(n.gateway(), n.prefix.Bits()))
	}
	if err := l.router.attach("lan", gateways,
		route{ghostNets[0], homeNets[0].host(0)}, route{ghostNets[1], homeNets[1].host(0)}); err != nil {
		return err
	}
	if err := l.router.attach("wan", prefixes("192.0.2.1/24", "2001:db8:2::1/64"),
		route{netip.MustParsePrefix("198.51.100.0/24"), dnsAddr[0]}, route{netip.MustParsePrefix("203.0.113.0/24"), dnsAddr[0]},
		route{deadNets[1], dnsAddr[1]}); err != nil {
		return err
	}
	if err := l.client.attach("lan", inside,
		route{anywhere[0], homeNets[0].gateway()}, route{anywhere[1], homeNets[1].gateway()},
		route{ghostNets[0], nowhere}, route{ghostNets[1], nowhere}); err != nil {
		return err
	}
	return l.server.attach("wan", prefixes("192.0.2.53/24", "198.51.100.7/32", "198.51.100.80/32", "203.0.113.7/32",
		"203.0.113.21/32", "2001:db8:2::7/64", "2001:db8:2::21/64", "2001:db8:2::53/64"),
		route{anywhere[0], addr("192.0.2.1")}, route{anywhere[1], addr("2001:db8:2::1")},
		route{deadNets[0], nowhere}, route{deadNets[1], nowhere})
}

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
func (n *NS) attach(link string, addrs []netip.Prefix, routes ...route) error {
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
	// The kernel makes a link-local address when it learns, up to a second later, that there is a carrier; until then
	// packets of other hosts wait for neighbours that cannot be asked for.
	linkLocal := "fe80::2/64"
	if n.name == "router" {
		linkLocal = "fe80::1/64"
	}
	for _, a := range append(prefixes(linkLocal), addrs...) {
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
