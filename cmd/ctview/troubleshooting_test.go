package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
	"ctview/model"
)

var updateTroubleshooting = flag.Bool("update-troubleshooting", false, "write docs/troubleshooting.md anew")

// A trouble is a section of docs/troubleshooting.md. What the screen says in it, and the cures, are read off the real screen.
type trouble struct {
	symptom string // the heading: what people see
	name    string // of the finding
	about   string // what it means, and what to think of before the cure
}

// troubles are the sections in their order.
var troubles = []trouble{
	{"New connections fail, and the table is filling up", "table-filling", "The line tells how long there is time. Look first who fills it: one host, or " +
		"half-open connections, have a section of their own below. A larger table only helps against what is not an attack."},
	{"One host of yours floods somebody", "syn-flood-source", "Connections that are begun and never finished, most of them to one place."},
	{"A server behind the router answers no new visitors", "syn-flood-target", "Half-open connections from many addresses, which need not be " +
		"real. The limit lets as many new connections through as were answered of late, at least ten a second."},
	{"A host tries everybody's doors", "scan", "Hardly any of its connections is answered. A resolver or a BitTorrent client also talks to many, but gets answers."},
	{"A host's traffic goes nowhere", "unanswered", "Mostly a dead server, or a firewall beyond that drops. It is not the host's fault where all of it goes to one place."},
	{"The uplink is busy with answers that nobody of yours asked for", "udp-amplification", "A service answers somebody with many times what it " +
		"was asked: the questions are likely to be forged, and that address is the victim."},
	{"One host has most of the table", "one-host", "That can be right, for a proxy or a busy resolver. The proof by destination tells."},
	{"Some connections to one server fail, others work", "nat-ports", "Every connection through NAT to the same server and port needs a port of its " +
		"own. Where a rule gives a range, it can run out while the table is almost empty. `2` `P`, or `ctview list --group-by nat-ports`, shows how far each " +
		"range is used up."},
	{"FTP logs in, but lists nothing", "helper-missing", "The data connection is opened by what is said in the control connection, and no helper reads that. " +
		"It counts for connections that begin afterwards: log in again. (FTP inside TLS cannot be read by any helper.)"},
	{"Connections hang after a moment, and the firewall counts INVALID packets", "one-way", "Only one direction passes this machine: the way back is another " +
		"router, or another zone. Connections of which only half is seen are cut as soon as a rule asks for `ct state`."},
	{"A port forward was moved, but UDP still goes to the old host", "stale-udp", "NAT rules are asked for the first packet of a flow. A peer that goes " +
		"on sending keeps the old flow alive for ever; deleting it has the next packet ask again."},
	{"A NOTRACK rule has no effect", "notrack-zoned", "A rule before it gives the packet a zone, and with that a place in connection tracking which NOTRACK does not take away."},
	{"Bytes and rates are “-”", "acct-off", "The kernel does not count. What has begun before the switch stays without counters."},
	{"The screen lags behind", "events-off", "The kernel sends no events, so that changes are seen when the table is read again."},
	{"Old entries stay for hours", "timeout", "A timeout was set that nobody can have meant."},
	{"The table is full of connections that are long dead", "idle-flows", "Their ends vanished without a FIN, and the kernel's default is to wait five days."},
}

