package notrack

import (
	"strings"
	"testing"

	"ctview/model"
)

// TestPreviewNAT finds NAT in both directions before any flow exists: untracked, neither a connection that would have been
// translated nor the answers of one are any more. legacy rules are loaded by iptables-legacy, xt ones by iptables-nft.
func TestPreviewNAT(t *testing.T) {
	t.Parallel()
	const (
		forward = `table ip nat { chain pre { type nat hook prerouting priority -100; iifname "wan" tcp dport 80 dnat to 10.1.0.2:8080; }
}`
		masq = `table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}`
		snat = `table ip nat { chain post { type nat hook postrouting priority 100; ip saddr 10.1.0.0/24 oifname "wan" snat to 10.2.0.77; }
}`
		local = `table ip nat { chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport 8000 dnat to 10.1.0.2:8080; }
}`
		branch = `table ip nat {
	chain sep1 { meta l4proto tcp dnat to 10.1.0.2:8080; }
	chain sep2 { meta l4proto tcp dnat to 10.1.0.2:8081; }
	chain svc { numgen random mod 2 == 0 goto sep1; goto sep2; }
	chain pre { type nat hook prerouting priority -100; ip daddr 10.96.0.1 tcp dport 443 jump svc; }
}`
		half = `table ip nat {
	chain pre { type nat hook prerouting priority -100; ip daddr 10.96.0.1 tcp dport 443 numgen random mod 2 == 0 dnat to 10.1.0.2:8080; }
}`
		docker = `*nat
:PREROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -p tcp -m tcp --dport 8000 -j DNAT --to-destination 10.1.0.2:8080
COMMIT
`
	)
	for _, tt := range []struct {
		name, rules string
		prog        string // nft, iptables-nft-restore, iptables-legacy-restore
		rule        string
		want        string // refuse, ask, ""
	}{
		{"port-forward, its server named", forward, "nft", "tcp any > 10.1.0.2:8080", "refuse"},
		{"port-forward, its server's answers", forward, "nft", "tcp 10.1.0.2:8080 > any one-way", "refuse"},
		{"port-forward, the port before", forward, "nft", "tcp any > 10.2.0.1:80 iif wan", "refuse"},
		{"port-forward, one client", forward, "nft", "tcp 10.2.0.2:4000 > 10.1.0.2:8080", "ask"},
		{"port-forward, another port", forward, "nft", "tcp any > 10.1.0.2:22", ""},
		{"port-forward, a client that comes another way", forward, "nft", "tcp 10.1.0.3:4000 > 10.1.0.2:8080", ""},
		{"port-forward, another protocol", forward, "nft", "udp any > 10.1.0.2:8080", ""},
		{"masquerade, a whole host", masq, "nft", "any 10.1.0.2 > any", "ask"},
		{"masquerade, a whole host by its other end", masq, "nft", "any any > 10.1.0.2", "ask"},
		{"masquerade, to one server", masq, "nft", "tcp 10.1.0.2 > 10.2.0.2:443", "refuse"},
		{"masquerade, by the server's end", masq, "nft", "tcp 10.2.0.2:443 > 10.1.0.2", "refuse"},
		{"masquerade, answers to the router's address", masq, "nft", "any 10.2.0.2 > 10.2.0.1", "refuse"},
		{"masquerade, a service of the router", masq, "nft", "tcp 10.2.0.2 > 10.2.0.1:22", ""},
		{"snat, answers to its address", snat, "nft", "udp any > 10.2.0.77", "refuse"},
		{"snat, another address", snat, "nft", "udp 10.2.0.2 > 10.2.0.78", ""},
		{"local, its server", local, "nft", "tcp 10.2.0.0/24 > 10.1.0.2:8080", "refuse"},
		{"local, the router's port", local, "nft", "tcp 10.2.0.2 > 10.2.0.1:8000", "refuse"},
		{"local, the port of somebody else", local, "nft", "tcp 10.2.0.2 > 10.1.0.3:8000", ""},
		{"every branch translates", branch, "nft", "tcp 10.1.0.9 > 10.96.0.1:443", "refuse"},
		{"one branch translates", half, "nft", "tcp 10.1.0.9 > 10.96.0.1:443", "ask"},
		{"docker by iptables-nft", docker, "iptables-nft-restore", "tcp 10.2.0.2 > 10.2.0.1:8000", "refuse"},
		{"docker by iptables-nft, the container", docker, "iptables-nft-restore", "tcp any > 10.1.0.2:8080", "refuse"},
		{"docker by iptables-legacy", docker, "iptables-legacy-restore", "tcp 10.2.0.2 > 10.2.0.1:8000", "refuse"},
		{"docker by iptables-legacy, the container", docker, "iptables-legacy-restore", "tcp any > 10.1.0.2:8080", "refuse"},
		{"docker, an address that is not the router's", docker, "iptables-legacy-restore", "tcp 10.2.0.2 > 10.1.0.3:8000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newTriple(t)
			nftRules(t, n.router, ctState)
			if tt.prog == "nft" {
				nftRules(t, n.router, tt.rules)
			} else {
				restore(t, n.router, tt.prog, tt.rules)
			}
			c := open(t, n.router, "nftables")
			pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, tt.rule)}}, flowsOf(t, n.router), nil)
			must(t, err)
			got := ""
			switch {
			case strings.Contains(pre.Refused(), "translate"):
				got = "refuse"
			case strings.Contains(question(pre), "translate"):
				got = "ask"
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q: %+v", tt.rule, got, tt.want, pre.Warnings)
			}
		})
	}
}

// TestPreviewPolicyRouting does not take the main table's word for where packets go.
func TestPreviewPolicyRouting(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	nftRules(t, n.router, ctState+`table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}`)
	tool(t, n.router, "ip", "link", "add", "dmz", "type", "veth", "peer", "name", "end")
	tool(t, n.router, "ip", "link", "set", "dmz", "up")
	tool(t, n.router, "ip", "link", "set", "end", "up")
	tool(t, n.router, "ip", "route", "add", "10.3.0.0/24", "dev", "dmz")
	c := open(t, n.router, "nftables")
	ask := func() string {
		pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.3.0.2:443")}}, flowsOf(t, n.router), nil)
		must(t, err)
		return question(pre)
	}
	if q := ask(); q != "" {
		t.Errorf("routed to dmz: %q", q)
	}
	tool(t, n.router, "ip", "rule", "add", "from", "10.1.0.0/24", "lookup", "100")
	tool(t, n.router, "ip", "route", "add", "default", "via", "10.2.0.2", "table", "100")
	if q := ask(); !strings.Contains(q, "masquerade") {
		t.Errorf("a rule of routing leads to wan, which is masqueraded: %q", q)
	}
}

// TestForwardedAnswersUntracked shows why a port-forward's server is refused: with its answers untracked nobody gets through.
func TestForwardedAnswersUntracked(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	nftRules(t, n.router, ctState+`table ip nat { chain pre { type nat hook prerouting priority -100; iifname "wan" tcp dport 80 dnat to 10.1.0.2:8080; }
}`)
	listen(t, n.client, "10.1.0.2:8080")
	p := dial(t, n.server, "tcp4", "10.2.0.2:4000", "10.2.0.1:80")
	p.exchange(2)
	nftRules(t, n.router, `table ip r { chain pre { type filter hook prerouting priority raw; ip saddr 10.1.0.2 tcp sport 8080 notrack; }
}`)
	if p.try() {
		t.Error("the connection survived untracked answers")
	}
}
