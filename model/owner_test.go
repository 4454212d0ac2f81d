package model

import (
	"net/netip"
	"testing"
)

// TestOwners: who holds the ends of a flow, by its tuples alone.
func TestOwners(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	sock := func(p Proto, local, remote, proc string, pid int32) BoundSocket {
		s := BoundSocket{Proto: p, Local: netip.MustParseAddrPort(local), Holder: &Holder{PID: pid, Proc: proc, User: "u", Cgroup: "/" + proc}}
		if remote != "" {
			s.Remote = netip.MustParseAddrPort(remote)
		}
		return s
	}
	only6 := sock(ProtoTCP, "[::]:81", "", "six", 60)
	only6.Only6 = true
	unseen := sock(ProtoTCP, "10.0.0.1:99", "", "", 0)
	sockets := []BoundSocket{
		sock(ProtoTCP, "0.0.0.0:22", "", "listener", 1), sock(ProtoTCP, "10.0.0.1:22", "10.0.0.9:5000", "sshd", 700),
		sock(ProtoTCP, "10.0.0.1:40000", "192.0.2.7:443", "curl", 800), sock(ProtoTCP, "[::]:80", "", "web", 80), only6, unseen,
		sock(ProtoUDP, "0.0.0.0:53", "", "dns", 53), sock(ProtoUDP, "0.0.0.0:53", "", "dns", 54), sock(ProtoUDP, "0.0.0.0:5353", "", "avahi", 5),
		sock(ProtoUDP, "10.0.0.1:33333", "", "dig", 33), sock(ProtoTCP, "127.0.0.1:6000", "127.0.0.1:5432", "psql", 6),
		sock(ProtoTCP, "127.0.0.1:5432", "127.0.0.1:6000", "postgres", 7),
	}
	local, cast := addrs("10.0.0.1", "2001:db8::1", "127.0.0.1"), addrs("10.0.0.255")
	o := NewOwners(local, cast, sockets)
	flow := func(p Proto, src, dst string) *Flow {
		a, b := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
		f := &Flow{Key: Key{Src: AddrBytes(a.Addr()), Dst: AddrBytes(b.Addr()), Sport: a.Port(), Dport: b.Port(), Proto: p, Family: IPv6}}
		if a.Addr().Is4() {
			f.Family = IPv4
		}
		r := f.Orig().Invert()
		f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = r.Src, r.Dst, r.Sport, r.Dport
		return f
	}
	masqueraded := flow(ProtoTCP, "10.0.0.9:5555", "192.0.2.7:443")
	masqueraded.ReplyDst = AddrBytes(local[0])
	redirected := flow(ProtoTCP, "10.0.0.9:5556", "192.0.2.7:443") // to a port of this machine
	redirected.ReplySrc, redirected.ReplySport = AddrBytes(local[0]), 80
	published := flow(ProtoTCP, "10.0.0.9:5557", "10.0.0.1:443") // to another machine
	published.ReplySrc = AddrBytes(netip.MustParseAddr("192.168.1.2"))
	for _, tt := range []struct {
		name      string
		f         *Flow
		pid, proc string
	}{
		{"the socket of the flow comes before the one that listens", flow(ProtoTCP, "10.0.0.9:5000", "10.0.0.1:22"), "700", "sshd"},
		{"a flow without a socket of its own is the listener's", flow(ProtoTCP, "10.0.0.9:5001", "10.0.0.1:22"), "1", "listener"},
		{"who begins a flow", flow(ProtoTCP, "10.0.0.1:40000", "192.0.2.7:443"), "800", "curl"},
		{"a listener begins no flow", flow(ProtoTCP, "10.0.0.1:22", "192.0.2.7:443"), "", ""},
		{"a socket of IPv6 that takes IPv4 too", flow(ProtoTCP, "10.0.0.9:1", "10.0.0.1:80"), "80", "web"},
		{"and one that does not", flow(ProtoTCP, "10.0.0.9:1", "10.0.0.1:81"), "", ""},
		{"IPv6", flow(ProtoTCP, "[2001:db8::9]:1", "[2001:db8::1]:81"), "60", "six"},
		{"several processes with one port", flow(ProtoUDP, "10.0.0.9:9", "10.0.0.1:53"), "53+1", "dns"},
		{"UDP that nobody connected", flow(ProtoUDP, "10.0.0.1:33333", "192.0.2.53:53"), "33", "dig"},
		{"both ends", flow(ProtoTCP, "127.0.0.1:6000", "127.0.0.1:5432"), "6>7", "psql>postgres"},
		{"both ends, one not known", flow(ProtoTCP, "127.0.0.1:6001", "127.0.0.1:22"), "->1", "->listener"},
		{"any address of the loopback network is local", flow(ProtoUDP, "127.0.0.53:1", "127.0.0.99:53"), "->53+1", "->dns"},
		{"neither end", flow(ProtoTCP, "10.0.0.9:1", "192.0.2.7:443"), "forwarded", "forwarded"},
		{"masqueraded: the address is here, the end is not", masqueraded, "forwarded", "forwarded"},
		{"redirected to this machine", redirected, "80", "web"},
		{"published: the destination is here, the end is not", published, "forwarded", "forwarded"},
		{"a process that may not be seen", flow(ProtoTCP, "10.0.0.9:1", "10.0.0.1:99"), "", ""},
		{"multicast that somebody takes", flow(ProtoUDP, "10.0.0.9:5353", "224.0.0.251:5353"), "5", "avahi"},
		{"multicast that nobody takes may be forwarded or not", flow(ProtoUDP, "10.0.0.9:5353", "224.0.0.251:5354"), "", ""},
		{"broadcast", flow(ProtoUDP, "10.0.0.9:53", "10.0.0.255:53"), "53+1", "dns"},
		{"broadcast of one's own", flow(ProtoUDP, "10.0.0.1:33333", "255.255.255.255:67"), "33", "dig"},
		{"ICMP that ends here has no process", flow(ProtoICMP, "10.0.0.9:0", "10.0.0.1:0"), "", ""},
		{"ICMP that goes on", flow(ProtoICMP, "10.0.0.9:0", "192.0.2.7:0"), "forwarded", "forwarded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := o.Of(tt.f)
			pid, proc := string(AppendOwner(nil, ColPID, &w)), string(AppendOwner(nil, ColProc, &w))
			if pid != tt.pid || proc != tt.proc {
				t.Errorf("pid %q, proc %q, want %q and %q (%+v)", pid, proc, tt.pid, tt.proc, w)
			}
		})
	}
	// A transparent proxy has connections from the addresses of others.
	o = NewOwners(local, cast, append(sockets, sock(ProtoTCP, "192.0.2.7:443", "10.0.0.9:7000", "proxy", 9)))
	if w := o.Of(flow(ProtoTCP, "10.0.0.9:7000", "192.0.2.7:443")); w.Ends[1] == nil || w.Ends[1].Proc != "proxy" {
		t.Errorf("transparent: %+v", w)
	}
	if w := o.Of(flow(ProtoTCP, "10.0.0.9:7001", "192.0.2.7:443")); !w.Forwarded() {
		t.Errorf("beside it: %+v", w)
	}
	var none *Owners
	if w := none.Of(flow(ProtoTCP, "10.0.0.9:1", "192.0.2.7:443")); w.Known || len(AppendOwner(nil, ColPID, &w)) > 0 {
		t.Errorf("nobody has looked: %+v", w)
	}
}

