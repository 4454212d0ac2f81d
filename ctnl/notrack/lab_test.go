package notrack

import (
	"context"
	"fmt"
	"io"
	stdnet "net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
	"ctview/model/filter"
)

var testNS, must, command, nftRules = labtest.NS, labtest.Must, labtest.Command, labtest.Rules

// ctState makes a namespace track connections.
const ctState = labtest.Tracking

// tool runs a program in the namespace and returns its output; the test fails where the program does.
func tool(t *testing.T, ns *lab.NS, args ...string) string {
	t.Helper()
	out, err := command(ns, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func open(t *testing.T, ns *lab.NS, backend string) *Installer {
	t.Helper()
	c, err := Open(ns, Options{Backend: backend, Who: "tester"})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func rule(t *testing.T, text string) model.Rule {
	t.Helper()
	r, err := filter.ParseRule(text)
	must(t, err)
	return r
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), pace*25*time.Second)
	t.Cleanup(cancel)
	return c
}

// eventually polls until fn is true.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	end := time.Now().Add(pace * 15 * time.Second)
	for !fn() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %d s", what, pace*15)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A pingPong is a client and a server that exchange one small message after another.
type pingPong struct {
	t *testing.T
	c stdnet.Conn
}

// traffic starts an echo server in one namespace and connects to it from another. network is tcp4, udp6, …
func traffic(t *testing.T, client, server *lab.NS, network, laddr, raddr string) *pingPong {
	t.Helper()
	if strings.HasPrefix(network, "tcp") {
		listen(t, server, raddr)
	} else {
		l, err := server.ListenPacket(network, raddr)
		must(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			b := make([]byte, 65536)
			for {
				n, a, err := l.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = l.WriteTo(b[:n], a)
			}
		}()
	}
	return dial(t, client, network, laddr, raddr)
}

// listen starts a TCP echo server.
func listen(t *testing.T, server *lab.NS, addr string) {
	t.Helper()
	l, err := server.Listen("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
}

func dial(t *testing.T, client *lab.NS, network, laddr, raddr string) *pingPong {
	t.Helper()
	c, err := client.Dial(ctx(t), network, laddr, raddr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &pingPong{t: t, c: c}
}

// try sends a message and reports whether it came back.
func (p *pingPong) try() bool {
	_ = p.c.SetDeadline(time.Now().Add(min(pace, 3) * 2 * time.Second))
	if _, err := p.c.Write([]byte("hello")); err != nil {
		return false
	}
	_, err := io.ReadFull(p.c, make([]byte, 5))
	return err == nil
}

// exchange does n round trips and fails the test where one fails.
func (p *pingPong) exchange(n int) {
	p.t.Helper()
	for i := range n {
		if !p.try() {
			p.t.Fatalf("message %d did not come back", i)
		}
	}
}

// entries lists what conntrack(8) shows for a port.
func entries(t *testing.T, ns *lab.NS, family string, port string) []string {
	t.Helper()
	out, err := command(ns, "conntrack", "-L", "-f", family, "-o", "id").Output()
	must(t, err)
	var ls []string
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, "port="+port+" ") {
			ls = append(ls, strings.TrimSpace(l))
		}
	}
	return ls
}

// A triple is a client, a router and a server in a row, IPv4 and IPv6:
//
//	client 10.1.0.2, fd01::2 — 10.1.0.1, fd01::1 router 10.2.0.1, fd02::1 — 10.2.0.2, fd02::2 server
type triple struct{ client, router, server *lab.NS }

func newTriple(t *testing.T) *triple {
	t.Helper()
	n := &triple{testNS(t), testNS(t), testNS(t)}
	n.wire(t, n.client, "1", "lan")
	n.wire(t, n.server, "2", "wan")
	must(t, n.router.Sysctl("net/ipv4/ip_forward", "1"))
	must(t, n.router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	return n
}

// wire connects a host with the router and gives both their addresses.
func (n *triple) wire(t *testing.T, host *lab.NS, net, dev string) {
	t.Helper()
	must(t, n.router.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: dev}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(host.FD())})
	}))
	must(t, n.router.Do(func() error { return addrs(dev, "10."+net+".0.1/24", "fd0"+net+"::1/64") }))
	must(t, host.Do(func() error {
		if err := addrs("eth0", "10."+net+".0.2/24", "fd0"+net+"::2/64"); err != nil {
			return err
		}
		for _, gw := range []string{"10." + net + ".0.1", "fd0" + net + "::1"} {
			ip := stdnet.ParseIP(gw)
			all := &stdnet.IPNet{IP: stdnet.IPv6zero, Mask: stdnet.CIDRMask(0, 128)}
			if ip.To4() != nil {
				all = &stdnet.IPNet{IP: stdnet.IPv4zero, Mask: stdnet.CIDRMask(0, 32)}
			}
			if err := netlink.RouteAdd(&netlink.Route{Dst: all, Gw: ip}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// addrs gives addresses to a device, without waiting for duplicate address detection, and sets it up.
func addrs(dev string, as ...string) error {
	l, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	for _, s := range as {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

// flowsOf returns the flows of a namespace.
func flowsOf(t *testing.T, ns *lab.NS) Flows {
	t.Helper()
	n, err := ctnl.OpenNetns(ns.Path())
	must(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return KernelFlows(n)
}

// keepTalking exchanges messages until the test calls the result, which fails the test if one of them was lost.
func (p *pingPong) keepTalking() (stop func()) {
	quit, done := make(chan struct{}), make(chan string)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- ""
				return
			case <-time.After(5 * time.Millisecond):
			}
			if !p.try() {
				done <- fmt.Sprintf("message %d was lost", i)
				return
			}
		}
	}()
	return func() {
		p.t.Helper()
		close(quit)
		if s := <-done; s != "" {
			p.t.Error(s)
		}
	}
}

// question returns what a preview asks and a general "yes" does not answer, "" for nothing.
func question(p *model.NotrackPreview) string {
	for _, w := range p.Warnings {
		if w.Ask {
			return w.Text
		}
	}
	return ""
}
