package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ctview/model"
)

// TestNfacctd: pmacct's nfacctd reads the records of flows that end and that go on. What it adds up for each tuple is what the kernel
// counted, in packets and bytes of both directions, and it has what NAT made of the tuple as the kernel has it. The reply direction
// and IPv6 addresses behind NAT it knows by the lines of its configuration that docs/fleet.md shows.
func TestNfacctd(t *testing.T) {
	t.Parallel()
	x := startRouter(t)
	dir := t.TempDir()
	conf := write(t, dir, "nfacctd.conf", fmt.Sprintf(`nfacctd_ip: 127.0.0.1
nfacctd_port: 4739
nfacctd_pipe_size: 4000000
plugin_pipe_size: 10240000
plugin_buffer_size: 10240
plugins: print
aggregate_primitives: %s
aggregate: proto, src_host, src_port, dst_host, dst_port, post_nat_src_host, post_nat_src_port, post_nat_dst_host, post_nat_dst_port, post_nat_src6, post_nat_dst6, flows, reverse_packets, reverse_bytes
print_output: csv
print_output_file: %s/out.csv
print_refresh_time: 3600
logfile: %s/log
`, write(t, dir, "primitives", documentBlock(t, "# nfacctd: aggregate_primitives")), dir, dir))
	nfacctd := x.web.Command("nfacctd", "-u", "-f", conf)
	if err := nfacctd.Start(); err != nil {
		t.Fatalf("nfacctd (make test installs it): %v", err)
	}
	t.Cleanup(func() {
		if b, _ := os.ReadFile(dir + "/log"); t.Failed() {
			t.Logf("nfacctd:\n%s", b)
		}
	})
	until(t, "nfacctd listens", func() bool {
		b, _ := os.ReadFile(dir + "/log")
		return strings.Contains(string(b), "waiting for NetFlow/IPFIX data on 127.0.0.1:4739")
	})
	x.export(t, "--active", "1s")
	fillNS(t, x.ns, 600)
	x.traffic(t, func() bool { return x.metric(t, "ctview_ipfix_active_records_total") > 1000 })
	want := x.sent(t)
	if err := nfacctd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = nfacctd.Wait() // what it wrote counts
	f, err := os.Open(dir + "/out.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) < 600 {
		t.Fatalf("out.csv: %d lines, %v", len(lines), err)
	}
	got, nat := map[tupleName]sum{}, map[tupleName]map[tupleName]bool{}
	for _, line := range lines[1:] {
		name, translated, s, err := nfacctdLine(lines[0], line)
		if err != nil {
			t.Fatalf("out.csv: %q: %v", line, err)
		}
		all := got[name]
		all.add(s.packets, s.bytes)
		got[name] = all
		if nat[name] == nil {
			nat[name] = map[tupleName]bool{}
		}
		nat[name][translated] = true
	}
	x.compareSums(t, got, want)
	translated := 0
	for _, fs := range want {
		for i := range fs {
			f := &fs[i]
			name, is := nameOf(f), tupleName{}
			if f.SNAT() || f.DNAT() {
				r := f.Reply()
				is = tupleName{src: r.DstAddr(), dst: r.SrcAddr()}
				if f.Proto.HasPorts() {
					is.sport, is.dport = r.Dport, r.Sport
				}
				translated++
			}
			if !nat[name][is] {
				t.Errorf("%v: translated to %v by the kernel's word, to %v by nfacctd's", name, is, nat[name])
			}
		}
	}
	if translated < 100 {
		t.Errorf("%d flows are translated: too few to show anything", translated)
	}
}

// nfacctdLine reads a line of nfacctd: a tuple, what it is translated to (the zero value where it is not), and what was counted.
// Lines are apart for each reading of the reply's counters, which came so many times as FLOWS says.
func nfacctdLine(head, line []string) (name, nat tupleName, s sum, err error) {
	is := map[string]string{}
	for i := range head {
		is[head[i]] = line[i]
	}
	number := func(column string, bits int) (n uint64) {
		n, bad := strconv.ParseUint(is[column], 10, bits)
		err = errors.Join(err, bad)
		return n
	}
	addr := func(column string) netip.Addr {
		a, bad := netip.ParseAddr(is[column])
		err = errors.Join(err, bad)
		return a
	}
	name = tupleName{proto: model.Proto(number("PROTOCOL", 8)), src: addr("SRC_IP"), dst: addr("DST_IP")}
	if name.src.Is6() {
		is["POST_NAT_SRC_IP"], is["POST_NAT_DST_IP"] = is["post_nat_src6"], is["post_nat_dst6"]
	}
	src := is["POST_NAT_SRC_IP"]
	translated := src != "" && src != "::"
	if translated {
		nat = tupleName{src: addr("POST_NAT_SRC_IP"), dst: addr("POST_NAT_DST_IP")}
	}
	if name.proto.HasPorts() {
		name.sport, name.dport = uint16(number("SRC_PORT", 16)), uint16(number("DST_PORT", 16))
		if translated {
			nat.sport, nat.dport = uint16(number("POST_NAT_SRC_PORT", 16)), uint16(number("POST_NAT_DST_PORT", 16))
		}
	}
	flows := number("FLOWS", 64)
	s = sum{[2]uint64{number("PACKETS", 64), flows * number("reverse_packets", 64)}, [2]uint64{number("BYTES", 64), flows * number("reverse_bytes", 64)}}
	return name, nat, s, err
}

// documentBlock returns what a line of docs/fleet.md begins, up to the end of its block.
func documentBlock(t *testing.T, first string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n"+first+"\n")
	if !ok {
		t.Fatalf("docs/fleet.md has no %q", first)
	}
	text, _, _ = strings.Cut(text, "\n```\n")
	return text + "\n"
}
