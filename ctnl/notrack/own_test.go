package notrack

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ctview/model"
)

// TestNotOurs gives ctview's names to what ctview did not make: it is refused by name where ctview would have to write to
// it, and stands as it was whatever is done.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	const drop = "chain f { type filter hook forward priority 0; policy drop; }"
	for _, tt := range []struct {
		name, rules string
		refused     string // by add, "" where it works
	}{
		{"the name of a session", "table inet ctview-1 { " + drop + "; }", ""},
		{"the name of a session, with a number", "table inet ctview-1.2 { " + drop + "; }", ""},
		{"the name of the watch table", "table inet ctview_watch_1 { " + drop + "; }", ""},
		{"the shared name", "table inet ctview { " + drop + "; }", "something in it (chain f)"},
		{"the shared name, no hook", "table inet ctview { chain mychain { tcp dport 80 accept; }; }\ntable inet g { " + drop + "; }", "chain mychain"},
		{"the shared name, empty", "table inet ctview { }\ntable inet g { " + drop + "; }", "table inet ctview: not made by this ctview"},
		{"a chain named as ours", "table inet ctview { chain pre { type filter hook prerouting priority -310; ip daddr 10.2.0.2 drop; }; }", "a rule in chain pre: ip daddr 10.2.0.2 drop"},
		{"a chain named as ours, elsewhere", "table inet ctview { chain pre { type filter hook forward priority 0; policy drop; }; }", "chain pre"},
		{"a comment as ours", `table inet ctview { chain pre { type filter hook prerouting priority -310; ip daddr 10.2.0.2 drop comment "ctview v1"; }; }`, "a rule in chain pre"},
		{"a set named as ours", "table inet ctview { set flows4 { type ipv4_addr; }; }\ntable inet g { " + drop + "; }", "set flows4"},
		{"a dormant table", "table inet ctview { flags dormant; }\ntable inet g { " + drop + "; }", "flags 0x1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			nftRules(t, n.router, tt.rules)
			listen(t, n.server, "10.2.0.2:5000")
			before := tool(t, n.router, "nft", "list", "ruleset")
			c := open(t, n.router, "nftables")
			for _, text := range []string{"tcp 10.1.0.2:1 > 10.2.0.2:2", "tcp any > any:80"} {
				q := &Request{Rules: []model.Rule{rule(t, text)}}
				p, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
				must(t, err)
				if got := p.Refused(); (got == "") != (tt.refused == "") || !strings.Contains(got, tt.refused) {
					t.Errorf("preview: %q, want %q", got, tt.refused)
				}
				r, err := c.Add(ctx(t), q)
				if tt.refused == "" {
					must(t, err)
					must(t, c.Confirm(ctx(t), r.ID, nil))
					must(t, c.Remove(ctx(t), r.ID))
				} else if !errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), tt.refused) || !strings.Contains(err.Error(), "table inet ctview") {
					t.Errorf("add: %v, want %q", err, tt.refused)
				}
			}
			r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:53")}, Keep: model.KeepSession})
			must(t, err)
			must(t, c.Confirm(ctx(t), r.ID, nil))
			must(t, c.be.sweep(ctx(t)))
			must(t, c.Close())
			// A program that is just being started may hold the socket's descriptor, and with it the table, until its exec.
			eventually(t, "the ruleset as it was:\n"+before, func() bool { return tool(t, n.router, "nft", "list", "ruleset") == before })
			short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
			defer cancel()
			if p, err := n.client.Dial(short, "tcp4", "10.1.0.2:0", "10.2.0.2:5000"); err == nil {
				_ = p.Close()
				t.Error("what was dropped comes through")
			}
		})
	}
}

