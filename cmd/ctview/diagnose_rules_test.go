package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// run runs a shell line in the router's namespace.
func (s *stage) run(line string) {
	s.t.Helper()
	if out, err := s.Router().Command("sh", "-c", line).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// find diagnoses the router and holds one finding to its text; "" is none of that name and subject.
func (s *stage) find(name, text string) found {
	s.t.Helper()
	all, _ := diagnosed(s.t, s.Router())
	f, ok := all[name]
	if ok != (text != "") || !strings.HasPrefix(f.Text, text) {
		s.t.Errorf("%s: %q, want %q; all: %v", name, f.Text, text, all)
	}
	if f.Filter != "" {
		out, err := ctview(s.t, "count", "--netns", s.Router().Path(), f.Filter).CombinedOutput()
		if n := strings.TrimSpace(string(out)); err != nil || !strings.Contains(f.Text, n) {
			s.t.Errorf("%s: %q finds %s flows (%v), the sentence says %q", name, f.Filter, n, err, f.Text)
		}
	}
	return f
}

// paste runs the command of a cure, without the way into the namespace, which is there already.
func (s *stage) paste(f *found, tool string) {
	s.t.Helper()
	for _, c := range f.Cures {
		if i := strings.Index(c.Command, tool+" "); i >= 0 {
			s.run(c.Command[i:])
			return
		}
	}
	s.t.Errorf("%s has no cure by %s: %+v", f.Name, tool, f.Cures)
}

// TestDiagnoseNATPorts: a rule gives NAT 64 ports, and 64 flows go to one destination; the cure gives it all, and the flows that
// found none pass.
func TestDiagnoseNATPorts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ tool, rule string }{
		{"nft", `nft 'insert rule inet lab srcnat oifname "wan" ip saddr 192.168.1.200 meta l4proto tcp snat ip to 192.0.2.1:5000-5063'`},
		{"iptables-legacy", `iptables-legacy -t nat -A POSTROUTING -o wan -s 192.168.1.200 -p tcp -j SNAT --to-source 192.0.2.1:5000-5063`},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			if tt.tool != "nft" { // one of the two systems translates
				s.run("nft flush chain inet lab srcnat; nft delete chain inet lab srcnat; nft delete chain inet lab dstnat")
			}
			s.run(tt.rule)
			syn := func(i int) lab.Packet {
				return lab.Packet{Src: at("192.168.1.200", 0, 20000+i), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoTCP}
			}
			s.burst(57, syn)
			s.flows(57)
			const name = "nat-ports 192.0.2.1 to 203.0.113.193:443"
			s.find(name, "")
			s.burst(64, syn) // the 57 again, and seven more
			s.flows(64)
			f := s.find(name, "64 of 64 ports of 192.0.2.1 to 203.0.113.193:443 in use")
			s.paste(&f, tt.tool)
			s.burst(80, syn)
			s.flows(80)
			s.find(name, "")
		})
	}
}

// TestDiagnoseHelper: an FTP control connection without a helper is told of, with the steps to one in nft and in iptables; a
// connection that begins after them has it.
func TestDiagnoseHelper(t *testing.T) {
	t.Parallel()
	const name = "helper-missing tcp port 21"
	const text = "1 flow to tcp port 21 without a helper (ftp): connections that they open are new to the firewall, not RELATED, and NAT does not know them"
	ctx := context.Background()
	for _, tt := range []struct{ tool, before string }{
		{"nft", "nft flush chain inet lab mangle"},
		{"iptables-legacy", "nft flush chain inet lab mangle; nft delete chain inet lab forward; iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP"},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ftp := must(s.FTP(ctx, lab.From{}))(t)
			if err := ftp.Noop(); err != nil {
				t.Fatal(err)
			}
			s.find(name, "") // the lab's rule gives it one
			if err := ftp.Close(); err != nil {
				t.Fatal(err)
			}
			s.run(tt.before)
			bare := must(s.FTP(ctx, lab.From{}))(t)
			defer bare.Close()
			if err := bare.Noop(); err != nil {
				t.Fatal(err)
			}
			f := s.find(name, text)
			s.paste(&f, tt.tool)
			if err := s.k.FlushExpects(ctx); err != nil {
				t.Fatal(err)
			}
			helped := must(s.FTP(ctx, lab.From{}))(t)
			defer helped.Close()
			if err := helped.Noop(); err != nil {
				t.Fatal(err)
			}
			s.find(name, text) // the old one still has none
			if err := bare.Close(); err != nil {
				t.Fatal(err)
			}
			s.find(name, "")
		})
	}
}

