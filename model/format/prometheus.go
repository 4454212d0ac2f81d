package format

import (
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

// A Metric is a number as Prometheus knows it. What stands here is told by "ctview stats" and by ctview-exporter alike.
type Metric struct {
	Name    string // of [a-z_]
	Help    string // one line, no backslash
	Counter bool   // it only grows; else a gauge
}

// The gauges of a namespace that both tell.
var (
	MetricEntries = Metric{Name: "ctview_entries", Help: "Entries that the kernel counts in the namespace, dying ones that it has not collected included."}
	MetricLimit   = Metric{Name: "ctview_entries_limit", Help: "Entries that a namespace may have: nf_conntrack_max, 0 for no limit."}
)

// KernelMetric returns the metric of counter n of a CPU's statistics (CTA_STATS_*); ok is false for a number without one.
func KernelMetric(n int) (m Metric, ok bool) {
	name := StatName(n, false)
	if name == "" {
		return m, false
	}
	return Metric{"ctview_kernel_" + name + "_total", capital(StatMeaning(n)) + ", all CPUs.", true}, true
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// AppendMetric appends m with a value in Prometheus' text format, version 0.0.4, with its HELP and TYPE. labels are names and
// values in turn; a label whose value is "" is left out, which is the same to Prometheus.
func AppendMetric(dst []byte, m Metric, value uint64, labels ...string) []byte {
	kind := " gauge\n"
	if m.Counter {
		kind = " counter\n"
	}
	dst = append(append(append(append(dst, "# HELP "...), m.Name...), ' '), m.Help...)
	dst = append(append(append(dst, "\n# TYPE "...), m.Name...), kind...)
	dst = append(dst, m.Name...)
	open := byte('{')
	for l := range slices.Chunk(labels, 2) {
		if l[1] == "" {
			continue
		}
		dst = append(append(append(dst, open), l[0]...), `="`...)
		dst = append(appendLabelValue(dst, l[1]), '"')
		open = ','
	}
	if open == ',' {
		dst = append(dst, '}')
	}
	return append(strconv.AppendUint(append(dst, ' '), value, 10), '\n')
}

// appendLabelValue appends s as it stands between the quotes of a label: what a terminal obeys is escaped first, since these
// texts are looked at as they are; the backslashes, of that too, are then doubled as the format wants it.
func appendLabelValue(dst []byte, s string) []byte {
	from := len(dst)
	dst = model.AppendEscaped(dst, s)
	if !slices.ContainsFunc(dst[from:], func(c byte) bool { return c == '\\' || c == '"' }) {
		return dst
	}
	text := string(dst[from:])
	dst = dst[:from]
	for i := range len(text) {
		if c := text[i]; c == '\\' || c == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return dst
}
