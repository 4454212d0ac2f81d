package notrack

import (
	"testing"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/model"
)

func FuzzParseTag(f *testing.F) {
	f.Add("ctview 3f2a1c orig by=root at=1795354000 keep=600 try=60 pid=4711")
	f.Add("ctview 3f2a1c reply : tcp 10.0.0.1:1 > any:80")
	f.Add("ctview v1")
	f.Fuzz(func(t *testing.T, s string) {
		tg, ok := parseTag(s)
		if !ok {
			return
		}
		again, ok := parseTag(tg.String())
		if tg.when != 0 && tg.who != "" && (!ok || again != tg) { // without a time nothing of meta is written
			t.Errorf("%q → %+v → %q → %+v", s, tg, tg, again)
		}
	})
}

// FuzzSave reads what iptables-save may print and takes a packet through it.
func FuzzSave(f *testing.F) {
	f.Add("*filter\n:FORWARD DROP [0:0]\n[3:180] -A FORWARD ! -i lo -p tcp -m conntrack --ctstate ESTABLISHED -m comment --comment \"a \\\"b\" -j ACCEPT\nCOMMIT\n")
	f.Add("*raw\n:x - [0:0]\n-A PREROUTING -s 10.0.0.0/8 -j x\n-A x -j x\n-A x -p udp --dports 1,5:9 -g y\n")
	r, err := model.ParseRule("tcp 10.1.0.2:4000 > 10.2.0.2:5000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rules, chains := parseSave(s, false)
		for i := range rules {
			_ = rules[i].tracks()
			_ = rules[i].notrack()
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

// FuzzRuleset gives what the kernel could send to the decoder, the text writer and the evaluator: nothing may panic or
// run away.
func FuzzRuleset(f *testing.F) {
	for _, b := range rulesetSeeds(f) {
		f.Add(b)
	}
	r, err := model.ParseRule("tcp 10.1.0.2:4000 > 10.2.0.2:5000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return // request cuts those off
		}
		parseTable(b)
		c := parseChain(b)
		s := parseSet(b)
		s.read = true
		eachAttr(attr(b[4:], unix.NFTA_SET_ELEM_LIST_ELEMENTS), func(_ uint16, v []byte) { s.elems = append(s.elems, parseElem(v)) })
		x := parseRule(b)
		c.base, c.hook, c.typ, c.family, c.name, c.table = true, unix.NF_INET_FORWARD, "filter", x.family, x.chain, x.table
		c.rules = []nftRule{x, x}
		for i := range x.exprs {
			if x.exprs[i].name == "lookup" {
				s.setName = setName{x.family, x.table, cstr(attr(x.exprs[i].data, unix.NFTA_LOOKUP_SET))}
			}
		}
		rs := &ruleset{chains: []nftChain{c}, sets: map[setName]*nftSet{s.setName: s}}
		_ = ruleText(rs, &x)
		for _, st := range []uint32{expr.CtStateBitUNTRACKED, expr.CtStateBitESTABLISHED} {
			e := &evaluator{rs: rs}
			p := packetOf(&r, model.IPv4, st)
			c.family = p.family
			if o := e.hook(unix.NF_INET_FORWARD, p, "filter"); o&(accepts|drops) == 0 {
				t.Errorf("no outcome of %s", ruleText(rs, &x))
			}
		}
	})
}

// rulesetSeeds are messages that a kernel sent.
func rulesetSeeds(f *testing.F) (out [][]byte) {
	ns := testNS(f)
	nftRules(f, ns, ctState+snatRules+statefulDropRules+helperRules+`table inet more {
	set nets { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 1-99 } }
	map m { type inet_service : verdict; elements = { 5000 : drop } }
	chain x { type filter hook forward priority 5; ip saddr . tcp dport @nets accept; tcp dport vmap @m
		ip saddr & 255.0.0.255 == 10.0.0.9 limit rate 3/second log prefix "x" reject; iifname "eth*" meta mark set 5 return; }
	}
	`)
	rd, err := dialConn(ns)
	if err != nil {
		f.Fatal(err)
	}
	defer rd.Close()
	for _, msg := range []int{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		ms, err := rd.dump(msg)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range ms {
			out = append(out, m.Data)
		}
	}
	return out
}
