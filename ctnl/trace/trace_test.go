package trace

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

func testCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// loopUDP is a datagram from a port of 127.0.0.1 to another.
func loopUDP(sport, dport uint16) model.Tuple {
	a := model.AddrBytes(addr("127.0.0.1"))
	return model.Tuple{Src: a, Dst: a, Sport: sport, Dport: dport, Proto: model.ProtoUDP, Family: model.IPv4}
}

// send sends n datagrams from 127.0.0.1:4000 to a port.
func send(t *testing.T, ns *lab.NS, to string, n int) {
	t.Helper()
	c, err := ns.Dial(testCtx(t), "udp4", "127.0.0.1:4000", to)
	labtest.Must(t, err)
	defer func() { _ = c.Close() }()
	for range n {
		_, _ = c.Write([]byte("secret")) // refused ones are told of the one before
	}
}

// trace runs a Tracer while traffic happens, until it has n packets.
func trace(t *testing.T, ns *lab.NS, p Plan, n int, traffic func()) (got []model.TracePacket) {
	t.Helper()
	tr, err := Open(ns, p)
	labtest.Must(t, err)
	defer func() { _ = tr.Close() }()
	traffic() // the socket holds what comes before Run
	labtest.Must(t, tr.Run(testCtx(t), func(p *model.TracePacket) bool {
		got = append(got, *p)
		return len(got) < n
	}))
	return got
}

// way writes the steps of a packet, a line each.
func way(p *model.TracePacket) string {
	var b strings.Builder
	for i := range p.Steps {
		s := &p.Steps[i]
		b.WriteString(s.Family + " " + s.Table + "/" + s.Chain + ": " + s.Rule + " -> " + s.Verdict + "\n")
	}
	return b.String()
}

const firewall = `table inet fw {
	chain checks { udp dport 5001 drop; }
	chain out { type filter hook output priority 0; policy accept
		udp dport 5000-5001 meta mark set 7
		udp dport 5001 jump checks
	}
}
`

// TestTraceNamesRules follows a datagram that is marked and let pass and one that is dropped in a chain that was jumped to.
func TestTraceNamesRules(t *testing.T) {
	ns := labtest.NS(t)
	labtest.Rules(t, ns, firewall)
	got := trace(t, ns, Plan{Orig: loopUDP(4000, 5001)}, 1, func() {
		send(t, ns, "127.0.0.1:6000", 1) // another tuple: not a word of it
		send(t, ns, "127.0.0.1:5001", 1)
	})
	p := &got[0]
	if p.Tuple != loopUDP(4000, 5001) || p.Reply || p.Len != 34 || p.Cut {
		t.Errorf("packet %+v, want the datagram of 34 bytes to 5001", p)
	}
	end := p.Ended()
	if end == nil || end.Verdict != "drop" || end.Chain != "checks" || !strings.Contains(end.Rule, "udp dport 5001 drop") || end.Handle == 0 {
		t.Errorf("ended by %+v, want the drop in checks; its way:\n%s", end, way(p))
	}
	if w := way(p); !strings.Contains(w, "meta mark set 0x7") || !strings.Contains(w, "-> jump checks") || p.Steps[0].Mark != 7 {
		t.Errorf("mark %#x after the first step, want 7; the way:\n%s", p.Steps[0].Mark, w)
	}

	got = trace(t, ns, Plan{Orig: loopUDP(4000, 5000)}, 1, func() { send(t, ns, "127.0.0.1:5000", 1) })
	if p := &got[0]; p.Ended() != nil || !strings.HasSuffix(way(p), "inet fw/out:  -> accept\n") {
		t.Errorf("ended by %+v, want the policy's accept as the last step:\n%s", p.Ended(), way(p))
	}
}