// TestContainerOf: the paths that engines make.
func TestContainerOf(t *testing.T) {
	const id = "3f2a9c1b2d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd"
	for path, want := range map[string]string{
		"": "", "/": "", "/system.slice/ssh.service": "", "/user.slice/user-0.slice/session-3.scope": "",
		"/system.slice/docker-" + id + ".scope": "docker 3f2a9c1b2d4e", "/docker/" + id: "docker 3f2a9c1b2d4e",
		"/machine.slice/libpod-" + id + ".scope/container":                       "libpod 3f2a9c1b2d4e",
		"/kubepods.slice/kubepods-pod12_3.slice/cri-containerd-" + id + ".scope": "cri-containerd 3f2a9c1b2d4e",
		"/kubepods/besteffort/pod6c1f8b3e-0000-1111-2222-333344445555/" + id:     "kube 3f2a9c1b2d4e",
		"/lxc.payload.web/system.slice/nginx.service":                            "lxc web",
		"/lxc/web": "lxc web", `/machine.slice/machine-web\x2d1.scope/init.scope`: "machine web-1",
		"/docker/short": "", "/system.slice/docker.service": "",
	} {
		if got := ContainerOf(path); got != want {
			t.Errorf("ContainerOf(%q) = %q, want %q", path, got, want)
		}
	}
}

// FuzzContainerOf: paths are named by whoever may make a cgroup.
func FuzzContainerOf(f *testing.F) {
	f.Add(`/machine.slice/machine-\x2.scope`)
	f.Fuzz(func(t *testing.T, path string) { ContainerOf(path) })
}
