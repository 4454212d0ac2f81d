package notrack

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/model"
)

// TestApplyPaths takes running connections out of tracking on all four paths through a host, and back.
func TestApplyPaths(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	port := 5000
	kinds := map[string][]string{"tcp4": {"exact"}, "udp4": {"exact", "wide"}, "tcp6": {"exact", "wide"}, "udp6": {"exact"}}
	for _, ns := range []*lab.NS{n.client, n.router, n.server} {
		nftRules(t, ns, ctState)
	}
	for _, where := range []struct {
		name           string
		at             *lab.NS // where the rule is
		client, server *lab.NS
		laddr, raddr   [2]string // IPv4, IPv6
	}{
		{"forwarded", n.router, n.client, n.server, [2]string{"10.1.0.2", "[fd01::2]"}, [2]string{"10.2.0.2", "[fd02::2]"}},
		{"local in", n.server, n.client, n.server, [2]string{"10.1.0.2", "[fd01::2]"}, [2]string{"10.2.0.2", "[fd02::2]"}},
		{"local out", n.client, n.client, n.server, [2]string{"10.1.0.2", "[fd01::2]"}, [2]string{"10.2.0.2", "[fd02::2]"}},
		{"loopback", n.client, n.client, n.client, [2]string{"127.0.0.1", "[::1]"}, [2]string{"127.0.0.1", "[::1]"}},
	} {
		for v, fam := range []string{"4", "6"} {
			for _, proto := range []string{"tcp", "udp"} {
				for _, kind := range kinds[proto+fam] {
					t.Run(where.name+" "+proto+fam+" "+kind, func(t *testing.T) {
						port++
						l, r := fmt.Sprint(where.laddr[v], ":", port+1000), fmt.Sprint(where.raddr[v], ":", port)
						p := traffic(t, where.client, where.server, proto+fam, l, r)
						text := proto + " " + l + " > " + r
						if kind == "wide" {
							text = fmt.Sprintf("%s any > %s-%d", proto, r, port+5)
						}
						underway(t, where.at, p, rule(t, text), "ipv"+fam, fmt.Sprint(port))
					})
				}
			}
		}
	}
}

// underway untracks a connection that is in use, shows that it is alive and unseen, and that tracking is back when the
// rule is removed.
func underway(t *testing.T, ns *lab.NS, p *pingPong, r model.Rule, fam, port string) {
	p.exchange(3)
	if es := entries(t, ns, fam, port); len(es) != 1 {
		t.Fatalf("before: %q", es)
	}
	c := open(t, ns, "nftables")
	flows := flowsOf(t, ns)
	seen := &newFlows{cov: newCoverer([]model.Rule{r})}
	q := &Request{Rules: []model.Rule{r}, Keep: 600}
	pre, err := c.Preview(ctx(t), q, flows, nil)
	must(t, err)
	if pre.Covered != 1 || pre.Refused() != "" || !pre.Active {
		t.Errorf("preview: %+v", pre)
	}
	for _, w := range pre.Warnings {
		if w.Kind != model.WarnWide {
			t.Errorf("warning without a reason: %s", w.Text)
		}
	}
	stop := p.keepTalking()
	res, err := c.Apply(ctx(t), q, flows, ApplyOptions{Delete: true, Verify: 5 * time.Second})
	must(t, err)
	if res.TakenBack != "" || !res.Verified || res.Deleted != 1 || res.Packets < 2 {
		t.Errorf("apply: %+v", res)
	}
	quiet, err := flows.Watch(ctx(t), seen.add)
	must(t, err)
	p.t = t
	time.Sleep(100 * time.Millisecond) // traffic goes on
	stop()
	quiet()
	if es := entries(t, ns, fam, port); len(es) != 0 {
		t.Errorf("entries: %q", es)
	}
	if ev := seen.take(); len(ev) != 0 {
		t.Errorf("%d events", len(ev))
	}
	now, err := c.find(ctx(t), res.Rule.ID)
	must(t, err)
	if now.Leaked != 0 || now.Packets[0] == 0 || now.Packets[1] == 0 {
		t.Errorf("counters: %+v", now)
	}
	if _, back, err := c.Undo(ctx(t), ""); err != nil || back {
		t.Fatal(err)
	}
	p.exchange(2)
	if es := entries(t, ns, fam, port); len(es) != 1 {
		t.Errorf("after undo: %q", es)
	}
}

