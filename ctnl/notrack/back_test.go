package notrack

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"
)

// firewalls of the router, and what becomes of a connection that they let through when a rule ends.
var ends = []struct {
	name, rules string
	legacy      []string // iptables-legacy
	loose       string   // nf_conntrack_tcp_loose
	want        string   // of the preview, "" for no warning
	lives       bool
	leave       bool // the entry
}{
	{"nothing in the way", "", nil, "1", "", true, false},
	{"invalid dropped, picked up", "table inet f { chain c { type filter hook forward priority 0; ct state invalid drop; }; }", nil, "1", "", true, false},
	{"invalid dropped, not picked up", "table inet f { chain c { type filter hook forward priority 0; ct state invalid drop; }; }", nil, "0",
		"this connection will be cut when the rule ends: the first packets that are tracked again are INVALID, because nf_conntrack_tcp_loose is 0, and dropped (inet f/c: ct state invalid drop)", false, false},
	{"not picked up, policy", "table inet f { chain c { type filter hook forward priority 0; policy drop; ct state established,related,untracked accept; ct state new accept; }; }", nil, "0",
		"this connection will be cut when the rule ends: the first packets that are tracked again are INVALID, because nf_conntrack_tcp_loose is 0, and dropped (inet f/c (policy drop))", false, false},
	{"not picked up, nothing drops", "", nil, "0", "", true, false},
	{"new without SYN", "table inet f { chain c { type filter hook forward priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn drop; }; }", nil, "1",
		"this connection will be cut when the rule ends: the first packets that are tracked again are new, but in mid-stream, and dropped (inet f/c:", false, false},
	{"new without SYN, iptables", "", []string{"-A", "FORWARD", "-p", "tcp", "!", "--syn", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"}, "1",
		"this connection will be cut when the rule ends: the first packets that are tracked again are new, but in mid-stream, and dropped (iptables filter:", false, false},
	{"new from one side", `table inet f { chain c { type filter hook forward priority 0; policy drop; ct state established,untracked accept; iifname "lan" ct state new accept; }; }`, nil, "1",
		"this connection may be cut when the rule ends, or stand still until the client sends", true, false},
	{"invalid dropped, entry left", "table inet f { chain c { type filter hook forward priority 0; ct state invalid drop; }; }", nil, "0",
		"this connection may be cut when the rule ends, or stand still until the client sends: the first packets that are tracked again are INVALID if more has passed than the window", false, true},
	{"new without SYN, entry left", "table inet f { chain c { type filter hook forward priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn drop; }; }", nil, "1", "", true, true},
}

// TestTheEnd untracks a connection, lets the rule end, and compares what becomes of it with what the preview said.
func TestTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			nftRules(t, n.router, ctState)
			p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
			p.exchange(3)
			nftRules(t, n.router, tt.rules+"\n")
			if tt.legacy != nil {
				tool(t, n.router, append([]string{"iptables-legacy"}, tt.legacy...)...)
			}
			must(t, n.router.Sysctl("net/netfilter/nf_conntrack_tcp_loose", tt.loose))
			c := open(t, n.router, "nftables")
			q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000")}, Leave: tt.leave}
			pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
			must(t, err)
			if asks := slices.Equal(pre.Words(), []string{"cut"}); asks != strings.Contains(tt.want, "will be cut") {
				t.Errorf("asks for %q, and says %q", pre.Words(), tt.want)
			}
			if w := warning(pre, model.WarnBack); !strings.HasPrefix(w, tt.want) || (tt.want == "") != (w == "") || pre.Covered != 1 {
				t.Errorf("preview of %d flows: %q, want %q", pre.Covered, w, tt.want)
			}
			stop := p.keepTalking()
			res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: !tt.leave})
			must(t, err)
			stop()
			if !res.Verified {
				t.Errorf("%+v", res)
			}
			if tt.leave { // more than the window that the entry remembers
				p.bulk(8 << 20)
			}
			end, err := c.Ending(ctx(t), flowsOf(t, n.router), res.Rule.ID)
			must(t, err)
			if got := saidOfEnd(end); !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") ||
				slices.Equal(end.Words(), []string{"cut"}) != strings.Contains(tt.want, "will be cut") {
				t.Errorf("before the removal: %q, asks for %q, want %q", got, end.Words(), tt.want)
			}
			must(t, c.Remove(ctx(t), res.Rule.ID))
			if lives := p.try(); lives != tt.lives {
				t.Errorf("lives: %v", lives)
			}
		})
	}
}

