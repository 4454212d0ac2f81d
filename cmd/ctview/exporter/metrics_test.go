package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
	"ctview/model"
)

func fillNS(t testing.TB, ns *lab.NS, n int) *fill.Filler {
	t.Helper()
	f, err := fill.Open(ns)
	if err != nil {
		t.Fatalf("fill.Open: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Create(t.Context(), 0, n); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return f
}

// TestFlowsAreTheKernels: what a scrape says of flows is what a dump of the kernel's table says, counted afresh, after flows
// came, changed and went.
func TestFlowsAreTheKernels(t *testing.T) {
	ns, web := newNS(t), newNS(t)
	f := fillNS(t, ns, 3000)
	r := begin(t, web, "--netns", path(ns), "--labels", "2")
	if err := f.Create(t.Context(), 3000, 4000); err != nil {
		t.Fatal(err)
	}
	if err := f.Destroy(t.Context(), 100, 700); err != nil {
		t.Fatal(err)
	}
	if err := f.Update(t.Context(), 700, 900, 9); err != nil {
		t.Fatal(err)
	}
	k := netns(path(ns))
	var got map[string]float64
	until(t, "1000 NEW and 600 DESTROY taken", func() bool {
		got = r.must(t)
		return got["ctview_events_total{kind=\"new\","+k+"}"] == 1000 && got["ctview_events_total{kind=\"destroy\","+k+"}"] == 600 &&
			got["ctview_events_total{kind=\"update\","+k+"}"] == 200
	})
	for name, want := range kernelsFlows(t, ns, k) {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if n := got["ctview_entries{"+k+"}"]; n != 3400 {
		t.Errorf("entries %v, want 3400", n)
	}
	for name, v := range got { // nothing else is counted
		if _, known := kernelsFlows(t, ns, k)[name]; strings.HasPrefix(name, "ctview_flows") && !known && v != 0 {
			t.Errorf("%s %v: the kernel has none", name, v)
		}
	}
}

// path is how --netns reaches a namespace of this process.
func path(ns *lab.NS) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

func netns(path string) string { return fmt.Sprintf("netns=%q", path) }

// kernelsFlows counts the flows of a dump under the names that a scrape has for them, with two labels of a kind.
func kernelsFlows(t testing.TB, ns *lab.NS, k string) map[string]float64 {
	t.Helper()
	m, zones := map[string]float64{}, map[string]float64{}
	err := ns.Do(func() error {
		n, err := ctnl.OpenNetns("")
		if err != nil {
			return err
		}
		defer n.Close()
		return ctnl.DumpTo(context.Background(), n, model.KernelFilter{}, func(evs []model.Event) error {
			for i := range evs {
				f := &evs[i].Flow
				m[fmt.Sprintf("ctview_flows{%s,proto=%q,state=%q}", k, f.Proto, f.StateText())]++
				m[fmt.Sprintf("ctview_flows_by_ctstate{ctstate=%q,%s}", f.CtState(), k)]++
				nat := map[[2]bool]string{{false, false}: "none", {true, false}: "source", {false, true}: "destination", {true, true}: "both"}
				m[fmt.Sprintf("ctview_flows_by_nat{nat=%q,%s}", nat[[2]bool{f.SNAT(), f.DNAT()}], k)]++
				m[fmt.Sprintf("ctview_flows_by_helper{helper=%q,%s}", helperLabel(f.Helper), k)]++
				zones[fmt.Sprint(f.Zone)]++
			}
			return nil
		})
	})
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	names := slices.SortedFunc(maps.Keys(zones), func(a, b string) int { return int(zones[b] - zones[a]) })
	for i, z := range names {
		label := z
		if i >= 2 {
			label = other
		}
		m[fmt.Sprintf("ctview_flows_by_zone{%s,zone=%q}", k, label)] += zones[z]
	}
	return m
}

// TestCountersGoOn: the kernel's counters of a CPU are 32 bits wide; what is told goes on when one begins at 0 again.
func TestCountersGoOn(t *testing.T) {
	cpu := func(n int, v uint32) model.CPUStats {
		c := model.CPUStats{CPU: n, Has: 1 << 10}
		c.Values[10] = v
		return c
	}
	var s wideStats
	for i, tt := range []struct {
		cpus []model.CPUStats
		want uint64
	}{
		{[]model.CPUStats{cpu(0, math.MaxUint32-1), cpu(1, 7)}, math.MaxUint32 + 6},
		{[]model.CPUStats{cpu(0, 3), cpu(1, 8)}, math.MaxUint32 + 6 + 5 + 1},
		{[]model.CPUStats{cpu(0, 3), cpu(1, 8)}, math.MaxUint32 + 6 + 5 + 1},
	} {
		s.add(tt.cpus)
		if s.sum[10] != tt.want || s.has != 1<<10 {
			t.Errorf("reading %d: %d, has %b, want %d", i, s.sum[10], s.has, tt.want)
		}
	}
}

// TestLeaksAdd: what leaked past rules only grows, whichever rules there are.
func TestLeaksAdd(t *testing.T) {
	rule := func(id string, leaked uint64) model.NotrackRule {
		return model.NotrackRule{ID: id, Leaked: leaked, HasLeak: true}
	}
	var r notrackReading
	for i, tt := range []struct {
		rules []model.NotrackRule
		want  uint64
	}{
		{[]model.NotrackRule{rule("a", 5)}, 5},
		{[]model.NotrackRule{rule("a", 7), rule("b", 1), {ID: "c", Leaked: 99}}, 8},
		{nil, 8},
		{[]model.NotrackRule{rule("a", 2)}, 10}, // made again
	} {
		if r.take(tt.rules, 0, true); r.leaked != tt.want {
			t.Errorf("reading %d: %d leaked, want %d", i, r.leaked, tt.want)
		}
	}
}
