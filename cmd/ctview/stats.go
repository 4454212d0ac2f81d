package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

func statsCommand(g *globals) *cobra.Command {
	var (
		output string
		watch  bool
		bare   bool
		every  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "per-CPU statistics, sums, what each counter means; --watch for deltas per second",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := statsFormats[output]
			if bare && output == "table" {
				show = func(b []byte, r, last *statsReading) []byte {
					return withoutHeader(appendStatsTable(b, r, last), "COUNTER")
				}
			}
			if output == "prometheus" && watch {
				return usageError{"--watch: -o prometheus is one reading", "a textfile collector reads a file that is written anew each time: leave --watch out"}
			}
			if every < leastInterval {
				return usageError{"--interval: too short", "100ms is the shortest"}
			}
			return runStats(cmd.Context(), g, show, watch, every)
		},
	}
	f := cmd.Flags()
	addOutput(cmd, &output, "prometheus is for the textfile collector of node_exporter", "table", "json", "prometheus")
	addNoHeader(f, &bare)
	addDuration(f, &every, "interval", time.Second, "`TIME` between two readings of --watch")
	addWatch(cmd, &watch, &every, leastInterval, "again and again, every `TIME` (1s unless said), with what changed per second")
	return cmd
}

// leastInterval is the shortest time between two readings of counters.
const leastInterval = 100 * time.Millisecond

// A statsReading is one reading of everything that stats shows.
type statsReading struct {
	at             time.Time
	netns          string // as --netns takes it
	entries, limit uint32
	cpus           []model.CPUStats
}

// readStats asks the kernel, or reads /proc where it does not answer this user: the numbers are no secret there.
func readStats(ctx context.Context, ns *ctnl.Netns, k *ctnl.Kernel) (r statsReading, err error) {
	r.entries, r.limit, err = k.Count(ctx)
	if err == nil {
		r.cpus, err = k.CPUStats(ctx)
	}
	if errors.Is(err, ctnl.ErrPermission) {
		if open, perr := procStats(ns); perr == nil {
			r, err = open, nil
		}
	}
	r.at = time.Now()
	return r, err
}

// procStats is a reading of what /proc tells everybody.
func procStats(ns *ctnl.Netns) (r statsReading, err error) {
	if r.cpus, r.entries, err = ns.ProcStats(); err != nil {
		return r, err
	}
	text, err := ns.Sysctl("nf_conntrack_max")
	if err != nil {
		return r, err
	}
	limit, err := strconv.ParseUint(text, 10, 32)
	r.limit = uint32(limit)
	return r, err
}

// statsFormats are what -o takes: each appends a reading, and what changed since the one before if that is not nil.
var statsFormats = map[string]func(b []byte, r, last *statsReading) []byte{
	"table": appendStatsTable, "json": appendStatsJSON, "prometheus": appendStatsPrometheus,
}

func runStats(ctx context.Context, g *globals, show func(b []byte, r, last *statsReading) []byte, watch bool, every time.Duration) error {
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		ctx, stop := ns.Lasting(ctx)
		defer stop()
		var past model.RateBase[statsReading]
		for {
			r, err := readStats(ctx, ns, k)
			if cause := context.Cause(ctx); errors.Is(cause, ctnl.ErrNetnsGone) {
				return cause
			}
			if err != nil {
				return err
			}
			r.netns = g.netns
			last, _ := past.Add(r.at.UnixNano(), r)
			if _, err := g.out.Write(show(nil, &r, last)); err != nil {
				return failure{err}
			}
			if !watch {
				return nil
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(every):
			}
		}
	})
}

// perSecond returns how fast counter n grew between two readings.
func (r *statsReading) perSecond(last *statsReading, n int) (float64, bool) {
	if last == nil {
		return 0, false
	}
	now, ok := model.SumStats(r.cpus, n)
	before, ok2 := model.SumStats(last.cpus, n)
	if !ok || !ok2 || now < before {
		return 0, false
	}
	return float64(now-before) / r.at.Sub(last.at).Seconds(), true
}

