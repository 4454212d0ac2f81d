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