// TestDiagnoseOneWay: the router sees the client's half of connections only, as if the replies came another way. Four are a
// near miss.
func TestDiagnoseOneWay(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	midway := func(n int) {
		for i := range n {
			s.send(lab.Packet{Src: at(ghost6, 7, 5000+i), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP, Midway: true})
		}
		s.flows(n)
	}
	midway(4)
	s.find("one-way", "")
	midway(5)
	s.find("one-way", "5 TCP flows are established without a packet back: ")
}

// TestDiagnoseStaleUDP: a flow that a port forward led to a host which does not answer is held there as long as it sends, also
// when the forward leads to another host. One that hardly sends, and one whose host answers, are near misses.
func TestDiagnoseStaleUDP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	forward := func(port int, host string) string {
		return fmt.Sprintf("ip6 daddr 2001:db8:2:dead::1 udp dport %d dnat ip6 to [2001:db8:2:dead::%s]:514", port, host)
	}
	s.run("nft 'add rule inet lab dstnat " + forward(514, "9") + "; add rule inet lab dstnat " + forward(515, "a") + "; add rule inet lab dstnat " + forward(516, "b") + "'")
	if err := s.Router().Sysctl("net/netfilter/nf_conntrack_udp_timeout", "6"); err != nil {
		t.Fatal(err)
	}
	send := func(port int) {
		s.send(lab.Packet{Src: at(ghost6, 7, 5000), Dst: at(dead6, 0, port), Proto: model.ProtoUDP, Data: 10})
	}
	const name = "stale-udp [2001:db8:2:dead::9]:514"
	began, moved := time.Now(), false
	for n := 0; time.Since(began) < 7*time.Second; n++ {
		for range map[bool]int{true: 12, false: 1}[n == 0] {
			send(514)
			send(516)
		}
		if n%7 == 0 {
			send(515)
		}
		if n == 0 { // the other end of one answers
			s.flows(3)
			s.send(lab.Packet{Src: at("2001:db8:2:dead::b", 0, 514), Dst: at(ghost6, 7, 5000), Proto: model.ProtoUDP, Data: 10, FromServer: true})
		}
		if !moved {
			moved = true
			s.find(name, "") // young
			s.run("nft flush chain inet lab dstnat; nft 'add rule inet lab dstnat " + forward(514, "c") + "'")
		}
		time.Sleep(300 * time.Millisecond) // a pace, not a wait
	}
	f := s.find(name, "1 UDP flow translated to [2001:db8:2:dead::9]:514, where no rule leads any more, without an answer: ")
	if f.Severity != "warning" {
		t.Errorf("a %s, want a warning", f.Severity)
	}
	all, _ := diagnosed(t, s.Router())
	if len(all) > 1 {
		t.Errorf("found as well: %+v", all)
	}
	out, err := ctview(t, strings.Fields("delete --yes --netns "+s.Router().Path()+" "+f.Filter)...).CombinedOutput()
	if err != nil {
		t.Fatalf("delete: %v\n%s", err, out)
	}
	send(514)
	k := model.Key{Src: at(ghost6, 7, 0).Addr().As16(), Dst: at(dead6, 0, 0).Addr().As16(), Sport: 5000, Dport: 514, Proto: model.ProtoUDP, Family: model.IPv6}
	if err := s.Await(context.Background(), k, func(f *model.Flow) bool { return f.ReplySrc == at("2001:db8:2:dead::c", 0, 0).Addr().As16() }); err != nil {
		t.Errorf("after the cure: %v", err)
	}
}

