package notrack

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/model"
)

// printed are rules of every kind that the forms know.
var printed = []string{"tcp 10.0.0.1:1 > 10.0.0.2:2", "udp [fd00::1]:1 > [fd00::2]:2 one-way", "udp 10.0.1.0/24 > any:53-54 iif lan0",
	"tcp ip6 any > any:80 one-way", "gre 10.0.0.1 > 10.0.0.2", "icmpv6 fd00::1 > fd00::2 type 128", "icmp any > any type 3", "icmp 10.0.0.1 > any",
	"icmpv6 any > any", "udplite any > any:9", "sctp any:7 > 10.0.0.0/8", "sctp 10.0.0.3:1 > 10.0.0.4:2", "any any > any iif eth9 one-way", "ip 0.0.0.0/0 > 192.0.2.0/24",
	"tcp any > any:1-1023"}

// withID are those that iptables cannot say.
var withID = []string{"icmp 10.0.0.1 > 10.0.0.2 type 8 id 77", "icmp 10.0.0.1 > 10.0.0.2 type 3 id 5", "icmpv6 any > fd00::2 type 128 id 9", "icmp any > any id 77"}

func rulesOf(t *testing.T, texts ...[]string) (rs []model.Rule) {
	t.Helper()
	for _, s := range slices.Concat(texts...) {
		rs = append(rs, rule(t, s))
	}
	return rs
}

// same takes out of a listing what differs from one moment to the next.
func same(s string) []string {
	s = regexp.MustCompile(` (at|ns|pid|by)=\S+| expires \w+|--date(start|stop) \S+|^# .*|\[\d+:\d+\]|ctview-\d+|(?m:^#.*)`).ReplaceAllString(s, "")
	s = strings.NewReplacer("elements = {", "", " }", "", ",", "\n").Replace(s) // elements come in any order
	var ls []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			ls = append(ls, l)
		}
	}
	slices.Sort(ls)
	return ls
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(want) < 4 {
		t.Errorf("%s: nothing to compare: %q", what, want)
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("%s: printed only: %s", what, l)
		}
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("%s: installed only: %s", what, l)
		}
	}
}

// TestCommandsAreWhatIsInstalled pastes the commands of a preview into a shell: what stands then is what Add makes, and
// ctview knows it for its own.
func TestCommandsAreWhatIsInstalled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, backend, before string
		list                  [][]string
		keep                  model.Keep
	}{
		{"nothing tracked", "nftables", "", [][]string{{"nft", "list", "ruleset"}}, 600},
		{"leak counters", "nftables", ctState, [][]string{{"nft", "list", "ruleset"}}, model.KeepUntilRemoved},
		{"a session", "nftables", ctState, [][]string{{"nft", "list", "ruleset"}}, model.KeepSession},
		{"iptables-nft", "iptables-nft", "", [][]string{{"iptables-nft-save"}, {"ip6tables-nft-save"}}, 600},
		{"iptables-legacy", "iptables-legacy", "", [][]string{{"iptables-legacy-save"}, {"ip6tables-legacy-save"}}, 600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pasted, installed := testNS(t), testNS(t)
			q := &Request{Rules: rulesOf(t, printed), Keep: tt.keep}
			if tt.backend == "nftables" {
				q.Rules = rulesOf(t, printed, withID)
			}
			for _, ns := range []*lab.NS{pasted, installed} {
				if tt.before != "" {
					nftRules(t, ns, tt.before)
				}
			}
			c := open(t, pasted, tt.backend)
			p, err := c.Preview(ctx(t), q, noFlows{}, nil)
			must(t, err)
			tool(t, pasted, "sh", "-ec", strings.Join(slices.Concat(p.Setup, p.Commands), "\n"))
			_, err = open(t, installed, tt.backend).Add(ctx(t), q)
			must(t, err)
			for _, l := range tt.list {
				got, want := tool(t, pasted, l...), tool(t, installed, l...)
				if tt.keep == model.KeepSession {
					name := regexp.MustCompile(`(?m)^table inet ctview-.*\n|^\tflags owner\n`)
					got, want = name.ReplaceAllString(got, ""), name.ReplaceAllString(want, "")
				}
				equal(t, l[0], same(got), same(want))
			}
			rs, err := c.List(ctx(t))
			must(t, err)
			if len(rs) != 1 || rs[0].ID != p.ID || len(rs[0].Rules) != len(q.Rules) {
				t.Errorf("listed: %+v", rs)
			}
			// A second rule needs no more than itself.
			if p, err = c.Preview(ctx(t), &Request{Rules: rulesOf(t, []string{"udp any > any:99"}), Keep: model.KeepUntilRemoved}, noFlows{}, nil); err != nil ||
				tt.keep != model.KeepSession && len(p.Setup) != 0 {
				t.Errorf("setup of a second rule: %q %v", p.Setup, err)
			}
		})
	}
}

