package dryrun

import (
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/filter"
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

func rule(t *testing.T, text string) model.Rule {
	t.Helper()
	r, err := filter.ParseRule(text)
	must(t, err)
	return r
}
