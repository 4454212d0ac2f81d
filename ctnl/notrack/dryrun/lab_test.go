package dryrun

import (
	"os"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
	"ctview/model/filter"
)

var testNS, must, nftRules = labtest.NS, labtest.Must, labtest.Rules

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

func rule(t *testing.T, text string) model.Rule {
	t.Helper()
	r, err := filter.ParseRule(text)
	must(t, err)
	return r
}