// TestApplyZone shows that a zone rule defeats NOTRACK, that the leak is found and the rule taken back with the reason.
func TestApplyZone(t *testing.T) {
	t.Parallel()
	for _, prio := range []string{"-320", "-300"} {
		ns := testNS(t)
		nftRules(t, ns, ctState+`table inet zones { chain z { type filter hook output priority `+prio+`; udp dport 5000 ct zone set 5; }
		}
		`)
		c := open(t, ns, "nftables")
		p := traffic(t, ns, ns, "udp4", "127.0.0.1:4000", "127.0.0.1:5000")
		p.exchange(2)
		q := &Request{Rules: []model.Rule{rule(t, "udp 127.0.0.1:4000 > 127.0.0.1:5000")}}
		pre, err := c.Preview(ctx(t), q, flowsOf(t, ns), nil)
		must(t, err)
		if w := warning(pre, model.WarnZone); !strings.Contains(w, "inet zones/z: udp dport 5000 ct zone set") || !strings.Contains(w, "overrides NOTRACK") {
			t.Errorf("%s: zone warning %q of %+v", prio, w, pre.Warnings)
		}
		stop := p.keepTalking()
		res, err := c.Apply(ctx(t), q, flowsOf(t, ns), ApplyOptions{Delete: true, Verify: 5 * time.Second})
		stop()
		must(t, err)
		if !strings.Contains(res.TakenBack, "a rule puts them in a zone, which overrides NOTRACK: inet zones/z") {
			t.Errorf("%s: %+v", prio, res)
		}
		if rs, err := c.List(ctx(t)); err != nil || len(rs) != 0 {
			t.Errorf("not taken back: %v %v", rs, err)
		}
	}
}

// warning returns the text of the first warning of a kind.
func warning(p *model.NotrackPreview, k model.NotrackWarningKind) string {
	for _, w := range p.Warnings {
		if w.Kind == k {
			return w.Text
		}
	}
	return ""
}

// TestApplyOneWayAndInterface shows that rules of one direction or one interface are not taken back for what they leave
// tracked.
func TestApplyOneWayAndInterface(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	nftRules(t, n.router, ctState)
	c := open(t, n.router, "nftables")
	flows := flowsOf(t, n.router)
	for _, text := range []string{"udp 10.1.0.2:4000 > 10.2.0.2:5000 one-way", "udp any > any:5000 iif lan"} {
		there := traffic(t, n.client, n.server, "udp4", "10.1.0.2:4000", "10.2.0.2:5000")
		back := traffic(t, n.server, n.client, "udp4", "10.2.0.2:4100", "10.1.0.2:5000") // comes in by wan
		stop, stopBack := there.keepTalking(), back.keepTalking()
		eventually(t, "both tracked", func() bool { return len(entries(t, n.router, "ipv4", "5000")) >= 2 })
		res, err := c.Apply(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}}, flows, ApplyOptions{Delete: true, Verify: 5 * time.Second})
		must(t, err)
		if res.TakenBack != "" || !res.Verified || res.Packets < 3 {
			t.Errorf("%s: %+v", text, res)
		}
		stop()
		stopBack()
		now, err := c.find(ctx(t), res.Rule.ID)
		must(t, err)
		if now.Packets[0] == 0 || now.Leaked != 0 {
			t.Errorf("%s: %+v", text, now)
		}
		tracked := strings.Join(entries(t, n.router, "ipv4", "5000"), "\n")
		if !strings.Contains(tracked, "sport=4100 dport=5000") {
			t.Errorf("%s: the other flow is not tracked:\n%s", text, tracked)
		}
		must(t, c.Remove(ctx(t), res.Rule.ID))
		_ = there.c.Close()
		_ = back.c.Close()
		tool(t, n.router, "conntrack", "-F")
		n = newTriple(t)
		nftRules(t, n.router, ctState)
		c, flows = open(t, n.router, "nftables"), flowsOf(t, n.router)
	}
}

// TestNothingIsDeletedAfterTheEnd gives a rule less time than it takes to tell whether it holds: the entry stays, because the
// rule is gone by the time it would be deleted.
func TestNothingIsDeletedAfterTheEnd(t *testing.T) {
	t.Parallel()
	n := newTriple(t)
	nftRules(t, n.router, trackOnly("ip"))
	p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
	p.exchange(3)
	id := func() string {
		return regexp.MustCompile(`id=\d+`).FindString(strings.Join(entries(t, n.router, "ipv4", "5000"), " "))
	}
	before := id()
	c := open(t, n.router, "nftables")
	q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000")}, Trial: 2 * time.Second}
	res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true})
	if !errors.Is(err, ErrNoRule) || res.Deleted != 0 {
		t.Errorf("%v, %d deleted", err, res.Deleted)
	}
	if after := id(); after == "" || after != before {
		t.Errorf("the entry was %q, is %q", before, after)
	}
}
