package main

import (
	"context"
	"errors"

	"ctview/ctnl"
	"ctview/model"

	"github.com/spf13/cobra"
)

func getCommand(g *globals) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "get FLOW",
		Short: "one flow by tuple and zone",
		Long:  "get asks the kernel for one flow." + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runGet(cmd.Context(), g, splitWords(args), o)
		},
	}
	addFormatFlags(cmd, &o)
	return cmd
}

func runGet(ctx context.Context, g *globals, words []string, o listOptions) error {
	key, err := parseTuple(words)
	if err != nil {
		return err
	}
	lf, err := g.newLineFormat(o, false)
	if err != nil {
		return err
	}
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		if err := g.readOwners(ns); err != nil {
			return err
		}
		ev, err := k.Get(ctx, key)
		if errors.Is(err, ctnl.ErrGone) {
			return errNoFlow
		}
		if err != nil {
			return err
		}
		if err := g.readRoutes(ns, []model.Event{ev}); err != nil {
			return err
		}
		g.know(&ev)
		p := rowPrinter{format: lf, out: newFlusher(g.out)}
		if err := p.print(lf.line(nil, &ev, g.now())); err != nil {
			return err
		}
		return p.end()
	})
}
