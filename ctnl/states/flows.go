package states

import (
	"context"
	"time"

	"ctview/ctnl"
	"ctview/model"
)

// statInvalid is CTA_STATS_INVALID (<linux/netfilter/nfnetlink_conntrack.h>).
const statInvalid = 4

// Basic fills what can be told without changing anything: flows by the state of their next packet, from each, and the
// kernel's own count of INVALID packets. A nil each leaves the flows out. past may be nil; with
// it, and a reading in it that is old enough, INVALID has a rate.
func Basic(ctx context.Context, k *ctnl.Kernel, each func(func(*model.Flow) bool) error, past *model.RateBase[model.StateCounts]) (model.StateCounts, error) {
	c := model.StateCounts{At: time.Now().UnixNano(), Source: "table and statistics"}
	if each != nil {
		if err := Flows(&c, each); err != nil {
			return c, err
		}
	}
	if err := Invalid(ctx, k, &c); err != nil {
		return c, err
	}
	i := &c.Of[model.CtInvalid-1]
	i.Packets, i.HasPackets = c.Invalid, c.HasInvalid
	if past != nil {
		rates(&c, past)
	}
	return c, nil
}

// Flows counts flows by state.
func Flows(c *model.StateCounts, each func(func(*model.Flow) bool) error) error {
	for _, s := range [...]model.CtState{model.CtNew, model.CtEstablished, model.CtRelated} {
		c.Of[s-1].HasFlows = true
	}
	return each(func(f *model.Flow) bool {
		c.Of[f.CtState()-1].Flows++
		return true
	})
}

// Invalid reads the kernel's per-CPU counters of INVALID packets and adds them up.
func Invalid(ctx context.Context, k *ctnl.Kernel, c *model.StateCounts) error {
	cpus, err := k.CPUStats(ctx)
	if err != nil {
		return err
	}
	c.Invalid, c.HasInvalid = model.SumStats(cpus, statInvalid)
	return nil
}
