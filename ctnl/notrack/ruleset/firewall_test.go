package ruleset

import (
	"net"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		tracks      string
		helpers     int
		n           int
	}{
		{"nothing", "", "", 0, 0},
		{"rules without conntrack", "table inet t { chain c { type filter hook input priority 0; tcp dport 22 accept; }; }", "", 0, 1},
		{"state", ctState, "inet user ", 0, 2},
		{"helper", `table inet h { ct helper f { type "ftp" protocol tcp; }
			chain c { type filter hook prerouting priority 0; tcp dport 21 ct helper set "f"; }; }`, "inet h ", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := testNS(t)
			if tt.rules != "" {
				nftRules(t, ns, tt.rules)
			}
			fw, err := Look(ns)
			must(t, err)
			if !fw.NFTables || fw.Rules != tt.n || len(fw.Helpers) != tt.helpers {
				t.Errorf("got %+v", fw)
			}
			if !strings.HasPrefix(fw.Tracks, tt.tracks) || (tt.tracks == "") != (fw.Tracks == "") {
				t.Errorf("tracks because of %q, want %q…", fw.Tracks, tt.tracks)
			}
			if got := tracked(t, ns); got != (tt.tracks != "") {
				t.Errorf("the kernel tracks: %v", got)
			}
			if len(fw.Legacy) != 0 {
				t.Errorf("legacy tables %q in a new namespace", fw.Legacy)
			}
		})
	}
}

// TestLookLegacy sees a legacy table where there is one, and makes none.
func TestLookLegacy(t *testing.T) {
	ns := testNS(t)
	must(t, ns.Command("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "21", "-j", "CT", "--helper", "ftp").Run())
	fw, err := Look(ns)
	must(t, err)
	if len(fw.Legacy) != 1 || fw.Legacy[0] != "raw" || len(fw.Helpers) != 1 || fw.Tracks == "" {
		t.Errorf("got %+v", fw)
	}
}

// tracked sends a packet over the loopback interface and tells whether the kernel made an entry of it.
func tracked(t *testing.T, ns *lab.NS) bool {
	t.Helper()
	must(t, ns.Do(func() error {
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	}))
	text, err := ns.ReadSysctl("net/netfilter/nf_conntrack_count")
	must(t, err)
	return text != "0"
}
