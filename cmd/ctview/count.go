package main

import (
	"context"
	"errors"
	"fmt"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

func countCommand(g *globals) *cobra.Command {
	var (
		exitCode bool
		output   string
	)
	cmd := &cobra.Command{
		Use:   "count [FILTER…]",
		Short: "how many flows (without a filter: the kernel's own counter, no dump) and the maximum",
		Long: `Without a filter count asks the kernel for its own counter, which costs next to nothing and includes flows that
have expired but are not yet collected. With a filter it reads the table once and counts what matches.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCount(cmd.Context(), g, filterText(args), output == "json", exitCode)
		},
	}
	addOutput(cmd, &output, "", "table", "json")
	addOverFlag(cmd, g)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when nothing matches")
	return cmd
}

// A countJSON is the line of docs/count.schema.json.
type countJSON struct {
	Count   uint64 `json:"count"`
	Max     uint64 `json:"max,omitempty"`
	Filter  string `json:"filter,omitempty"`
	Unknown uint64 `json:"unknown,omitempty"` // flows that the filter could not judge
}

func runCount(ctx context.Context, g *globals, text string, asJSON, exitCode bool) error {
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
		return countAll(ctx, g, ns, asJSON)
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
	if err := g.printCount(countJSON{Count: uint64(n), Filter: f.String(), Unknown: uint64(unknown)}, asJSON); err != nil {
		return err
	}
	if n == 0 && exitCode {
		return errNoMatch
	}
	return nil
}

// countAll prints the kernel's counter and the maximum as "18204 of 262144".
func countAll(ctx context.Context, g *globals, ns *ctnl.Netns, asJSON bool) error {
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
	return g.printCount(countJSON{Count: uint64(entries), Max: uint64(limit)}, asJSON)
}

func (g *globals) printCount(c countJSON, asJSON bool) error {
	line := fmt.Appendf(nil, "%d\n", c.Count)
	if c.Max > 0 {
		line = fmt.Appendf(nil, "%d of %d\n", c.Count, c.Max)
	}
	if asJSON {
		line = format.AppendJSONLine(nil, c)
	}
	if _, err := g.out.Write(line); err != nil {
		return failure{err}
	}
	return nil
}