// screenOf is the list of findings on the real screen, by name: the lines of each.
func screenOf(t *testing.T, ns *lab.NS, names ...string) map[string][]string {
	t.Helper()
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "--ascii"), 330, 90, "NO_COLOR=1")
	tm.until("a line that says the worst", func(s string) bool { return strings.Contains(s, "! list") || strings.Contains(s, "LIVE") })
	tm.send("!")
	s := tm.until("findings "+strings.Join(names, " "), func(s string) bool {
		for _, n := range names {
			if !strings.Contains(s, "  "+n+", since") {
				return false
			}
		}
		return true
	})
	out := map[string][]string{}
	var block []string
	name, order, head := "", []string{}, 0
	keep := func() {
		if name != "" {
			out[name], order = block, append(order, name)
		}
		block, name = nil, ""
	}
	for i, l := range strings.Split(s, "\n") {
		l = strings.TrimRight(l, " ")
		if strings.Contains(l, "[1 Flows") || strings.Contains(l, "1 Flows") && head == 0 {
			head = i + 1
			continue
		}
		if head == 0 {
			continue
		}
		if strings.TrimSpace(l) == "" {
			keep()
			continue
		}
		l = strings.TrimPrefix(strings.TrimPrefix(l, ">"), " ")
		if m := regexp.MustCompile(`^\s+([a-z-]+), since [0-9:]+( \([0-9a-z]+\))?(.*)`).FindStringSubmatch(l); m != nil {
			name, l = m[1], "    "+m[1]+strings.TrimRight(m[3], " ")
		}
		block = append(block, strings.TrimPrefix(l, " "))
	}
	keep()
	// y takes the first cure away, behind a menu where there are several; Enter leads to the flows that prove it, and Esc back.
	for i, n := range order {
		if commands := regexp.MustCompile(`(?m)^      (.{1,40})`).FindAllStringSubmatch(strings.Join(out[n], "\n"), -1); commands != nil {
			tm.send("g" + strings.Repeat("j", i) + "y")
			if len(commands) > 1 {
				tm.shows("copy to the terminal's clipboard")
				tm.send("1")
			}
			tm.shows("copied: " + commands[0][1])
		}
		m := regexp.MustCompile(`   / (.*)`).FindStringSubmatch(strings.Join(out[n], "\n"))
		if m == nil {
			continue
		}
		tm.send("g" + strings.Repeat("j", i) + "\r")
		tm.until("the proof of "+n, func(s string) bool {
			return !strings.Contains(s, ", since ") && regexp.MustCompile(`(?m)^ / `+regexp.QuoteMeta(m[1][:min(len(m[1]), 30)])).MatchString(s) && regexp.MustCompile(`\d-\d+ of [1-9]`).MatchString(s)
		})
		tm.send("\x1b")
		tm.shows("  " + n + ", since")
	}
	tm.send("q")
	return out
}

// here takes the way into the test's namespace out of a command.
func here(s string) string {
	s = regexp.MustCompile(`nsenter --net=/proc/\d+/fd/\d+ `).ReplaceAllString(s, "")
	return regexp.MustCompile(` --netns /proc/\d+/fd/\d+`).ReplaceAllString(s, "")
}