// TestForeignInOurs puts things into ctview's own table: they stay when ctview's rules go, and nothing is added beside them.
func TestForeignInOurs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, cmd, stays string }{
		{"a chain", "add chain inet ctview f { type filter hook forward priority 0; policy drop; }", "policy drop"},
		{"a rule", "add rule inet ctview pre udp dport 9 drop", "udp dport 9 drop"},
		{"a set", "add set inet ctview mine { type ipv4_addr; elements = { 10.9.9.9 }; }", "10.9.9.9"},
		{"an element", "add element inet ctview flows4 { 10.9.9.9 . 10.9.9.8 . tcp . 1 . 2 timeout 1h }", "10.9.9.9"},
		{"an object", "add counter inet ctview kept", "counter kept"},
		{"a helper", `add ct helper inet ctview kept { type "ftp" protocol tcp; }`, "ct helper kept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			nftRules(t, ns, ctState)
			c := open(t, ns, "nftables")
			exact, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 10.0.0.1:1 > 10.0.0.2:2")}})
			must(t, err)
			wide, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:53")}, Trial: pace * time.Second})
			must(t, err)
			nftRules(t, ns, tt.cmd+"\n")
			if tt.name != "an object" && tt.name != "a helper" { // objects are not read: they do no harm beside ours, and the kernel guards them
				if _, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp any > any:80")}}); !errors.Is(err, ErrNotOurs) {
					t.Errorf("add beside it: %v", err)
				}
			}
			eventually(t, "the wide rule expires", func() bool { _, err := c.find(ctx(t), wide.ID); return errors.Is(err, ErrNoRule) })
			must(t, c.Confirm(ctx(t), exact.ID, nil))
			must(t, c.Remove(ctx(t), exact.ID))
			must(t, c.be.sweep(ctx(t)))
			must(t, c.Close())
			out := tool(t, ns, "nft", "list", "ruleset")
			if !strings.Contains(out, tt.stays) {
				t.Errorf("gone:\n%s", out)
			}
			if strings.Contains(out, "10.0.0.1") || strings.Contains(out, "dport 53") || strings.Contains(out, "live_") {
				t.Errorf("left:\n%s", out)
			}
		})
	}
}

// TestNotOursIptables writes ctview's comment to rules that ctview did not make: they are others', and stay.
func TestNotOursIptables(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			add := func(comment string, match ...string) {
				tool(t, ns, append(append([]string{variant, "-t", "raw", "-A", "PREROUTING"}, match...),
					"-m", "comment", "--comment", comment, "-j", "CT", "--notrack")...)
			}
			const meta = " by=root at=1795354000 keep=0 try=60"
			add("ctview abcdef orig", "-p", "udp", "--dport", "1")
			add("ctview abcde0 orig"+meta+" : udp any > any:2 one-way", "-p", "udp", "--dport", "3")
			add("ctview abcde1 orig"+meta+" : udp any > any:4 one-way", "-p", "udp", "--dport", "4", "-s", "10.0.0.0/8")
			add("ctview abcde2 orig"+meta+" : udp any > any:5 one-way", "-p", "udp", "--dport", "6", "-m", "time", "--datestop", "2020-01-01T00:00:00")
			before := tool(t, ns, variant, "-t", "raw", "-S")
			for _, be := range []string{variant, "nftables"} {
				c := open(t, ns, be)
				r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:53")}})
				must(t, err)
				if rs, err := c.List(ctx(t)); err != nil || len(rs) != 1 {
					t.Errorf("%s: %+v %v", be, rs, err)
				}
				if others, err := c.Others(ctx(t)); err != nil || len(others) != 4 {
					t.Errorf("%s: others %+v %v", be, others, err)
				}
				for _, id := range []string{"abcdef", "abcde0", "abcde1", "abcde2"} {
					if err := c.Remove(ctx(t), id); !errors.Is(err, ErrNoRule) {
						t.Errorf("%s: remove %s: %v", be, id, err)
					}
				}
				must(t, c.Remove(ctx(t), r.ID))
				must(t, c.Close())
			}
			if after := tool(t, ns, variant, "-t", "raw", "-S"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestIptablesKnowsItsOwn installs every kind of rule through iptables and finds each again by what the programs print.
func TestIptablesKnowsItsOwn(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			c := open(t, ns, variant)
			for _, text := range []string{"tcp 10.0.0.1:1 > 10.0.0.2:2", "udp any > any:53", "udp 10.0.0.0/8 > any:1000-2000", "sctp any > 10.0.0.2:5",
				"dccp any > 10.0.0.2:5", "udplite 10.0.0.1 > 10.0.0.2:5-6", "gre 10.0.0.1 > 10.0.0.2", "icmp any > 10.0.0.1 type 8", "icmpv6 any > 2001:db8::1 type 128",
				"tcp [2001:db8::1]:1 > [2001:db8::2]:2", "any any > 10.0.0.1", "tcp any > any:80 iif lan0", "udp 10.0.0.1:1 > any one-way"} {
				r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}})
				if err != nil || r.Text() != rule(t, text).String() {
					t.Errorf("%s: %+v %v", text, r, err)
					continue
				}
				must(t, c.Confirm(ctx(t), r.ID, nil))
				must(t, c.Remove(ctx(t), r.ID))
			}
			for _, prog := range []string{variant, "ip6tables" + strings.TrimPrefix(variant, "iptables")} {
				if out := tool(t, ns, prog, "-t", "raw", "-S"); strings.Contains(out, "ctview") {
					t.Errorf("left:\n%s", out)
				}
			}
		})
	}
}
