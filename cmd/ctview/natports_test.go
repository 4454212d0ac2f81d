package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/model"
)

// kernelFailed is insert_failed as conntrack -S adds it up.
func (s *stage) kernelFailed() (n int) {
	s.t.Helper()
	out := must(s.Router().Command("conntrack", "-S").Output())(s.t)
	for _, m := range regexp.MustCompile(`insert_failed=(\d+)`).FindAllSubmatch(out, -1) {
		v, _ := strconv.Atoi(string(m[1]))
		n += v
	}
	return n
}

// fillPorts sends more flows of a host through a NAT range of 64 ports than it has, until the kernel has counted those that found
// none. 40 more go to the same destination by masquerade, and 10 of another host to another one by a rule that is gone by then.
func (s *stage) fillPorts() {
	s.t.Helper()
	s.longer()
	s.run(`nft 'insert rule inet lab srcnat oifname "wan" ip saddr 192.168.1.200 meta l4proto tcp snat ip to 192.0.2.1:5000-5063'`)
	s.run(`nft 'insert rule inet lab srcnat oifname "wan" ip saddr 192.168.1.201 meta l4proto tcp snat ip to 192.0.2.77:100-200'`)
	from := func(host string, dport int) func(i int) lab.Packet {
		return func(i int) lab.Packet {
			return lab.Packet{Src: at(host, 0, 20000+i), Dst: at("203.0.113.193", 0, dport), Proto: model.ProtoTCP}
		}
	}
	s.burst(100, from("192.168.1.200", 443))
	s.burst(10, from("192.168.1.201", 80))
	s.burst(40, from("192.168.1.202", 80))
	s.flows(64 + 10 + 40)
	for end := time.Now().Add(patience); s.kernelFailed() < 36; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("insert_failed is %d, want 36", s.kernelFailed())
		}
	}
	out := must(s.Router().Command("nft", "-a", "list", "chain", "inet", "lab", "srcnat").Output())(s.t)
	handle := regexp.MustCompile(`192\.0\.2\.77:100-200 # handle (\d+)`).FindSubmatch(out)
	s.run("nft delete rule inet lab srcnat handle " + string(handle[1]))
}

// kernelPorts are the source ports after translation of the flows to a destination, as conntrack -L has them.
func (s *stage) kernelPorts(to, dport string) (ports []string) {
	s.t.Helper()
	out := must(s.Router().Command("conntrack", "-L", "-p", "tcp", "--reply-dst", to, "--dport", dport).Output())(s.t)
	for l := range strings.Lines(string(out)) {
		if m := regexp.MustCompile(`sport=` + dport + ` dport=(\d+)`).FindStringSubmatch(l); m != nil {
			ports = append(ports, m[1])
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// TestListNATPorts fills a range of 64 ports for real: what list tells of ports in use and of failures are the kernel's own
// numbers, and of an address to which no rule leads it tells no range.
func TestListNATPorts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.fillPorts()
	out := must(ctview(t, "list", "--netns", s.Router().Path(), "--group-by", "nat-ports", "-j", "tcp").Output())(t)
	type group struct {
		Group  map[string]string
		Filter string
		Flows  int
		Failed int `json:"insert_failed"`
		Ports  *portsJSON
	}
	var got []string
	for line := range bytes.Lines(out) {
		checkSchema(t, "group", line)
		var g group
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%s: %d flows", g.Group["nat-ports"], g.Flows)
		if p := g.Ports; p != nil {
			text += fmt.Sprintf(", %d of %d, %d-%d", p.Used, p.Size, p.Low, p.High)
		}
		got = append(got, text)
		if want := s.kernelFailed(); g.Failed != want {
			t.Errorf("insert_failed %d, the kernel says %d", g.Failed, want)
		}
		n := strings.TrimSpace(string(must(ctview(t, "count", "--netns", s.Router().Path(), g.Filter).Output())(t)))
		if n != strconv.Itoa(g.Flows) {
			t.Errorf("%q finds %s flows, the group has %d", g.Filter, n, g.Flows)
		}
	}
	want := []string{
		"192.0.2.1>203.0.113.193:443/tcp: 64 flows, 64 of 64, 5000-5063",
		"192.0.2.1>203.0.113.193:80/tcp: 40 flows, 40 of 64512, 1024-65535",
		"192.0.2.77>203.0.113.193:80/tcp: 10 flows",
	}
	if !slices.Equal(got, want) {
		t.Errorf("groups\n%q, want\n%q", got, want)
	}
	for _, tt := range []struct {
		to, dport string
		n         int
	}{{"192.0.2.1", "443", 64}, {"192.0.2.1", "80", 40}, {"192.0.2.77", "80", 10}} {
		if p := s.kernelPorts(tt.to, tt.dport); len(p) != tt.n {
			t.Errorf("conntrack -L has %d ports of %s to %s, want %d", len(p), tt.to, tt.dport, tt.n)
		}
	}
	table := must(ctview(t, "list", "--netns", s.Router().Path(), "--group-by", "nat-ports", "tcp").CombinedOutput())(t)
	for _, want := range []string{
		`192\.0\.2\.1>203\.0\.113\.193:443/tcp +64 +64 +100\.0  5000-5063 +64`, `192\.0\.2\.77>203\.0\.113\.193:80/tcp +- +- +-  - +10`,
		fmt.Sprintf("insert_failed %d in this namespace", s.kernelFailed()),
	} {
		if !regexp.MustCompile(want).Match(table) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
}

// TestScreenNATPorts: the screen has the same numbers behind P, and behind :nat; Enter leads to the flows that hold the ports.
func TestScreenNATPorts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tm := newTerminal(t, ctview(t, "--netns", s.Router().Path(), "--ascii"), 120, 35, "NO_COLOR=1")
	tm.shows("LIVE")
	s.fillPorts()
	tm.send("2")
	tm.send("P")
	row := func(want string) { // the columns are as wide as they have to be
		t.Helper()
		tm.until(want, func(screen string) bool { return regexp.MustCompile(want).MatchString(screen) })
	}
	row(`192\.0\.2\.1>203\.0\.113\.193:443/tcp +64 +64 +100\.0% 5000-5063 +64 `)
	row(`192\.0\.2\.1>203\.0\.113\.193:80/tcp +40 +64512 +0\.1% 1024-65535 +40 `)
	row(`192\.0\.2\.77>203\.0\.113\.193:80/tcp +- +- +- - +10 `)
	tm.shows(fmt.Sprintf("insert_failed %d", s.kernelFailed()))
	tm.send("\r")
	tm.shows(" of 64 match")
	tm.send("1")
	tm.send(":nat\r")
	row(`192\.0\.2\.1>203\.0\.113\.193:443/tcp +64 +64 +100\.0% 5000-5063 +64 `)
	tm.send("q")
}
