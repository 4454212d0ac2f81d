package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/finding"
	"ctview/model/format"
	"ctview/model/table"
	"ctview/tui/draw"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// A diagnoseOptions are the flags of diagnose.
type diagnoseOptions struct {
	output string
	watch  bool
	every  time.Duration // between two times that watch prints
	limit  time.Duration
}

// defaultLook is how long diagnose looks: counters are read twice, and a burst shows.
const defaultLook = 3 * time.Second

func diagnoseCommand(g *globals) *cobra.Command {
	o := diagnoseOptions{every: judgeEvery}
	cmd := &cobra.Command{
		Use:   "diagnose",
		Short: "what is wrong, the flows that prove it, and the line that mends it",
		Long: `diagnose looks at the table, the kernel's statistics and settings, and the packet filter for a few seconds, and says what is wrong: a
table that fills up, floods, scans, hosts that nobody answers, timeouts that nobody can have meant. For each it tells the
flows that prove it, and cures with the names of this machine's tables and chains. It changes nothing.

  !!  packets of users are being dropped
  !   connections suffer, or will
  -   something could be better

The exit code is 1 where a line has ! or !!, else 0. --watch goes on and prints what is new, what has grown by half, and what
is over. With --for 15s and more it knows how fast the table grows.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("for") && o.limit < time.Second {
				return usageError{"--for: too short to see anything", "1s is the shortest"}
			}
			if !o.watch && o.limit == 0 {
				o.limit = defaultLook
			}
			return runDiagnose(cmd.Context(), g, &o)
		},
	}
	f := cmd.Flags()
	addOutput(cmd, &o.output, "docs/finding.schema.json", "table", "json")
	addWatch(cmd, &o.watch, &o.every, judgeEvery, "go on, and print what has changed, every `TIME` (1s unless said)")
	addDuration(f, &o.limit, "for", 0, "look for `TIME` (default 3s; with --watch without end)")
	return cmd
}

func runDiagnose(ctx context.Context, g *globals, o *diagnoseOptions) error {
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	d := &diagnosis{g: g, o: o, ns: ns, table: g.newTable()}
	if d.sync, err = ctnl.NewSyncer(ns, d.table, ctnl.SyncOptions{}); err != nil {
		return err
	}
	group, both := errgroup.WithContext(ctx)
	both, stop := context.WithCancel(both)
	group.Go(func() error {
		defer crash.Guard()
		return d.sync.Run(both)
	})
	group.Go(func() error {
		defer crash.Guard()
		defer stop()
		return d.run(both)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if d.found {
		return exitWith(exitFailed)
	}
	return nil
}

// A diagnosis is one run of diagnose in one namespace.
type diagnosis struct {
	g      *globals
	o      *diagnoseOptions
	ns     *ctnl.Netns
	table  *table.Table
	sync   *ctnl.Syncer
	engine finding.Engine
	rules  finding.Rules
	passes int
	found  bool // something worth exit code 1, at any time

	told map[string]finding.Finding // by name and subject
}

// Times between two judgements, and between two readings of the rules.
const (
	judgeEvery = time.Second
	rulesEvery = 30 * time.Second
)

// run looks until the time is over. That counts from when the table is whole.
func (d *diagnosis) run(ctx context.Context) error {
	if err := d.whole(ctx); err != nil {
		return err
	}
	var end <-chan time.Time
	if d.o.limit > 0 {
		t := time.NewTimer(d.o.limit)
		defer t.Stop()
		end = t.C
	}
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	var rulesAt, toldAt time.Time
	for last := false; ; {
		if now := time.Now(); now.Sub(rulesAt) >= rulesEvery {
			d.rules, rulesAt = outlineOf(d.ns), now
		}
		all, err := d.judge(ctx)
		switch {
		case err != nil:
		case d.o.watch:
			// The engine judges each second all the same: what grows is told by how it was a moment before.
			if now := time.Now(); last || now.Sub(toldAt) > d.o.every-judgeEvery/2 {
				err, toldAt = d.tell(all), now
			}
		case last:
			err = d.conclude(all)
		}
		if err != nil || last {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		case <-end:
			last = true
		}
	}
}

// whole waits for the first dump's end.
func (d *diagnosis) whole(ctx context.Context) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !d.table.Stats().Loaded {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return d.g.whole(d.table, "reading the table")
}

// outlineOf reads the rules and addresses that cures name. What is not permitted leaves them unknown.
func outlineOf(ns *ctnl.Netns) finding.Rules {
	r := ruleset.OutlineOf(ns)
	r.Netns, r.Elsewhere = ns.Spec(), elsewhere(ns)
	return r
}

// elsewhere counts the entries of the other namespaces of this machine, as far as ctview may enter them.
func elsewhere(ns *ctnl.Netns) (all []finding.Elsewhere) {
	list, err := ctnl.ListNetns()
	if err != nil {
		return nil
	}
	for i := range list {
		if ns.Is(&list[i]) {
			continue
		}
		other, err := ctnl.OpenNetns(list[i].Spec)
		if err != nil {
			continue
		}
		text, err := other.Sysctl("nf_conntrack_count")
		_ = other.Close()
		if n, bad := strconv.Atoi(text); err == nil && bad == nil && n > 0 {
			all = append(all, finding.Elsewhere{Spec: list[i].Spec, About: aboutNetns(&list[i]), Entries: n})
		}
	}
	return all
}

// judge looks at everything once.
func (d *diagnosis) judge(ctx context.Context) ([]finding.Finding, error) {
	sys, err := d.sync.System(ctx)
	if err != nil {
		return nil, err
	}
	cpus, err := d.sync.Kernel().CPUStats(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixNano()
	in := finding.Input{Now: now, Stats: d.table.Stats(), Seconds: d.table.Seconds(now, nil), System: sys, HasSystem: true, CPUs: cpus,
		Rules: d.rules, Survey: finding.Look(d.table, &finding.Question{Now: now, System: &sys, Pass: d.passes})}
	d.passes++
	all := d.engine.Judge(&in)
	for i := range all {
		d.found = d.found || all[i].Severity > finding.Note
	}
	return all, nil
}

func (d *diagnosis) print(b []byte) error {
	if _, err := d.g.out.Write(b); err != nil {
		return failure{err}
	}
	return nil
}

func (d *diagnosis) appendTo(b []byte, f *finding.Finding, now int64, over bool) []byte {
	switch {
	case d.o.output == "json":
		return format.AppendFindingJSON(b, f, now, over)
	case over:
		return fmt.Appendf(b, "ok  %s: over  (%s)\n", model.Escape(d.subject(f)), f.Name)
	}
	n := len(b)
	b = format.AppendFinding(b, f, now, d.rules.Netns)
	if t := d.g.theme(); t != nil {
		sign, rest, _ := strings.Cut(string(b[n:]), " ")
		look := map[finding.Severity]string{finding.Note: t[draw.Faint], finding.Warning: t[draw.Warn], finding.Severe: t[draw.Alarm]}[f.Severity]
		b = append(append(append(append(append(b[:n], look...), sign...), draw.ResetSGR...), ' '), rest...)
	}
	return b
}

func (d *diagnosis) subject(f *finding.Finding) string {
	if f.Subject == "" {
		return f.Name
	}
	return f.Subject
}

// conclude prints what is so at the end.
func (d *diagnosis) conclude(all []finding.Finding) error {
	now := time.Now().UnixNano()
	d.found = d.engine.Worst(all) != nil
	var b []byte
	for i := range all {
		b = d.appendTo(b, &all[i], now, false)
	}
	if len(all) == 0 && d.o.output == "table" && !d.g.quiet {
		b = fmt.Appendf(b, "ok  nothing found in %v among %s\n", d.o.limit, model.Plural(d.table.Stats().Flows, "flow"))
	}
	return d.print(b)
}

// tell prints what is new, has grown, or is over since the last time.
func (d *diagnosis) tell(all []finding.Finding) error {
	now := time.Now().UnixNano()
	if d.told == nil {
		d.told = map[string]finding.Finding{}
	}
	var b []byte
	still := map[string]bool{}
	for i := range all {
		f := &all[i]
		key := f.Name + " " + f.Subject
		still[key] = true
		if !d.engine.Quiet(f) {
			b = d.appendTo(b, f, now, false)
			d.engine.Acknowledge(f)
		}
		d.told[key] = *f
	}
	for key, f := range d.told {
		if !still[key] && !d.engine.Known(&f) {
			b = d.appendTo(b, &f, now, true)
			delete(d.told, key)
		}
	}
	if len(b) == 0 {
		return nil
	}
	return d.print(b)
}
