package notrack

import (
	"strings"
	"testing"

	"ctview/model"
)

// router rulesets of which each causes one warning.
const (
	snatRules = `table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
	}
	`
	dnatRules = `table inet nat { chain pre { type nat hook prerouting priority -100; iifname "lan" tcp dport 5000 dnat ip to 10.2.0.2:5001; }
	}
	`
	statefulRules = `table inet fw { chain way { type filter hook forward priority 0; policy drop;
		ct state established,related accept
		ct state new accept
	}
	}
	`
	statefulDropRules = `table inet fw { chain way { type filter hook forward priority 0; policy accept;
		ct state vmap { established : accept, related : accept, new : jump fresh }
		counter drop
	}
	chain fresh { tcp dport { 22, 5000-5010 } accept; meta l4proto udp accept; }
	}
	`
	untrackedRules = `table inet fw { chain way { type filter hook forward priority 0; policy drop;
		ct state established,related,untracked accept
		ct state new tcp dport 5000 accept
	}
	}
	`
	invalidRules = `table inet fw { chain way { type filter hook forward priority 0; policy accept;
		ct state invalid drop
	}
	}
	`
	helperRules = `table ip fw { ct helper ftp-std { type "ftp" protocol tcp; }
	chain pre { type filter hook prerouting priority 0; tcp dport 5000 ct helper set "ftp-std"; }
	}
	`
)

// TestPreviewWarnings makes the situation of each refusal and warning on a router and lets a real connection run through
// it; for those that are not refused it then shows that the warning tells the truth.
func TestPreviewWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rules string
		kind        model.NotrackWarningKind
		want        string // part of the text
		refuse      bool
		none        bool // no warning of the kind
		breaks      bool // the connection dies when the rule is installed
	}{
		{name: "snat", rules: snatRules, kind: model.WarnNAT, want: "the flow is translated (NAT)", refuse: true},
		{name: "dnat", rules: dnatRules, kind: model.WarnNAT, want: "the flow is translated (NAT)", refuse: true},
		{name: "stateful, policy drop", rules: statefulRules, kind: model.WarnFirewall, want: "untracked packets of it will be dropped: inet fw/way (policy drop)", breaks: true},
		{name: "stateful, drop at the end", rules: statefulDropRules, kind: model.WarnFirewall, want: "will be dropped: inet fw/way: drop", breaks: true},
		{name: "accepts untracked", rules: untrackedRules, kind: model.WarnFirewall, none: true},
		{name: "invalid dropped", rules: invalidRules, kind: model.WarnPMTU, want: "dropped here (inet fw/way: ct state invalid drop): path MTU discovery"},
		{name: "invalid dropped, behind what may drop anything", rules: strings.Replace(invalidRules, "ct state invalid", "meta mark 7 drop\n\t\tct state invalid", 1),
			kind: model.WarnPMTU, want: "dropped here (inet fw/way: ct state invalid drop): path MTU discovery"},
		{name: "nothing", rules: "", kind: model.WarnPMTU, none: true},
		{name: "helper", rules: helperRules, kind: model.WarnHelper, want: "the flow has a helper (ftp)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newTriple(t)
			port := "5000"
			if tt.name == "dnat" {
				port = "5001"
			}
			nftRules(t, n.router, ctState+tt.rules)
			listen(t, n.server, "10.2.0.2:"+port)
			p := dial(t, n.client, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
			p.exchange(2)
			c := open(t, n.router, "nftables")
			q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000")}}
			before := tool(t, n.router, "nft", "list", "ruleset")
			pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
			must(t, err)
			got := warning(pre, tt.kind)
			if tt.none != (got == "") || !strings.Contains(got, tt.want) || tt.refuse != (pre.Refused() != "") {
				t.Errorf("%v: %q, refused %q; all: %+v", tt.kind, got, pre.Refused(), pre.Warnings)
			}
			if pre.Covered != 1 || len(pre.Sample) != 1 {
				t.Errorf("covers %d", pre.Covered)
			}
			if after := tool(t, n.router, "nft", "list", "ruleset"); uncounted(after) != uncounted(before) {
				t.Errorf("the preview changed the ruleset:\n%s", after)
			}
			if tt.refuse {
				return
			}
			res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true, Verify: -1})
			must(t, err)
			if alive := p.try(); alive == tt.breaks {
				t.Errorf("connection alive: %v, after %+v", alive, res)
			}
		})
	}
}