// TestDiagnoseZone: a NOTRACK rule behind one that sets a zone, in the same chain and in a later one; before it all is well.
func TestDiagnoseZone(t *testing.T) {
	t.Parallel()
	const zone, notrack = "ip saddr 10.0.0.0/8 ct zone set 3", "udp dport 53 notrack"
	for _, tt := range []struct{ name, rules, want string }{
		{"behind", "chain a { type filter hook prerouting priority -300; " + zone + "; " + notrack + "; }", "inet z/a"},
		{"in a later chain", "chain a { type filter hook prerouting priority -310; " + zone + "; }; chain b { type filter hook prerouting priority -300; " + notrack + "; }", "inet z/b"},
		{"before", "chain a { type filter hook prerouting priority -300; " + notrack + "; " + zone + "; }", ""},
		{"at another hook", "chain a { type filter hook prerouting priority -300; " + zone + "; }; chain b { type filter hook output priority -300; " + notrack + "; }", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			if out, err := tb.ns.Command("nft", "table inet z { "+tt.rules+"; }").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			all, code := diagnosed(t, tb.ns)
			if _, ok := all["notrack-zoned "+tt.want]; ok != (tt.want != "") || len(all) > 1 || (code == exitOK) != (tt.want == "") {
				t.Errorf("found %+v, exit code %d; want %q", all, code, tt.want)
			}
		})
	}
}

// TestElsewhere: other namespaces are counted, the one that is watched is not.
func TestElsewhere(t *testing.T) {
	tb, other := newTable(t), newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	for i := range 3 {
		other.flow(fmt.Sprintf("10.0.0.1:%d", 1000+i), "10.0.0.2:80")
	}
	// Only namespaces with a process in them, or a name, are to be found.
	sleep := other.ns.Command("sleep", "100")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleep.Process.Kill()
	ns := must(ctnl.OpenNetns(tb.ns.Path()))(t)
	defer ns.Close()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		all := elsewhere(ns)
		seen := false
		for _, x := range all {
			seen = seen || x.Spec == fmt.Sprint(sleep.Process.Pid) && x.Entries == 3
		}
		if seen {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("elsewhere: %+v, want pid %d with 3 entries", all, sleep.Process.Pid)
		}
	}
}

// TestScreenAsymmetric: while the screen samples INVALID packets, connections whose answers are looked up in another zone, and
// connections of which the answers take another way, are named.
func TestScreenAsymmetric(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rule string
		send       func(s *stage, i int)
		want       string
	}{
		{"other zone", "ip6 saddr 2001:db8:1:ff::/64 ct zone set 9", func(s *stage, i int) {
			s.send(lab.Packet{Src: at(ghost6, 7, 5000+i), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP})
			s.flows(1 + i)
			s.send(lab.Packet{Src: at(dead6, 0, 443), Dst: at(ghost6, 7, 5000+i), Proto: model.ProtoTCP, Ack: true, FromServer: true})
		}, "the answers to 3 half-open flows in zone 9 are INVALID, such as those to 2001:db8:1:ff::8: they are looked up in another zone"},
		{"answers elsewhere", "counter", func(s *stage, i int) {
			s.send(lab.Packet{Src: at(ghost6, 7, 5000+i), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP})
			s.flows(1 + i)
			s.send(lab.Packet{Src: at(ghost6, 7, 5000+i), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP, Midway: true})
		}, "3 half-open flows go on INVALID, as if they had been answered, such as of 2001:db8:1:ff::8: the answers do not pass this machine"},
		{"only answers", "counter", func(s *stage, i int) {
			s.send(lab.Packet{Src: at(dead6, 0, 443), Dst: at(ghost6, 7, 5000+i), Proto: model.ProtoTCP, Ack: true, FromServer: true})
		}, "3 answers of TCP for connections that did not begin here, such as to 2001:db8:1:ff::8: only the way back passes this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.longer()
			s.run("nft 'add rule inet lab raw " + tt.rule + "'")
			tm := newTerminal(t, ctview(t, "--netns", s.Router().Path(), "--ascii"), 200, 40, "NO_COLOR=1")
			tm.shows("LIVE")
			tm.send("e")
			tm.shows("INVALID")
			tm.send("w")
			tm.shows("y ")
			tm.send("y")
			tm.until("counts of packets", func(string) bool {
				out, err := s.Router().Command("nft", "list", "tables").Output()
				return err == nil && strings.Contains(string(out), "ctview_watch_")
			})
			for i := range 3 {
				tt.send(s, i)
			}
			tm.shows(tt.want)
			tm.send("q")
		})
	}
}

