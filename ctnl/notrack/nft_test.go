package notrack

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctview/model"
)

func TestNftLife(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	c := open(t, ns, "nftables")
	q := &Request{Rules: []model.Rule{rule(t, "udp 127.0.0.1:4000 > 127.0.0.1:5000")}, Keep: 600}
	got, err := c.Add(ctx(t), q)
	must(t, err)
	if !got.Pending || !got.Limited || got.Left > time.Minute || got.Left < 50*time.Second || got.Who != "tester" || !got.HasLeak ||
		got.Text() != "udp 127.0.0.1:4000 > 127.0.0.1:5000" || got.Table != "inet ctview" {
		t.Errorf("after Add: %+v", got)
	}
	before := tool(t, ns, "nft", "list", "ruleset")
	if _, err := c.Add(ctx(t), q); !errors.Is(err, ErrExists) {
		t.Errorf("second Add: %v, want ErrExists", err)
	}
	p := traffic(t, ns, ns, "udp4", "127.0.0.1:4000", "127.0.0.1:5000")
	p.exchange(10)
	if es := entries(t, ns, "ipv4", "5000"); len(es) != 0 {
		t.Errorf("tracked: %q", es)
	}
	rs, err := c.List(ctx(t))
	must(t, err)
	if len(rs) != 1 || rs[0].Packets != [2]uint64{10, 10} || rs[0].Leaked != 0 {
		t.Errorf("after traffic: %+v\n%s", rs, before)
	}
	must(t, c.Confirm(ctx(t), got.ID, nil))
	rs, err = c.List(ctx(t))
	must(t, err)
	if r := rs[0]; r.Pending || r.Left < 590*time.Second || r.Packets != [2]uint64{10, 10} {
		t.Errorf("after Confirm: %+v", r)
	}
	forever := model.KeepUntilRemoved
	must(t, c.Confirm(ctx(t), got.ID, &forever))
	rs, err = c.List(ctx(t))
	must(t, err)
	if r := rs[0]; r.Limited || r.Packets != [2]uint64{10, 10} {
		t.Errorf("after Confirm for ever: %+v", r)
	}
	n := c.be.(*nft)
	for _, life := range []time.Duration{time.Hour, 0} { // as Linux before 6.12 needs it
		set, have, err := n.readInstalled()
		must(t, err)
		table, es := have.elements(got.ID)
		tgt, err := n.reach(set, table)
		must(t, err)
		must(t, putElements(tgt, es, life, true))
		tgt.done()
		rs, err = c.List(ctx(t))
		must(t, err)
		if r := rs[0]; r.Limited != (life > 0) || life > 0 && r.Left < life-time.Minute || r.Packets != [2]uint64{10, 10} || r.Bytes == [2]uint64{} || r.Who != "tester" {
			t.Errorf("replaced for %v: %+v", life, r)
		}
	}
	must(t, c.Remove(ctx(t), got.ID))
	if out := tool(t, ns, "nft", "list", "tables"); strings.Contains(out, "ctview") {
		t.Errorf("left behind: %s", out)
	}
	p.exchange(2)
	if es := entries(t, ns, "ipv4", "5000"); len(es) != 1 {
		t.Errorf("tracking is not back: %q", es)
	}
}

func TestNftWide(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	c := open(t, ns, "nftables")
	for _, text := range []string{"udp 127.0.0.0/8 > any:5000-5010", "udp ip6 any > any:5000-5010", "icmp 127.0.0.1 > 127.0.0.1 type 8 id 77",
		"gre 10.0.0.1 > 10.0.0.2", "any any > any iif eth9 one-way", "ip 192.0.2.0/24 > any"} {
		r := rule(t, text)
		got, err := c.Add(ctx(t), &Request{Rules: []model.Rule{r}, Trial: 30 * time.Second})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(got.Rules) != 1 || got.Rules[0] != r || !got.Pending {
			t.Errorf("%s: read back as %+v", text, got)
		}
	}
	for _, f := range []struct{ network, l, r, fam string }{
		{"udp4", "127.0.0.1:4000", "127.0.0.1:5005", "ipv4"}, {"udp6", "[::1]:4000", "[::1]:5006", "ipv6"}} {
		p := traffic(t, ns, ns, f.network, f.l, f.r)
		p.exchange(5)
		if es := entries(t, ns, f.fam, f.r[len(f.r)-4:]); len(es) != 0 {
			t.Errorf("%s: tracked: %q\n%s", f.network, es, tool(t, ns, "nft", "list", "ruleset"))
		}
	}
	rs, err := c.List(ctx(t))
	must(t, err)
	counts := map[string][2]uint64{}
	var ids []string
	for _, r := range rs {
		counts[r.Text()] = r.Packets
		ids = append(ids, r.ID)
		if r.Leaked != 0 {
			t.Errorf("%s leaks %d", r.Text(), r.Leaked)
		}
	}
	if counts["udp 127.0.0.0/8 > any:5000-5010"] != [2]uint64{5, 5} || counts["udp ip6 any > any:5000-5010"] != [2]uint64{5, 5} {
		t.Errorf("counters: %v", counts)
	}
	must(t, c.Remove(ctx(t), ids...))
	if out := tool(t, ns, "nft", "list", "tables"); strings.Contains(out, "ctview") {
		t.Errorf("left behind: %s", out)
	}
}

