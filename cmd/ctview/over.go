package main

import (
	"context"
	"fmt"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

// minOver is the shortest time between two readings that a rate is made of, as the table has it.
const minOver = 200 * time.Millisecond

// addOverFlag adds --over: the command then reads the table twice, and knows rates.
func addOverFlag(cmd *cobra.Command, g *globals) {
	addDuration(cmd.Flags(), &g.over, "over", 0, "read twice, `DURATION` apart, and know rate and pps; e.g. 1s")
}

// checkOver refuses a time that makes no rate.
func (g *globals) checkOver() error {
	if g.over != 0 && g.over < minOver {
		return usageError{fmt.Sprintf("--over %v is too short for a rate", g.over), "write --over 1s"}
	}
	return nil
}

// needsOver is the error for a column that takes two readings, where there is one.
func (g *globals) needsOver(flag string, c model.Column) error {
	switch c {
	case model.ColRate, model.ColOrigRate, model.ColReplyRate, model.ColPPS:
		if !g.rates() {
			return usageError{fmt.Sprintf("%s: %v takes two readings of the counters, and here there is one", flag, c), "rates are in list --over 1s and list --watch, and on the screen: ctview"}
		}
	}
	return nil
}

// dump gives the flows of a namespace that f may match to fn; with --over those of the second of two readings, with
// their rates.
func (g *globals) dump(ctx context.Context, ns *ctnl.Netns, f *filter.Filter, fn func([]model.Event) error) error {
	return g.reading(func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error {
		return g.dumpOwned(ctx, ns, k, fn)
	}, f)(ctx, f.Kernel(), fn)
}

// reading is src, or what a table made of it knows better: with --over rates, by a second reading, and where f asks for
// them the helpers of masters, which may stand behind the flows that they announced.
func (g *globals) reading(src flowSource, f *filter.Filter) flowSource {
	if g.over == 0 && g.again == nil && !f.NeedsMaster() {
		return src
	}
	return func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error {
		tab, err := g.readTable(ctx, src, k)
		if err != nil {
			return err
		}
		return tableSource(tab, g.now())(ctx, k, fn)
	}
}

// rates reports whether the table is read more than once.
func (g *globals) rates() bool { return g.over > 0 || g.watches }

// readTable reads a table of src, with --over twice; with --watch it is the one that the readings before went to.
func (g *globals) readTable(ctx context.Context, src flowSource, k model.KernelFilter) (*table.Table, error) {
	tab := g.again
	if tab == nil {
		tab = g.newTable()
	}
	read := func() error {
		tab.BeginDump(g.now())
		err := src(ctx, k, func(evs []model.Event) error {
			tab.Apply(g.now(), evs)
			return g.whole(tab, "reading the table")
		})
		tab.EndDump(g.now(), err == nil)
		tab.SetOwners(g.owners)
		tab.SetRoutes(g.routes)
		return err
	}
	if err := read(); err != nil || g.over == 0 {
		return tab, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(g.over):
	}
	return tab, read()
}
