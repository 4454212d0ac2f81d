package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
	"github.com/ti-mo/netfilter"
)

func expectCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "expect list|events|add|delete|flush",
		Short: "expectations: the flows that helpers await",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Sprintf("expect: unknown command %q", args[0]), "list, events, add, delete or flush"}
			}
			return usageError{"expect: say what: list, events, add, delete or flush", ""}
		},
	}
	cmd.AddCommand(expectListCommand(g), expectEventsCommand(g), expectAddCommand(g), expectDeleteCommand(g), expectFlushCommand(g))
	return cmd
}

// expectNames are the values of -o for expectations.
var expectNames = []string{"table", "json", "xml"}

// expectLine returns the form that output names.
func expectLine(output string) func(dst []byte, x *model.Expect, now int64) []byte {
	opt := format.Options{Labels: systemLabels(), Fix: format.FixAll}
	appendTo := format.AppendExpect
	switch output {
	case "json":
		appendTo = format.AppendExpectJSON
	case "xml":
		appendTo = format.AppendExpectXML
	}
	return func(dst []byte, x *model.Expect, now int64) []byte {
		opt.Now = now
		return append(appendTo(dst, x, opt), '\n')
	}
}

// withKernel opens the namespace and a Kernel for fn.
func (g *globals) withKernel(fn func(ns *ctnl.Netns, k *ctnl.Kernel) error) error {
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	k := ctnl.NewKernel(ns)
	defer k.Close()
	return fn(ns, k)
}

func expectListCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "the expectations, once", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line := expectLine(output)
			return g.withKernel(func(_ *ctnl.Netns, k *ctnl.Kernel) error {
				out := newFlusher(g.out)
				if output == "xml" {
					out.buf = append(out.buf, format.ExpectXMLHead+"\n"...)
				}
				err := k.Expects(cmd.Context(), 0, func(x *model.Expect) error {
					out.buf = line(out.buf, x, g.now())
					return out.spill()
				})
				if err != nil {
					return err
				}
				if output == "xml" {
					out.buf = append(out.buf, format.ExpectXMLTail+"\n"...)
				}
				return out.flush()
			})
		},
	}
	addOutput(cmd, &output, "", expectNames...)
	return cmd
}

func expectEventsCommand(g *globals) *cobra.Command {
	var (
		output string
		span   time.Duration
	)
	cmd := &cobra.Command{
		Use: "events", Short: "the expectations as they come and go, until interrupted", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if span > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, span)
				defer cancel()
			}
			return runExpectEvents(ctx, g, expectLine(output))
		},
	}
	addOutput(cmd, &output, "", expectNames...)
	addDuration(cmd.Flags(), &span, "for", 0, "end after `TIME`, e.g. 30s")
	return cmd
}

