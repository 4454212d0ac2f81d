package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// TestListKeepsItsColumns: each cell of list stands under the head of its column, with addresses of any length in any
// order, streamed and sorted, and its ends are told as RFC 5952 tells them.
func TestListKeepsItsColumns(t *testing.T) {
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	const long = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ff01"
	for i := range 3 {
		addFlow(t, ns, "10.0.0.1", fmt.Sprintf("192.168.100.%d", 100+i))
		addFlow(t, ns, long, fmt.Sprintf("2001:db8::%d", i+1))
	}
	for _, args := range [][]string{nil, {"--sort", "src"}, {"--sort", "src:desc"}, {"--sort", "src", "--limit", "4"}, {"-o", "wide"}} {
		lines := strings.Split(strings.TrimSpace(string(ctviewList(t, ns, args...))), "\n")
		seen := 0
		for _, line := range lines[1:] {
			for head, cell := range map[string][]string{"SOURCE": {"10.0.0.1:2000", "[" + long + "]:2000"}, "DESTINATION": {"192.168.", "[2001:db8::"}} {
				at := strings.Index(lines[0], " "+head) + 1
				rest := " "
				if at < len(line) {
					rest = line[at:]
				}
				if !strings.HasPrefix(rest, cell[0]) && !strings.HasPrefix(rest, cell[1]) {
					t.Errorf("list %v: under %s stands %q:\n%s", args, head, rest, strings.Join(lines, "\n"))
				}
			}
			if strings.Contains(line, long) {
				seen++
			}
		}
		if seen == 0 {
			t.Errorf("list %v shows no IPv6 flow:\n%s", args, strings.Join(lines, "\n"))
		}
	}
}

// addFlow has the kernel make a UDP flow from port 2000 to port 443.
func addFlow(t *testing.T, ns *lab.NS, src, dst string) {
	t.Helper()
	out, err := ctview(t, "add", "--netns", ns.Path(), "udp", net.JoinHostPort(src, "2000"), net.JoinHostPort(dst, "443"), "-t", "5m").CombinedOutput()
	if err != nil {
		t.Fatalf("add %s %s: %v: %s", src, dst, err, out)
	}
}
