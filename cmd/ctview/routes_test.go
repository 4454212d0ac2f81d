package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
)

// A crossing is a router between a client's two networks and three ways to a server, with routing rules.
type crossing struct {
	t                      *testing.T
	client, router, server *lab.NS
}

func (x *crossing) in(ns *lab.NS, script string) {
	x.t.Helper()
	if out, err := ns.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		x.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	x := &crossing{t: t}
	for _, ns := range []**lab.NS{&x.client, &x.router, &x.server} {
		*ns = must(lab.NewNS())(t)
		t.Cleanup(func() { (*ns).Close() })
	}
	wire := func(name, peer string, ns *lab.NS, here, there string, v6 ...string) {
		x.in(x.router, fmt.Sprintf("ip link add %s type veth peer name %s netns %s; ip addr add %s dev %s; ip link set %s up", name, peer, ns.Path(), here, name, name))
		x.in(ns, fmt.Sprintf("ip addr add %s dev %s; ip link set %s up", there, peer, peer))
		if len(v6) > 0 {
			x.in(x.router, fmt.Sprintf("ip addr add %s dev %s nodad", v6[0], name))
			x.in(ns, fmt.Sprintf("ip addr add %s dev %s nodad", v6[1], peer))
		}
	}
	wire("lan", "c0", x.client, "192.168.1.1/24", "192.168.1.2/24", "2001:db8:1::1/64", "2001:db8:1::2/64")
	wire("lan2", "c1", x.client, "192.168.2.1/24", "192.168.2.2/24")
	wire("wan0", "s0", x.server, "10.0.0.1/24", "10.0.0.2/24", "2001:db8:a::1/64", "2001:db8:a::2/64")
	wire("wan1", "s1", x.server, "10.0.1.1/24", "10.0.1.2/24")
	wire("wan2", "s2", x.server, "10.0.2.1/24", "10.0.2.2/24")
	x.in(x.server, "ip addr add 203.0.113.9/32 dev lo; ip addr add 203.0.113.10/32 dev lo; ip addr add 2001:db8:f::9/128 dev lo nodad; ip route add default via 10.0.0.1; ip -6 route add default via 2001:db8:a::1")
	x.in(x.client, `ip route add default via 192.168.1.1; ip -6 route add default via 2001:db8:1::1
ip rule add from 192.168.2.2 lookup 7; ip route add default via 192.168.2.1 table 7`)
	x.in(x.router, `sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip route add default via 10.0.0.2; ip route add 203.0.113.10 via 10.0.1.2; ip -6 route add default via 2001:db8:a::2
ip rule add pref 10 lookup main suppress_prefixlength 0
ip rule add pref 20 fwmark 7 lookup 101; ip route add default via 10.0.2.2 table 101
ip rule add pref 30 from 192.168.2.0/24 iif lan2 lookup 100; ip route add default via 10.0.1.2 table 100
nft 'table inet t {
	set seen { type inet_service . ifname . ifname; flags dynamic; size 100; }
	chain pre { type filter hook prerouting priority -150; udp dport 5003 ct mark set 7; meta mark set ct mark; }
	chain nat { type nat hook prerouting priority -100; udp dport 5004 dnat ip to 203.0.113.10; }
	chain way { type filter hook forward priority 0; udp dport 5000-5999 add @seen { udp dport . iifname . oifname }; }
	chain post { type nat hook postrouting priority 100; oifname "wan*" masquerade; }
}'`)
	for _, p := range []struct {
		ns       *lab.NS
		from, to string
	}{
		{x.client, "192.168.1.2:4000", "203.0.113.9:5001"},
		{x.client, "192.168.2.2:4000", "203.0.113.9:5002"},
		{x.client, "192.168.1.2:4000", "203.0.113.9:5003"},
		{x.client, "192.168.1.2:4000", "203.0.113.9:5004"},
		{x.client, "[2001:db8:1::2]:4000", "[2001:db8:f::9]:5005"},
		{x.client, "192.168.1.2:4000", "192.168.1.1:5006"},
		{x.router, "192.168.1.1:4000", "203.0.113.9:5007"},
	} {
		err := p.ns.Do(func() error {
			c, err := (&net.Dialer{LocalAddr: must(net.ResolveUDPAddr("udp", p.from))(t)}).Dial("udp", p.to)
			if err == nil {
				_, err = c.Write([]byte("x"))
				_ = c.Close()
			}
			return err
		})
		if err != nil {
			t.Fatalf("%s > %s: %v", p.from, p.to, err)
		}
	}
	return x
}

// seen is which way packets took, as the forward hook met them: "5001 lan wan0".
func (x *crossing) seen(n int) (ways []string) {
	x.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out := must(x.router.Command("nft", "list", "set", "inet", "t", "seen").Output())(x.t)
		ways = nil
		for _, m := range regexp.MustCompile(`(\d+) \. "(\w+)" \. "(\w+)"`).FindAllStringSubmatch(string(out), -1) {
			ways = append(ways, strings.Join(m[1:], " "))
		}
		if slices.Sort(ways); len(ways) == n {
			return ways
		}
		if time.Now().After(end) {
			x.t.Fatalf("packets went %q, want %d of them", ways, n)
		}
	}
}