// saidOfEnd is the first that is said of an end, "" for nothing.
func saidOfEnd(e *model.NotrackEnd) string {
	if len(e.Warnings) == 0 {
		return ""
	}
	return e.Warnings[0].Text
}

// TestBeginsMeanwhile has a connection begin while a rule stands. Whether it is cut when the rule is removed, or expires, is
// said when the rule is made, and again before it is removed.
func TestBeginsMeanwhile(t *testing.T) {
	t.Parallel()
	const (
		noSYN  = "ct state new tcp flags & (fin|syn|rst|ack) != syn drop;"
		before = "connections that begin meanwhile "
		later  = "will be cut when the rule ends: the first packets that are tracked again are new, but in mid-stream, and dropped (inet f/c: ct state new"
	)
	for _, tt := range []struct {
		name, rule, filter string
		expires            bool
		before, now, asks  string
	}{
		{"nothing in the way", "tcp 10.1.0.2:4000 > 10.2.0.2:5000", "", false, "", "", ""},
		{"exact", "tcp 10.1.0.2:4000 > 10.2.0.2:5000", noSYN, false, before + later, "this connection " + later, "cut"},
		{"exact, expires", "tcp 10.1.0.2:4000 > 10.2.0.2:5000", noSYN, true, before + later, "this connection " + later, "cut"},
		{"wide", "tcp 10.1.0.2 > 10.2.0.2:5000", noSYN, false, before + later, "connections that are kept out of tracking now " + later, "cut"},
		{"of a port", "tcp any > any:5000", noSYN, false, before + "may be cut", "connections that are kept out of tracking now may be cut", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			nftRules(t, n.router, ctState)
			nftRules(t, n.router, "table inet f { chain c { type filter hook forward priority 0; "+tt.filter+" }; }\n")
			c, flows := open(t, n.router, "nftables"), flowsOf(t, n.router)
			q := &Request{Rules: []model.Rule{rule(t, tt.rule)}}
			if tt.expires {
				q.Trial = pace * 6 * time.Second
			}
			pre, err := c.Preview(ctx(t), q, flows, nil)
			must(t, err)
			if w := warning(pre, model.WarnBack); !strings.HasPrefix(w, tt.before) || (tt.before == "") != (w == "") || len(pre.Words()) != 0 {
				t.Errorf("preview: %q, asks for %q, want %q", w, pre.Words(), tt.before)
			}
			r, err := c.Add(ctx(t), q)
			must(t, err)
			if e, err := c.Ending(ctx(t), flows, r.ID); err != nil || len(e.Words()) != 0 && tt.rule == "tcp 10.1.0.2 > 10.2.0.2:5000" {
				t.Errorf("no packet has come, and it asks for %q: %v", e.Words(), err)
			}
			p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
			p.exchange(3)
			if left := entries(t, n.router, "ipv4", "5000"); len(left) != 0 {
				t.Fatalf("tracked: %q", left)
			}
			last, err := c.Last(ctx(t))
			must(t, err)
			e, err := c.Ending(ctx(t), flows, last)
			must(t, err)
			if got := saidOfEnd(e); !strings.HasPrefix(got, tt.now) || (tt.now == "") != (got == "") || strings.Join(e.Words(), " ") != tt.asks || len(e.Rules) != 1 {
				t.Errorf("before the removal: %q, asks for %q, want %q", got, e.Words(), tt.now)
			}
			if tt.expires {
				eventually(t, "it expires", func() bool { _, err := c.find(ctx(t), r.ID); return errors.Is(err, ErrNoRule) })
			} else {
				must(t, c.Remove(ctx(t), r.ID))
			}
			if lives := p.try(); lives != (tt.filter == "") {
				t.Errorf("lives: %v", lives)
			}
		})
	}
}

// bulk sends bytes through the connection and reads them back.
func (p *pingPong) bulk(n int) {
	p.t.Helper()
	_ = p.c.SetDeadline(time.Now().Add(pace * 10 * time.Second))
	go func() { _, _ = p.c.Write(make([]byte, n)) }()
	if _, err := io.ReadFull(p.c, make([]byte, n)); err != nil {
		p.t.Fatal(err)
	}
}

