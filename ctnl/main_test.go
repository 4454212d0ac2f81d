package ctnl_test

import (
	"os"
	"testing"

	"ctview/ctnl/lab"
)

// TestMain runs the tests where they can make namespaces: in a user namespace, if this process is not root.
func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
