package main

import (
	"context"
	"errors"
	"fmt"

	"ctview/ctnl"
	"ctview/model"

	"github.com/spf13/cobra"
)

func addCommand(g *globals) *cobra.Command {
	var (
		c    change
		s    flowSettings
		file string
	)
	cmd := &cobra.Command{
		Use:   "add FLOW --timeout TIME [--state STATE] …",
		Short: "make an entry in the table",
		Long: `add makes an entry, as a program that restores connections would. The reply direction is the inverse of the
original, unless --snat or --dnat says otherwise. --file reads the lines of "ctview list -o save".` + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.seen(cmd)
			words := splitWords(args)
			switch {
			case file != "" && len(words) > 0:
				return usageError{"add: --file and a flow exclude each other", ""}
			case file != "":
				return runAddFile(cmd.Context(), g, file, c)
			}
			return runAdd(cmd.Context(), g, words, s, c)
		},
	}
	s.addFlags(cmd, true)
	cmd.Flags().BoolVarP(&c.dryRun, "dry-run", "n", false, "show what would be made and make nothing")
	cmd.Flags().StringVar(&file, "file", "", "lines of -o save from `FILE`, - for standard input")
	return cmd
}

func runAdd(ctx context.Context, g *globals, words []string, s flowSettings, c change) error {
	if err := g.allowed("add"); err != nil && !c.dryRun {
		return err
	}
	key, err := parseTuple(words)
	if err != nil {
		return err
	}
	if !s.changedTimeout {
		return usageError{"add: --timeout is missing", "a flow needs a time to end, e.g. --timeout 120"}
	}
	if key.Proto == model.ProtoTCP && s.state == "" {
		return usageError{"add: --state is missing", "a tcp flow needs one, e.g. --state ESTABLISHED"}
	}
	var spec ctnl.Spec
	spec.Flow.Key = key
	spec.Has = model.HasOrig
	if err := s.apply(&spec); err != nil {
		return err
	}
	if c.dryRun {
		g.summary("1 flow would be made")
		return nil
	}
	return g.withKernel(func(_ *ctnl.Netns, k *ctnl.Kernel) error {
		if err := k.Create(ctx, &spec); err != nil {
			return refused(s.explain(&spec, true, err))
		}
		if spec.Has&model.HasLabels != 0 && spec.Extra.Labels != (model.Labels{}) { // the kernel leaves them out without a word
			if e, err := k.Get(ctx, key); err == nil && e.Extra.Labels != spec.Extra.Labels {
				return failure{errors.New("1 flow made, without its labels: no rule of this namespace uses any")}
			}
		}
		g.summary("1 flow made")
		return nil
	})
}

// refused makes a failure (exit code 1) of what the kernel refuses though the request was possible.
func refused(err error) error {
	for _, e := range []error{ctnl.ErrGone, ctnl.ErrExists, ctnl.ErrFull, ctnl.ErrBusy, ctnl.ErrInvalid, ctnl.ErrUnsupported} {
		if errors.Is(err, e) {
			return failure{err}
		}
	}
	return err
}

func updateCommand(g *globals) *cobra.Command {
	var (
		c change
		s flowSettings
	)
	cmd := &cobra.Command{
		Use:   "update FLOW|FILTER… [--mark V[/M]] [--timeout T] [--labels …] [--helper NAME] [--status …] [--state …]",
		Short: "change one flow by tuple and zone, or what a filter matches",
		Long: `update changes entries. The kernel lets a program set mark, timeout, labels, helper (to none, or to the one
that the flow has), the status bits seen_reply, assured and fixed_timeout (which cannot be taken back), and the state of TCP,
SCTP and DCCP flows; it does not let one change tuples, zone, NAT, counters or the other status bits.` + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.seen(cmd)
			return runUpdate(cmd.Context(), g, splitWords(args), s, c)
		},
	}
	s.addFlags(cmd, false)
	addChangeFlags(cmd, &c)
	return cmd
}

func runUpdate(ctx context.Context, g *globals, words []string, s flowSettings, c change) error {
	if err := g.allowed("update"); err != nil && !c.dryRun {
		return err
	}
	if s.empty() {
		return usageError{"update: say what to change", "--mark, --timeout, --labels, --helper, --status or --state"}
	}
	if len(words) == 0 {
		return usageError{"update: say which flows", tupleHelp}
	}
	if err := s.check(); err != nil {
		return err
	}
	sel, err := g.selection(words)
	if err != nil {
		return err
	}
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		specs, err := s.specs(ctx, g, ns, k, sel, c.dryRun)
		if err != nil {
			return err
		}
		if c.dryRun {
			g.summary("%s would be updated", model.Plural(len(specs), "flow"))
			return nil
		}
		if len(specs) == 0 {
			g.summary("no flow matches; nothing updated")
			return nil
		}
		ownOf(len(specs), func(i int) *model.Flow { return &specs[i].Flow }).warn(g, c)
		if err := g.confirm(c, fmt.Sprintf("update: %s?", model.Plural(len(specs), "flow")), len(specs)); err != nil {
			return err
		}
		failed, err := k.UpdateMany(ctx, len(specs), func(i int, spec *ctnl.Spec) { *spec = specs[i] })
		if err != nil {
			return err
		}
		for i := range failed {
			failed[i].Err = s.explain(&specs[failed[i].Index], false, failed[i].Err)
		}
		return g.updated(len(specs), failed)
	})
}

// updated tells how an update went. A flow that ended meanwhile is no failure.
func (g *globals) updated(n int, failed []ctnl.Failure) error {
	gone := 0
	var rest []ctnl.Failure
	for _, f := range failed {
		if errors.Is(f.Err, ctnl.ErrGone) {
			gone++
		} else {
			rest = append(rest, f)
		}
	}
	done := n - len(failed)
	if gone > 0 {
		g.summary("%s updated, %d had ended", model.Plural(done, "flow"), gone)
	} else {
		g.summary("%s updated", model.Plural(done, "flow"))
	}
	return g.failures("updated", rest)
}

// specs gathers the changes, in a dry run printing each flow as it is now.
func (s *flowSettings) specs(ctx context.Context, g *globals, ns *ctnl.Netns, k *ctnl.Kernel, sel selection, show bool) ([]ctnl.Spec, error) {
	lf, err := g.newLineFormat(listOptions{output: "extended"}, false)
	if err != nil {
		return nil, err
	}
	out := newFlusher(g.out)
	var specs []ctnl.Spec
	err = sel.each(ctx, g, ns, k, func(ev *model.Event) error {
		var spec ctnl.Spec
		spec.Flow.Key = ev.Flow.Key
		spec.Flow.Status = ev.Flow.Status
		spec.TCP = ev.TCP
		spec.Has = model.HasOrig
		if err := s.apply(&spec); err != nil {
			return err
		}
		specs = append(specs, spec)
		if !show {
			return nil
		}
		out.buf = lf.line(out.buf, ev, g.now())
		return out.spill()
	})
	if err == nil {
		err = out.flush()
	}
	return specs, err
}