func (x *crossing) ctview(args ...string) string {
	x.t.Helper()
	out, err := ctview(x.t, append(args, "--quiet", "--netns", x.router.Path())...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestRoutes: the way of forwarded flows that is derived of the routes is the one that their packets took, through rules by source,
// by interface and by mark, and through a translated destination; flows that begin or end here have none.
func TestRoutes(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	want := []string{"5001 lan wan0", "5002 lan2 wan1", "5003 lan wan2", "5004 lan wan1", "5005 lan wan0"}
	if seen := x.seen(5); !slices.Equal(seen, want) {
		t.Fatalf("packets went %q, want %q", seen, want)
	}
	const udp = "udp and dport 5000-5999"
	csv := x.ctview("list", udp, "--columns", "dport,iif,oif", "-o", "csv", "--sort", "dport", "--no-header")
	if got := strings.ReplaceAll(csv, ",", " "); got != strings.Join(want, "\n")+"\n5006  \n5007  \n" {
		t.Errorf("list -o csv:\n%s", csv)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"count", udp + " and oif wan1"}, "2\n"},
		{[]string{"count", udp + " and iifname {lan, lan2} and not oif wan0"}, "3\n"},
		{[]string{"count", udp + " and iif none"}, "2\n"},
		{[]string{"count", udp + ` and oif ~ "wan"`}, "5\n"},
		{[]string{"list", udp + " and oif wan2", "-j", "--columns", "dport,oif"}, `{"orig":{"dport":5003},"derived":{"oif":"wan2"}}` + "\n"},
		{[]string{"list", udp + " and oif != none", "--sort", "oif:desc", "--limit", "1", "--columns", "dport,oif", "--no-header", "-o", "csv"}, "5003,wan2\n"},
		{[]string{"list", udp, "--group-by", "iif,oif", "-o", "csv", "--no-header", "--sort", "key"},
			"lan,wan0,2,2,,2\nlan,wan1,1,1,,1\nlan,wan2,1,1,,1\nlan2,wan1,1,1,,1\n'-,'-,2,2,,2\n"},
		{[]string{"get", "udp", "192.168.1.2:4000", ">", "203.0.113.9:5003", "--columns", "iif,oif", "-o", "csv", "--no-header"}, "lan,wan2\n"},
	} {
		if got := x.ctview(tt.args...); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	for line := range strings.Lines(x.ctview("list", udp+" and (iif none or oif ~ w)", "-j")) {
		checkSchema(t, "flow", []byte(line))
		if !strings.Contains(line, `"derived":{"iif":"lan`) && !strings.Contains(line, "5006") && !strings.Contains(line, "5007") {
			t.Errorf("without a way: %s", line)
		}
	}
	// Without a rule that gives packets the mark of their flow it is not known whether they have it.
	x.in(x.router, "nft flush chain inet t pre")
	if got := x.ctview("list", udp+" and dport 5003", "--columns", "mark,iif,oif", "-o", "csv", "--no-header"); got != "7,,\n" {
		t.Errorf("mark that is not restored: %q", got)
	}
	out, err := ctview(t, "events", "oif wan0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "which way flows take (iif, oif) is not known of events") {
		t.Errorf("events: %v, %s", err, out)
	}
}

// TestScreenRoutes: columns, filter, groups and the detail of the screen tell the same, and follow when routes change.
func TestScreenRoutes(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	x.seen(5)
	tm := newTerminal(t, ctview(t, "--netns", x.router.Path(), "--ascii"), 120, 35, "NO_COLOR=1")
	tm.shows("LIVE")
	row := func(want string) {
		t.Helper()
		tm.until(want, func(screen string) bool { return regexp.MustCompile(want).MatchString(screen) })
	}
	tm.send(":cols proto,src,dst,iif,oif\r")
	row(`IIF \(ROUTE\) +OIF \(ROUTE\)`)
	row(`192\.168\.1\.2:4000 +203\.0\.113\.9:5003 +lan +wan2`)
	row(`192\.168\.2\.2:4000 +203\.0\.113\.9:5002 +lan2 +wan1`)
	row(`192\.168\.1\.1:4000 +203\.0\.113\.9:5007 +- +-`)
	tm.send("/oif wan2\r")
	tm.shows("1-1 of 1 match")
	tm.send("\r")
	tm.shows("(in lan, out wan2 by the routes)")
	tm.send("q")
	tm.send("/\x15dport 5000-5999\r")
	tm.send(":group iif,oif\r")
	row(`lan +wan0 +2 `)
	row(`lan2 +wan1 +1 `)
	row(`- +- +2 `)
	tm.send("q")
}
