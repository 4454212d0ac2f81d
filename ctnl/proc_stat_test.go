package ctnl_test

import (
	"context"
	"testing"

	"ctview/ctnl"

	"github.com/google/go-cmp/cmp"
)

// TestProcStats holds what /proc says against the answers of netlink, counter by counter.
func TestProcStats(t *testing.T) {
	ns, err := ctnl.OpenNetns("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	k := ctnl.NewKernel(ns)
	defer k.Close()
	want, err := k.CPUStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := ns.ProcStats()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < len(want) {
		t.Fatalf("%d CPUs in /proc, %d by netlink", len(got), len(want))
	}
	for i := range want {
		got[i].Has &= want[i].Has
		for n := range got[i].Values {
			if got[i].Has&(1<<n) == 0 {
				got[i].Values[n], want[i].Values[n] = 0, 0
			}
		}
		want[i].Has = got[i].Has
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("/proc (-netlink +proc):\n%s", diff)
	}
	if got[0].Has&(1<<10) == 0 {
		t.Error("the drop counter is not read")
	}
}

func FuzzProcStats(f *testing.F) {
	f.Add("entries  clashres found\n0000000a  00000001 00000002\n0000000a  00000003 00000004\n")
	f.Add("entries\n0000000a 1\n")
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		cpus, _, err := ctnl.ParseProcStats(text)
		if err != nil && len(cpus) > 0 {
			t.Error("both counters and an error")
		}
	})
}
