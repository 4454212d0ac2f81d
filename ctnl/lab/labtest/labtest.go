// Package labtest is what tests do with the lab's namespaces, over and over. Only tests import it. Its functions run on the
// test's goroutine and end the test where something fails.
package labtest

import (
	"os/exec"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// NS makes a namespace, with its loopback interface up, that is closed when the test ends.
func NS(t testing.TB) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	Must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// Must ends the test with err.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Command is lab's without its death signal, which is bound to the thread that started the program: ctnl.Netns.Do throws
// threads away, and the program would be killed with one.
func Command(ns *lab.NS, name string, args ...string) *lab.Cmd {
	c := ns.Command(name, args...)
	c.SysProcAttr = nil
	return c
}

// Rules loads a ruleset in nft's language.
func Rules(t testing.TB, ns *lab.NS, text string) {
	t.Helper()
	c := Command(ns, "nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// Tracking is a ruleset that makes a namespace track connections.
const Tracking = `table inet user {
	chain c { type filter hook prerouting priority 0; ct state new counter; }
	chain o { type filter hook output priority 0; ct state new counter; }
}
`

// OtherUsers reports whether a program can be run as another user: in a user namespace of lab.Main's there is root alone.
func OtherUsers() bool {
	return exec.Command("setpriv", "--reuid=65534", "--clear-groups", "true").Run() == nil
}
