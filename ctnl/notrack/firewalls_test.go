package notrack

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"ctview/ctnl/lab"
	"ctview/model"
)

// A dialed is a connection of two hosts of a triple: "client 10.1.0.2:4000 > server 10.2.0.2:80". Where the address that is
// dialled is not the one that is listened at, the latter follows: "… > router 10.2.0.1:80 = client 10.1.0.2:8080".
func (n *triple) dialed(t *testing.T, text string) *pingPong {
	t.Helper()
	at, behind, forwarded := strings.Cut(text, " = ")
	who, to, _ := strings.Cut(at, " > ")
	host := func(s string) (*lab.NS, string) {
		name, addr, _ := strings.Cut(s, " ")
		return map[string]*lab.NS{"client": n.client, "router": n.router, "server": n.server}[name], addr
	}
	ns, laddr := host(who)
	lns, raddr := host(to)
	ears := raddr
	if forwarded {
		lns, ears = host(behind)
	}
	listen(t, lns, ears)
	network := "tcp4"
	if netip.MustParseAddrPort(laddr).Addr().Is6() {
		network = "tcp6"
	}
	return dial(t, ns, network, laddr, raddr)
}

// TestFirewalls asks for a rule behind the rule sets of others, as they write them, and holds the preview to what a real
// connection does: what is refused or warned of kills it, what nothing is said of does not.
func TestFirewalls(t *testing.T) {
	t.Parallel()
	const ftpHelper = `table inet h { ct helper f { type "ftp" protocol tcp; }
	chain p { type filter hook prerouting priority -150; tcp dport 21 ct helper set "f"; }
}
`
	const (
		refused = "refused"
		asked   = "asked"
		warned  = "warned"
		nothing = ""
	)
	for _, tt := range []struct {
		name, rules string // a file of testdata for "nft", "iptables-nft" or "iptables-legacy", or a text for nft
		conn, rule  string // a connection that is there before, and what is asked for
		says        string // of NAT and the firewall
		helper      bool   // it warns of a helper
	}{
		{"ufw, a service that is open", "iptables-legacy ufw.rules", "client 10.1.0.2:4000 > router 10.1.0.1:22", "tcp 10.1.0.2:4000 > 10.1.0.1:22", nothing, false},
		{"ufw by iptables-nft, a service that is open", "iptables-nft ufw.rules", "client 10.1.0.2:4000 > router 10.1.0.1:22", "tcp 10.1.0.2:4000 > 10.1.0.1:22", nothing, false},
		{"ufw, answers to the router", "iptables-legacy ufw.rules", "router 10.2.0.1:4000 > server 10.2.0.2:80", "tcp 10.2.0.1:4000 > 10.2.0.2:80", warned, false},
		{"ufw by iptables-nft, answers to the router", "iptables-nft ufw.rules", "router 10.2.0.1:4000 > server 10.2.0.2:80", "tcp 10.2.0.1:4000 > 10.2.0.2:80", warned, false},

		{"ufw, IPv6, a service that is open", "ip6tables-legacy ufw6.rules", "client [fd01::2]:4000 > router [fd01::1]:22", "tcp [fd01::2]:4000 > [fd01::1]:22", nothing, false},
		{"ufw by iptables-nft, IPv6, a service that is open", "ip6tables-nft ufw6.rules", "client [fd01::2]:4000 > router [fd01::1]:22", "tcp [fd01::2]:4000 > [fd01::1]:22", nothing, false},
		{"ufw, IPv6, answers to the router", "ip6tables-legacy ufw6.rules", "router [fd02::1]:4000 > server [fd02::2]:80", "tcp [fd02::1]:4000 > [fd02::2]:80", warned, false},
		{"ufw by iptables-nft, IPv6, answers to the router", "ip6tables-nft ufw6.rules", "router [fd02::1]:4000 > server [fd02::2]:80", "tcp [fd02::1]:4000 > [fd02::2]:80", warned, false},

		{"docker, into a container", "iptables-legacy docker.rules", "server 10.2.0.2:4000 > router 10.2.0.1:80 = client 10.1.0.2:8080", "tcp any > 10.1.0.2:8080", refused, false},
		{"docker, the published port", "iptables-legacy docker.rules", "server 10.2.0.2:4000 > router 10.2.0.1:80 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:80", refused, false},
		{"docker by iptables-nft, the published port", "iptables-nft docker.rules", "server 10.2.0.2:4000 > router 10.2.0.1:80 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:80", refused, false},
		{"docker, out of a container", "iptables-legacy docker.rules", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", refused, false},
		{"docker by iptables-nft, out of a container", "iptables-nft docker.rules", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", refused, false},
		{"docker, a service of the host", "iptables-legacy docker.rules", "server 10.2.0.2:4000 > router 10.2.0.1:22", "tcp 10.2.0.2:4000 > 10.2.0.1:22", nothing, false},
		{"docker, the host's own", "iptables-nft docker.rules", "router 10.2.0.1:4000 > server 10.2.0.2:443", "tcp 10.2.0.1:4000 > 10.2.0.2:443", nothing, false},
		{"docker, answers to the host", "iptables-nft docker.rules", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.2.0.1 > 10.2.0.2:443", refused, false},

		{"kube-proxy, a NodePort", "iptables-legacy kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:30080", refused, false},
		{"kube-proxy by iptables-nft, a NodePort", "iptables-nft kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:30080", refused, false},
		{"kube-proxy, an endpoint", "iptables-legacy kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp any > 10.1.0.2/31:8080", refused, false},
		{"kube-proxy by iptables-nft, an endpoint", "iptables-nft kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp any > 10.1.0.2/31:8080", refused, false},
		{"kube-proxy, an address of a service", "iptables-nft kube-proxy.rules", "server 10.2.0.2:4000 > router 10.96.12.34:80 = client 10.1.0.2:8080", "tcp 10.2.0.0/24 > 10.96.12.34:80", refused, false},
		{"kube-proxy, the node's ssh", "iptables-legacy kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:22", "tcp 10.2.0.2:4000 > 10.2.0.1:22", nothing, false},
		{"kube-proxy by iptables-nft, the node's ssh", "iptables-nft kube-proxy.rules", "server 10.2.0.2:4000 > router 10.2.0.1:22", "tcp 10.2.0.2:4000 > 10.2.0.1:22", nothing, false},
		{"kube-proxy, a pod that asks outside", "iptables-nft kube-proxy.rules", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", asked, false},

		{"kube-proxy by nft, a NodePort", "nft kube-proxy.nft", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:30080", refused, false},
		{"kube-proxy by nft, an endpoint", "nft kube-proxy.nft", "server 10.2.0.2:4000 > router 10.2.0.1:30080 = client 10.1.0.2:8080", "tcp any > 10.1.0.2/31:8080", refused, false},
		{"kube-proxy by nft, an address of a service", "nft kube-proxy.nft", "server 10.2.0.2:4000 > router 10.96.12.34:80 = client 10.1.0.2:8080", "tcp 10.2.0.0/24 > 10.96.12.34:80", refused, false},
		{"kube-proxy by nft, the node's ssh", "nft kube-proxy.nft", "server 10.2.0.2:4000 > router 10.2.0.1:22", "tcp 10.2.0.2:4000 > 10.2.0.1:22", nothing, false},
		{"kube-proxy by nft, a pod that asks outside", "nft kube-proxy.nft", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", asked, false},

		{"firewalld, masqueraded", "nft firewalld.nft", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", refused, false},
		{"firewalld, a forwarded port", "nft firewalld.nft", "server 10.2.0.2:4000 > router 10.2.0.1:80 = client 10.1.0.2:8080", "tcp 10.2.0.2 > 10.2.0.1:80", refused, false},
		{"firewalld, its server", "nft firewalld.nft", "server 10.2.0.2:4000 > router 10.2.0.1:80 = client 10.1.0.2:8080", "tcp any > 10.1.0.2:8080", refused, false},
		{"firewalld, a service that is open", "nft firewalld.nft", "client 10.1.0.2:4000 > router 10.1.0.1:22", "tcp 10.1.0.2:4000 > 10.1.0.1:22", nothing, false},
		{"firewalld, its FTP with a helper", "nft firewalld.nft", "", "tcp 10.2.0.2 > 10.2.0.1:21", nothing, true},
		{"firewalld, routed", "nft firewalld-routed.nft", "client 10.1.0.2:4000 > server 10.2.0.2:443", "tcp 10.1.0.2 > 10.2.0.2:443", warned, false},
		{"firewalld, routed IPv6", "nft firewalld-routed.nft", "client [fd01::2]:4000 > server [fd02::2]:443", "tcp [fd01::2]:4000 > [fd02::2]:443", warned, false},
		{"firewalld, answers to the router", "nft firewalld-routed.nft", "router 10.2.0.1:4000 > server 10.2.0.2:80", "tcp 10.2.0.1:4000 > 10.2.0.2:80", warned, false},

		{"a helper by a rule", ftpHelper, "client 10.1.0.2:4000 > server 10.2.0.2:21", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"a helper by a rule, no connection yet", ftpHelper, "", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"a helper by a rule, of its answers", ftpHelper, "", "tcp 10.2.0.2:21 > any", nothing, true},
		{"a helper by a rule, another port", ftpHelper, "", "tcp 10.1.0.2:4000 > 10.2.0.2:22", nothing, false},
		{"a helper by a map", `table inet h { ct helper f { type "ftp" protocol tcp; }
	chain p { type filter hook prerouting priority -150; ct helper set tcp dport map { 21 : "f", 2121 : "f" }; }
}
`, "", "tcp any > 10.2.0.2:21", nothing, true},
		{"CT --helper", "iptables-legacy helper.rules", "client 10.1.0.2:4000 > server 10.2.0.2:21", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"CT --helper by iptables-nft", "iptables-nft helper.rules", "client 10.1.0.2:4000 > server 10.2.0.2:21", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"CT --helper, no connection yet", "iptables-legacy helper.rules", "", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"CT --helper by iptables-nft, no connection yet", "iptables-nft helper.rules", "", "tcp 10.1.0.2:4000 > 10.2.0.2:21", nothing, true},
		{"CT --helper, another port", "iptables-nft helper.rules", "", "tcp 10.1.0.2:4000 > 10.2.0.2:22", nothing, false},

		{"synproxy", `table inet s { chain p { type filter hook prerouting priority -300; tcp dport 80 tcp flags syn notrack; }
	chain f { type filter hook forward priority 0; tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; ct state invalid drop; }
}
`, "client 10.1.0.2:4000 > server 10.2.0.2:80", "tcp 10.1.0.2:4000 > 10.2.0.2:80", warned, false},
		{"synproxy of iptables", "iptables-legacy synproxy.rules", "client 10.1.0.2:4000 > server 10.2.0.2:80", "tcp 10.1.0.2:4000 > 10.2.0.2:80", warned, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			must(t, n.client.Do(func() error { // the other endpoint of a service
				l, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				a, err := netlink.ParseAddr("10.1.0.3/24")
				if err != nil {
					return err
				}
				return netlink.AddrAdd(l, a)
			}))
			nftRules(t, n.router, ctState)
			load := func() {
				prog, file, ok := strings.Cut(tt.rules, " ")
				if !ok || strings.Contains(file, "{") {
					nftRules(t, n.router, tt.rules)
					return
				}
				b, err := os.ReadFile("testdata/" + file)
				must(t, err)
				if prog == "nft" {
					nftRules(t, n.router, string(b))
				} else {
					restore(t, n.router, prog+"-restore", string(b))
				}
			}
			late := strings.HasPrefix(tt.name, "synproxy") // it takes connections of its own only
			if !late {
				load()
			}
			var p *pingPong
			if tt.conn != "" {
				if strings.HasPrefix(tt.name, "kube-proxy") { // it chooses one of two endpoints by chance
					listen(t, n.client, "10.1.0.3:8080")
				}
				p = n.dialed(t, tt.conn)
				p.exchange(2)
			}
			if late {
				load()
			}
			c := open(t, n.router, "nftables")
			q := &Request{Rules: rulesOf(t, []string{tt.rule})}
			pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
			must(t, err)
			w, says := warning(pre, model.WarnFirewall), nothing
			switch {
			case strings.Contains(pre.Refused(), "translate"):
				says = refused
			case strings.Contains(question(pre), "translate"):
				says = asked
			case w != "":
				says = warned
			}
			if says != tt.says || says != refused && pre.Refused() != "" {
				t.Errorf("%q, want %q; all: %+v", says, tt.says, pre.Warnings)
			}
			if h := warning(pre, model.WarnHelper); (h != "") != tt.helper {
				t.Errorf("of helpers: %q", h)
			}
			if p == nil {
				return
			}
			_, err = c.Add(ctx(t), q) // which does not ask
			must(t, err)
			if lives := p.try(); lives != (tt.says == nothing || tt.says == asked) {
				t.Errorf("the connection lives: %v, of which was said %q", lives, tt.says)
			}
		})
	}
}
