package main

import (
	"context"
	"fmt"

	"ctview/ctnl"
	"ctview/ctnl/confine"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/table"
)

// A natReading is what list --group-by nat-ports needs beside the flows.
type natReading struct {
	ranges    *table.PortRanges
	failed    uint64 // insert_failed of the namespace, in packets: NAT found no free port, or two raced
	hasFailed bool
}

// wantRanges says that the command will read the rules. It takes the right to run the iptables programs. Call it before opened.
func (g *globals) wantRanges() {
	g.nat = &natReading{}
	if g.confined && g.effect == confine.NetAdmin {
		g.keeps |= confine.NetRaw
	}
}

// readRanges reads the rules and the counters, if they are wanted. What cannot be read stays unknown.
func (g *globals) readRanges(ctx context.Context, ns *ctnl.Netns) {
	if g.nat == nil {
		return
	}
	rules := ruleset.OutlineOf(ns)
	g.nat.ranges = &table.PortRanges{Of: rules.SourcePorts}
	k := ctnl.NewKernel(ns)
	defer k.Close()
	if cpus, err := k.CPUStats(ctx); err == nil {
		g.nat.failed, g.nat.hasFailed = model.SumStats(cpus, model.StatInsertFailed)
	}
}

// noteFailed tells what the kernel counts for the namespace as a whole.
func (g *globals) noteFailed() {
	if g.nat != nil && g.nat.hasFailed && !g.quiet {
		fmt.Fprintf(g.err, "ctview: insert_failed %d in this namespace: packets of new flows that found no free port, or raced\n", g.nat.failed)
	}
}

// A portsJSON is "ports" of a group by nat-ports.
type portsJSON struct {
	Used int    `json:"used"`
	Size int    `json:"size"`
	Low  uint16 `json:"low"`
	High uint16 `json:"high"`
}

func portsOf(r *table.GroupRow) *portsJSON {
	if r.Share() < 0 {
		return nil
	}
	return &portsJSON{r.Used, r.Range.Size(), r.Range.Lo, r.Range.Hi}
}

// usedCells are the columns IN USE, OF, % and RANGE of a group by nat-ports.
func usedCells(r *table.GroupRow) (used, size, share, ports string) {
	if r.Share() < 0 {
		return "-", "-", "-", "-"
	}
	return fmt.Sprint(r.Used), fmt.Sprint(r.Range.Size()), fmt.Sprintf("%.1f", 100*r.Share()), r.Range.String()
}