type noFlows struct{ Flows }

func (noFlows) Each(context.Context, func(*model.Event) bool) error { return nil }

// TestPrintForms loads what is printed with the programs that it is for: the rules match what the installed ones match.
func TestPrintForms(t *testing.T) {
	t.Parallel()
	t.Run("nft", func(t *testing.T) {
		t.Parallel()
		rules := rulesOf(t, printed, withID)
		ns, want := testNS(t), testNS(t)
		for _, r := range rules { // one by one: each a rule of its own, the exact ones too
			_, err := open(t, want, "nftables").Add(ctx(t), &Request{Rules: []model.Rule{r}})
			must(t, err)
		}
		text, err := Print(rules, FormNft)
		must(t, err)
		nftRules(t, ns, text)
		nftRules(t, ns, text) // loading twice makes nothing twice
		matches := func(ns *lab.NS) []string {
			var ls []string
			for l := range strings.Lines(tool(t, ns, "nft", "list", "ruleset")) {
				l = regexp.MustCompile(`meta nfproto @live_\w+ | comment .*| counter packets.*`).ReplaceAllString(strings.TrimSpace(l), "")
				if regexp.MustCompile(`@th|iifname|l4proto \w+$|port \d+(-\d+)?$|icmp(v6)? type [\w-]+$|addr \S+$`).MatchString(l) && !strings.Contains(l, "@flows") {
					ls = append(ls, l)
				}
			}
			return ls
		}
		exact := []string{"ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp sport 1 tcp dport 2", "ip saddr 10.0.0.2 ip daddr 10.0.0.1 tcp sport 2 tcp dport 1",
			"ip saddr 10.0.0.3 ip daddr 10.0.0.4 sctp sport 1 sctp dport 2", "ip saddr 10.0.0.4 ip daddr 10.0.0.3 sctp sport 2 sctp dport 1",
			"ip6 saddr fd00::1 ip6 daddr fd00::2 udp sport 1 udp dport 2"} // elements of sets where they are installed
		equal(t, "nft", matches(ns), append(matches(want), exact...))
		fw4, err := Print(rules, FormOpenWrt)
		must(t, err)
		router := testNS(t)
		nftRules(t, router, "table inet fw4 {\n"+fw4+"}\n")
		equal(t, "openwrt", matches(router), matches(ns))
	})
	for _, variant := range []string{"iptables-legacy", "iptables-nft"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			rules := rulesOf(t, printed)
			ns, want := testNS(t), testNS(t)
			_, err := open(t, want, variant).Add(ctx(t), &Request{Rules: rules})
			must(t, err)
			text, err := Print(rules, FormIptables)
			must(t, err)
			for _, prog := range []string{variant, "ip6" + strings.TrimPrefix(variant, "ip")} {
				restore(t, ns, prog+"-restore", text) // both programs get all of it
				matches := func(ns *lab.NS) []string {
					return same(regexp.MustCompile(`! -i lo |-m time (--date(start|stop) \S+ )+|-m comment --comment "[^"]*" |:made-by.*`).
						ReplaceAllString(tool(t, ns, prog+"-save", "-t", "raw"), ""))
				}
				equal(t, prog, matches(ns), matches(want))
			}
		})
	}
	for _, tt := range []struct {
		form         Form
		rule, refuse string
	}{
		{FormIptables, "icmp 10.0.0.1 > 10.0.0.2 type 8 id 77", "iptables cannot match an ICMP identifier"},
		{FormIptables, "any any > any iif eth+ one-way", "iptables would take interface eth+ for every name that begins so"},
		{FormIptables, "any any > any iif $(id) one-way", "iptables cannot say the interface name $(id)"},
		{FormIptables, "any any > any iif -j one-way", "iptables cannot say the interface name -j"},
		{FormIptables, "icmp 10.0.0.1 > any type 255", "iptables takes ICMP type 255 for every type"},
		{FormIptables, "0 10.0.0.1 > any", "iptables takes protocol 0 for every protocol"},
		{FormNft, "any any > any iif eth+ one-way", ""},
		{FormNft, "any any > any iif eth* one-way", "nft cannot say the interface name eth*"},
		{FormOpenWrt, `any any > any iif a"b one-way`, `nft cannot say the interface name a"b`},
		{"pf", "tcp any > any:80", `unknown form "pf": nft, iptables or openwrt`},
	} {
		text, err := Print(rulesOf(t, []string{tt.rule}), tt.form)
		if (err == nil) != (tt.refuse == "") || err != nil && (!strings.Contains(err.Error(), tt.refuse) || text != "") {
			t.Errorf("%s %s: %v, want %q", tt.form, tt.rule, err, tt.refuse)
		}
	}
}

func restore(t *testing.T, ns *lab.NS, prog, text string) {
	t.Helper()
	c := command(ns, prog, "--noflush")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s\n%s", prog, err, out, text)
	}
}