// appendStatsTable appends r as a table; last, if not nil, is the reading before.
func appendStatsTable(b []byte, r, last *statsReading) []byte {
	b = fmt.Appendf(b, "entries %d of %d", r.entries, r.limit)
	if r.limit > 0 {
		b = fmt.Appendf(b, "  (%.1f %%)", 100*float64(r.entries)/float64(r.limit))
	}
	b = fmt.Appendf(b, "\n%-15s %12s %10s", "COUNTER", "ALL CPUS", "PER SECOND")
	for i := range r.cpus {
		b = fmt.Appendf(b, " %10s", "CPU"+strconv.Itoa(r.cpus[i].CPU))
	}
	b = append(b, "  MEANING\n"...)
	for n := range len(r.cpus0().Values) {
		v, has := model.SumStats(r.cpus, n)
		name := format.StatName(n, false)
		if !has || name == "" {
			continue
		}
		rate := "-"
		if d, ok := r.perSecond(last, n); ok {
			rate = strconv.FormatFloat(d, 'f', 1, 64)
		}
		b = fmt.Appendf(b, "%-15s %12d %10s", name, v, rate)
		for i := range r.cpus {
			b = fmt.Appendf(b, " %10d", r.cpus[i].Values[n])
		}
		b = fmt.Appendf(b, "  %s\n", format.StatMeaning(n))
	}
	return b
}

// cpus0 returns the first CPU's counters, or none.
func (r *statsReading) cpus0() (s model.CPUStats) {
	if len(r.cpus) > 0 {
		s = r.cpus[0]
	}
	return s
}

// appendStatsJSON appends r as one line of JSON.
func appendStatsJSON(b []byte, r, last *statsReading) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.at.UnixNano())
	b = fmt.Appendf(b, `","entries":%d,"max":%d,"sum":{`, r.entries, r.limit)
	b = r.appendFields(b, func(n int) (string, bool) {
		v, has := model.SumStats(r.cpus, n)
		return strconv.FormatUint(v, 10), has
	})
	if last != nil {
		b = append(b, `},"per_second":{`...)
		b = r.appendFields(b, func(n int) (string, bool) {
			d, has := r.perSecond(last, n)
			return strconv.FormatFloat(d, 'f', 3, 64), has
		})
	}
	b = append(b, `},"cpus":[`...)
	for i := range r.cpus {
		if i > 0 {
			b = append(b, ',')
		}
		b = format.AppendStatsJSON(b, &r.cpus[i], false)
	}
	return append(b, "]}\n"...)
}

// appendStatsPrometheus appends r as Prometheus' text format, under the names of ctview-exporter.
func appendStatsPrometheus(b []byte, r, _ *statsReading) []byte {
	b = format.AppendMetric(b, format.MetricEntries, uint64(r.entries), "netns", r.netns)
	b = format.AppendMetric(b, format.MetricLimit, uint64(r.limit), "netns", r.netns)
	for n := range len(model.CPUStats{}.Values) {
		m, ok := format.KernelMetric(n)
		if v, has := model.SumStats(r.cpus, n); ok && has {
			b = format.AppendMetric(b, m, v, "netns", r.netns)
		}
	}
	return b
}

// appendFields appends "name":value for every counter that value has.
func (r *statsReading) appendFields(b []byte, value func(n int) (string, bool)) []byte {
	first := true
	for n := range len(model.CPUStats{}.Values) {
		v, has := value(n)
		name := format.StatName(n, false)
		if !has || name == "" {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(strconv.AppendQuote(b, name), ':')
		b = append(b, v...)
	}
	return b
}

// appendTime appends a Unix time in nanoseconds as RFC 3339 in UTC.
func appendTime(b []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(b, time.RFC3339Nano)
}