// TestPreviewWithoutFlow finds NAT rules that would concern connections that are not there yet.
func TestPreviewWithoutFlow(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	nftRules(t, n.router, snatRules)
	c := open(t, n.router, "nftables")
	for _, tt := range []struct {
		rule   string
		refuse bool
		want   string
	}{
		{"tcp 10.1.0.2:1 > 10.2.0.2:2", true, `a rule translates this traffic (ip nat/post: oifname "wan" masquerade)`},
		{"udp 10.1.0.0/24 > any:53", false, `a rule may translate some of this traffic (ip nat/post: oifname "wan" masquerade)`},
		{"tcp 10.2.0.2:1 > 10.1.0.2:2", false, "a rule may translate"}, // the same connection by its other end
		{"tcp 10.2.0.2:1 > 10.1.0.2:2 one-way", false, ""},
		{"tcp [fd01::2]:1 > [fd02::2]:2", false, ""},
		{"tcp any > 10.2.0.1:22 one-way", false, ""},
	} {
		pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, tt.rule)}}, flowsOf(t, n.router), nil)
		must(t, err)
		if got := warning(pre, model.WarnNAT); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") || tt.refuse != (pre.Refused() != "") {
			t.Errorf("%s: %q, refused %q", tt.rule, got, pre.Refused())
		}
	}
}

// TestPreviewSession warns of the operator's own connection.
func TestPreviewSession(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	c := open(t, ns, "nftables")
	ssh := rule(t, "tcp 192.0.2.9:50514 > 192.0.2.1:22")
	o, _ := ssh.Tuples()
	for text, hit := range map[string]bool{"tcp any > any:22": true, "tcp 192.0.2.1:22 > 192.0.2.9:50514 one-way": true, "tcp any > any:23": false} {
		pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}}, flowsOf(t, ns), &model.Operator{Sessions: []model.Tuple{o}})
		must(t, err)
		if pre.SessionHit != hit || (warning(pre, model.WarnSession) != "") != hit || pre.Active {
			t.Errorf("%s: %+v", text, pre)
		}
		if w := warning(pre, model.WarnInactive); !strings.Contains(w, "not active") {
			t.Errorf("%s: inactive: %q", text, w)
		}
	}
}

// uncounted takes the counters' values out of a ruleset's text.
func uncounted(s string) string {
	w := strings.Fields(s)
	for i := range w {
		if i > 0 && (w[i-1] == "packets" || w[i-1] == "bytes") {
			w[i] = "n"
		}
	}
	return strings.Join(w, " ")
}

// TestPreviewPaths finds the firewall on the path that the packets take through this host, and no other.
func TestPreviewPaths(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	const stateful = "policy drop; ct state established,related,new accept; }\n"
	nftRules(t, n.router, "table inet fw {\n\tchain i { type filter hook input priority 0; "+stateful+
		"\tchain o { type filter hook output priority 0; "+stateful+"\tchain f { type filter hook forward priority 0; "+stateful+"}\n")
	c := open(t, n.router, "nftables")
	for _, tt := range []struct{ rule, want, not string }{
		{"tcp 10.1.0.2:1 > 10.2.0.2:2", "inet fw/f", "inet fw/i"},
		{"tcp 10.1.0.2:1 > 10.1.0.1:22", "inet fw/i", "inet fw/f"},
		{"tcp 10.1.0.2:1 > 10.1.0.1:22 one-way", "inet fw/i", "inet fw/o"},
		{"tcp [fd01::1]:1 > [fd01::2]:22 one-way", "inet fw/o", "inet fw/i"},
		{"udp 127.0.0.1:1 > 127.0.0.1:2 one-way", "inet fw/o", "inet fw/f"},
	} {
		pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, tt.rule)}}, flowsOf(t, n.router), nil)
		must(t, err)
		w := warning(pre, model.WarnFirewall)
		if !strings.Contains(w, "will be dropped") || !strings.Contains(w, tt.want) || strings.Contains(w, tt.not) {
			t.Errorf("%s: %q", tt.rule, w)
		}
	}
}

// TestLegacyFirewall finds, through the preview, a legacy firewall that drops untracked packets.
func TestLegacyFirewall(t *testing.T) {
	t.Parallel()
	for _, prog := range []string{"iptables-legacy", "iptables-nft"} {
		n := newTriple(t)
		tool(t, n.router, prog, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED,NEW", "-j", "ACCEPT")
		tool(t, n.router, prog, "-P", "FORWARD", "DROP")
		c := open(t, n.router, "")
		pre, err := c.Preview(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:1 > 10.2.0.2:2")}}, flowsOf(t, n.router), nil)
		must(t, err)
		if w := warning(pre, model.WarnFirewall); !strings.Contains(w, "will be dropped") || !strings.Contains(w, "FORWARD") || !pre.Active {
			t.Errorf("%s: %q active %v", prog, w, pre.Active)
		}
	}
}
