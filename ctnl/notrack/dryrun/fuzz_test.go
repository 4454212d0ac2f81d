package dryrun

import (
	"testing"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/filter"
)

// FuzzSave reads what iptables-save may print and takes a packet through it.
func FuzzSave(f *testing.F) {
	f.Add("*filter\n:FORWARD DROP [0:0]\n[3:180] -A FORWARD ! -i lo -p tcp -m conntrack --ctstate ESTABLISHED -m comment --comment \"a \\\"b\" -j ACCEPT\nCOMMIT\n")
	f.Add("*raw\n:x - [0:0]\n-A PREROUTING -s 10.0.0.0/8 -j x\n-A x -j x\n-A x -p udp --dports 1,5:9 -g y\n")
	r, err := filter.ParseRule("tcp 10.1.0.2:4000 > 10.2.0.2:5000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rules, chains := ruleset.ParseSave(s, false)
		for i := range rules {
			_ = rules[i].Tracks()
			_ = rules[i].Notrack()
		}
		e := &xtEvaluator{rules: rules, chains: chains}
		for _, c := range xtChains {
			if o := e.hook(c, packetOf(&r, model.IPv4, expr.CtStateBitUNTRACKED), "raw", "mangle", "nat", "filter"); o&(accepts|drops) == 0 {
				t.Errorf("%s: no outcome", c)
			}
			if len(rules) > 20 {
				break
			}
		}
	})
}

// FuzzRuleset gives what the kernel could send to the decoder and the evaluator: nothing may panic or
// run away.
func FuzzRuleset(f *testing.F) {
	for _, b := range rulesetSeeds(f) {
		f.Add(b)
	}
	r, err := filter.ParseRule("tcp 10.1.0.2:4000 > 10.2.0.2:5000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return // request cuts those off
		}
		s := ruleset.ParseSet(b)
		s.Elems, s.Read = ruleset.ParseElems(b), true
		x := ruleset.ParseRule(b)
		c := ruleset.Chain{Base: true, Hook: unix.NF_INET_FORWARD, Type: "filter", Family: x.Family, Name: x.Chain, Table: x.Table,
			Rules: []ruleset.Rule{x, x}}
		for i := range x.Exprs {
			if x.Exprs[i].Name == "lookup" {
				s.SetName = ruleset.SetName{Family: x.Family, Table: x.Table, Name: x.Exprs[i].Text(unix.NFTA_LOOKUP_SET)}
			}
		}
		rs := &ruleset.Ruleset{Chains: []ruleset.Chain{c}, Sets: map[ruleset.SetName]*ruleset.Set{s.SetName: s}}
		for _, st := range []uint32{expr.CtStateBitUNTRACKED, expr.CtStateBitESTABLISHED} {
			e := &evaluator{rs: rs}
			p := packetOf(&r, model.IPv4, st)
			c.Family = p.family
			if o := e.hook(unix.NF_INET_FORWARD, p, "filter"); o&(accepts|drops|translates) == 0 {
				t.Errorf("no outcome of %s", ruleset.RuleText(rs, &x))
			}
		}
	})
}

// rulesetSeeds are messages that a kernel sent.
func rulesetSeeds(f *testing.F) (out [][]byte) {
	ns := testNS(f)
	nftRules(f, ns, `table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
		chain pre { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.0.0.9:8080; }
	}
	table inet more {
	chain f { type filter hook forward priority 0; policy drop; ct state vmap { established : accept, invalid : drop }; }
	set nets { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 1-99 } }
	map m { type inet_service : verdict; elements = { 5000 : drop } }
	chain x { type filter hook forward priority 5; ip saddr . tcp dport @nets accept; tcp dport vmap @m
		ip saddr & 255.0.0.255 == 10.0.0.9 limit rate 3/second log prefix "x" reject; iifname "eth*" meta mark set 5 return; }
	}
	`)
	rd, err := ruleset.Dial(ns)
	if err != nil {
		f.Fatal(err)
	}
	defer rd.Close()
	for _, msg := range []int{unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		ms, err := rd.Dump(msg)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range ms {
			out = append(out, m.Data)
		}
	}
	return out
}
