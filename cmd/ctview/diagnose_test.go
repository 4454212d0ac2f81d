package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
)

// A found is a line of diagnose -o json.
type found struct {
	Event, Name, Subject, Severity, Text, Filter string
	Cures                                        []struct{ What, Command string }
}

// diagnosed runs diagnose in a namespace and returns what it found by "name subject", and the exit code.
func diagnosed(t *testing.T, ns *lab.NS, args ...string) (all map[string]found, code int) {
	t.Helper()
	cmd := ctview(t, append([]string{"diagnose", "--netns", ns.Path(), "-o", "json", "--for", "1s"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) || stderr.Len() > 0 {
		t.Fatalf("diagnose: %v\n%s", err, &stderr)
	}
	all = map[string]found{}
	for line := range bytes.Lines(out) {
		var f found
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if f.Name != "other-namespace" { // of tests beside this one
			all[strings.TrimSpace(f.Name+" "+f.Subject)] = f
		}
	}
	return all, cmd.ProcessState.ExitCode()
}

// A stage is a lab on which trouble is made.
type stage struct {
	t *testing.T
	*lab.Lab
	ns *ctnl.Netns
	k  *ctnl.Kernel
}

func newStage(t *testing.T) *stage {
	t.Helper()
	l := must(lab.New(context.Background(), lab.Options{}))(t)
	ns := must(ctnl.OpenNetns(l.Router().Path()))(t)
	k := ctnl.NewKernel(ns)
	t.Cleanup(func() { k.Close(); ns.Close(); l.Close() })
	return &stage{t, l, ns, k}
}

// send puts a packet on a wire, and fails the test where that does not go.
func (s *stage) send(p lab.Packet) {
	s.t.Helper()
	if err := s.Send(p); err != nil {
		s.t.Fatal(err)
	}
}

// flows waits until the router tracks so many.
func (s *stage) flows(n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, _, err := s.k.Count(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		if int(got) >= n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d flows, want %d", got, n)
		}
	}
}

func at(a string, n, port int) netip.AddrPort {
	b := netip.MustParseAddr(a).As16()
	b[15] += byte(n)
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(port))
}

// burst sends n packets of a kind.
func (s *stage) burst(n int, make func(i int) lab.Packet) {
	s.t.Helper()
	for i := range n {
		s.send(make(i))
	}
}

// answered is a flow of UDP with so many bytes each way, and as many packets back.
func (s *stage) answered(src, dst netip.AddrPort, answers, size int) {
	s.t.Helper()
	s.send(lab.Packet{Src: src, Dst: dst, Proto: model.ProtoUDP, Data: 40})
	k := model.Key{Src: src.Addr().As16(), Dst: dst.Addr().As16(), Sport: src.Port(), Dport: dst.Port(), Proto: model.ProtoUDP, Family: model.IPv6}
	if err := s.Await(context.Background(), k, nil); err != nil {
		s.t.Fatal(err)
	}
	s.burst(answers, func(int) lab.Packet {
		return lab.Packet{Src: dst, Dst: src, Proto: model.ProtoUDP, Data: size, FromServer: true}
	})
	if answers > 0 {
		if err := s.Await(context.Background(), k, func(f *model.Flow) bool { return f.Packets[1] >= uint64(answers) }); err != nil {
			s.t.Fatal(err)
		}
	}
}

const (
	ghost6 = "2001:db8:1:ff::1"
	dead6  = "2001:db8:2:dead::1"
)

