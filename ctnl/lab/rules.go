package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// What the router's rules give to flows.
const (
	MarkWeb = 0x10 // TCP to ports 80, 443 and 8080
	MarkDNS = 0x35 // UDP to port 53
	MarkFTP = 0x15 // TCP to port 21; its data connections inherit it

	LabelDNS = 1   // bit of UDP to port 53
	LabelFTP = 100 // bit of TCP to port 21

	// UntrackedPort is the UDP port whose packets the router does not track.
	UntrackedPort = 9999
)

// rules loads the router's ruleset: one inet table, "lab".
//
//	chain raw      prerouting -300   zones by address, notrack for one UDP port
//	chain mangle   prerouting -150   ct helper, mark and label by port; counts untracked packets
//	chain dstnat   prerouting -100   port forwards
//	chain srcnat   postrouting 100   masquerade of 192.168.1.0/24 and fd00:9::/64
//	chain forward  forward 0         drops and counts invalid packets; this is what switches tracking on
//
// The server's table has one chain, which drops what comes to lostPort.
func (l *Lab) rules() error {
	err := l.server.nft(func(c *nftables.Conn) error {
		r := ruleset{c, c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "lab"})}
		add := r.chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, *nftables.ChainPriorityFilter)
		add(dport(unix.IPPROTO_TCP, lostPort), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
		return nil
	})
	if err != nil {
		return err
	}
	return l.router.nft(func(c *nftables.Conn) error {
		r := ruleset{c, c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "lab"})}
		for _, name := range []string{"invalid", "untracked"} {
			c.AddObj(&nftables.NamedObj{Table: r.t, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		}
		c.AddObj(&nftables.NamedObj{Table: r.t, Name: "ftp", Type: nftables.ObjTypeCtHelper,
			Obj: &expr.CtHelper{Name: "ftp", L4Proto: unix.IPPROTO_TCP}})
		r.raw(l.zones)
		r.mangle()
		r.nat()
		r.forward()
		return nil
	})
}

// A ruleset is the table being filled.
type ruleset struct {
	c *nftables.Conn
	t *nftables.Table
}

// chain adds a base chain and returns the function that adds rules to it.
func (r ruleset) chain(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio nftables.ChainPriority) func(...[]expr.Any) {
	ch := r.c.AddChain(&nftables.Chain{Name: name, Table: r.t, Type: typ, Hooknum: hook, Priority: &prio})
	return func(parts ...[]expr.Any) {
		r.c.AddRule(&nftables.Rule{Table: r.t, Chain: ch, Exprs: exprs(parts...)})
	}
}

func (r ruleset) raw(zones [2]uint16) {
	add := r.chain("raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	// First, and out of the chain: a zone set before notrack makes it do nothing, one after it takes it back.
	notrack := []expr.Any{&expr.Notrack{}, &expr.Verdict{Kind: expr.VerdictAccept}}
	add(dport(unix.IPPROTO_UDP, UntrackedPort), notrack)
	add(sport(unix.IPPROTO_UDP, UntrackedPort), notrack)
	for i, zone := range zones {
		for _, n := range zoneNets[i] {
			// Both directions: the reply must be looked up in the zone of the original.
			add(saddr(n.prefix), setZone(zone))
			add(daddr(n.prefix), setZone(zone))
		}
	}
}

func (r ruleset) mangle() {
	add := r.chain("mangle", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityMangle)
	fresh := ctState(expr.CtStateBitNEW)
	add(fresh, dport(unix.IPPROTO_TCP, 21), object(nftables.ObjTypeCtHelper, "ftp"), setMark(MarkFTP), setLabel(LabelFTP))
	add(fresh, dport(unix.IPPROTO_UDP, 53), setMark(MarkDNS), setLabel(LabelDNS))
	for _, port := range []uint16{80, 443, 8080} {
		add(fresh, dport(unix.IPPROTO_TCP, port), setMark(MarkWeb))
	}
	// By port, so that neighbour discovery, which is never tracked, does not count.
	add(ctState(expr.CtStateBitUNTRACKED), dport(unix.IPPROTO_UDP, UntrackedPort), object(nftables.ObjTypeCounter, "untracked"))
}

func (r ruleset) nat() {
	add := r.chain("dstnat", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest)
	for i, a := range dnatAddr {
		add(daddr(netip.PrefixFrom(a, a.BitLen())), dport(unix.IPPROTO_TCP, 80), dnat(netip.AddrPortFrom(webAddr[i], 8080)))
	}
	add(daddr(netip.MustParsePrefix("192.0.2.1/32")), dport(unix.IPPROTO_TCP, 2222), dnat(netip.AddrPortFrom(homeNets[0].host(0), 22)))

	add = r.chain("srcnat", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource)
	for _, n := range []network{homeNets[0], natNet6} {
		add(oifname("wan"), saddr(n.prefix), []expr.Any{&expr.Masq{}})
	}
}

func (r ruleset) forward() {
	add := r.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	add(ctState(expr.CtStateBitINVALID), object(nftables.ObjTypeCounter, "invalid"), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
}

// counted returns how many packets the router's named counter has seen: "invalid" or "untracked".
func (l *Lab) counted(name string) (packets uint64, err error) {
	err = l.router.nft(func(c *nftables.Conn) error {
		t := &nftables.Table{Family: nftables.TableFamilyINet, Name: "lab"}
		o, err := c.GetObject(&nftables.NamedObj{Table: t, Name: name, Type: nftables.ObjTypeCounter})
		if err != nil {
			return fmt.Errorf("counter %s: %w", name, err)
		}
		switch o := o.(type) {
		case *nftables.CounterObj:
			packets = o.Packets
		case *nftables.NamedObj:
			packets = o.Obj.(*expr.Counter).Packets
		}
		return nil
	})
	return packets, err
}
