package notrack

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// trackOnly makes a namespace track one family, as a firewall of "table ip" does.
func trackOnly(family string) string {
	return "table " + family + ` user {
	chain c { type filter hook prerouting priority 0; ct state new counter; }
	chain o { type filter hook output priority 0; ct state new counter; }
}
`
}

// TestTrackingNotSwitchedOn installs rules where nothing, one family or both are tracked: what was not is not tracked after.
func TestTrackingNotSwitchedOn(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		for _, fams := range []string{"", "ip", "ip6", "ip ip6", "inet"} {
			t.Run(be+" "+fams, func(t *testing.T) {
				t.Parallel()
				ns := testNS(t)
				for _, f := range strings.Fields(fams) {
					nftRules(t, ns, trackOnly(f))
				}
				want := [2]bool{strings.Contains(fams, "ip ") || fams == "ip" || fams == "inet", strings.Contains(fams, "ip6") || fams == "inet"}
				c := open(t, ns, be)
				q := &Request{Rules: []model.Rule{rule(t, "tcp any > any:80"), rule(t, "udp 127.0.0.1:4000 > 127.0.0.1:5000")}}
				res, err := c.Apply(ctx(t), q, flowsOf(t, ns), ApplyOptions{Verify: time.Millisecond})
				must(t, err)
				if leak := be == "nftables" && want[0] && want[1]; res.Rule.HasLeak != leak {
					t.Errorf("leak counter %v, want %v", res.Rule.HasLeak, leak)
				}
				a := traffic(t, ns, ns, "udp4", "127.0.0.1:4001", "127.0.0.1:5001")
				b := traffic(t, ns, ns, "udp6", "[::1]:4001", "[::1]:5001")
				a.exchange(1)
				b.exchange(1)
				got := [2]bool{len(entries(t, ns, "ipv4", "5001")) > 0, len(entries(t, ns, "ipv6", "5001")) > 0}
				if got != want {
					t.Errorf("tracked %v, want %v", got, want)
				}
			})
		}
	}
}

// TestNothingOutlivesTheLastRule lets rules expire, has somebody take tables apart, and takes everybody's firewall away: the
// ruleset is as it was before, and nothing is tracked because of ctview.
func TestNothingOutlivesTheLastRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		harm string // an nft command after the rules were installed
	}{
		{"expired", ""},
		{"expired beside a session", ""},
		{"chain flushed", "flush chain inet ctview pre"},
		{"table flushed", "flush table inet ctview"},
		{"sets flushed", "flush set inet ctview flows4; flush set inet ctview flows6"},
		{"no firewall", "delete table inet user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			nftRules(t, ns, ctState)
			c := open(t, ns, "nftables")
			life := time.Hour
			if tt.harm == "" {
				life = pace * time.Second
			}
			for _, text := range []string{"tcp 10.0.0.1:1 > 10.0.0.2:2", "udp any > any:53", "udp [2001:db8::1]:1 > [2001:db8::2]:2"} {
				_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}, Trial: life})
				must(t, err)
			}
			if tt.harm != "" {
				nftRules(t, ns, strings.ReplaceAll(tt.harm, "; ", "\n")+"\n")
			}
			if tt.name == "no firewall" {
				must(t, c.Tidy(ctx(t)))
				if got, err := ruleset.Look(ns); err != nil || got.Own != "" || got.Tracks != "" {
					t.Errorf("leak counters alone keep tracking on: %+v %v", got, err)
				}
			}
			if tt.harm == "" {
				eventually(t, "all expire", func() bool { rs, err := c.List(ctx(t)); return err == nil && len(rs) == 0 })
				if strings.HasSuffix(tt.name, "session") {
					must(t, open(t, ns, "").keep(ctx(t)))
				} else {
					must(t, c.Tidy(ctx(t)))
				}
			} else {
				_, err := open(t, ns, "").RemoveAll(ctx(t))
				must(t, err)
			}
			if out := tool(t, ns, "nft", "list", "ruleset"); strings.Contains(out, "ctview") {
				t.Errorf("left:\n%s", out)
			}
		})
	}
}

// TestExpiredLinesGo lets rules of iptables expire, and then does what any command does first: the lines are gone, and so is a raw
// table that was not there before; one that was stays, and so does what others have put into it.
func TestExpiredLinesGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, variant, before, after string }{
		{"no table before", "iptables-nft", "", ""},
		{"a table before", "iptables-nft", "table ip raw { chain PREROUTING { type filter hook prerouting priority -300; }; }", ""},
		{"somebody's rule after", "iptables-nft", "", "add rule ip raw OUTPUT udp dport 9 accept"},
		{"somebody's object after", "iptables-nft", "", "add counter ip raw kept"},
		{"legacy", "iptables-legacy", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			nftRules(t, ns, tt.before+"\n")
			c := open(t, ns, tt.variant)
			left := func(when string, want ...string) {
				t.Helper()
				if got, err := ruleset.Left(ns); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: something may be left in %q %v, want %q", when, got, err, want)
				}
			}
			left("before")
			_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:53")}, Trial: pace * 2 * time.Second})
			must(t, err)
			left("added", tt.variant)
			nftRules(t, ns, tt.after+"\n")
			other := open(t, ns, "")
			eventually(t, "it expires", func() bool { rs, err := other.List(ctx(t)); return err == nil && len(rs) == 0 })
			must(t, TidyLeft(ctx(t), ns))
			out := tool(t, ns, "nft", "list", "ruleset")
			for _, prog := range []string{"iptables-legacy", "ip6tables-legacy"} {
				if tt.variant == "iptables-legacy" {
					out += tool(t, ns, prog, "-t", "raw", "-S")
				}
			}
			if tt.after == "" { // else the mark stays: the table would be ctview's if that were not there
				left("after")
			}
			if strings.Contains(out, "\"ctview ") || strings.Contains(out, "table ip6 raw") || tt.before+tt.after == "" && strings.Contains(out, "table ip raw") {
				t.Errorf("left:\n%s", out)
			}
			if tt.before+tt.after != "" && !strings.Contains(out, "table ip raw") || strings.Contains(tt.after, "dport 9") && !strings.Contains(out, "udp dport 9 accept") {
				t.Errorf("gone:\n%s", out)
			}
		})
	}
}