// TestDiagnoseTraffic: real packets through a real router are named for what they are, all beside each other, and each
// filter finds the flows that its sentence counts.
func TestDiagnoseTraffic(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	flood := at("192.168.1.200", 0, 0).Addr()
	s.burst(700, func(i int) lab.Packet {
		return lab.Packet{Src: netip.AddrPortFrom(flood, uint16(20000+i)), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoTCP}
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
	for i := range 12 {
		s.answered(at(ghost6, 200, 7000+i), at(dead6, 5, 123), 80, 1200)
	}
	s.flows(700 + 150 + 600 + 900 + 12)
	all, code := diagnosed(t, s.Router())
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	for name, text := range map[string]string{
		"syn-flood-source 192.168.1.200":             "192.168.1.200: 700 TCP flows half-open, 100 % of them to 203.0.113.193:443",
		"scan 192.168.1.201":                         "192.168.1.201: 150 flows unanswered or refused, 100 % of its own: it tries 1 address and 150 ports",
		"syn-flood-target [2001:db8:2:dead::1]:443":  "[2001:db8:2:dead::1]:443: 600 TCP flows half-open from 100 sources, 100 % of all to it",
		"unanswered 192.168.1.202":                   "192.168.1.202: 900 flows never answered, ",
		"udp-amplification [2001:db8:2:dead::6]:123": "[2001:db8:2:dead::6]:123 (ntp) answered 1.1k with 1.2M, 100 % of it to 2001:db8:1:ff::c9: ",
	} {
		f, ok := all[name]
		if !ok || !strings.HasPrefix(f.Text, text) {
			t.Errorf("%s: %q, want %q", name, f.Text, text)
		}
		if f.Filter == "" {
			continue
		}
		out, err := ctview(t, "count", "--netns", s.Router().Path(), f.Filter).Output()
		n := strings.TrimSpace(string(out))
		if err != nil || !strings.Contains(f.Text, n) && f.Name != "udp-amplification" {
			t.Errorf("%s: the filter finds %s flows (%v), the sentence says %q", name, n, err, f.Text)
		}
		delete(all, name)
	}
	for name, f := range all {
		t.Errorf("found as well: %s: %s", name, f.Text)
	}
	// A cure is what this machine's nft takes.
	cured, _ := diagnosed(t, s.Router())
	for _, f := range cured {
		for _, c := range f.Cures {
			if i := strings.Index(c.Command, "nft "); i >= 0 {
				if out, err := s.Router().Command("sh", "-c", c.Command[i:]).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", c.Command, err, out)
				}
			}
		}
	}
}

// TestDiagnoseNearMisses: what is nearly as bad, all beside each other, is not a word.
func TestDiagnoseNearMisses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.burst(490, func(i int) lab.Packet { // a flood, but for ten
		return lab.Packet{Src: at("192.168.1.200", 0, 20000+i), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoTCP}
	})
	s.burst(95, func(i int) lab.Packet { // a scan of too few ports
		return lab.Packet{Src: at("192.168.1.201", 0, 40000), Dst: at("203.0.113.194", 0, 1+i), Proto: model.ProtoTCP}
	})
	s.burst(490, func(i int) lab.Packet { // a flood towards a target
		return lab.Packet{Src: at(ghost6, i%100, 3000+i/100), Dst: at(dead6, 0, 443), Proto: model.ProtoTCP}
	})
	s.burst(490, func(i int) lab.Packet {
		return lab.Packet{Src: at("192.168.1.202", 0, 20000+i), Dst: at("203.0.113.195", 0, 5000), Proto: model.ProtoUDP}
	})
	for i := range 12 { // long answers, evenly to many
		s.answered(at(ghost6, 150+i, 7000), at(dead6, 5, 123), 80, 1200)
	}
	for i := range 12 { // long answers of what is no amplifier
		s.answered(at(ghost6, 200, 7000+i), at(dead6, 5, 4433), 80, 1200)
	}
	s.flows(490*3 + 95 + 24)
	all, code := diagnosed(t, s.Router())
	if code != exitOK || len(all) > 0 {
		t.Errorf("exit code %d, found %+v, want 0 and nothing", code, all)
	}
}

