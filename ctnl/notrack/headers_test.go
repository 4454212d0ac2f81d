package notrack

import (
	"bytes"
	stdnet "net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// TestHeadersAndFragments sends datagrams with IPv6 extension headers, in fragments, and both: every rule has all of each,
// because defragmentation comes before it and headers are skipped, and none is tracked.
func TestHeadersAndFragments(t *testing.T) {
	t.Parallel()
	pad := string([]byte{0, 0, 1, 4, 0, 0, 0, 0}) // a header of eight bytes with nothing but padding
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		for _, tt := range []struct {
			name, network, laddr, raddr, rule string
			options                           []int // IPV6_*
			size                              int
		}{
			{"IPv4 fragments", "udp4", "10.1.0.2:4000", "10.2.0.2:5000", "udp 10.1.0.2:4000 > 10.2.0.2:5000", nil, 4000},
			{"IPv4 fragments, a wide rule", "udp4", "10.1.0.2:4000", "10.2.0.2:5000", "udp any > any:5000", nil, 4000},
			{"destination options", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp [fd01::2]:4000 > [fd02::2]:5000", []int{unix.IPV6_DSTOPTS}, 5},
			{"hop by hop", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp [fd01::2]:4000 > [fd02::2]:5000", []int{unix.IPV6_HOPOPTS}, 5},
			{"both, a wide rule", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp any > any:5000", []int{unix.IPV6_HOPOPTS, unix.IPV6_DSTOPTS}, 5},
			{"IPv6 fragments", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp [fd01::2]:4000 > [fd02::2]:5000", nil, 4000},
			{"IPv6 fragments, a wide rule", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp any > any:5000", nil, 4000},
			{"fragments behind headers", "udp6", "[fd01::2]:4000", "[fd02::2]:5000", "udp [fd01::2]:4000 > [fd02::2]:5000", []int{unix.IPV6_HOPOPTS, unix.IPV6_DSTOPTS}, 4000},
			{"from the router itself", "udp6", "[fd02::1]:4000", "[fd02::2]:5000", "udp [fd02::1]:4000 > [fd02::2]:5000", []int{unix.IPV6_DSTOPTS}, 4000},
		} {
			t.Run(be+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				n := newTriple(t)
				nftRules(t, n.router, ctState)
				from := n.client
				if tt.name == "from the router itself" {
					from = n.router
				}
				p := traffic(t, from, n.server, tt.network, tt.laddr, tt.raddr)
				raw, err := p.c.(*stdnet.UDPConn).SyscallConn()
				must(t, err)
				for _, o := range tt.options {
					must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, o, pad) }))
					must(t, err)
				}
				msg, got := bytes.Repeat([]byte{7}, tt.size), make([]byte, 65536)
				echo := func(wait time.Duration) error {
					msg[0]++
					_ = p.c.SetDeadline(time.Now().Add(wait))
					if _, err := p.c.Write(msg); err != nil {
						return err
					}
					for { // answers to earlier ones may be late
						if k, err := p.c.Read(got); err != nil || bytes.Equal(got[:k], msg) {
							return err
						}
					}
				}
				exchange := func(n int) {
					t.Helper()
					for range n {
						must(t, echo(pace*2*time.Second))
					}
				}
				// While link-local addresses are tentative, no router asks for neighbours.
				eventually(t, "neighbours are found", func() bool { return echo(300*time.Millisecond) == nil })
				family := "ipv" + tt.network[3:]
				exchange(3)
				if es := entries(t, n.router, family, "5000"); len(es) != 1 {
					t.Fatalf("before: %q", es)
				}
				c := open(t, n.router, be)
				q := &Request{Rules: []model.Rule{rule(t, tt.rule)}}
				pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
				must(t, err)
				for _, w := range pre.Warnings {
					if w.Kind != model.WarnWide {
						t.Errorf("preview: %+v", w)
					}
				}
				res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true, Verify: -1})
				must(t, err)
				exchange(5)
				if es := entries(t, n.router, family, "5000"); len(es) != 0 || res.Deleted != 1 {
					t.Errorf("deleted %d, tracked: %q\n%s", res.Deleted, es, tool(t, n.router, "nft", "list", "ruleset"))
				}
				r, err := c.find(ctx(t), res.Rule.ID)
				must(t, err)
				if r.Leaked != 0 || r.Packets != [2]uint64{5, 5} {
					t.Errorf("packets %v, leaked %d", r.Packets, r.Leaked)
				}
			})
		}
	}
}
