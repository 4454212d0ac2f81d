package ruleset

import (
	"fmt"
	"slices"
	"testing"

	"ctview/ctnl/lab"
)

// TestOutline: the chains that filter are told with what their rules are written, those with the most rules first, and no
// chain that belongs to a process, to ctview or to NAT.
func TestOutline(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, ns *lab.NS)
		want []string
	}{
		{"nothing", func(*testing.T, *lab.NS) {}, nil},
		{"nft", func(t *testing.T, ns *lab.NS) {
			nftRules(t, ns, `table inet small { chain f { type filter hook forward priority 0; tcp dport 1 accept; }; }
				table inet fw4 {
					chain forward { type filter hook forward priority 0; tcp dport 1 accept; tcp dport 2 accept; }
					chain input { type filter hook input priority 0; }
					chain pre { type filter hook prerouting priority 0; tcp dport 1 accept; }
					chain nat { type nat hook output priority 0; }
					chain called { tcp dport 1 accept; }
				}
				table netdev n { }
				table inet ctview { chain x { type filter hook input priority 0; }; }`)
		}, []string{"nft inet fw4 forward@forward", "nft inet small f@forward", "nft inet fw4 input@input"}},
		{"iptables-nft", func(t *testing.T, ns *lab.NS) {
			must(t, ns.Command("iptables-nft", "-A", "FORWARD", "-s", "10.0.0.1", "-j", "DROP").Run())
			must(t, ns.Command("ip6tables-nft", "-A", "INPUT", "-s", "2001:db8::1", "-j", "DROP").Run())
		}, []string{xtTool(true) + " ip filter FORWARD@forward", xtTool(true) + " ip6 filter INPUT@input"}},
		{"iptables-legacy", func(t *testing.T, ns *lab.NS) {
			must(t, ns.Command("iptables-legacy", "-A", "FORWARD", "-s", "10.0.0.1", "-j", "DROP").Run())
		}, []string{xtTool(false) + " ip filter FORWARD@forward", xtTool(false) + " ip filter INPUT@input", xtTool(false) + " ip filter OUTPUT@output"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := testNS(t)
			tt.make(t, ns)
			r, err := Outline(ns)
			must(t, err)
			var got []string
			for _, c := range r.Chains {
				got = append(got, fmt.Sprintf("%s %s %s %s@%s", c.Tool, c.Family, c.Table, c.Name, c.Hook))
			}
			if !r.Known || !slices.Equal(got[:min(len(got), len(tt.want))], tt.want) || tt.name != "iptables-nft" && len(got) != len(tt.want) {
				t.Errorf("chains %q, known %v; want %q", got, r.Known, tt.want)
			}
		})
	}
}

// TestOutlineNAT: what rules translate sources to, for which family and protocol; what a map names is told as such.
func TestOutlineNAT(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, ns *lab.NS)
		want []string
	}{
		{"nft", func(t *testing.T, ns *lab.NS) {
			nftRules(t, ns, `table inet n { chain post { type nat hook postrouting priority 100;
				oifname "wan" meta l4proto tcp snat ip to 192.0.2.1:5000-5063
				ip protocol udp snat ip to 192.0.2.1-192.0.2.3
				meta l4proto { tcp, udp } masquerade to :2000-2999
				meta nfproto ipv6 masquerade random
				snat ip to ip saddr map { 10.0.0.1 : 192.0.2.9 }
				tcp dport 25 snat ip to ip saddr . tcp sport map { 10.0.0.1 . 1 : 192.0.2.9 . 7 }
				tcp dport 26 snat to :600-700
			}; }
			table ip6 m { chain post { type nat hook postrouting priority 100; snat to 2001:db8::1; }; }`)
		}, []string{
			"both tcp 192.0.2.1-192.0.2.1 5000-5063", "ipv4 udp 192.0.2.1-192.0.2.3 any", "both 0 interface 2000-2999", "ipv6 0 interface any",
			"ipv4 0 mapped any", "ipv4 tcp mapped open", "both tcp mapped 600-700", "ipv6 0 2001:db8::1-2001:db8::1 any",
		}},
		{"iptables-nft", func(t *testing.T, ns *lab.NS) {
			must(t, ns.Command("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-p", "tcp", "-j", "SNAT", "--to-source", "192.0.2.1:5000-5063").Run())
			must(t, ns.Command("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "!", "-p", "udp", "-j", "MASQUERADE").Run())
			must(t, ns.Command("ip6tables-nft", "-t", "nat", "-A", "POSTROUTING", "-p", "udp", "-j", "MASQUERADE", "--to-ports", "9-19").Run())
		}, []string{"ipv4 tcp 192.0.2.1-192.0.2.1 5000-5063", "ipv4 0 interface any", "ipv6 udp interface 9-19"}},
		{"iptables-legacy", func(t *testing.T, ns *lab.NS) {
			must(t, ns.Command("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-p", "tcp", "-j", "SNAT", "--to-source", "192.0.2.1:5000-5063").Run())
			must(t, ns.Command("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "!", "-p", "udp", "-j", "MASQUERADE").Run())
		}, []string{"ipv4 tcp 192.0.2.1-192.0.2.1 5000-5063", "ipv4 0 interface any"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := testNS(t)
			tt.make(t, ns)
			r, err := Outline(ns)
			must(t, err)
			var got []string
			for _, n := range r.NAT {
				family, to, ports := "both", "interface", n.Ports.String()
				if n.Family != 0 {
					family = n.Family.String()
				}
				switch {
				case n.Lo.IsValid():
					to = n.Lo.String() + "-" + n.Hi.String()
				case n.Mapped:
					to = "mapped"
				}
				if n.Open {
					ports = "open"
				}
				proto := n.Proto.String()
				got = append(got, fmt.Sprintf("%s %s %s %s", family, proto, to, ports))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("rules:\n%q\nwant:\n%q", got, tt.want)
			}
		})
	}
}