// TestScreenInsertFailed: while NAT has no port left for new flows, the screen says how many found none, and goes on saying it when
// they have stopped.
func TestScreenInsertFailed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.longer()
	s.run(`nft 'insert rule inet lab srcnat oifname "wan" ip saddr 192.168.1.200 meta l4proto tcp snat ip to 192.0.2.1:5000-5063'`)
	tm := newTerminal(t, ctview(t, "--netns", s.Router().Path(), "--ascii"), 200, 60, "NO_COLOR=1")
	tm.shows("LIVE")
	tm.send("!")
	tm.shows("nothing is found") // the counters were read once
	s.burst(100, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.200", 0, 20000+i), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoTCP}
	})
	tm.shows("!! 64 of 64 ports of 192.0.2.1 to 203.0.113.193:443 in use, and 36 packets of new flows found none")
	tm.shows("36 entries could not be put in, the last ")
	tm.send("q")
}

// raceFlows sends n flows of UDP, each with two packets at once from two processors: the second to be put into the table finds the
// entry of the first there (nf_ct_resolve_clash).
func raceFlows(s *stage, n int) {
	s.t.Helper()
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		s.t.Fatal(err)
	}
	var flows []*net.UDPConn
	defer func() {
		for _, c := range flows {
			_ = c.Close()
		}
	}()
	for range n {
		c := must(s.Client().Dial(context.Background(), "udp4", "192.168.1.10:0", "203.0.113.193:5300"))(s.t)
		flows = append(flows, c.(*net.UDPConn))
	}
	var at [2]atomic.Int32 // flow that each thread is at
	var wg sync.WaitGroup
	for w, cpu := 0, 0; w < 2; cpu++ {
		if cpu == 1024 {
			s.t.Fatal("two processors are needed for packets to race")
		}
		if !cpus.IsSet(cpu) {
			continue
		}
		me := w
		wg.Go(func() {
			runtime.LockOSThread() // and not unlocked: the thread ends with its processor
			var own unix.CPUSet
			own.Set(cpu)
			_ = unix.SchedSetaffinity(0, &own)
			for i, c := range flows {
				raw, _ := c.SyscallConn()
				_ = raw.Control(func(fd uintptr) {
					at[me].Store(int32(i + 1))
					for at[1-me].Load() <= int32(i) {
					}
					_, _ = unix.Write(int(fd), []byte("x"))
				})
			}
		})
		w++
	}
	wg.Wait()
}

// TestScreenClashes: packets that race for one tuple are told from a hundred on, with the kernel's number.
func TestScreenClashes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.longer()
	tm := newTerminal(t, ctview(t, "--netns", s.Router().Path(), "--ascii"), 200, 60, "NO_COLOR=1")
	tm.shows("LIVE")
	tm.send("!")
	tm.shows("nothing is found") // the counters were read once
	clashes := func() int {
		n, _ := model.SumStats(must(s.k.CPUStats(context.Background()))(t), 14)
		return int(n)
	}
	for end := time.Now().Add(patience); clashes() < 150; {
		if time.Now().After(end) {
			t.Fatalf("%d clashes of flows whose packets are sent at once", clashes())
		}
		raceFlows(s, 100)
	}
	tm.shows("-  " + strconv.Itoa(clashes()) + " packets raced for one tuple and both went through")
	tm.send("q")
}
