package dryrun

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// TestEvaluate asks what happens to imagined packets in real rulesets, with each of the three answers.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	const est, unt, inv = expr.CtStateBitESTABLISHED, expr.CtStateBitUNTRACKED, expr.CtStateBitINVALID
	for _, tt := range []struct {
		name, rules, rule string
		state             uint32
		want              outcome
		drop              string
	}{
		{"policy", "policy drop; ct state established accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", est, accepts, ""},
		{"policy, untracked", "policy drop; ct state established accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, drops, "inet f/c (policy drop)"},
		{"a port that matches", "policy drop; tcp dport 80 accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, accepts, ""},
		{"a port that does not", "policy drop; tcp dport 81 accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, drops, "inet f/c (policy drop)"},
		{"a port that may", "policy drop; tcp dport 80 accept", "tcp 10.0.0.1 > 10.0.0.2:70-90", unt, accepts | drops, "inet f/c (policy drop)"},
		{"a set", "policy drop; tcp dport { 22, 80-90 } accept", "tcp 10.0.0.1:1 > 10.0.0.2:85", unt, accepts, ""},
		{"a set without it", "policy drop; tcp dport { 22, 80-90 } accept", "tcp 10.0.0.1:1 > 10.0.0.2:91", unt, drops, "inet f/c (policy drop)"},
		{"not in a set", "policy accept; tcp dport != { 22, 80 } drop", "tcp 10.0.0.1:1 > 10.0.0.2:91", unt, drops, "inet f/c: tcp dport != @__set0 drop"},
		{"a concatenation", "policy drop; ip saddr . tcp dport { 10.0.0.0/24 . 80-90 } accept", "tcp 10.0.0.1:1 > 10.0.0.2:85", unt, accepts, ""},
		{"another concatenation", "policy drop; ip saddr . tcp dport { 10.0.0.0/24 . 80-90 } accept", "tcp 10.0.1.1:1 > 10.0.0.2:85", unt, drops, "inet f/c (policy drop)"},
		{"a prefix", "policy drop; ip saddr 10.0.0.0/9 accept", "tcp 10.127.0.0/16 > any:80", unt, accepts, ""},
		{"a wider prefix", "policy drop; ip saddr 10.0.0.0/24 accept", "tcp 10.0.0.0/8 > any:80", unt, accepts | drops, "inet f/c (policy drop)"},
		{"a verdict map", "policy accept; ct state vmap { established : accept, untracked : drop }", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, drops, "inet f/c: ct state vmap @__map0"},
		{"a jump that returns", "policy drop; jump sub; ct state untracked accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, accepts, ""},
		{"a jump that drops", "policy accept; jump sub", "udp 10.0.0.1:1 > 10.0.0.2:9", unt, drops, "inet f/sub: udp dport 9 drop"},
		{"a goto", "policy drop; goto sub; accept", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, drops, "inet f/c (policy drop)"},
		{"what nobody knows", "policy accept; limit rate 5/second drop", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, accepts | drops, "inet f/c: limit drop"},
		{"reject", "policy accept; meta l4proto tcp reject", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, drops, "inet f/c: meta l4proto tcp reject"},
		{"an interface", `policy accept; iifname "lan*" drop`, "tcp 10.0.0.1:1 > 10.0.0.2:80 iif lan7", unt, drops, `inet f/c: iifname "lan*" drop`},
		{"no interface", `policy accept; iifname "lan*" drop`, "tcp 10.0.0.1:1 > 10.0.0.2:80 iif wan", unt, accepts, ""},
		{"a property of a flow", "policy accept; ct mark 5 drop", "tcp 10.0.0.1:1 > 10.0.0.2:80", unt, accepts, ""},
		{"the same tracked", "policy accept; ct mark 5 drop", "tcp 10.0.0.1:1 > 10.0.0.2:80", est, accepts | drops, "inet f/c: ct mark 0x5 drop"},
		{"invalid", "policy accept; ct state invalid drop", "icmp any > 10.0.0.1 type 3", inv, drops, "inet f/c: ct state invalid drop"},
		{"IPv6", "policy drop; ip6 daddr 2001:db8::/32 accept", "udp [2001:db8:1::1]:1 > [2001:db8:2::1]:2", unt, accepts, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := testNS(t)
			nftRules(t, ns, "table inet f {\n\tchain sub { udp dport 9 drop; tcp dport 80 return; }\n\tchain c { type filter hook forward priority 0; "+tt.rules+"; }\n}\n")
			rd, err := ruleset.Dial(ns)
			must(t, err)
			defer rd.Close()
			rs, err := rd.Read()
			must(t, err)
			r := rule(t, tt.rule)
			e := &evaluator{rs: rs, c: rd}
			got := e.hook(unix.NF_INET_FORWARD, packetOf(&r, r.Families()[0], tt.state), "filter")
			drop := strings.Join(last(e.drop), "")
			if got != tt.want || tt.want&drops != 0 && !strings.HasPrefix(drop, tt.drop) {
				t.Errorf("%02b %q, want %02b %q", got, drop, tt.want, tt.drop)
			}
		})
	}
}

// TestEvaluateLegacy does the same with the text of iptables-save.
func TestEvaluateLegacy(t *testing.T) {
	t.Parallel()
	const save = `*filter
:FORWARD DROP [0:0]
:sub - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 80:90 -m comment --comment "a b" -j ACCEPT
-A FORWARD -s 10.9.0.0/16 -j sub
-A FORWARD ! -i lan+ -p udp -j REJECT
-A sub -d 10.0.0.2/32 -j RETURN
-A sub -m statistic --mode random --probability 0.5 -j DROP
-A sub -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
`
	rules, chains := ruleset.ParseSave(save, false)
	for _, tt := range []struct {
		rule  string
		state uint32
		want  outcome
	}{
		{"tcp 10.0.0.1:1 > 10.0.0.2:99", expr.CtStateBitESTABLISHED, accepts},
		{"tcp 10.0.0.1:1 > 10.0.0.2:99", expr.CtStateBitUNTRACKED, drops},
		{"tcp 10.0.0.1:1 > 10.0.0.2:85", expr.CtStateBitUNTRACKED, accepts},
		{"tcp 10.0.0.1:1 > 10.0.0.2:80-99", expr.CtStateBitUNTRACKED, accepts | drops},
		{"tcp 10.9.0.1:1 > 10.0.0.2:99", expr.CtStateBitUNTRACKED, drops},
		{"tcp 10.9.0.1:1 > 10.0.0.3:99", expr.CtStateBitUNTRACKED, accepts | drops},
		{"udp 10.0.0.1:1 > 10.0.0.2:99 iif wan", expr.CtStateBitUNTRACKED, drops},
	} {
		r := rule(t, tt.rule)
		e := &xtEvaluator{rules: rules, chains: chains}
		if got := e.hook("FORWARD", packetOf(&r, model.IPv4, tt.state), filterTables...); got != tt.want {
			t.Errorf("%s: %02b, want %02b (%v)", tt.rule, got, tt.want, e.drop)
		}
	}
	r := rule(t, "tcp 10.0.0.1:1 > 10.0.0.2:99")
	p := packetOf(&r, model.IPv4, expr.CtStateBitNEW)
	p.oif = "wan"
	e := &xtEvaluator{rules: rules, chains: chains}
	e.hook("POSTROUTING", p, "nat")
	if diff := cmp.Diff([]Met{{"iptables nat: -A POSTROUTING -o wan -j MASQUERADE", Yes, target{source: true, own: true}}}, e.nat,
		cmp.AllowUnexported(Met{}, target{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
