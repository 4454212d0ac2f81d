package notrack

import (
	"os"
	"strings"
	"testing"

	"ctview/model"
)

// TestFirewalls asks for a rule behind the rule sets of others, as they write them, and holds the preview to what a real
// connection does: it is refused, or warned of what then cuts the connection, or nothing is said and the connection goes on.
func TestFirewalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, rules string // of iptables-restore, or of nft
		from, to, rule    string // the client dials from an address to one; empty: no connection before
		refused, warned   bool
		lives             bool
	}{
		{"ufw, a service that is open", "ufw.rules", "", "10.1.0.2:4000", "10.1.0.1:22", "tcp 10.1.0.2:4000 > 10.1.0.1:22", false, false, true},
		{"ufw, answers to the router", "ufw.rules", "", "", "10.2.0.2:80", "tcp 10.2.0.1:4000 > 10.2.0.2:80", false, true, false},
		{"docker, into a container", "docker.rules", "", "", "", "tcp any > 10.1.0.2:8080", true, true, false},
		{"docker, out of a container", "docker.rules", "", "", "", "tcp 10.1.0.2 > 10.2.0.2:443", true, true, false},
		{"docker, the published port", "docker.rules", "", "", "", "tcp 10.2.0.2 > 10.2.0.1:80", true, false, false},
		{"a helper by a rule", "", `table inet h { ct helper f { type "ftp" protocol tcp; }
	chain p { type filter hook prerouting priority -150; tcp dport 21 ct helper set "f"; }
}
`, "10.1.0.2:4000", "10.2.0.2:21",
			"tcp 10.1.0.2:4000 > 10.2.0.2:21", false, false, true},
		{"synproxy", "", `table inet s { chain p { type filter hook prerouting priority -300; tcp dport 80 tcp flags syn notrack; }
	chain f { type filter hook forward priority 0; tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; ct state invalid drop; }
}
`,
			"10.1.0.2:4000", "10.2.0.2:80", "tcp 10.1.0.2:4000 > 10.2.0.2:80", false, true, false},
		{"synproxy of iptables", "synproxy.rules", "", "10.1.0.2:4000", "10.2.0.2:80", "tcp 10.1.0.2:4000 > 10.2.0.2:80", false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			nftRules(t, n.router, ctState)
			load := func() {
				if tt.rules != "" {
					nftRules(t, n.router, tt.rules)
				}
				if tt.file == "" {
					return
				}
				b, err := os.ReadFile("testdata/" + tt.file)
				must(t, err)
				restore(t, n.router, "iptables-legacy-restore", string(b))
			}
			late := strings.HasPrefix(tt.name, "synproxy") // it takes connections of its own only
			if !late {
				load()
			}
			var p *pingPong
			switch {
			case tt.from != "" && tt.to == "10.1.0.1:22":
				p = traffic(t, n.client, n.router, "tcp4", tt.from, tt.to)
			case tt.from != "":
				p = traffic(t, n.client, n.server, "tcp4", tt.from, tt.to)
			case tt.to != "":
				p = traffic(t, n.router, n.server, "tcp4", "10.2.0.1:4000", tt.to)
			}
			if late {
				load()
			}
			c := open(t, n.router, "nftables")
			q := &Request{Rules: rulesOf(t, []string{tt.rule})}
			pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
			must(t, err)
			w := warning(pre, model.WarnFirewall)
			if (pre.Refused() != "") != tt.refused || (w != "") != tt.warned {
				t.Errorf("refused %q, warned %q; all: %+v", pre.Refused(), w, pre.Warnings)
			}
			if h := warning(pre, model.WarnHelper); (h != "") != (tt.name == "a helper by a rule") {
				t.Errorf("of helpers: %q", h)
			}
			if p == nil || tt.refused {
				return
			}
			p.exchange(2)
			_, err = c.Add(ctx(t), q)
			must(t, err)
			if lives := p.try(); lives != tt.lives {
				t.Errorf("the connection lives: %v, want %v", lives, tt.lives)
			}
		})
	}
}
