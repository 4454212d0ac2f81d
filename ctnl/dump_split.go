package ctnl

import (
	"context"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"ctview/model"
)

// splitFrom is how many flows a table has that is read by two: each reader walks all buckets, some 0.36 µs each.
const splitFrom = 30_000

// halves are what the flows of two readers are told apart by. It never changes while a flow lives, so that none is missed
// between the two: the family, and statuses that are set before a flow is confirmed (IPS_UNCHANGEABLE_MASK). Every kernel
// filters by the family; by the status those since 5.15.
var halves = [...][2]model.KernelFilter{
	{{Family: model.IPv4}, {Family: model.IPv6}},
	{model.KernelFilter{}.WithStatus(model.StatusSrcNAT, model.StatusSrcNAT), model.KernelFilter{}.WithStatus(0, model.StatusSrcNAT)},
	{model.KernelFilter{}.WithStatus(model.StatusDstNAT, model.StatusDstNAT), model.KernelFilter{}.WithStatus(0, model.StatusDstNAT)},
}

// shares returns what the readers of a dump ask for, one or two. The first rows of the table, which come in the order of their
// hash, tell which halves are alike: the smaller has to have a fifth, that of a status a tenth more than the families have.
func shares(ctx context.Context, ns *Netns, opt *DumpOptions) []model.KernelFilter {
	k := opt.Filter
	one := []model.KernelFilter{k}
	if opt.OneReader || opt.Source != Tracked || opt.Zero || opt.Raw != nil || k.Orig.Has|k.Reply.Has != 0 ||
		runtime.GOMAXPROCS(0) < 2 || !worthSplitting(ns) {
		return one
	}
	rows := firstRows(ctx, ns, &model.KernelFilter{})
	best, most := one, len(rows)/10
	for _, h := range halves {
		if k.Family != 0 && h[0].Family != 0 || k.StatusMask&h[0].StatusMask != 0 {
			continue
		}
		first := matching(rows, &h[0])
		if small := min(first, len(rows)-first); small > most+len(rows)/10 && (h[0].Family != 0 || filtersStatus(ctx, ns, &h)) {
			best, most = []model.KernelFilter{k.And(h[0]), k.And(h[1])}, small
		}
	}
	return best
}

// filtersStatus reports whether the kernel sends of each half of h, both of which are there, nothing of the other.
func filtersStatus(ctx context.Context, ns *Netns, h *[2]model.KernelFilter) bool {
	for i := range h {
		if rows := firstRows(ctx, ns, &h[i]); len(rows) == 0 || matching(rows, &h[i]) < len(rows) {
			return false
		}
	}
	return true
}

// firstRows returns the first rows of a dump, some 200: those of two datagrams, of which the first is small (NLMSG_GOODSIZE).
func firstRows(ctx context.Context, ns *Netns, k *model.KernelFilter) (rows []model.Event) {
	s, err := dial(ns)
	if err != nil {
		return nil
	}
	defer s.close() // which ends the dump
	defer s.cancelOn(ctx)()
	var r request
	dumpRequest(&r, &DumpOptions{Filter: *k})
	if s.send(r.b) != nil || s.await(ctx, answerTimeout) != nil {
		return nil
	}
	in, d, part := newReceiver(s, dumpBuffer), NewDecoder(), make([]model.Event, 0, batchSize)
	for range 2 {
		b, err := in.next()
		if err != nil {
			return nil
		}
		w := Walk{Rest: b}
		if rows = append(rows, d.Batch(0, part, &w)...); w.Done {
			break
		}
	}
	return rows
}

// matching returns how many of rows k lets pass.
func matching(rows []model.Event, k *model.KernelFilter) (n int) {
	for i := range rows {
		if k.Match(&rows[i].Flow) {
			n++
		}
	}
	return n
}

// worthSplitting reports whether the table is large and a CPU idle. Tests put their own in its place.
var worthSplitting = func(ns *Netns) bool {
	return flowCount(ns) >= splitFrom && busyCPUs() < runtime.NumCPU()
}

// flowCount returns nf_conntrack_count, 0 where it cannot be read.
func flowCount(ns *Netns) int64 {
	var count model.Setting
	_ = ns.Do(func() error { count = readSetting("nf_conntrack_count"); return nil })
	return count.Value
}

// busyCPUs is how many threads run or want to, the caller's included: the least of three looks a millisecond apart, since
// threads of ctview's own run for a moment at its start.
func busyCPUs() int {
	least := runningThreads()
	for range 2 {
		time.Sleep(time.Millisecond)
		least = min(least, runningThreads())
	}
	return least
}

// runningThreads is what /proc/loadavg says of this moment; many where it is not known.
func runningThreads() int {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 3 {
		running, _, _ := strings.Cut(f[3], "/")
		if n, err := strconv.Atoi(running); err == nil {
			return n
		}
	}
	return math.MaxInt
}