func runExpectEvents(ctx context.Context, g *globals, line func([]byte, *model.Expect, int64) []byte) error {
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := newFlusher(g.out)
	var failed error
	fail := sync.OnceFunc(stop)
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{
		Groups: []netfilter.NetlinkGroup{},
		Expect: func(now int64, xs []model.Expect) {
			for i := range xs {
				out.buf = line(out.buf, &xs[i], now)
			}
			if err := out.flush(); err != nil {
				failed = err
				fail()
			}
		},
	})
	if err != nil {
		return err
	}
	defer w.Close()
	g.noteSilence(ns)
	err = w.Run(ctx, &eventSink{g: g, out: out, done: stop})
	if failed != nil {
		return failed
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// expectTuples are the flags that name an expectation.
type expectTuples struct {
	master  string
	timeout uint32
	helper  string
}

func expectAddCommand(g *globals) *cobra.Command {
	var (
		t      expectTuples
		dryRun bool
	)
	cmd := &cobra.Command{
		Use:   "add FLOW --master FLOW --timeout TIME",
		Short: "make an expectation; its master must be a flow with a helper",
		Long: `add makes an expectation of FLOW, whose ports may be 0 for any. The master must be in the table and, on present
kernels, have a helper.` + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExpectAdd(cmd.Context(), g, splitWords(args), t, dryRun)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.master, "master", "", "the `FLOW` that expects it")
	addSeconds(f, &t.timeout, "`TIME` until it ends, e.g. 300 or 5m")
	f.StringVar(&t.helper, "helper", "", "helper's `NAME`")
	f.BoolVarP(&dryRun, "dry-run", "n", false, "check the command line and change nothing")
	return cmd
}

func runExpectAdd(ctx context.Context, g *globals, words []string, t expectTuples, dryRun bool) error {
	if err := g.allowed("expect add"); err != nil && !dryRun {
		return err
	}
	key, err := parseTuple(words)
	if err != nil {
		return err
	}
	master, err := parseTuple(splitWords([]string{t.master}))
	if err != nil {
		return usageError{"--master: " + err.Error(), tupleHelp}
	}
	if t.timeout == 0 {
		return usageError{"expect add: --timeout is missing", "e.g. --timeout 300"}
	}
	x := model.Expect{Tuple: key.OrigTuple(), Master: master.OrigTuple(), Zone: master.Zone, HasZone: master.Zone != 0,
		Timeout: t.timeout, HasTimeout: true, Helper: t.helper}
	x.Mask = exactMask(x.Tuple)
	if dryRun {
		g.summary("1 expectation would be made")
		return nil
	}
	return g.withKernel(func(_ *ctnl.Netns, k *ctnl.Kernel) error {
		if err := k.CreateExpect(ctx, &x); err != nil {
			return refused(err)
		}
		g.summary("1 expectation made")
		return nil
	})
}

// exactMask returns the mask that compares all of t but ports that are 0, which are any.
func exactMask(t model.Tuple) model.Tuple {
	m := model.Tuple{Proto: t.Proto, Family: t.Family}
	for i := range m.Src {
		m.Src[i], m.Dst[i] = 0xff, 0xff
	}
	if t.Sport != 0 {
		m.Sport = 0xffff
	}
	if t.Dport != 0 {
		m.Dport = 0xffff
	}
	return m
}

func expectDeleteCommand(g *globals) *cobra.Command {
	var c change
	cmd := &cobra.Command{
		Use:   "delete FLOW",
		Short: "delete the expectation of a flow",
		Long:  "delete takes one expectation away." + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.allowed("expect delete"); err != nil && !c.dryRun {
				return err
			}
			key, err := parseTuple(splitWords(args))
			if err != nil {
				return err
			}
			return g.withKernel(func(_ *ctnl.Netns, k *ctnl.Kernel) error {
				x, err := k.GetExpect(cmd.Context(), key.OrigTuple(), key.Zone)
				if err != nil {
					return refused(err)
				}
				if c.dryRun {
					g.summary("1 expectation would be deleted")
					return nil
				}
				if err := g.confirm(c, "expect delete: 1 expectation?", 1); err != nil {
					return err
				}
				if err := k.DeleteExpect(cmd.Context(), x.Tuple, x.Zone, x.ID); err != nil {
					return refused(err)
				}
				g.summary("1 expectation deleted")
				return nil
			})
		},
	}
	addChangeFlags(cmd, &c)
	return cmd
}

func expectFlushCommand(g *globals) *cobra.Command {
	var c change
	cmd := &cobra.Command{
		Use: "flush", Short: "delete all expectations", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.allowed("expect flush"); err != nil && !c.dryRun {
				return err
			}
			return g.withKernel(func(_ *ctnl.Netns, k *ctnl.Kernel) error {
				return g.flushExpects(cmd.Context(), k, c)
			})
		},
	}
	addChangeFlags(cmd, &c)
	return cmd
}

// flushExpects deletes the expectations that it lists and asks about, by tuple and ID: one that is made while the answer is
// awaited stays.
func (g *globals) flushExpects(ctx context.Context, k *ctnl.Kernel, c change) error {
	var xs []model.Expect
	if err := k.Expects(ctx, 0, func(x *model.Expect) error { xs = append(xs, *x); return nil }); err != nil {
		return err
	}
	if c.dryRun {
		g.summary("%s would be deleted", model.Plural(len(xs), "expectation"))
		return nil
	}
	ownOf(len(xs), func(i int) *model.Flow { return &model.Flow{Key: keyOf(&xs[i].Master)} }).warn(g, c)
	if err := g.confirm(c, "expect flush: delete "+model.Plural(len(xs), "expectation")+"?", len(xs)); err != nil {
		return err
	}
	n := 0
	for i := range xs {
		switch err := k.DeleteExpect(ctx, xs[i].Tuple, xs[i].Zone, xs[i].ID); {
		case err == nil:
			n++
		case !errors.Is(err, ctnl.ErrGone):
			return refused(err)
		}
	}
	g.summary("%s deleted", model.Plural(n, "expectation"))
	return nil
}
