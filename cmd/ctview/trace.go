package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/ctnl/trace"
	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

// A traceOptions are the flags of trace.
type traceOptions struct {
	change  change
	output  string
	limit   time.Duration
	packets int
}

func traceCommand(g *globals) *cobra.Command {
	var o traceOptions
	cmd := &cobra.Command{
		Use:   "trace FLOW|ID",
		Short: "follow packets of one flow through the nftables rules: which rule accepts, marks, translates or drops them",
		Long: `trace has the kernel tell which nftables rules a few packets of one flow match, with each verdict (nftrace). It asks
first: it makes a table of its own (inet ctview_trace_PID) that marks packets of this tuple for tracing and decides
nothing. The table belongs to the program and is gone when that ends, however it ends; the kernel marks no more than
--packets packets of each direction. Payload is never read.

Rules of legacy iptables are no part of nftables and are not traced (those of iptables-nft are). nat chains see only the first
packet of a connection, flows in a flowtable bypass every rule, and rules of a priority below -399 come before the trace. A zone
cannot be told before packets are tracked: packets of the same tuple in other zones are traced, too. Of a flow that is in the
table the answers are known; of another they are traced if nothing translates them.` + tupleTopic + `
or the number of a flow (its ID, as "ctview list --columns id" shows it).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.packets < 1 || o.packets > 1000 {
				return usageError{fmt.Sprintf("--packets %d: not from 1 to 1000", o.packets), "10 show what a rule does"}
			}
			if o.limit <= 0 || o.limit > time.Hour {
				return usageError{fmt.Sprintf("--for %s: not from 1ms to 1h", o.limit), "30s is the default"}
			}
			return runTrace(cmd.Context(), g, splitWords(args), &o)
		},
	}
	addChangeFlags(cmd, &o.change)
	f := cmd.Flags()
	addOutput(cmd, &o.output, "", "table", "json")
	addDuration(f, &o.limit, "for", 30*time.Second, "end after `TIME`")
	f.IntVar(&o.packets, "packets", trace.Packets, "trace `N` packets of each direction at most")
	return cmd
}

func runTrace(ctx context.Context, g *globals, words []string, o *traceOptions) error {
	if err := g.allowed("trace installs a table of its own"); err != nil && !o.change.dryRun {
		return err
	}
	if len(words) == 0 {
		return usageError{"trace: say which flow", tupleHelp}
	}
	var key model.Key
	id, err := strconv.ParseUint(words[0], 10, 32)
	byID := err == nil && len(words) == 1
	if !byID {
		if key, err = parseTuple(words); err != nil {
			return err
		}
	}
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		g.place = placeOf(ns)
		plan := trace.Plan{Orig: key.OrigTuple(), Packets: o.packets}
		var f *model.Flow
		if byID {
			err := notrack.KernelFlows(ns).Each(ctx, func(e *model.Event) bool {
				if e.Flow.ID == uint32(id) {
					f = new(e.Flow)
				}
				return f == nil
			})
			if err == nil && f == nil {
				err = errNoFlow
			}
			if err != nil {
				return err
			}
		} else if e, err := k.Get(ctx, key); err == nil {
			f = &e.Flow
		} else if !errors.Is(err, ctnl.ErrGone) {
			return err
		}
		if f != nil {
			plan.Orig, plan.Reply = f.Orig(), f.Reply()
		}
		if o.change.dryRun {
			_, err := g.out.Write([]byte(plan.Rules()))
			return err
		}
		name := model.RuleFromTuple(&plan.Orig).String()
		if f == nil {
			g.summary("%s is not in the table: answers are traced if nothing translates them", name)
		}
		q := fmt.Sprintf("trace: up to %s each way of %s, for %s, by a table of ctview's own that is gone with it?",
			model.Plural(o.packets, "packet"), name, o.limit)
		if err := g.confirm(o.change, q, 1); err != nil {
			return err
		}
		return g.trace(ctx, ns, plan, o)
	})
}

// trace makes the table, prints packets as their way ends, and takes the table away.
func (g *globals) trace(ctx context.Context, ns *ctnl.Netns, plan trace.Plan, o *traceOptions) error {
	t, err := trace.Open(ns, plan)
	if errors.Is(err, trace.ErrNoRules) || errors.Is(err, trace.ErrNoNftables) {
		return failure{err}
	}
	if err != nil {
		return err
	}
	defer t.Close()
	for _, note := range traceNotes(t) {
		g.summary("%s", note)
	}
	ctx, stop := context.WithTimeout(ctx, o.limit)
	defer stop()
	show := g.appendTraced
	if o.output == "json" {
		show = appendTracedJSON
	}
	n := 0
	var broken error
	err = t.Run(ctx, func(p *model.TracePacket) bool {
		n++
		_, broken = g.out.Write(show(nil, p))
		return broken == nil
	})
	switch {
	case broken != nil:
		return failure{broken}
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return err
	case n == 0:
		g.summary("no packet of it came by in %s", o.limit)
	default:
		g.summary("%s traced", model.Plural(n, "packet"))
	}
	return nil
}

// appendTraced writes a packet, its steps and what became of it, a line each.
func (g *globals) appendTraced(b []byte, p *model.TracePacket) []byte {
	b = fmt.Appendf(b, "%s %s\n", g.appendWhen(nil, p.At, "15:04:05.000000"), format.TracedPacket(p))
	for _, step := range format.TraceSteps(p) {
		b = fmt.Appendf(b, "  %s\n", step)
	}
	return fmt.Appendf(b, "  = %s\n", format.TraceOutcome(p))
}

// A tracedJSON is a packet in trace -o json.
type tracedJSON struct {
	Time    string     `json:"time"`
	Reply   bool       `json:"reply"`
	Packet  string     `json:"packet"`
	TCP     string     `json:"tcp_flags,omitempty"`
	Len     int        `json:"length"`
	In      string     `json:"iif,omitempty"`
	Steps   []stepJSON `json:"steps"`
	Outcome string     `json:"outcome"`
	Cut     bool       `json:"steps_missing,omitempty"`
}

type stepJSON struct {
	Family  string  `json:"family"`
	Table   string  `json:"table"`
	Chain   string  `json:"chain"`
	Handle  *uint64 `json:"handle,omitempty"`
	Rule    string  `json:"rule,omitempty"`
	Verdict string  `json:"verdict"`
	Mark    *uint32 `json:"mark,omitempty"`
	Packet  string  `json:"packet,omitempty"`
}

func appendTracedJSON(b []byte, p *model.TracePacket) []byte {
	j := tracedJSON{Time: string(appendTime(nil, p.At)), Reply: p.Reply, Packet: model.RuleFromTuple(&p.Tuple).String(), TCP: p.TCP,
		Len: p.Len, In: model.Escape(p.In), Steps: []stepJSON{}, Outcome: format.TraceOutcome(p), Cut: p.Cut}
	for i := range p.Steps {
		s := &p.Steps[i]
		k := stepJSON{Family: s.Family, Table: model.Escape(s.Table), Chain: model.Escape(s.Chain), Rule: model.Escape(s.Rule),
			Verdict: model.Escape(s.Verdict)}
		if s.Handle != 0 {
			k.Handle = &s.Handle
		}
		if s.Mark != 0 {
			k.Mark = &s.Mark
		}
		if s.HasTuple {
			k.Packet = model.RuleFromTuple(&s.Tuple).String()
		}
		j.Steps = append(j.Steps, k)
	}
	return format.AppendJSONLine(b, &j)
}
