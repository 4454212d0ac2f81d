package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ctview/model"
)

// A tupleName is a flow's original tuple, without ports where the protocol has none, as collectors tell it apart.
type tupleName struct {
	proto        model.Proto
	src, dst     netip.Addr
	sport, dport uint16
}

func (n tupleName) String() string {
	return fmt.Sprintf("%v %v:%d>%v:%d", n.proto, n.src, n.sport, n.dst, n.dport)
}

func nameOf(f *model.Flow) tupleName {
	o := f.Orig()
	n := tupleName{proto: o.Proto, src: o.SrcAddr(), dst: o.DstAddr()}
	if o.Proto.HasPorts() {
		n.sport, n.dport = o.Sport, o.Dport
	}
	return n
}

// A sum is packets and bytes of both directions.
type sum struct{ packets, bytes [2]uint64 }

func (s *sum) add(packets, bytes [2]uint64) {
	for i := range 2 {
		s.packets[i] += packets[i]
		s.bytes[i] += bytes[i]
	}
}

// sums adds up by tuple what the kernel said of flows.
func sums(ended map[flowID][]model.Flow) map[tupleName]sum {
	m := map[tupleName]sum{}
	for _, fs := range ended {
		for i := range fs {
			s := m[nameOf(&fs[i])]
			s.add(fs[i].Packets, fs[i].Bytes)
			m[nameOf(&fs[i])] = s
		}
	}
	return m
}

// sent waits until a record of every end is sent, and returns what the kernel said of them.
func (x *router) sent(t *testing.T) (ended map[flowID][]model.Flow) {
	t.Helper()
	until(t, "all records are sent", func() bool {
		ended = x.ended(t)
		n := 2 // records of options come with every telling of templates
		for _, fs := range ended {
			n += len(fs)
		}
		return x.metric(t, "ctview_ipfix_records_total")-x.metric(t, "ctview_ipfix_active_records_total") >= float64(n)
	})
	m := x.exporter.must(t)
	for _, name := range []string{`ctview_ipfix_records_lost_total{%s,reason="queue_full"}`, `ctview_ipfix_records_lost_total{%s,reason="refused"}`,
		`ctview_ipfix_unheard_ends_total{%s}`} {
		if name = fmt.Sprintf(name, netns(path(x.ns))); m[name] != 0 {
			t.Errorf("%s is %v", name, m[name])
		}
	}
	return ended
}

// compareSums holds what a collector has added up against the kernel's word of flows that ended; of what ended since (a host sends a
// packet late) the collector may have heard or not.
func (x *router) compareSums(t *testing.T, got map[tupleName]sum, ended map[flowID][]model.Flow) {
	t.Helper()
	since := sums(x.ended(t))
	for name, w := range sums(ended) {
		if g, ok := got[name]; g != w && g != since[name] {
			t.Errorf("%v: the collector has %v (%v), the kernel says %v", name, g, ok, w)
		}
	}
	for name, g := range got {
		if _, ok := since[name]; !ok {
			t.Errorf("%v: the collector has %v, the kernel says nothing", name, g)
		}
	}
}

// TestNfcapd: nfdump's nfcapd reads a record of each flow that ended and of those that go on; what it adds up for each tuple is what
// the kernel counted, in packets and bytes of both directions.
func TestNfcapd(t *testing.T) {
	t.Parallel()
	x := startRouter(t)
	dir := t.TempDir()
	nfcapd := x.web.Command("nfcapd", "-b", "127.0.0.1", "-p", "4739", "-l", dir, "-t", "3600", "-B", "4000000")
	if err := nfcapd.Start(); err != nil {
		t.Fatalf("nfcapd (make test installs it): %v", err)
	}
	until(t, "nfcapd writes a file", func() bool {
		m, _ := filepath.Glob(dir + "/nfcapd*")
		return len(m) > 0
	})
	x.export(t, "--active", "1s")
	fillNS(t, x.ns, 600)
	x.traffic(t, func() bool { return x.metric(t, "ctview_ipfix_active_records_total") > 1000 })
	want := x.sent(t)
	if err := nfcapd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = nfcapd.Wait() // what it wrote counts
	files, _ := filepath.Glob(dir + "/nfcapd.[0-9]*")
	got := map[tupleName]sum{}
	for _, file := range files {
		out, err := exec.Command("nfdump", "-q", "-N", "-r", file, "-o", "fmt:%pr %sa %sp %da %dp %ipkt %opkt %ibyt %obyt", "-6", "-n", "0").CombinedOutput()
		if err != nil {
			t.Fatalf("nfdump: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			name, s, err := nfdumpLine(strings.Fields(line))
			if err != nil {
				t.Fatalf("nfdump: %q: %v", line, err)
			}
			all := got[name]
			all.add(s.packets, s.bytes)
			got[name] = all
		}
	}
	x.compareSums(t, got, want)
}

// nfdumpLine reads a line of nfdump, in the format that TestNfcapd asks for.
func nfdumpLine(w []string) (name tupleName, s sum, err error) {
	if len(w) != 9 {
		return name, s, fmt.Errorf("%d words", len(w))
	}
	numbers := make([]uint64, len(w))
	for i := range w {
		if i == 1 || i == 3 || name.proto.IsICMP() && i == 4 { // which is type.code
			continue
		}
		if numbers[i], err = strconv.ParseUint(w[i], 10, 64); err != nil {
			return name, s, err
		}
		name.proto = model.Proto(numbers[0])
	}
	var bad [2]error
	name.src, bad[0] = netip.ParseAddr(w[1])
	name.dst, bad[1] = netip.ParseAddr(w[3])
	if name.proto.HasPorts() {
		name.sport, name.dport = uint16(numbers[2]), uint16(numbers[4])
	}
	return name, sum{[2]uint64(numbers[5:7]), [2]uint64(numbers[7:9])}, errors.Join(bad[:]...)
}
