package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

const (
	// memoryShare is what part of the memory that is free at the start flows may take by themselves: what is read beside them,
	// and garbage, takes some more, and others have to live too.
	memoryShare = 2
	// minMemory is always allowed: less than the program itself takes.
	minMemory = 4 << 20
)

// addMemoryFlag adds --max-memory.
func addMemoryFlag(cmd *cobra.Command, g *globals) {
	parse := func(s string) (int64, error) {
		n, err := filter.ParseBytes(s)
		if err == nil && (n < minMemory || n > math.MaxInt64/2) {
			err = fmt.Errorf("is not between %s and all that there is", model.AppendBytes(nil, minMemory))
		}
		return int64(n), err
	}
	cmd.PersistentFlags().Var(&option[int64]{&g.maxMemory, parse, func(n int64) string { return "" }, "size"}, "max-memory",
		"memory that flows may take, e.g. `64M` (default: half of what is free)")
}

// smallHeap has garbage collected when a fifth is, in place of half: flows have no pointers, so that a collection costs next to
// nothing, and the resident size stays near the live size. It is not for the start, in which nothing is worth collecting.
var smallHeap = sync.OnceFunc(func() { debug.SetGCPercent(20) })

// giveBack returns what is to be called after each dump. Behind the first one memory that loading took is given back, and of a large
// table a twentieth is collected from then on: what there is no more of is otherwise a fifth of all flows.
func giveBack(t *table.Table) func(ctnl.DumpReport) {
	const large = 100_000
	once := sync.OnceFunc(func() {
		if t.Stats().Flows >= large {
			debug.SetGCPercent(5)
			debug.FreeOSMemory()
		}
	})
	return func(ctnl.DumpReport) { once() }
}

// memory is how many bytes flows may take: --max-memory, else a share of what is free now, in this process's cgroup too. Near
// the end of it garbage is collected more often.
func (g *globals) memory() int64 {
	g.memoryOnce.Do(func() {
		smallHeap()
		if g.maxMemory == 0 {
			free, ok := ctnl.FreeMemory()
			if !ok {
				g.maxMemory = math.MaxInt64
				return
			}
			g.maxMemory = max(minMemory, int64(min(free, math.MaxInt64)/memoryShare))
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		debug.SetMemoryLimit(int64(m.Sys) + min(g.maxMemory, 1<<50)*3/2)
	})
	return g.maxMemory
}

// newTable returns a table that keeps to the memory that flows may take.
func (g *globals) newTable() *table.Table {
	t := table.New()
	t.LimitTo(g.memory())
	return t
}

// whole is the error for a table that had no room for all flows.
func (g *globals) whole(t *table.Table, what string) error {
	if s := t.Stats(); s.Left > 0 {
		return tooMuch{what, s.Flows, g.memory()}
	}
	return nil
}

// enough is the error for what takes more memory than flows may: bytes, after a number of flows.
func (g *globals) enough(bytes int, what string, flows int) error {
	if limit := g.memory(); int64(bytes) > limit {
		return tooMuch{what, flows, limit}
	}
	return nil
}

// A tooMuch is the error of a command for which there is not enough memory. Nothing was printed.
type tooMuch struct {
	what  string
	flows int
	limit int64
}

func (e tooMuch) Error() string {
	return fmt.Sprintf("%s: the memory that flows may take here, %s, is used up after %s", e.what,
		model.AppendBytes(nil, uint64(e.limit)), model.Plural(e.flows, "flow"))
}