// TestOneWayAnswers takes one direction of a connection out of tracking. Its answers are the first that tracking sees of it
// then, and what the firewall does to such packets is what the preview says.
func TestOneWayAnswers(t *testing.T) {
	t.Parallel()
	const usual = `table inet f { chain c { type filter hook forward priority 0; policy drop; ct state established,related,untracked accept; iifname "lan" ct state new accept; }; }`
	for _, tt := range []struct {
		name, rules, loose, want string
		leave                    bool
	}{
		{"nothing in the way", "", "1", "", false},
		{"new from one side", usual, "1", "the answers, which are tracked without what they answer, are new or INVALID and will be dropped: inet f/c (policy drop)", false},
		{"not picked up", "table inet f { chain c { type filter hook forward priority 0; ct state invalid drop; }; }", "0", "the answers, ", false},
		{"new from one side, entry left", usual, "1", "the answers, ", true},
		{"new without SYN, entry left", "table inet f { chain c { type filter hook forward priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn drop; }; }", "1", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			nftRules(t, n.router, ctState)
			p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
			p.exchange(3)
			nftRules(t, n.router, tt.rules+"\n")
			must(t, n.router.Sysctl("net/netfilter/nf_conntrack_tcp_loose", tt.loose))
			c := open(t, n.router, "nftables")
			q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000 one-way")}, Leave: tt.leave}
			pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
			must(t, err)
			w := warning(pre, model.WarnFirewall)
			if !strings.HasPrefix(w, tt.want) || (tt.want == "") != (w == "") || (tt.want != "") != slices.Contains(pre.Words(), "cut") {
				t.Errorf("preview: %q, asks for %q, want %q", w, pre.Words(), tt.want)
			}
			_, err = c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: !tt.leave, Verify: -1})
			must(t, err)
			if lives := p.try(); lives != (tt.want == "") {
				t.Errorf("lives: %v", lives)
			}
		})
	}
}

// TestTakenBack has a zone rule defeat NOTRACK on a router that lets no connection begin in mid-stream. Whether the leak is
// found before the entry was deleted or after, the connection lives, and its entry is as it was. A connection that talks is
// found before, with leak counters and without: where only one family is tracked, and in iptables, by time-outs or counters. One
// that does not talk keeps its entry there.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, backend, acct string
		family              string // that is tracked
		idle                bool
	}{
		{"before the deletion", "nftables", "0", "inet", false},
		{"after it", "nftables", "0", "inet", true},
		{"one family, before the deletion", "nftables", "0", "ip", false},
		{"one family, before the deletion, counted", "nftables", "1", "ip", false},
		{"one family, idle", "nftables", "0", "ip", true},
		{"iptables-nft, before the deletion", "iptables-nft", "0", "inet", false},
		{"iptables-nft, before the deletion, counted", "iptables-nft", "1", "inet", false},
		{"iptables-nft, idle", "iptables-nft", "0", "inet", true},
		{"iptables-legacy, before the deletion", "iptables-legacy", "0", "inet", false},
		{"iptables-legacy, idle", "iptables-legacy", "0", "inet", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newTriple(t)
			of := func(rules string) { nftRules(t, n.router, strings.ReplaceAll(rules, "inet", tt.family)) }
			must(t, n.router.Sysctl("net/netfilter/nf_conntrack_acct", tt.acct))
			of(`table inet zones { chain z { type filter hook prerouting priority -300; tcp dport 5000 ct zone set 5; tcp sport 5000 ct zone set 5; }; }
			table inet marks { chain m { type filter hook forward priority 0; ct mark set 77; }; }
			` + ctState)
			p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
			p.exchange(3)
			of(`table inet f { ct helper h { type "ftp" protocol tcp; }
				chain c { type filter hook forward priority 0; ct state invalid drop; ct state new tcp flags & (syn|ack) != syn drop; }; }
			`)
			must(t, n.router.Sysctl("net/netfilter/nf_conntrack_tcp_loose", "0"))
			tool(t, n.router, "nft", "delete", "table", tt.family, "marks")
			before := entries(t, n.router, "ipv4", "5000")
			if len(before) != 1 || !strings.Contains(before[0], "zone=5") || !strings.Contains(before[0], "mark=77") {
				t.Fatalf("before: %q", before)
			}
			c := open(t, n.router, tt.backend)
			q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000")}}
			leaks := tt.backend == "nftables" && tt.family == "inet"
			kept := tt.idle && !leaks
			done := make(chan struct{})
			var stop func()
			if kept {
				close(done)
			} else if !tt.idle {
				stop = p.keepTalking()
			} else {
				go func() {
					defer close(done)
					for len(entries(t, n.router, "ipv4", "5000")) != 0 { // until it was deleted
						time.Sleep(5 * time.Millisecond)
					}
					p.try()
				}()
			}
			res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true, Verify: pace * 3 * time.Second})
			must(t, err)
			if !tt.idle {
				stop()
			} else {
				<-done
			}
			gone := tt.idle && leaks
			if (res.TakenBack == "") != kept || (res.Deleted == 1) != gone || (res.Restored == 1) != gone || (res.Kept == 1) != kept || res.Verified {
				t.Errorf("%+v", res)
			}
			if res.Rule.HasLeak != leaks {
				t.Errorf("leak counters %v, want %v", res.Rule.HasLeak, leaks)
			}
			p.exchange(3)
			after := entries(t, n.router, "ipv4", "5000")
			if len(after) != 1 || !strings.Contains(after[0], "ESTABLISHED") || !strings.Contains(after[0], "mark=77") ||
				!strings.Contains(after[0], "[ASSURED]") || !strings.Contains(after[0], "zone=5") {
				t.Errorf("before %q, after %q", before, after)
			}
			if rs, err := c.List(ctx(t)); err != nil || (len(rs) != 0) != kept {
				t.Errorf("left: %+v %v", rs, err)
			}
		})
	}
}

