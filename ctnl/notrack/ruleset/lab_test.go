package ruleset

import (
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"ctview/ctnl/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// testNS makes a namespace with the loopback interface up.
func testNS(t testing.TB) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	must(t, ns.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	}))
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nftRules loads a ruleset in nft's language.
func nftRules(t testing.TB, ns *lab.NS, text string) {
	t.Helper()
	c := ns.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// ctState makes a namespace track connections.
const ctState = `table inet user {
	chain c { type filter hook prerouting priority 0; ct state new counter; }
	chain o { type filter hook output priority 0; ct state new counter; }
}
`