// TestTroubleshooting holds docs/troubleshooting.md to the real screen: each trouble is made in the lab, `!` names it, Enter
// shows the flows that prove it. Numbers may differ from one run to the next.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string][]string{}
	t.Run("made", func(t *testing.T) {
		for name, make := range map[string]func(t *testing.T) map[string][]string{"traffic": badTraffic, "forward": badForward, "settings": badSettings, "table": badTable, "filling": filling} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				found := make(t)
				mu.Lock()
				defer mu.Unlock()
				for n, lines := range found {
					got[n] = lines
				}
			})
		}
	})
	var b strings.Builder
	b.WriteString(`# Troubleshooting

From what people notice to the line that mends it. Every screen says in one line the worst of what is wrong; three keys do the
rest, wherever one stands:

| key | does |
|---|---|
| ` + "`!`" + ` | the list of what is wrong, the worst first (` + "`!!`" + ` packets of users are being dropped, ` + "`!`" + ` connections suffer or will, ` + "`-`" + ` could be better) |
| ` + "`Enter`" + ` | the flows that prove the one under the cursor, by its filter; ` + "`Esc`" + ` leads back |
| ` + "`y`" + ` | copies a cure: a line for the packet filter of this machine, for a shell, or for ctview; of several, the one whose number is pressed. Nothing is changed by ctview itself |
| ` + "`a`" + ` | keeps it quiet until it has grown by half, or got worse in kind |

Without a screen: ` + "`ctview diagnose`" + ` prints the same and ends with 1 where something is found, ` + "`ctview diagnose --watch -o json`" + ` goes on
for monitoring ([finding.schema.json](finding.schema.json)).

What is shown below was read off a real screen on a real kernel, where a test makes each trouble with real packets, in a lab
(TestTroubleshooting). Addresses and names of chains are the lab's.

| symptom | finding | keys |
|---|---|---|
`)
	anchor := func(s string) string {
		return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(s), ""), " ", "-")
	}
	for _, x := range troubles {
		text := strings.Join(got[x.name], "\n")
		keys := "`!`" // no command cures it
		switch n := strings.Count(text, "\n      "); {
		case n == 1:
			keys = "`!` `y`"
		case n > 1: // a menu asks which
			keys = "`!` `y` `1`"
		}
		if strings.Contains(text, "   / ") {
			keys = "`!` `Enter`, " + keys
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", x.symptom, anchor(x.symptom), x.name, keys)
	}
	for _, x := range troubles {
		if got[x.name] == nil {
			t.Errorf("%s was not found", x.name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```text\n%s\n```\n", x.symptom, x.about, here(strings.Join(got[x.name], "\n")))
	}
	b.WriteString(`
## What else is told

` + "`drops`, `early-drops`, `chain-too-long`, `insert-failed`, `clashes`" + `: counters of the kernel that grow; what has grown stays told after it has stopped,
milder, until it is acknowledged. ` + "`lost-events`" + `: ctview itself was too slow, and has read the table again. ` + "`uncounted`" + `: flows from
before accounting. ` + "`asymmetric`" + `, while the States screen samples INVALID packets (` + "`e`, `w`" + `): which half of connections passes here, or in which zone
answers are looked up. ` + "`offloaded`" + `: flows in a flowtable. ` + "`other-namespace`" + `: the table of another namespace of this machine is nearly full.

Taken 2026-11-27, ten minutes each with ` + "`ctview diagnose --watch --for 10m`" + `: the lab of ` + "`ctview demo`" + ` at its pace, and a router with a connection
or two a second, had not one finding.
`)
	const file = "../../docs/troubleshooting.md"
	if *updateTroubleshooting {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	digits := regexp.MustCompile(`(\d+[dhms])+\b|\d[\d,]*`) // times and numbers
	want, is := strings.Split(digits.ReplaceAllString(string(doc), "#"), "\n"), strings.Split(digits.ReplaceAllString(b.String(), "#"), "\n")
	for i := range max(len(want), len(is)) {
		if i >= len(want) || i >= len(is) || want[i] != is[i] {
			t.Fatalf("%s is not what the screen says (-update-troubleshooting writes it): line %d is %q, the screen has %q", file, i+1, want[min(i, len(want)-1)], is[min(i, len(is)-1)])
		}
	}
}

// longer has the router wait for answers as long as kernels do.
func (s *stage) longer() {
	s.t.Helper()
	for name, v := range map[string]string{"udp_timeout": "120", "udp_timeout_stream": "120", "tcp_timeout_syn_sent": "120", "tcp_timeout_syn_recv": "60", "tcp_timeout_close": "60"} {
		if err := s.Router().Sysctl("net/netfilter/nf_conntrack_"+name, v); err != nil {
			s.t.Fatal(err)
		}
	}
}

func badTraffic(t *testing.T) map[string][]string {
	s := newStage(t)
	s.longer()
	s.run(`nft 'insert rule inet lab srcnat oifname "wan" ip saddr 192.168.1.203 meta l4proto tcp snat ip to 192.0.2.1:5000-5063'`)
	s.run("nft flush chain inet lab mangle") // which gives FTP its helper
	s.burst(700, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.200", 0, 20000+i), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoTCP}
	})
	s.burst(150, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.201", 0, 40000), Dst: at("203.0.113.194", 0, 1+i), Proto: model.ProtoTCP}
	})
	s.burst(600, func(i int) lab.Packet {
		return lab.Packet{Src: at(ghost6, i%100, 3000+i/100), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP}
	})
	s.burst(900, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.202", 0, 20000+i), Dst: at("203.0.113.195", 0, 5000), Proto: model.ProtoUDP}
	})
	s.burst(64, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.203", 0, 20000+i), Dst: at("203.0.113.196", 0, 443), Proto: model.ProtoTCP}
	})
	s.burst(6, func(i int) lab.Packet {
		return lab.Packet{Src: at(ghost6, 201, 5000+i), Dst: at(dead6, 0, 22), Proto: model.ProtoTCP, Midway: true}
	})
	for i := range 12 {
		s.answered(at(ghost6, 200, 7000+i), at(dead6, 5, 123), 80, 1200)
	}
	ftp := must(s.FTP(context.Background(), lab.From{}))(t)
	t.Cleanup(func() { ftp.Close() })
	if err := ftp.Noop(); err != nil {
		t.Fatal(err)
	}
	s.flows(700 + 150 + 600 + 900 + 64 + 6 + 12 + 1)
	return screenOf(t, s.Router(), "syn-flood-source", "scan", "syn-flood-target", "unanswered", "nat-ports", "one-way", "udp-amplification", "helper-missing")
}