// TestDiagnoseSettings: what a namespace's settings keep from being seen.
func TestDiagnoseSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     map[string]string // severity by name and subject
		cure     string            // of the first, without the way into the namespace
	}{
		{"as they should be", map[string]string{"udp_timeout_stream": "3600"}, nil, ""},
		{"events off", map[string]string{"events": "0"}, map[string]string{"events-off": "warning"}, "sysctl -w net.netfilter.nf_conntrack_events=1"},
		{"accounting off", map[string]string{"acct": "0"}, map[string]string{"acct-off": "note"}, "sysctl -w net.netfilter.nf_conntrack_acct=1"},
		{"timestamps off", map[string]string{"timestamp": "0"}, map[string]string{"timestamp-off": "note"}, "sysctl -w net.netfilter.nf_conntrack_timestamp=1"},
		{"nonsense", map[string]string{"udp_timeout_stream": "7200"}, map[string]string{"timeout udp_timeout_stream": "warning"},
			"sysctl -w net.netfilter.nf_conntrack_udp_timeout_stream=120"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := newNS(t)
			if err := ns.EnableTracking(); err != nil {
				t.Fatal(err)
			}
			for name, value := range tt.settings {
				if err := ns.Sysctl("net/netfilter/nf_conntrack_"+name, value); err != nil {
					t.Fatal(err)
				}
			}
			all, code := diagnosed(t, ns)
			wantCode := exitOK
			for name, severity := range tt.want {
				if severity != "note" {
					wantCode = exitFailed
				}
				f := all[name]
				if f.Severity != severity || len(f.Cures) == 0 || !strings.HasSuffix(f.Cures[0].Command, tt.cure) {
					t.Errorf("%s: %+v, want a %s with the cure %s", name, f, severity, tt.cure)
					continue
				}
				// The cure cures.
				if out, err := exec.Command("sh", "-c", f.Cures[0].Command).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", f.Cures[0].Command, err, out)
				}
			}
			if len(all) != len(tt.want) || code != wantCode {
				t.Errorf("found %+v, exit code %d; want %v, %d", all, code, tt.want, wantCode)
			}
			if all, code := diagnosed(t, ns); len(all) > 0 || code != exitOK {
				t.Errorf("cured, and still found: %+v, exit code %d", all, code)
			}
		})
	}
}