// TestTraceNAT follows the first packet of a connection into its translation.
func TestTraceNAT(t *testing.T) {
	ns := labtest.NS(t)
	labtest.Rules(t, ns, `table ip nat {
	chain out { type nat hook output priority -100; udp dport 5000 dnat to 127.0.0.2:5002; }
	chain post { type filter hook postrouting priority 0; counter; }
}
`)
	got := trace(t, ns, Plan{Orig: loopUDP(4000, 5000)}, 1, func() { send(t, ns, "127.0.0.1:5000", 1) })
	p := &got[0]
	if w := way(p); !strings.Contains(w, "ip nat/out: udp dport 5000 dnat to") {
		t.Errorf("the way does not have the rule that translated:\n%s", w)
	}
	last := &p.Steps[len(p.Steps)-1]
	for i := range p.Steps {
		if p.Steps[i].HasTuple {
			last = &p.Steps[i]
		}
	}
	if last.Chain != "post" || last.Tuple.DstAddr() != addr("127.0.0.2") || last.Tuple.Dport != 5002 {
		t.Errorf("in %s it is %+v, want 127.0.0.2:5002 in post:\n%s", last.Chain, last.Tuple, way(p))
	}
}

// TestTraceIsBounded sends more than the plan allows: the kernel, not ctview, stops.
func TestTraceIsBounded(t *testing.T) {
	ns := labtest.NS(t)
	labtest.Rules(t, ns, firewall)
	tr, err := Open(ns, Plan{Orig: loopUDP(4000, 5001), Packets: 3})
	labtest.Must(t, err)
	defer func() { _ = tr.Close() }()
	send(t, ns, "127.0.0.1:5001", 50)
	ctx, cancel := context.WithTimeout(testCtx(t), time.Second)
	defer cancel()
	n := 0
	if err := tr.Run(ctx, func(*model.TracePacket) bool { n++; return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v, want the end of its time", err)
	}
	if n != 3 {
		t.Errorf("%d packets traced of 50, want 3", n)
	}
}

// TestTraceLeavesNothing looks at the ruleset before and after, and at what is said beforehand against what is made.
func TestTraceLeavesNothing(t *testing.T) {
	ns := labtest.NS(t)
	labtest.Rules(t, ns, firewall)
	list := func() string {
		out, err := labtest.Command(ns, "nft", "list", "ruleset").CombinedOutput()
		if err != nil {
			t.Fatalf("nft list ruleset: %v\n%s", err, out)
		}
		return string(out)
	}
	before := list()
	p := Plan{Orig: loopUDP(4000, 5001)}
	tr, err := Open(ns, p)
	labtest.Must(t, err)
	if l := list(); !strings.Contains(l, tablePrefix) || strings.Count(l, "meta nftrace set 1") != strings.Count(p.Rules(), "meta nftrace set 1") {
		t.Errorf("made:\n%s\nsaid:\n%s", l, p.Rules())
	}
	labtest.Must(t, tr.Close())
	if l := list(); l != before {
		t.Errorf("after:\n%s\nbefore:\n%s", l, before)
	}
	labtest.Rules(t, ns, "table inet check { chain c { type filter hook output priority 0; }; }\n"+strings.Replace(p.Rules(), "\tflags owner\n", "", 1))
}

// TestTraceRefused has a namespace without rules, and one of which only IPv6 packets meet any.
func TestTraceRefused(t *testing.T) {
	ns := labtest.NS(t)
	for _, rules := range []string{"", "table ip6 fw { chain out { type filter hook output priority 0; }; }\n"} {
		if rules != "" {
			labtest.Rules(t, ns, rules)
		}
		tr, err := Open(ns, Plan{Orig: loopUDP(4000, 5001)})
		if !errors.Is(err, ErrNoRules) {
			t.Errorf("Open with rules %q: %v, want ErrNoRules", rules, err)
		}
		if tr != nil {
			_ = tr.Close()
		}
	}
}

// FuzzMessage has no message of the kernel's or anybody's break the decoder.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 8, 0, 6, 0, 0, 0, 0, 1, 8, 0, 4, 0, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := &Tracer{table: &nftables.Table{Name: "t"}, names: ruleset.NewIfNames(ruleset.Here{}), open: map[uint32]*building{}}
		if len(b) >= 4 {
			_, _ = tr.decode(b[4:])
		}
	})
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
