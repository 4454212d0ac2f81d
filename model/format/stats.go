package format

import "ctview/model"

var (
	statNames = [...]string{"", "searched", "found", "new", "invalid", "ignore", "delete", "delete_list", "insert",
		"insert_failed", "drop", "early_drop", "error", "search_restart", "clash_resolve", "chaintoolong"}
	expectStatNames = [...]string{"", "expect_new", "expect_create", "expect_delete"}
)

// StatName returns conntrack(8)'s name of counter n of a CPU's statistics (CTA_STATS_*), or of its expectation
// statistics (CTA_STATS_EXP_*); "" for a number without one.
func StatName(n int, expect bool) string {
	names := statNames[:]
	if expect {
		names = expectStatNames[:]
	}
	if n < 0 || n >= len(names) {
		return ""
	}
	return names[n]
}

// AppendStats appends the counters of one CPU as conntrack -S prints them; every field, the last too, ends in a blank.
func AppendStats(dst []byte, s *model.CPUStats) []byte { return appendStats(dst, s, false) }

// AppendExpectStats is AppendStats for -S expect: s holds CTA_STATS_EXP_* counters.
func AppendExpectStats(dst []byte, s *model.CPUStats) []byte { return appendStats(dst, s, true) }

func appendStats(dst []byte, s *model.CPUStats, expect bool) []byte {
	dst = append(dst, "cpu="...)
	n := len(dst)
	dst = appendUint(dst, uint64(s.CPU))
	for len(dst) < n+4 {
		dst = append(dst, ' ')
	}
	dst = append(dst, '\t')
	for i, v := range s.Values {
		if name := StatName(i, expect); name != "" && s.Has&(1<<i) != 0 {
			dst = append(append(dst, name...), '=')
			dst = append(appendUint(dst, uint64(v)), ' ')
		}
	}
	return dst
}

// AppendStatsJSON appends the counters of one CPU as one JSON object: {"cpu":0,"found":0,…}, under conntrack(8)'s
// names. expect says that s holds expectation counters.
func AppendStatsJSON(dst []byte, s *model.CPUStats, expect bool) []byte {
	dst = appendUint(append(dst, `{"cpu":`...), uint64(s.CPU))
	for i, v := range s.Values {
		if name := StatName(i, expect); name != "" && s.Has&(1<<i) != 0 {
			dst = append(append(append(dst, `,"`...), name...), `":`...)
			dst = appendUint(dst, uint64(v))
		}
	}
	return append(dst, '}')
}

// statMeanings explains the counters of CTA_STATS_* in a line each (nf_conntrack_core.c).
var statMeanings = map[string]string{
	"searched":       "bucket entries looked at (old kernels)",
	"found":          "lookups that found an entry",
	"new":            "entries added that were not expected (old kernels)",
	"invalid":        "packets that could not be tracked: ct state invalid",
	"ignore":         "packets already tracked or untracked (old kernels)",
	"delete":         "entries removed (old kernels)",
	"delete_list":    "entries put on the dying list (old kernels)",
	"insert":         "entries inserted by a program; the kernel counts no others",
	"insert_failed":  "entries whose tuple was taken (race, no free NAT port): dropped",
	"drop":           "packets dropped: table full, no memory, or insert_failed",
	"early_drop":     "entries thrown out to make room in a full table",
	"error":          "ICMP errors and packets with a broken header",
	"search_restart": "lookups begun again because the hash was resized",
	"clash_resolve":  "insertion races resolved without a drop",
	"chaintoolong":   "entries refused because a hash chain was too long",
}

// StatMeaning explains counter n of a CPU's statistics in a line; "" for one without a name.
func StatMeaning(n int) string { return statMeanings[StatName(n, false)] }
