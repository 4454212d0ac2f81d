package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/ctnl/states"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

// A statesOptions are the flags of states.
type statesOptions struct {
	output                  string
	watch, samples, reasons bool
	bare                    bool // no header
	every, limit            time.Duration
	max                     int
}

func statesCommand(g *globals) *cobra.Command {
	var o statesOptions
	cmd := &cobra.Command{
		Use:   "states [FILTER…]",
		Short: "the five states of packets: NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED",
		Long: `states tells, without changing anything, how many flows the next packet of would be new, established or related, and how
many packets the kernel found INVALID since it started.

--watch and --samples install counters for all five states in a table of ctview's own (inet ctview_watch_PID), which is
gone when the command ends, however it ends. They are refused where connection tracking is not active: a rule that asks
for the state of a packet would switch it on. --samples lists INVALID and UNTRACKED packets, which have no flow;
FILTER selects among them. --reasons adds why a packet is INVALID: it changes nf_conntrack_log_invalid and the logger
of the namespace, and puts them back afterwards, after a crash the next time ctview is run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.every < leastInterval {
				return usageError{"--interval: too short", "100ms is the shortest"}
			}
			if o.reasons && !o.samples {
				return usageError{"--reasons without --samples: reasons are told of sampled packets", "add --samples"}
			}
			if len(splitWords(args)) > 0 && !o.samples {
				return usageError{"states: a filter selects samples", "add --samples"}
			}
			return runStates(cmd.Context(), g, filterText(args), &o)
		},
	}
	f := cmd.Flags()
	addOutput(cmd, &o.output, "", "table", "json")
	addNoHeader(f, &o.bare)
	f.BoolVar(&o.samples, "samples", false, "list INVALID and UNTRACKED packets as they come")
	f.BoolVar(&o.reasons, "reasons", false, "with --samples: the kernel's reason for INVALID")
	addDuration(f, &o.every, "interval", time.Second, "`TIME` between two readings of --watch")
	addWatch(cmd, &o.watch, &o.every, leastInterval, "count packets of all five states, again and again, every `TIME` (1s unless said), with rates")
	addDuration(f, &o.limit, "for", 0, "end after `TIME`")
	f.IntVar(&o.max, "max", 0, "with --samples: end after `N` samples")
	return cmd
}

func runStates(ctx context.Context, g *globals, filter string, o *statesOptions) error {
	if o.watch || o.samples {
		if err := g.allowed("states --watch and --samples install a table of their own"); err != nil {
			return err
		}
	}
	f, err := g.parseFilter(filter)
	if err == nil {
		err = g.refuseOwners("packets")
	}
	if err != nil {
		return err
	}
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	ctx, end := ns.Lasting(ctx)
	defer end()
	if o.limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.limit)
		defer stop()
	}
	switch {
	case o.samples:
		err = g.showSamples(ctx, ns, f, o)
	case o.watch:
		err = g.watchStates(ctx, ns, o)
	default:
		return g.showStates(ctx, ns, o)
	}
	if cause := context.Cause(ctx); errors.Is(cause, ctnl.ErrNetnsGone) {
		return cause
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // --for is over
	}
	if errors.Is(err, states.ErrInactive) || errors.Is(err, states.ErrBusy) {
		return failure{err}
	}
	return err
}

// showStates prints what can be told without changing anything.
func (g *globals) showStates(ctx context.Context, ns *ctnl.Netns, o *statesOptions) error {
	k := ctnl.NewKernel(ns)
	defer k.Close()
	c, err := states.Basic(ctx, k, eachFlow(ctx, ns), nil)
	if err != nil {
		return err
	}
	return g.printStates(&c, o)
}

// eachFlow walks the kernel's table.
func eachFlow(ctx context.Context, ns *ctnl.Netns) func(func(*model.Flow) bool) error {
	return func(fn func(*model.Flow) bool) error {
		return notrack.KernelFlows(ns).Each(ctx, func(e *model.Event) bool { return fn(&e.Flow) })
	}
}

func (g *globals) watchStates(ctx context.Context, ns *ctnl.Netns, o *statesOptions) error {
	w, err := states.Open(ns, states.Options{})
	if err != nil {
		return err
	}
	defer w.Close()
	k := ctnl.NewKernel(ns)
	defer k.Close()
	t := time.NewTicker(o.every)
	defer t.Stop()
	for {
		c, err := w.Counts(ctx)
		if err == nil {
			err = states.Invalid(ctx, k, &c)
		}
		if err != nil {
			return err
		}
		if err := g.printStates(&c, o); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

func (g *globals) printStates(c *model.StateCounts, o *statesOptions) error {
	text := appendStates(nil, c)
	switch {
	case o.output == "json":
		text = appendStatesJSON(nil, c)
	case o.bare:
		text = withoutHeader(text, "STATE")
	}
	if _, err := g.out.Write(text); err != nil {
		return failure{err}
	}
	return nil
}

func appendStates(b []byte, c *model.StateCounts) []byte {
	b = fmt.Appendf(b, "%-12s %10s %12s %10s %10s  %s\n", "STATE", "FLOWS", "PACKETS", "PER SECOND", "BYTES", "MEANING")
	for i, s := range model.CtStates {
		n := &c.Of[i]
		flows, packets, rate, bytes := "-", "-", "-", "-"
		if n.HasFlows {
			flows = strconv.Itoa(n.Flows)
		}
		if n.HasPackets {
			packets = strconv.FormatUint(n.Packets, 10)
		}
		if n.HasRate {
			rate = strconv.FormatFloat(n.PacketRate, 'f', 1, 64)
		}
		if n.HasBytes {
			bytes = string(model.AppendBytes(nil, n.Bytes))
		}
		b = fmt.Appendf(b, "%-12s %10s %12s %10s %10s  %s\n", s, flows, packets, rate, bytes, s.Meaning())
	}
	return b
}

// A stateJSON is one state in states -o json.
type stateJSON struct {
	Flows   *int     `json:"flows,omitempty"`
	Packets *uint64  `json:"packets,omitempty"`
	Bytes   *uint64  `json:"bytes,omitempty"`
	Rate    *float64 `json:"packets_per_second,omitempty"`
}

func appendStatesJSON(b []byte, c *model.StateCounts) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, c.At)
	b = fmt.Appendf(b, `","source":%q`, c.Source)
	for i, s := range model.CtStates {
		n := &c.Of[i]
		var j stateJSON
		if n.HasFlows {
			j.Flows = &n.Flows
		}
		if n.HasPackets {
			j.Packets = &n.Packets
		}
		if n.HasBytes {
			j.Bytes = &n.Bytes
		}
		if n.HasRate {
			j.Rate = &n.PacketRate
		}
		b = format.AppendJSONValue(fmt.Appendf(b, `,%q:`, s), j)
	}
	if c.HasInvalid {
		b = fmt.Appendf(b, `,"invalid_since_boot":%d`, c.Invalid)
	}
	return append(b, "}\n"...)
}

// showSamples prints packets as they come.
func (g *globals) showSamples(ctx context.Context, ns *ctnl.Netns, f *filter.Filter, o *statesOptions) error {
	w, err := states.Open(ns, states.Options{Samples: true})
	if err != nil {
		return err
	}
	defer w.Close()
	var why *states.Reasons
	if o.reasons {
		if why, err = states.OpenReasons(ns); err != nil {
			return err
		}
		defer why.Close()
		g.onExit(func() { _ = why.Close() })
	}
	conn, err := notrack.Open(ns, notrack.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &samplePrinter{g: g, f: f, o: o, rules: func() []model.NotrackRule {
		r, _ := conn.List(ctx)
		return r
	}, end: stop}
	err = w.Samples(ctx, why, p.print)
	if cause := context.Cause(ctx); errors.Is(cause, errEnough) {
		err = nil
	} else if cause != nil {
		err = cause
	}
	if n := w.Lost(); n > 0 {
		g.summary("%s lost", model.Plural(n, "sample"))
	}
	return err
}

// A samplePrinter prints samples, for UNTRACKED ones with the rule of ctview's that matches.
type samplePrinter struct {
	g     *globals
	f     *filter.Filter
	o     *statesOptions
	rules func() []model.NotrackRule
	end   context.CancelCauseFunc

	mu    sync.Mutex
	known []model.NotrackRule
	read  time.Time
	n     int
}

func (p *samplePrinter) print(s *model.Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fl := s.Flow()
	if !p.f.Match(&fl, nil, p.g.now()) || p.o.max > 0 && p.n >= p.o.max {
		return
	}
	rule := ""
	if s.State == model.CtUntracked {
		if time.Since(p.read) > 2*time.Second {
			p.known, p.read = p.rules(), time.Now()
		}
		rule, _ = model.RuleFor(s, p.known)
	}
	show := p.g.appendSample
	if p.o.output == "json" {
		show = appendSampleJSON
	}
	if _, err := p.g.out.Write(show(nil, s, rule)); err != nil {
		p.end(failure{err})
		return
	}
	if p.n++; p.n == p.o.max {
		p.end(errEnough)
	}
}

func (g *globals) appendSample(b []byte, s *model.Sample, rule string) []byte {
	r := model.RuleFromTuple(&s.Tuple)
	b = append(g.appendWhen(b, s.At, "15:04:05.000000"), ' ')
	b = fmt.Appendf(b, "%-9s %-10s %s", s.State, model.Escape(or(s.In, s.Out)), r)
	if s.TCP != "" {
		b = fmt.Appendf(b, " [%s]", s.TCP)
	}
	b = fmt.Appendf(b, " len %d", s.Len)
	if s.HasInner {
		b = fmt.Appendf(b, " about %s", model.RuleFromTuple(&s.Inner))
	}
	if s.Reason != "" {
		b = fmt.Appendf(b, ": %s", model.Escape(s.Reason))
	}
	if rule != "" {
		b = fmt.Appendf(b, " (rule %s)", model.Escape(rule))
	}
	return append(b, '\n')
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// A sampleJSON is one packet in states --samples -o json.
type sampleJSON struct {
	Time   string `json:"time"`
	State  string `json:"state"`
	Hook   string `json:"hook"`
	In     string `json:"iif,omitempty"`
	Out    string `json:"oif,omitempty"`
	Proto  string `json:"proto"`
	Src    string `json:"src"`
	Dst    string `json:"dst"`
	Sport  *int   `json:"sport,omitempty"`
	Dport  *int   `json:"dport,omitempty"`
	Flags  string `json:"tcp_flags,omitempty"`
	Len    int    `json:"length"`
	Reason string `json:"reason,omitempty"`
	About  string `json:"about,omitempty"`
	Rule   string `json:"rule,omitempty"`
}

func appendSampleJSON(b []byte, s *model.Sample, rule string) []byte {
	j := sampleJSON{Time: string(appendTime(nil, s.At)), State: s.State.String(), Hook: model.HookName(s.Hook),
		In: model.Escape(s.In), Out: model.Escape(s.Out), Proto: s.Tuple.Proto.String(), Src: s.Tuple.SrcAddr().String(),
		Dst: s.Tuple.DstAddr().String(), Flags: s.TCP, Len: s.Len, Reason: model.Escape(s.Reason), Rule: rule}
	if s.HasPort && s.Tuple.Proto.HasPorts() {
		sp, dp := int(s.Tuple.Sport), int(s.Tuple.Dport)
		j.Sport, j.Dport = &sp, &dp
	}
	if s.HasInner {
		j.About = model.RuleFromTuple(&s.Inner).String()
	}
	return format.AppendJSONLine(b, &j)
}

// putBack restores what a killed ctview left changed in the namespace of the command. Where none did, that is two looks at the
// file system. It fails nothing: the next command tries again.
func (g *globals) putBack() {
	if !states.Left() || g.allowed("") != nil {
		return
	}
	ns, err := ctnl.OpenNetns(g.netns)
	if err != nil {
		return // the command itself will say so
	}
	defer ns.Close()
	did, err := states.RestoreReasons(ns)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return // nothing could be looked at; the command itself will say so
	}
	if did && err == nil {
		g.summary("put back what a killed ctview had left changed of nf_conntrack_log_invalid and the logger")
	} else if err != nil {
		g.summary("nf_conntrack_log_invalid and the logger, which a killed ctview had changed, could not be put back: %v", err)
	}
}
