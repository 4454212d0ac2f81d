package ctnl_test

import (
	"errors"
	"net/netip"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestRouteTo finds the way to the lab's client, its server, the router itself, and nowhere, as another library does.
func TestRouteTo(t *testing.T) {
	l, err := lab.New(testContext(t), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ns, err := ctnl.OpenNetns(l.Router().Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	for _, addr := range []string{"10.0.1.2", "10.0.2.2", "10.0.1.1", "127.0.0.1", "fd00:1::2", "fd00:2::2", "203.0.113.1", "::1"} {
		a := netip.MustParseAddr(addr)
		index, err := ns.RouteTo(a)
		var routes []netlink.Route
		errTheirs := ns.Do(func() error {
			h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer h.Close()
			routes, err = h.RouteGet(a.AsSlice())
			return err
		})
		switch {
		case (err == nil) != (errTheirs == nil):
			t.Errorf("%s: %v, vishvananda/netlink %v", addr, err, errTheirs)
		case err == nil && index != routes[0].LinkIndex:
			t.Errorf("%s: interface %d (%s), want %d", addr, index, ns.InterfaceName(index), routes[0].LinkIndex)
		case err != nil && !errors.Is(err, errTheirs):
			t.Errorf("%s: %v, want %v", addr, err, errTheirs)
		}
	}
}
