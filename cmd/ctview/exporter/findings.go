package main

import (
	"context"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model/finding"
)

const (
	// judgeEvery is how often somebody looks for what is wrong: at a million flows a look takes some 50 ms, 0.2 % of a core.
	judgeEvery = 30 * time.Second
	// outlineEvery is after how many looks the firewall's rules are read again: there may be tens of thousands.
	outlineEvery = 10
)

// A findingCount is how many findings of a name there are, each about somebody else.
type findingCount struct {
	severity finding.Severity // the worst
	n        int
}

// judge looks for what is wrong until ctx ends.
func (w *watching) judge(ctx context.Context) {
	var (
		engine finding.Engine
		rules  finding.Rules
	)
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	for pass := 0; ; pass++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !w.table.Stats().Loaded {
			continue
		}
		if pass%outlineEvery == 0 {
			rules = ruleset.OutlineOf(w.ns)
		}
		all, ok := w.look(ctx, &engine, rules, pass)
		w.mu.Lock()
		w.wrong, w.judged = all, ok
		w.mu.Unlock()
	}
}

// look judges once; not ok where the kernel does not answer.
func (w *watching) look(ctx context.Context, engine *finding.Engine, rules finding.Rules, pass int) (map[string]findingCount, bool) {
	sys, err := w.sync.System(ctx)
	if err != nil {
		return nil, false
	}
	cpus, err := w.kernel.CPUStats(ctx)
	if err != nil {
		return nil, false
	}
	now := time.Now().UnixNano()
	found := engine.Judge(&finding.Input{Now: now, Stats: w.table.Stats(), Seconds: w.table.Seconds(now, nil), System: sys, HasSystem: true, CPUs: cpus,
		Rules: rules, Survey: finding.Look(w.table, &finding.Question{Now: now, System: &sys, Pass: pass})})
	all := map[string]findingCount{}
	for i := range found {
		f := all[found[i].Name]
		all[found[i].Name] = findingCount{max(f.severity, found[i].Severity), f.n + 1}
	}
	return all, true
}