// TestRestore deletes an entry with everything that one can have, and puts it back, also where another has taken its place.
func TestRestore(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState+"table inet l { chain c { type filter hook output priority 0; udp dport 9 ct label set 1; }; }\n") // or there are no labels
	flows := flowsOf(t, ns)
	kern := ctnl.NewKernel(flows.(kernelFlows).ns)
	t.Cleanup(func() { _ = kern.Close() })
	make := func(mark uint32, helper string) {
		tup := model.TupleOf(model.ProtoTCP, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), 1000, 21)
		s := &ctnl.Spec{HelperName: helper, Event: model.Event{Timeout: 5000, Flow: model.Flow{Mark: mark, State: model.TCPEstablished,
			Status: model.StatusSeenReply | model.StatusAssured, Key: model.Key{Src: tup.Src, Dst: tup.Dst, Sport: tup.Sport, Dport: tup.Dport,
				Proto: tup.Proto, Family: tup.Family}}, Has: model.HasTimeout | model.HasMark | model.HasStatus | model.HasProtoinfo}}
		if helper != "" {
			s.Has |= model.HasHelper | model.HasLabels
			s.Extra.Labels[0] = 6
		}
		must(t, kern.Create(ctx(t), s))
	}
	read := func() (es []model.Event) {
		must(t, flows.Each(ctx(t), func(e *model.Event) bool { es = append(es, *e); return true }))
		return es
	}
	make(77, "ftp")
	was := read()
	for _, taken := range []bool{false, true} {
		tool(t, ns, "conntrack", "-F")
		if taken {
			make(1, "")
		}
		n, err := flows.Restore(ctx(t), was)
		must(t, err)
		now := read()
		if n != 1 || len(was) != 1 || len(now) != 1 {
			t.Fatalf("restored %d: %+v, was %+v", n, now, was)
		}
		a, b := &was[0], &now[0]
		if a.Flow.Key != b.Flow.Key || a.Flow.State != b.Flow.State || a.Flow.Mark != 77 || b.Flow.Mark != 77 || b.Flow.Helper == 0 ||
			a.Flow.Helper != b.Flow.Helper || a.Flow.Status != b.Flow.Status || b.Timeout+10 < a.Timeout || a.Extra.Labels[0] != 6 || b.Extra.Labels != a.Extra.Labels {
			t.Errorf("taken %v: was %+v\nis %+v", taken, a, b)
		}
	}
}
