package lab

import (
	"net"
	"net/netip"

	"ctview/model"
)

// From says where a flow starts: at a host of the client's in that zone, over IPv4 or IPv6. Which of the hosts is the
// seed's choice. The zero value is IPv4 in zone 0, whose source the router translates; nothing else is translated
// unless a method says so.
type From struct {
	V6   bool
	Zone uint16 // 0 or one of Lab.Zones
}

func (f From) v() int {
	if f.V6 {
		return 1
	}
	return 0
}

// host picks a source address. A zone that the lab does not have is zone 0.
func (l *Lab) host(f From) netip.Addr {
	n := homeNets[f.v()]
	for i, z := range l.zones {
		if f.Zone == z {
			n = zoneNets[i][f.v()]
		}
	}
	return n.host(l.pick(n.hosts))
}

// ghost and dead return addresses that nobody has: what is sent there reaches the router and then a black hole.
func (l *Lab) ghost(f From) netip.Addr { return nth(ghostNets[f.v()], 1+l.pick(60)) }
func (l *Lab) dead(f From) netip.Addr  { return nth(deadNets[f.v()], 1+l.pick(60)) }

// zone returns the zone that the router's rules give to packets from or to a.
func (l *Lab) zone(a netip.Addr) uint16 {
	for i, nets := range zoneNets {
		if nets[0].prefix.Contains(a) || nets[1].prefix.Contains(a) {
			return l.zones[i]
		}
	}
	return 0
}

// key returns the key that the router gives to a flow from src to dst.
func (l *Lab) key(p model.Proto, src, dst netip.AddrPort) model.Key {
	k := model.Key{
		Src: model.AddrBytes(src.Addr().Unmap()), Dst: model.AddrBytes(dst.Addr().Unmap()),
		Sport: src.Port(), Dport: dst.Port(), Proto: p, Family: model.IPv4, Zone: l.zone(src.Addr().Unmap()),
	}
	if !src.Addr().Unmap().Is4() {
		k.Family = model.IPv6
	}
	return k
}

// local and remote return the ends of a connection.
func local(c net.Conn) netip.AddrPort  { return addrPort(c.LocalAddr()) }
func remote(c net.Conn) netip.AddrPort { return addrPort(c.RemoteAddr()) }

func addrPort(a net.Addr) netip.AddrPort {
	p, _ := netip.ParseAddrPort(a.String())
	return p
}

func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }
