package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/finding"
	"ctview/model/format"
)

// flooded gives the table of a rig flows that are a flood, and few that are not.
func flooded(g *rig, n int) {
	var evs []model.Event
	add := func(s spec) {
		r := s.row(len(evs))
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
		e.Kind = model.New
		evs = append(evs, e)
		g.store.rows = append(g.store.rows, r)
	}
	for i := range n {
		add(spec{proto: model.ProtoTCP, state: "SYN_SENT", src: fmt.Sprintf("10.1.0.9:%d", 1000+i), dst: "203.0.113.5:443", timeout: time.Minute})
	}
	for i := range 20 {
		add(spec{proto: model.ProtoTCP, state: "ESTABLISHED", src: fmt.Sprintf("10.1.0.2:%d", 1000+i), dst: "203.0.113.6:443", replied: true,
			assured: true, timeout: 5 * day, bytes: 1000, age: time.Hour})
	}
	g.store.Table.Apply(start.UnixNano(), evs)
}

// illRig is a rig with a flood and a setting that is off.
func illRig(t *testing.T, w, h int) *rig {
	t.Helper()
	g := newRig(t, w, h, nil, func(o *Options) {
		k := o.Kernel.(*fakeKernel)
		k.rules = finding.Rules{Known: true, Chains: []finding.Chain{{Tool: "nft", Family: "inet", Table: "fw4", Name: "forward", Hook: "forward"}}}
		k.sys.Acct.Value = 0
	})
	flooded(g, 7725)
	g.tick(3 * time.Second)
	g.tick(3 * time.Second)
	return g
}

const floodText = "10.1.0.9: 7,725 TCP flows half-open"

// TestNoFindings: that nothing is found is said to the end, on a narrow screen too.
func TestNoFindings(t *testing.T) {
	for _, w := range []int{40, 80, 120} {
		g := newRig(t, w, 24, mockFlows(), nil)
		g.tick(3 * time.Second)
		g.tick(3 * time.Second)
		g.keys("!")
		all := strings.Join(strings.Fields(strings.ReplaceAll(g.screen(), "|", "")), " ")
		if !strings.Contains(all, "nothing is found: the table, its counters and settings are looked at all the time") {
			t.Errorf("%d columns:\n%s", w, g.screen())
		}
	}
}

func TestFindingsScreen(t *testing.T) {
	for _, s := range sizes {
		for name, keys := range map[string][]string{"alarm": nil, "findings": {"!"}} {
			t.Run(fmt.Sprintf("%s-%dx%d", name, s.w, s.h), func(t *testing.T) {
				g := illRig(t, s.w, s.h)
				g.keys(keys...)
				g.tick(3 * time.Second)
				g.golden(fmt.Sprintf("%s-%dx%d", name, s.w, s.h))
			})
		}
	}
}

// TestFindingsEverywhere: the worst is said on every screen and on what covers one, and the tab of the screen that shows it
// is marked.
func TestFindingsEverywhere(t *testing.T) {
	for _, keys := range []string{"1", "2", "3", "4", "5", "6", "?", "!"} {
		g := illRig(t, 120, 35)
		g.keys(keys)
		if keys != "?" && (g.line("! "+floodText) == "" || g.line("1 Flows!") == "" || g.line("2 Groups!") != "") {
			t.Errorf("after %s:\n%s", keys, g.screen())
		}
	}
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.tick(3 * time.Second)
	if l := g.line("! list"); l != "" {
		t.Errorf("a quiet table has the line %q", l)
	}
}

// TestFindingsKeys: ! opens the list, Enter leads to the flows that prove it and Esc back, y copies a cure, a keeps it quiet
// until it has grown by half.
func TestFindingsKeys(t *testing.T) {
	g := illRig(t, 120, 35)
	g.keys("!", "enter")
	if got := len(g.a.flows.items); g.line("/ tcp and src 10.1.0.9") == "" || g.line("of 7725 match") == "" || got == 0 {
		t.Errorf("the proof:\n%s", g.screen())
	}
	g.keys("esc")
	if g.line("syn-flood-source") == "" {
		t.Errorf("Esc leads not back to the list:\n%s", g.screen())
	}
	g.keys("y", "1")
	const cure = "nft insert rule inet fw4 forward ip saddr 10.1.0.9 ct state new counter drop"
	if n := len(g.raw); n == 0 || fmt.Sprint(g.raw[n-1]) != cure {
		t.Errorf("copied %q, want %q", g.raw, cure)
	}
	g.keys("j", "enter")
	if g.line("[4 Stats]") == "" {
		t.Errorf("what has no flows leads not to its screen:\n%s", g.screen())
	}
	g.keys("!", "k", "a")
	if g.line("ok 10.1.0.9") == "" || g.line("! list") != "" || g.line("1 Flows!") != "" {
		t.Errorf("acknowledged:\n%s", g.screen())
	}
	g.keys("!")
	if g.line("acct-off") != "" {
		t.Errorf("! closes not what it opened:\n%s", g.screen())
	}
	more(g, 3000)
	if l := g.line("! list"); l != "" {
		t.Errorf("grown by 39 %%: %s", l)
	}
	more(g, 1000)
	if l := g.line("11,725 TCP flows half-open"); !strings.Contains(l, "! list") {
		t.Errorf("grown by 52 %%:\n%s", g.screen())
	}
	g.keys("!", "a", "a")
	if l := g.line("11,725 TCP flows half-open"); !strings.Contains(l, "! list") {
		t.Errorf("acknowledged and not:\n%s", g.screen())
	}
}

// more adds flows to the flood and lets the findings look again.
func more(g *rig, n int) {
	var evs []model.Event
	from := g.store.Table.Stats().Flows
	for i := range n {
		r := spec{proto: model.ProtoTCP, state: "SYN_SENT", src: fmt.Sprintf("10.1.0.9:%d", 1000+from+i), dst: "203.0.113.5:443", timeout: time.Minute}.row(i)
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
		e.Kind = model.New
		evs = append(evs, e)
	}
	g.store.Table.Apply(start.UnixNano(), evs)
	g.tick(3 * time.Second)
	g.tick(3 * time.Second)
}

// TestCounterStaysMarked: a counter that has grown stays marked on Stats when it has stopped, until its finding is acknowledged.
func TestCounterStaysMarked(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	cpus := func(early uint32) {
		g.kernel.cpus = []model.CPUStats{{Has: 1<<10 | 1<<11}}
		g.kernel.cpus[0].Values[11] = early
		g.tick(3 * time.Second)
		g.tick(3 * time.Second)
	}
	cpus(0)
	g.keys("4")
	cpus(3)
	for range 10 {
		g.tick(3 * time.Second)
	}
	if l := g.line("early_drop"); !strings.Contains(l, "3        0 !") {
		t.Errorf("half a minute later: %q", l)
	}
	g.keys("!", "a", "esc")
	g.tick(3 * time.Second)
	if l := g.line("early_drop"); strings.Contains(l, "!") || !strings.Contains(l, "3") {
		t.Errorf("acknowledged: %q", l)
	}
}
