package ruleset

import (
	"os"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
)

var testNS, must, nftRules = labtest.NS, labtest.Must, labtest.Rules

// ctState makes a namespace track connections.
const ctState = labtest.Tracking

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