// TestDiagnoseTable: flows that were not counted, that idle, that are one host's; and less of each.
func TestDiagnoseTable(t *testing.T) {
	t.Parallel()
	limit, err := newTable(t).ns.ReadSysctl("net/netfilter/nf_conntrack_max")
	if err != nil {
		t.Fatal(err)
	}
	var most int
	if _, err := fmt.Sscan(limit, &most); err != nil {
		t.Fatal(err)
	}
	host := most/25 + 100 // a little more than the 4 % from which on one host is told of
	for _, tt := range []struct {
		name string
		make func(tb *tab)
		want string
	}{
		{"uncounted", func(tb *tab) {
			tb.acct("0")
			tb.many(20, "10.0.0.1", 431000)
			tb.acct("1")
			tb.many(100, "10.0.0.2", 431000)
		}, "uncounted: 20 of 120 flows have no counters: they began before nf_conntrack_acct was on, and no sum of bytes has them in"},
		{"uncounted, near", func(tb *tab) {
			tb.acct("0")
			tb.many(9, "10.0.0.1", 431000)
			tb.acct("1")
			tb.many(100, "10.0.0.2", 431000)
		}, ""},
		{"idle", func(tb *tab) { tb.many(110, "10.0.0.1", 300000); tb.many(90, "10.0.0.2", 431000) },
			"idle-flows: 110 TCP flows are established and idle for more than a day, 55 % of all: they stay 5d after their last packet"},
		{"idle, near", func(tb *tab) { tb.many(90, "10.0.0.1", 300000); tb.many(110, "10.0.0.2", 346000) }, ""},
		{"one host", func(tb *tab) { tb.many(host, "10.0.0.1", 431000) },
			fmt.Sprintf("one-host 10.0.0.1: 10.0.0.1 has %s flows, 100 %% of all and 4 %% of what the table can hold", commas(host))},
		{"one host, near", func(tb *tab) { tb.many(host-300, "10.0.0.1", 431000) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			tt.make(tb)
			all, _ := diagnosed(t, tb.ns)
			got := ""
			for name, f := range all {
				got += name + ": " + f.Text
			}
			if got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func commas(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func (tb *tab) acct(v string) {
	tb.t.Helper()
	if err := tb.ns.Sysctl("net/netfilter/nf_conntrack_acct", v); err != nil {
		tb.t.Fatal(err)
	}
}

// many makes n established flows of a source with seconds left.
func (tb *tab) many(n int, src string, seconds uint32) {
	tb.t.Helper()
	failed, err := tb.k.CreateMany(context.Background(), n, func(i int, s *ctnl.Spec) {
		*s = *established(src+":"+fmt.Sprint(1000+i%50000), fmt.Sprintf("10.9.%d.%d:443", i/50000, 1+i%40))
		s.Timeout, s.Flow.Status, s.Has = seconds, model.StatusSeenReply|model.StatusAssured, s.Has|model.HasStatus
	})
	if err != nil || len(failed) > 0 {
		tb.t.Fatalf("CreateMany: %v, %d failed", err, len(failed))
	}
}

// TestDiagnoseUsage: what is wrong is told, and what is found is a table for eyes.
func TestDiagnoseUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"-o xml", "the formats are table, json"},
		{"--for 10ms", "1s is the shortest"},
		{"tcp", "diagnose"},
	} {
		cmd := ctview(t, append([]string{"diagnose"}, strings.Fields(tt.args)...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(out), tt.want) {
			t.Errorf("diagnose %s: exit code %d, %q", tt.args, code, out)
		}
	}
	tb := newTable(t)
	tb.flow("10.0.0.1:1000", "10.0.0.2:80")
	for name, want := range map[string]string{
		"1": "ok  nothing found in 1s among 1 flow\n",
		"0": "-   nf_conntrack_acct=0: no packets, bytes and rates  (acct-off",
	} {
		tb.acct(name)
		out, err := ctview(t, "diagnose", "--netns", tb.ns.Path(), "--for", "1s").Output()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("acct %s: %v\n%s\nwant %q", name, err, out, want)
		}
	}
}

// TestDiagnoseWatchTime: --watch takes a time as that of list does; what is so at the beginning is told at once, and once.
func TestDiagnoseWatchTime(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.acct("0")
	out, err := ctview(t, "diagnose", "--netns", tb.ns.Path(), "--watch=1h", "--for", "2s", "-o", "json").Output()
	if n := strings.Count(string(out), `"acct-off"`); err != nil || n != 1 {
		t.Errorf("%v: acct-off %d times\n%s", err, n, out)
	}
}

// TestDiagnoseQuiet: nothing is said of the demo's lab with its traffic of every kind, ten times as fast as it is shown to people,
// nor of a router where little goes on.
func TestDiagnoseQuiet(t *testing.T) {
	t.Parallel()
	silent := func(t *testing.T, ns *lab.NS) {
		out, err := ctview(t, "diagnose", "--netns", ns.Path(), "--watch", "--for", "8s", "-o", "json").CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, `"other-namespace"`) { // of tests beside this one
				t.Errorf("%v: said %s", err, line)
			}
		}
	}
	t.Run("demo", func(t *testing.T) {
		t.Parallel()
		l := must(lab.New(context.Background(), lab.Options{Rate: 10}))(t)
		defer l.Close()
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		silent(t, l.Router())
		stop()
		<-done
	})
	t.Run("quiet", func(t *testing.T) {
		t.Parallel()
		tb := newTable(t)
		tb.many(40, "10.0.0.1", 431000)
		silent(t, tb.ns)
	})
}