// TestNftExpiry lets a wide and an exact rule run out and shows that tracking is back and that nothing stays.
func TestNftExpiry(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	c := open(t, ns, "nftables")
	for _, text := range []string{"udp 127.0.0.1:4000 > 127.0.0.1:5000", "udp any > any:5001"} {
		_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}, Trial: pace * time.Second, Keep: 600})
		must(t, err)
	}
	a := traffic(t, ns, ns, "udp4", "127.0.0.1:4000", "127.0.0.1:5000")
	b := traffic(t, ns, ns, "udp4", "127.0.0.1:4001", "127.0.0.1:5001")
	a.exchange(1)
	b.exchange(1)
	eventually(t, "tracking is back", func() bool {
		a.exchange(1)
		b.exchange(1)
		return len(entries(t, ns, "ipv4", "5000")) == 1 && len(entries(t, ns, "ipv4", "5001")) == 1
	})
	rs, err := c.List(ctx(t))
	must(t, err)
	if len(rs) != 0 {
		t.Errorf("expired rules are listed: %+v", rs)
	}
	must(t, c.be.sweep(ctx(t)))
	if out := tool(t, ns, "nft", "list", "tables"); strings.Contains(out, "ctview") {
		t.Errorf("left behind: %s", out)
	}
}

// TestNftSession shows that a session's table belongs to the process, that others leave it alone, and that it goes with
// the socket.
func TestNftSession(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	a, b := open(t, ns, "nftables"), open(t, ns, "nftables")
	q := &Request{Rules: []model.Rule{rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:2")}, Keep: model.KeepSession}
	ra, err := a.Add(ctx(t), q)
	must(t, err)
	if !ra.Mine || ra.Owner == 0 || !strings.HasPrefix(ra.Table, "inet ctview-") {
		t.Errorf("session rule: %+v", ra)
	}
	if _, err := b.Add(ctx(t), q); !errors.Is(err, ErrExists) {
		t.Errorf("the same from another: %v", err)
	}
	if err := b.Remove(ctx(t), ra.ID); !errors.Is(err, ErrNotOurs) {
		t.Errorf("remove from another: %v", err)
	}
	rb, err := b.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:3")}, Keep: model.KeepSession})
	must(t, err)
	_, err = b.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:4")}})
	must(t, err)
	if err := a.Confirm(ctx(t), ra.ID, nil); err != nil {
		t.Fatal(err)
	}
	if out, err := command(ns, "nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	rs, err := a.List(ctx(t))
	must(t, err)
	if len(rs) != 2 || rs[0].ID != ra.ID && rs[1].ID != ra.ID {
		t.Errorf("after flush ruleset: %+v", rs)
	}
	// What is to outlive the session moves to the shared table; the rest goes with the socket.
	rc, err := b.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:9"), rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:7")}, Keep: model.KeepSession})
	must(t, err)
	forever := model.KeepUntilRemoved
	must(t, b.Confirm(ctx(t), rc.ID, &forever))
	rs, err = b.List(ctx(t))
	must(t, err)
	if i := slices.IndexFunc(rs, func(r model.NotrackRule) bool { return r.ID == rc.ID }); i < 0 || rs[i].Table != "inet ctview" || rs[i].Limited || rs[i].Pending || len(rs[i].Rules) != 2 || rs[i].Rules[0].OneWay {
		t.Errorf("kept: %+v", rs)
	}
	must(t, b.Close())
	must(t, a.Remove(ctx(t), rc.ID))
	eventually(t, "the closed session's rules are gone", func() bool {
		rs, err := a.List(ctx(t))
		must(t, err)
		return len(rs) == 1 && rs[0].ID == ra.ID && !rs[0].Limited
	})
	_ = rb
}

// TestNftMany installs 3,000 tuples in one transaction.
func TestNftMany(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	c := open(t, ns, "nftables")
	var rules []model.Rule
	for i := range 3000 {
		r := rule(t, "tcp [2001:db8::1]:1 > [2001:db8::2]:80")
		r.Sport = model.Port(uint16(1024 + i))
		rules = append(rules, r)
	}
	got, err := c.Add(ctx(t), &Request{Rules: rules, Keep: 60})
	must(t, err)
	if len(got.Rules) != 3000 || got.Rules[0].OneWay || got.HasLeak {
		t.Errorf("%d rules, one-way %v, leak counter %v where nothing is tracked", len(got.Rules), got.Rules[0].OneWay, got.HasLeak)
	}
	if out := tool(t, ns, "nft", "list", "table", "inet", "ctview"); strings.Contains(out, "ct state") {
		t.Error("a ct rule where tracking is not active")
	}
	must(t, c.Confirm(ctx(t), got.ID, nil))
	must(t, c.Remove(ctx(t), got.ID))
}

