package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

// flowOf is a flow between two ends, without NAT.
func flowOf(p model.Proto, src, dst netip.AddrPort) *model.Flow {
	f := &model.Flow{Key: model.Key{Src: src.Addr().As16(), Dst: dst.Addr().As16(), Sport: src.Port(), Dport: dst.Port(), Proto: p, Family: model.IPv6}}
	if src.Addr().Is4() {
		f.Family = model.IPv4
	}
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	return f
}

func addrPort(a net.Addr) netip.AddrPort {
	p := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func openNS(t *testing.T, ns *lab.NS) *ctnl.Netns {
	t.Helper()
	n, err := ctnl.OpenNetns(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// TestAbout asks for flows whose ends are sockets of this process in a namespace of its own.
func TestAbout(t *testing.T) {
	ns := newNS(t)
	n := openNS(t, ns)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("%s, pid %d, user %s", strings.TrimSpace(string(comm)), os.Getpid(), userName(uint32(os.Getuid())))
	ctx := context.Background()
	tcp := func(t *testing.T, listen, dial string) (client, server net.Conn) {
		t.Helper()
		l, err := ns.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		client, err = ns.Dial(ctx, "tcp", "", net.JoinHostPort(dial, port))
		if err != nil {
			t.Fatal(err)
		}
		server, err = l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = client.Close(), server.Close() })
		return client, server
	}
	var tell teller
	for _, tt := range []struct{ name, listen, dial, on string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1 on lo, 127.0.0.1 on lo"},
		{"tcp6", "[::1]:0", "::1", "::1 on lo, ::1 on lo"},
		{"tcp4 on a socket for both", "[::]:0", "127.0.0.1", "127.0.0.1 on lo, 127.0.0.1 on lo"},
		{"another of 127.0.0.0/8", "127.1.2.3:0", "127.1.2.3", "127.0.0.1 on lo, 127.1.2.3 on lo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := tcp(t, tt.listen, tt.dial)
			f := flowOf(model.ProtoTCP, addrPort(c.LocalAddr()), addrPort(c.RemoteAddr()))
			want := []string{"process: from " + me + "; to " + me, "local: " + tt.on}
			if diff := cmp.Diff(want, tell.about(ctx, n, f)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("listener of others' flow", func(t *testing.T) {
		c, _ := tcp(t, "0.0.0.0:0", "127.0.0.1")
		port := addrPort(c.RemoteAddr()).Port()
		// It passes through: neither address is here, though somebody listens on that port.
		f := flowOf(model.ProtoTCP, netip.MustParseAddrPort("10.9.9.9:4000"), netip.AddrPortFrom(netip.MustParseAddr("10.9.9.8"), port))
		if diff := cmp.Diff([]string{"process: -", "local: -"}, tell.about(ctx, n, f)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// It ends here and has no socket of its own: the listener takes it.
		f = flowOf(model.ProtoTCP, netip.MustParseAddrPort("10.9.9.9:4000"), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
		if diff := cmp.Diff([]string{"process: " + me + " (listens)", "local: 127.0.0.1 on lo"}, tell.about(ctx, n, f)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("udp", func(t *testing.T) {
		for _, addr := range []string{"127.0.0.1", "::1"} {
			s, err := ns.ListenPacket("udp", net.JoinHostPort(addr, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c, err := ns.Dial(ctx, "udp", "", s.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			f := flowOf(model.ProtoUDP, addrPort(c.LocalAddr()), addrPort(s.LocalAddr()))
			want := []string{"process: from " + me + "; to " + me + " (listens)", "local: " + addr + " on lo, " + addr + " on lo"}
			if diff := cmp.Diff(want, tell.about(ctx, n, f)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", addr, diff)
			}
		}
	})
	t.Run("nobody", func(t *testing.T) {
		for _, p := range []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoICMP, model.ProtoSCTP} {
			f := flowOf(p, netip.MustParseAddrPort("10.9.9.9:4000"), netip.MustParseAddrPort("127.0.0.1:1"))
			if diff := cmp.Diff([]string{"process: -", "local: 127.0.0.1 on lo"}, tell.about(ctx, n, f)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", p, diff)
			}
		}
	})
	t.Run("closed namespace", func(t *testing.T) {
		gone := openNS(t, ns)
		_ = gone.Close()
		f := flowOf(model.ProtoTCP, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
		var fresh teller
		if diff := cmp.Diff([]string{"process: -", "local: -"}, fresh.about(ctx, gone, f)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestLocalEnds holds which tuple a socket knows its flow by when there is NAT.
func TestLocalEnds(t *testing.T) {
	ap := netip.MustParseAddrPort
	a := func(s string) [16]byte { return netip.MustParseAddr(s).As16() }
	locals := ctnl.LocalAddrs{netip.MustParseAddr("192.0.2.1"): 7}
	f := flowOf(model.ProtoTCP, ap("192.0.2.1:1000"), ap("203.0.113.7:80"))
	f.ReplySrc, f.ReplySport = a("198.51.100.9"), 8080 // DNAT in output: the socket knows where it meant to go
	if diff := cmp.Diff([]localEnd{{"", ap("192.0.2.1:1000"), ap("203.0.113.7:80"), 7}}, localEnds(f, locals), cmp.AllowUnexported(localEnd{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("from here (-want +got):\n%s", diff)
	}
	f = flowOf(model.ProtoTCP, ap("203.0.113.7:1000"), ap("198.51.100.1:80"))
	f.ReplySrc, f.ReplySport = a("192.0.2.1"), 8080 // DNAT to here: the socket knows where it came out
	if diff := cmp.Diff([]localEnd{{"", ap("192.0.2.1:8080"), ap("203.0.113.7:1000"), 7}}, localEnds(f, locals), cmp.AllowUnexported(localEnd{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("to here (-want +got):\n%s", diff)
	}
	f = flowOf(model.ProtoTCP, ap("10.0.0.1:1000"), ap("203.0.113.7:80"))
	f.ReplyDst = a("192.0.2.1") // masqueraded behind our address: passes through
	if ends := localEnds(f, locals); len(ends) != 0 {
		t.Errorf("passing through: %v", ends)
	}
}

// TestGeoIP tells what the files that the user points to say, of each address once.
func TestGeoIP(t *testing.T) {
	dbs, err := openPlaces([]string{"testdata/test.mmdb"})
	if err != nil {
		t.Fatal(err)
	}
	tell := teller{places: dbs}
	ap := netip.MustParseAddrPort
	for _, tt := range []struct {
		src, dst string
		want     []string
	}{
		{"127.0.0.1:1", "192.0.2.1:2", []string{"geoip: 127.0.0.1 is in ev\x1bil, ZZ", "geoip: 192.0.2.1 is in AS64496 Example"}},
		{"10.0.0.1:1", "192.0.2.1:2", []string{"geoip: 192.0.2.1 is in AS64496 Example"}},
		{"10.0.0.1:1", "10.0.0.2:2", []string{"geoip: -"}},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", []string{"geoip: -"}},
	} {
		if diff := cmp.Diff(tt.want, tell.geoip(flowOf(model.ProtoTCP, ap(tt.src), ap(tt.dst)))); diff != "" {
			t.Errorf("%s > %s (-want +got):\n%s", tt.src, tt.dst, diff)
		}
	}
	for _, files := range [][]string{{"nothing.mmdb"}, {"testdata/test.mmdb", "about_test.go"}} {
		var usage usageError
		if _, err := openPlaces(files); !errors.As(err, &usage) || !strings.Contains(usage.msg, files[len(files)-1]) {
			t.Errorf("%v: %v", files, err)
		}
	}
}
