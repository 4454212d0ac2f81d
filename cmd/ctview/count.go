package main

import (
	"context"
	"errors"
	"fmt"

	"ctview/ctnl"
	"ctview/model"

	"github.com/spf13/cobra"
)

func countCommand(g *globals) *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "count [FILTER…]",
		Short: "how many flows (without a filter: the kernel's own counter, no dump) and the maximum",
		Long: `Without a filter count asks the kernel for its own counter, which costs next to nothing and includes flows that
have expired but are not yet collected. With a filter it reads the table once and counts what matches.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCount(cmd.Context(), g, filterText(args), exitCode)
		},
	}
	addOverFlag(cmd, g)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when nothing matches")
	return cmd
}

func runCount(ctx context.Context, g *globals, text string, exitCode bool) error {
	f, err := g.parseFilter(text)
	if err != nil {
		return err
	}
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	if f == nil {
		return countAll(ctx, g, ns)
	}
	var n, unknown int
	err = g.dump(ctx, ns, f, func(evs []model.Event) error {
		now := g.now()
		for i := range evs {
			m, u := f.MatchKnown(&evs[i].Flow, &evs[i].Extra, now)
			if m {
				n++
			}
			if u {
				unknown++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.noteUnknown(f, unknown)
	if _, err := fmt.Fprintln(g.out, n); err != nil {
		return err
	}
	if n == 0 && exitCode {
		return errNoMatch
	}
	return nil
}

// countAll prints the kernel's counter and the maximum as "18204 of 262144".
func countAll(ctx context.Context, g *globals, ns *ctnl.Netns) error {
	k := ctnl.NewKernel(ns)
	entries, limit, err := k.Count(ctx)
	if errors.Is(err, ctnl.ErrPermission) {
		if r, perr := procStats(ns); perr == nil {
			entries, limit, err = r.entries, r.limit, nil
		}
	}
	if err != nil {
		return err
	}
	if limit == 0 {
		_, err = fmt.Fprintln(g.out, entries)
	} else {
		_, err = fmt.Fprintf(g.out, "%d of %d\n", entries, limit)
	}
	return err
}