func badForward(t *testing.T) map[string][]string {
	s := newStage(t)
	s.run(`nft 'add rule inet lab dstnat ip6 daddr 2001:db8:2:dead::1 udp dport 514 dnat ip6 to [2001:db8:2:dead::9]:514'`)
	if err := s.Router().Sysctl("net/netfilter/nf_conntrack_udp_timeout", "5"); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done })
	go func() { // a peer that goes on sending
		defer close(done)
		for {
			_ = s.Send(lab.Packet{Src: at(ghost6, 7, 5000), Dst: at(dead6, 0, 514), Proto: model.ProtoUDP, Data: 10})
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	s.flows(1)
	s.run(`nft flush chain inet lab dstnat; nft 'add rule inet lab dstnat ip6 daddr 2001:db8:2:dead::1 udp dport 514 dnat ip6 to [2001:db8:2:dead::c]:514'`)
	return screenOf(t, s.Router(), "stale-udp")
}

func badSettings(t *testing.T) map[string][]string {
	tb := newTable(t)
	if out, err := tb.ns.Command("nft", "table inet raw { chain zones { type filter hook prerouting priority -300; ip saddr 10.0.0.0/8 ct zone set 3; udp dport 53 notrack; }; }").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, v := range map[string]string{"acct": "0", "events": "0", "udp_timeout_stream": "14400"} {
		if err := tb.ns.Sysctl("net/netfilter/nf_conntrack_"+name, v); err != nil {
			t.Fatal(err)
		}
	}
	return screenOf(t, tb.ns, "acct-off", "events-off", "timeout", "notrack-zoned")
}

func badTable(t *testing.T) map[string][]string {
	tb := newTable(t)
	tb.many(tb.limit()/25+100, "10.0.0.1", 300000)
	return screenOf(t, tb.ns, "one-host", "idle-flows")
}

// limit is nf_conntrack_max.
func (tb *tab) limit() (n int) {
	tb.t.Helper()
	s, err := tb.ns.ReadSysctl("net/netfilter/nf_conntrack_max")
	if err != nil {
		tb.t.Fatal(err)
	}
	if _, err := fmt.Sscan(s, &n); err != nil {
		tb.t.Fatal(err)
	}
	return n
}

// filling is a table that grows by a fortieth of what it can hold each second, from a fifth on.
func filling(t *testing.T) map[string][]string {
	tb := newTable(t)
	f := must(fill.Open(tb.ns))(t)
	t.Cleanup(func() { f.Close() })
	n, step := tb.limit()/5, tb.limit()/400
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if err := f.Create(ctx, 0, n); err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for i := n; i < 3*n; i += step {
			if err := f.Create(ctx, i, i+step); err != nil {
				done <- err
				return
			}
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
		}
		done <- nil
	}()
	found := screenOf(t, tb.ns, "table-filling")
	stop()
	if err := <-done; err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return map[string][]string{"table-filling": found["table-filling"]}
}
