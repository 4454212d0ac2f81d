package trace

import (
	"net"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
)

// newLab is a client, a router and a server, whose router translates 192.168.1.0/24.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(testCtx(t), lab.Options{})
	labtest.Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// echo sends an echo request from an address of the client, and returns its tuple.
func echo(t *testing.T, l *lab.Lab, v6 bool, id uint16) {
	t.Helper()
	network, from, to, typ := "ip4:1", "192.168.1.10", "203.0.113.7", byte(8)
	if v6 {
		network, from, to, typ = "ip6:58", "2001:db8:1::10", "2001:db8:2::7", 128
	}
	c, err := l.Client().ListenPacket(network, from)
	labtest.Must(t, err)
	defer func() { _ = c.Close() }()
	b := []byte{typ, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}
	if !v6 { // of IPv6 the kernel works it out
		sum := ^(uint16(typ)<<8 + id + 1)
		b[2], b[3] = byte(sum>>8), byte(sum)
	}
	_, err = c.WriteTo(b, &net.IPAddr{IP: net.ParseIP(to)})
	labtest.Must(t, err)
}

// datagram sends one from a port of the client.
func datagram(t *testing.T, l *lab.Lab, from, to string) {
	t.Helper()
	c, err := l.Client().Dial(testCtx(t), "udp", from, to)
	labtest.Must(t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte("secret"))
	labtest.Must(t, err)
}

func tuple(p model.Proto, src string, sport uint16, dst string, dport uint16) model.Tuple {
	t := model.Tuple{Src: model.AddrBytes(addr(src)), Dst: model.AddrBytes(addr(dst)), Sport: sport, Dport: dport, Proto: p, Family: model.IPv4}
	if addr(src).Is6() {
		t.Family = model.IPv6
	}
	return t
}

// TestTraceForwarded follows packets that a router forwards: both families, ICMP, through chains of NAT in both directions, and
// through rules of iptables-nft that let pass and that drop.
func TestTraceForwarded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules []string // commands on the router
		plan  Plan
		send  func(t *testing.T, l *lab.Lab)
		want  []string // of the way, in this order
		back  []string // of the answer's, nil: none is awaited
		ended string   // verdict of the rule that ended it, "" where it passed
	}{
		{name: "IPv6", plan: Plan{Orig: tuple(model.ProtoUDP, "2001:db8:1::10", 4000, "2001:db8:2::7", 443)},
			send: func(t *testing.T, l *lab.Lab) { datagram(t, l, "[2001:db8:1::10]:4000", "[2001:db8:2::7]:443") },
			want: []string{"inet lab/mangle: ", "inet lab/dstnat: ", "inet lab/forward: ", "inet lab/srcnat: "},
			back: []string{"inet lab/raw: ", "inet lab/forward: "}},
		{name: "ICMP", plan: Plan{Orig: tuple(model.ProtoICMP, "192.168.1.10", 77, "203.0.113.7", 8<<8), Reply: tuple(model.ProtoICMP, "203.0.113.7", 77, "192.0.2.1", 0)},
			send: func(t *testing.T, l *lab.Lab) { echo(t, l, false, 77) },
			want: []string{"inet lab/raw: ", "inet lab/forward: ", "inet lab/srcnat: ", "masquerade"}, back: []string{"inet lab/raw: ", "inet lab/forward: "}},
		{name: "ICMPv6", plan: Plan{Orig: tuple(model.ProtoICMPv6, "2001:db8:1::10", 78, "2001:db8:2::7", 128<<8), Reply: tuple(model.ProtoICMPv6, "2001:db8:2::7", 78, "2001:db8:1::10", 129<<8)},
			send: func(t *testing.T, l *lab.Lab) { echo(t, l, true, 78) },
			want: []string{"inet lab/raw: ", "inet lab/forward: "}, back: []string{"inet lab/raw: ", "inet lab/forward: "}},
		{name: "NAT", plan: Plan{Orig: tuple(model.ProtoUDP, "192.168.1.10", 4000, "203.0.113.7", 443), Reply: tuple(model.ProtoUDP, "203.0.113.7", 443, "192.0.2.1", 4000)},
			send: func(t *testing.T, l *lab.Lab) { datagram(t, l, "192.168.1.10:4000", "203.0.113.7:443") },
			want: []string{"inet lab/dstnat: ", "inet lab/forward: ", "inet lab/srcnat: ", "masquerade"},
			back: []string{"inet lab/raw: ", "inet lab/forward: "}},
		{name: "iptables-nft lets pass", rules: []string{"nft 'flush chain inet lab srcnat; delete chain inet lab srcnat'", // one of the two translates
			"iptables-nft -A FORWARD -p udp --dport 443 -j MARK --set-mark 9", "iptables-nft -t nat -A POSTROUTING -o wan -p udp -j SNAT --to-source 192.0.2.1:7000"},
			plan: Plan{Orig: tuple(model.ProtoUDP, "192.168.1.10", 4000, "203.0.113.7", 443), Reply: tuple(model.ProtoUDP, "203.0.113.7", 443, "192.0.2.1", 7000)},
			send: func(t *testing.T, l *lab.Lab) { datagram(t, l, "192.168.1.10:4000", "203.0.113.7:443") },
			want: []string{"ip filter/FORWARD: ", "443", "MARK", "ip nat/POSTROUTING: ", "SNAT"}, back: []string{"ip filter/FORWARD: "}},
		{name: "iptables-nft drops", rules: []string{"ip6tables-nft -A FORWARD -p udp --dport 443 -j DROP"},
			plan: Plan{Orig: tuple(model.ProtoUDP, "2001:db8:1::10", 4000, "2001:db8:2::7", 443)},
			send: func(t *testing.T, l *lab.Lab) { datagram(t, l, "[2001:db8:1::10]:4000", "[2001:db8:2::7]:443") },
			want: []string{"ip6 filter/FORWARD: ", "drop"}, ended: "drop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			for _, r := range tt.rules {
				out, err := l.Router().Command("sh", "-c", r).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", r, err, out)
				}
			}
			n := 1
			if tt.back != nil {
				n = 2
			}
			got := trace(t, l.Router(), tt.plan, n, func() { tt.send(t, l) })
			for i := range got {
				p := &got[i]
				want, w := tt.want, way(p)
				if p.Reply {
					want = tt.back
				}
				rest := w
				for _, x := range want {
					_, after, ok := strings.Cut(rest, x)
					if !ok {
						t.Errorf("reply %v: no %q in the way\n%s", p.Reply, x, w)
					}
					rest = after
				}
				verdict := ""
				if end := p.Ended(); end != nil {
					verdict = end.Verdict
				}
				in := map[bool]string{false: "lan", true: "wan"}[p.Reply]
				if verdict != tt.ended || p.In != in || p.Cut {
					t.Errorf("ended by %q, in by %s, cut %v; want %q, %s; the way\n%s", verdict, p.In, p.Cut, tt.ended, in, w)
				}
			}
			if len(got) != n {
				t.Errorf("%d packets, want %d", len(got), n)
			}
		})
	}
}
