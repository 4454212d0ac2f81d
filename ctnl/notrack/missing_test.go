package notrack

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/filter"
)

// sayWhatIsMissing is run where there is no program of iptables, and prints what ctview makes of that.
func sayWhatIsMissing(string) error {
	ctx := context.Background()
	c, err := Open(nil, Options{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	name, _ := c.Backend()
	fmt.Println("backend:", name)
	for _, be := range []string{"iptables", "iptables-nft", "iptables-legacy"} {
		_, err := Open(nil, Options{Backend: be})
		fmt.Printf("open %s: %v\n", be, err)
	}
	r, err := filter.ParseRule("udp any > any:53")
	if err != nil {
		return err
	}
	q := &Request{Rules: []model.Rule{r}}
	pre, err := c.Preview(ctx, q, noFlows{}, nil)
	if err != nil {
		return err
	}
	for _, w := range pre.Warnings {
		fmt.Printf("%v: %s (ask %v)\n", w.Kind, w.Text, w.Ask)
	}
	added, err := c.Add(ctx, q)
	fmt.Println("add:", err)
	rules, err := c.List(ctx)
	if err != nil {
		return err
	}
	for i := range rules {
		r := &rules[i]
		fmt.Println("list:", r.Backend, r.Text())
		if r.ID != added.ID {
			fmt.Println("confirm:", c.Confirm(ctx, r.ID, nil))
			fmt.Println("remove:", c.Remove(ctx, r.ID))
		}
	}
	_, err = c.Others(ctx)
	fmt.Println("others:", err)
	fmt.Println("remove ours:", c.Remove(ctx, added.ID))
	return nil
}

// TestIptablesMissing takes the programs of iptables away where legacy tables are, and rules of ctview's in both iptables: what
// is not known is said, nothing is taken for empty, nothing is done by half, and nftables works on.
func TestIptablesMissing(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	for i, be := range []string{"iptables-nft", "iptables-legacy"} {
		_, err := open(t, ns, be).Add(ctx(t), &Request{Rules: []model.Rule{rule(t, fmt.Sprintf("tcp any > any:8%d", i))}})
		must(t, err)
	}
	tool(t, ns, "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
	tool(t, ns, "iptables-legacy", "-A", "OUTPUT", "-p", "udp", "-j", "DROP")
	state := func() string {
		return tool(t, ns, "nft", "-s", "list", "ruleset") + tool(t, ns, "iptables-legacy", "-t", "raw", "-S")
	}
	before := state()
	out := withoutIptables(t, ns)
	for _, want := range []string{
		"backend: nftables",
		"open iptables: notrack: the programs of iptables are missing: there is no iptables-restore (install iptables)",
		"open iptables-legacy: notrack: the programs of iptables are missing: there is no iptables-legacy-restore (install iptables)",
		"NAT: the legacy iptables rules in nat cannot be read (iptables-legacy-save is missing, or fails): whether they translate this traffic is not known (ask true)",
		"firewall: the legacy iptables rules in filter, raw, raw (ipv6) cannot be read",
		"add: <nil>",
		"list: nftables udp any > any:53",
		"list: iptables-nft tcp any > any:80",
		"confirm: notrack: the programs of iptables are missing: there is no iptables-nft-restore",
		"remove: notrack: the programs of iptables are missing: there is no iptables-nft-restore",
		"others: notrack: legacy iptables, raw, raw (ipv6): its rules cannot be read",
		"remove ours: <nil>",
	} {
		if !strings.Contains("\n"+out, "\n"+want) {
			t.Errorf("not said: %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// withoutIptables runs sayWhatIsMissing in the namespace, with nothing where administrators' programs are.
func withoutIptables(t *testing.T, ns *lab.NS) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	c := command(ns, "unshare", "-m", "sh", "-c",
		`mount -t tmpfs none /usr/sbin && if [ ! -L /sbin ]; then mount -t tmpfs none /sbin; fi && exec "$0"`, exe)
	c.Env = append(os.Environ(), asHolder+"=missing")
	b, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return string(b)
}