// TestNftOldKernel extends rules as kernels before 6.12 need it (delete and add in one transaction) and keeps a session
// alive as kernels before 5.12 need it.
func TestNftOldKernel(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	c := open(t, ns, "nftables")
	n := c.be.(*nft)
	rules := []model.Rule{rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:2"), rule(t, "udp any > any:9")}
	r, err := c.Add(ctx(t), &Request{Rules: rules, Keep: model.KeepSession})
	must(t, err)
	rs, have, err := n.readInstalled()
	must(t, err)
	table, es := have.elements(r.ID)
	tgt, err := n.reach(rs, table)
	must(t, err)
	must(t, putElements(tgt, es, 10*time.Minute, true))
	now, err := c.find(ctx(t), r.ID)
	must(t, err)
	if now.Pending || now.Left < 590*time.Second || len(now.Rules) != 2 || now.Who != "tester" {
		t.Errorf("after delete and add: %+v", now)
	}
	n.s.owned = false
	must(t, c.Confirm(ctx(t), r.ID, nil))
	now, err = c.find(ctx(t), r.ID)
	must(t, err)
	if !now.Limited || now.Left > 61*time.Second || now.Pending {
		t.Errorf("a session's rule without an owner: %+v", now)
	}
	must(t, n.extendOnce(r.ID, 5*time.Second))
	must(t, n.beat(ctx(t)))
	if now, err = c.find(ctx(t), r.ID); err != nil || now.Left < 55*time.Second {
		t.Errorf("after a beat: %+v %v", now, err)
	}
	must(t, c.Close())
	if out := tool(t, ns, "nft", "list", "tables"); strings.Contains(out, "ctview") {
		t.Errorf("left behind: %s", out)
	}
}

// TestStaleGeneration changes the ruleset between the look and the change that was decided on it: the kernel refuses the change,
// and nothing of it is done.
func TestStaleGeneration(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	c := open(t, ns, "nftables")
	n := c.be.(*nft)
	r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 127.0.0.1:1 > 127.0.0.1:2")}})
	must(t, err)
	for _, meanwhile := range []string{"", "table ip somebodys { }\n"} {
		rs, have, err := n.readInstalled()
		must(t, err)
		table, es := have.elements(r.ID)
		tgt, err := n.reach(rs, table)
		must(t, err)
		nftRules(t, ns, meanwhile)
		err = putElements(tgt, es, 10*time.Minute, true)
		now, ferr := c.find(ctx(t), r.ID)
		must(t, ferr)
		if stale := meanwhile != ""; errors.Is(err, unix.ERESTART) != stale || now.Left < 590*time.Second {
			t.Errorf("%q: %v, then %+v", meanwhile, err, now)
		}
		if meanwhile == "" {
			must(t, c.Extend(ctx(t), r.ID, time.Hour))
		} else if now.Left < 59*time.Minute {
			t.Errorf("the refused change was made: %+v", now)
		}
	}
}

// TestUndo takes changes back one after another: a removal first, then the installations.
func TestUndo(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft"} {
		ns := testNS(t)
		c := open(t, ns, be)
		a, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp any > any:80")}, Keep: 600})
		must(t, err)
		b, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 10.0.0.1:1 > 10.0.0.2:2")}, Keep: model.KeepSession})
		must(t, err)
		must(t, c.Confirm(ctx(t), a.ID, nil))
		must(t, c.Remove(ctx(t), a.ID))
		r, back, err := c.Undo(ctx(t), "")
		must(t, err)
		now, err := c.find(ctx(t), a.ID)
		if !back || r.ID != a.ID || err != nil || now.Left < 590*time.Second || now.Text() != a.Text() || now.Pending {
			t.Errorf("%s: put back: %v %+v %v", be, back, now, err)
		}
		must(t, c.Remove(ctx(t), b.ID)) // on trial, and on trial again
		if _, back, err := c.Undo(ctx(t), ""); err != nil || !back {
			t.Errorf("%s: put back: %v %v", be, back, err)
		}
		if now, err = c.find(ctx(t), b.ID); err != nil || !now.Pending || now.Left > DefaultTrial+2*time.Second || now.Keep != model.KeepSession {
			t.Errorf("%s: a trial put back: %+v %v", be, now, err)
		}
		for i := range 2 {
			if _, back, err := c.Undo(ctx(t), ""); err != nil || back {
				t.Errorf("%s: undo %d: %v %v", be, i, back, err)
			}
		}
		if _, _, err := c.Undo(ctx(t), ""); !errors.Is(err, ErrNoRule) {
			t.Errorf("%s: nothing left: %v", be, err)
		}
		if rs, err := c.List(ctx(t)); err != nil || len(rs) != 0 {
			t.Errorf("%s: %+v %v", be, rs, err)
		}
	}
}
