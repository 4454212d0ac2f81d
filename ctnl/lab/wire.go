package lab

import (
	"errors"
	"net/netip"
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
	if err := l.pairs(); err != nil {
		return err
	}
	var inside, gateways []netip.Prefix
	for _, n := range insideNets() {
		for i := range n.hosts {
			inside = append(inside, netip.PrefixFrom(n.host(i), n.prefix.Bits()))
		}
		gateways = append(gateways, netip.PrefixFrom(n.gateway(), n.prefix.Bits()))
	}
	outside := prefixes("192.0.2.53/24", "198.51.100.7/32", "198.51.100.80/32", "203.0.113.7/32", "203.0.113.21/32",
		"2001:db8:2::7/64", "2001:db8:2::21/64", "2001:db8:2::53/64")
	uplink := prefixes("192.0.2.1/24", "2001:db8:2::1/64")

	ends := []struct {
		ns     *NS
		link   string
		addrs  []netip.Prefix
		routes []route
	}{
		{l.client, "lan", inside, []route{
			{anywhere[0], homeNets[0].gateway()}, {anywhere[1], homeNets[1].gateway()},
			{ghostNets[0], nowhere}, {ghostNets[1], nowhere},
		}},
		{l.router, "lan", gateways, []route{
			{ghostNets[0], homeNets[0].host(0)}, {ghostNets[1], homeNets[1].host(0)},
		}},
		{l.router, "wan", uplink, []route{
			{netip.MustParsePrefix("198.51.100.0/24"), dnsAddr[0]}, {netip.MustParsePrefix("203.0.113.0/24"), dnsAddr[0]},
			{deadNets[1], dnsAddr[1]},
		}},
		{l.server, "wan", outside, []route{
			{anywhere[0], uplink[0].Addr()}, {anywhere[1], uplink[1].Addr()},
			{deadNets[0], nowhere}, {deadNets[1], nowhere},
		}},
	}
	for _, e := range ends {
		if err := e.ns.attach(e.link, e.addrs, e.routes); err != nil {
			return err
		}
	}
	if err := introduce("lan", l.router, gateways, l.client, inside); err != nil {
		return err
	}
	return introduce("wan", l.router, uplink, l.server, outside)
}

// pairs makes the veth pairs.
func (l *Lab) pairs() error {
	c, err := l.router.rtnl()
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(c.veth("lan", l.client.FD()), c.veth("wan", l.server.FD()))
}
