package ctcompat

import (
	"net/netip"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
)

// expectations opens FTP sessions that expect data connections, of both families, and returns what closes them.
func expectations(t *testing.T, l *lab.Lab) (end func()) {
	t.Helper()
	var sessions []*lab.FTP
	for _, from := range []lab.From{{}, {}, {V6: true}, {Zone: 5}} {
		s, err := l.FTP(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Expect(); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	return func() {
		for _, s := range sessions {
			_ = s.Close() // the session's end is what is wanted
		}
	}
}

var expectEvents = []string{"-E expect", "-E expect -o xml", "-E expect -o timestamp", "-E expect -o id,extended", "-E exp -o save",
	"-E expect -o xml,timestamp"}

// TestExpect compares what is shown of expectations that real FTP made, and commands on them.
func TestExpect(t *testing.T) {
	w, l := labWorld(t)
	end := expectations(t, l)
	defer end()
	for _, line := range []string{"-L expect", "-L expect -f ipv6", "-L expect -f ipv4", "-L expect -o xml", "-L expect -f ipv6 -o xml",
		"-L expect -o extended,id,ktimestamp,labels", "-L expect -o save", "-C expect", "-C e"} {
		w.same(line)
	}
	w.sameAs("-L expect -o timestamp", func(r result) result { return maskEvents("expect", r) })
	w.sameAs("-S expect", maskStats)
	get := w.expectTuple()
	for _, line := range []string{"-G expect " + get, "-G expect " + get + " -r 10.9.9.9", "-G expect -s 10.9.9.9 -d 10.9.9.8 -p udp --sport 1" +
		" --dport 2 --reply-port-src 3 --reply-port-dst 4"} {
		w.same(line)
	}
	// Each way deletes another one: conntrack says 0 and 1 whether or not it did.
	want := w.real("", split("-D expect "+get)...)
	got := w.ours("", split("-D expect "+w.expectTuple())...)
	if want != got || want.Code != exitFailed {
		t.Errorf("-D expect: conntrack %+v, ctview %+v", want, got)
	}
	compared.Add(1)
	w.same("-D expect " + get)
	w.same("-F expect")
	w.same("-L expect")
	w.same("-C expect")
}

// expectTuple returns the options that name the first IPv4 expectation of zone 0. The kernel does not tell an
// expectation's zone; the lab's clients of zone 5 have addresses of their own.
func (w *world) expectTuple() string {
	w.t.Helper()
	k := ctnl.NewKernel(w.ns)
	defer k.Close()
	var found *model.Expect
	err := k.Expects(w.t.Context(), model.IPv4, func(x *model.Expect) error {
		if zone5 := netip.MustParsePrefix("10.5.0.0/16"); !zone5.Contains(x.Tuple.SrcAddr()) && found == nil {
			c := *x
			found = &c
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if found == nil {
		return "-s 10.9.9.9 -d 10.9.9.8 -p tcp --sport 0 --dport 1 --reply-port-src 0 --reply-port-dst 0"
	}
	return strings.Join([]string{"-s", found.Tuple.SrcAddr().String(), "-d", found.Tuple.DstAddr().String(), "-p tcp --sport 0 --dport",
		itoa(int(found.Tuple.Dport)), "--reply-port-src 0 --reply-port-dst 0"}, " ")
}

// TestExpectEvents compares -E expect over FTP sessions.
func TestExpectEvents(t *testing.T) {
	w, l := labWorld(t)
	w.compareEvents(expectEvents, func() { expectations(t, l)() })
}

// TestCreateExpect makes an expectation: conntrack's has the port number for a protocol, ctview's the protocol.
func TestCreateExpect(t *testing.T) {
	w := newWorld(t)
	w.mustOurs(split("-I -s 10.9.0.1 -d 10.9.0.2 -p tcp --sport 4000 --dport 21 -t 1000 --state ESTABLISHED -u ASSURED,SEEN_REPLY --helper ftp")...)
	w.mustOurs(split("-I expect -t 100 -p tcp -s 10.9.0.1 -d 10.9.0.2 --sport 4000 --dport 21 --tuple-src 10.9.0.2 --tuple-dst 10.9.0.1" +
		" --tuple-port-src 0 --tuple-port-dst 5000 --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535")...)
	w.same("-L expect")
	r := w.ours("", "-L", "expect")
	for _, s := range []string{"proto=6 src=10.9.0.2 dst=10.9.0.1 sport=0 dport=5000", "master-src=10.9.0.1 master-dst=10.9.0.2 sport=4000 dport=21"} {
		if !strings.Contains(r.Stdout, s) {
			t.Errorf("-L expect: %q lacks %q", r.Stdout, s)
		}
	}
	w.same("-I expect -t 100 -p tcp -s 10.9.9.9 -d 10.9.0.2 --sport 4000 --dport 21 --tuple-src 10.9.0.2 --tuple-dst 10.9.0.1" +
		" --tuple-port-src 0 --tuple-port-dst 5001 --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535")
}
