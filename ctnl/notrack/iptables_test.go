package notrack

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// TestIptables does with both iptables what TestNftLife does with nftables.
func TestIptables(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			tool(t, n.router, variant, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
			tool(t, n.router, "ip6tables"+strings.TrimPrefix(variant, "iptables"), "-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
			tool(t, n.router, variant, "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", "9", "-j", "CT", "--notrack")
			c := open(t, n.router, variant)
			if name, why := c.Backend(); name != variant || why != "asked for" {
				t.Errorf("backend %s (%s)", name, why)
			}
			for i, x := range []struct{ network, laddr, raddr, rule, fam string }{
				{"tcp4", "10.1.0.2:4000", "10.2.0.2:5000", "tcp 10.1.0.2:4000 > 10.2.0.2:5000", "ipv4"},
				{"udp6", "[fd01::2]:4001", "[fd02::2]:5001", "udp any > any:5001", "ipv6"},
			} {
				p := traffic(t, n.client, n.server, x.network, x.laddr, x.raddr)
				p.exchange(3)
				q := &Request{Rules: []model.Rule{rule(t, x.rule)}, Keep: 600}
				stop := p.keepTalking()
				res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true, Verify: 5 * time.Second})
				must(t, err)
				stop()
				if !res.Verified || res.Deleted != 1 || res.TakenBack != "" || !res.Rule.Pending || res.Rule.Left > 61*time.Second {
					t.Errorf("%+v", res)
				}
				if _, err := c.Add(ctx(t), q); !errors.Is(err, ErrExists) {
					t.Errorf("again: %v", err)
				}
				port := x.raddr[len(x.raddr)-4:]
				if es := entries(t, n.router, x.fam, port); len(es) != 0 {
					t.Errorf("tracked: %q", es)
				}
				if out := tool(t, n.router, xtProg(variant, x.fam), "-t", "raw", "-S"); strings.Count(out, "--notrack")+strings.Count(out, "NOTRACK") < 4 || !strings.Contains(out, "ctview "+res.Rule.ID) {
					t.Errorf("iptables -t raw -S:\n%s", out)
				}
				must(t, c.Confirm(ctx(t), res.Rule.ID, nil))
				rs, err := c.List(ctx(t))
				must(t, err)
				if len(rs) != 1 || rs[0].Pending || rs[0].Left < 9*time.Minute || rs[0].Text() != x.rule {
					t.Errorf("confirmed: %+v", rs)
				}
				others, err := c.Others(ctx(t))
				must(t, err)
				if len(others) != 1 || !strings.Contains(others[0].Match, "9") {
					t.Errorf("others: %+v", others)
				}
				must(t, c.Remove(ctx(t), res.Rule.ID))
				p.exchange(2)
				if es := entries(t, n.router, x.fam, port); len(es) != 1 {
					t.Errorf("tracking is not back: %q", es)
				}
				if i == 0 {
					expires(t, n, c)
				}
			}
			if out := tool(t, n.router, variant, "-t", "raw", "-S"); !strings.Contains(out, "--dport 9") || strings.Contains(out, "ctview") {
				t.Errorf("left: %s", out)
			}
		})
	}
}

func xtProg(variant, fam string) string {
	if fam == "ipv6" {
		return "ip6" + strings.TrimPrefix(variant, "ip")
	}
	return variant
}

// expires lets a rule run out.
func expires(t *testing.T, n *triple, c *Installer) {
	t.Helper()
	p := traffic(t, n.client, n.server, "udp4", "10.1.0.2:4002", "10.2.0.2:5002")
	_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > 10.2.0.2:5002")}, Trial: pace * time.Second})
	must(t, err)
	p.exchange(1)
	eventually(t, "tracking is back after the end", func() bool {
		p.exchange(1)
		return len(entries(t, n.router, "ipv4", "5002")) == 1
	})
	must(t, c.be.sweep(ctx(t)))
}

// TestDetectCreatesNothing opens every backend and lists, and shows that no table came into being.
func TestDetectCreatesNothing(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"", "iptables", "iptables-nft", "iptables-legacy"} {
		ns := testNS(t)
		c := open(t, ns, be)
		if _, err := c.List(ctx(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Others(ctx(t)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp any > any:80")}}, flowsOf(t, ns), nil)
		must(t, err)
		must(t, c.Close())
		if s := tables(t, ns); s != "" {
			t.Errorf("%q created %q", be, s)
		}
	}
	if _, err := Open(testNS(t), Options{Backend: "pf"}); err == nil ||
		err.Error() != `notrack: unknown backend "pf": nftables, iptables, iptables-nft or iptables-legacy` {
		t.Errorf("unknown backend: %v", err)
	}
	c := open(t, testNS(t), "iptables")
	_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "icmp 10.0.0.1 > 10.0.0.2 type 8 id 7")}})
	if err == nil || !strings.Contains(err.Error(), "iptables cannot match an ICMP identifier") {
		t.Errorf("ICMP id: %v", err)
	}
}

// tables lists what tables there are, of both kinds, without making any.
func tables(t *testing.T, ns *lab.NS) string {
	t.Helper()
	return strings.TrimSpace(tool(t, ns, "nft", "list", "tables") + ruleset.ReadIn(ns, "/proc/thread-self/net/ip_tables_names") +
		ruleset.ReadIn(ns, "/proc/thread-self/net/ip6_tables_names"))
}

// TestEveryBackendListed installs rules through three backends and lists, confirms and removes them through each.
func TestEveryBackendListed(t *testing.T) {
	t.Parallel()
	for _, via := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		ns := testNS(t)
		var ids []string
		for be, text := range map[string]string{"nftables": "tcp any > any:80", "iptables-nft": "tcp any > any:81", "iptables-legacy": "tcp any > any:82"} {
			r, err := open(t, ns, be).Add(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}})
			must(t, err)
			ids = append(ids, r.ID)
		}
		c := open(t, ns, via)
		rs, err := c.List(ctx(t))
		must(t, err)
		seen := map[string]bool{}
		for _, r := range rs {
			seen[r.Backend] = true
			if !r.Pending || !r.Limited || r.Left < 50*time.Second || r.Left > 62*time.Second || len(r.Rules) != 1 {
				t.Errorf("%s: %+v", via, r)
			}
		}
		if len(rs) != 3 || len(seen) != 3 {
			t.Fatalf("%s lists %+v", via, rs)
		}
		if _, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp any > any:81")}}); !errors.Is(err, ErrExists) {
			t.Errorf("%s: the same in another backend: %v", via, err)
		}
		for _, id := range ids {
			must(t, c.Confirm(ctx(t), id, nil))
		}
		rs, err = c.List(ctx(t))
		must(t, err)
		for _, r := range rs {
			if r.Pending || r.Limited {
				t.Errorf("%s: confirmed: %+v", via, r)
			}
		}
		must(t, c.Remove(ctx(t), ids...))
		if rs, err := c.List(ctx(t)); err != nil || len(rs) != 0 {
			t.Errorf("%s: %+v %v", via, rs, err)
		}
	}
}
