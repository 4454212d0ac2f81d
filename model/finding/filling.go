package finding

import (
	"fmt"
	"time"

	"ctview/model"
	"ctview/model/table"
)

// Growth returns how many flows more there are each second, over the last minute at most; not ok before ten seconds are known.
// loaded is when the table was first whole, as table.Stats tells: what the first dump found is no growth.
func Growth(seconds []table.Second, loaded int64) (perSecond float64, ok bool) {
	from := max(len(seconds)-61, 0)
	for from < len(seconds) && seconds[from].At < loaded {
		from++
	}
	n := len(seconds) - 1 - from
	if loaded == 0 || n < 10 {
		return 0, false
	}
	return float64(seconds[from+n].Flows-seconds[from].Flows) / float64(n), true
}

// TimeToFull returns when a table with room for so many more entries is full if it goes on growing so; not ok where it does
// not grow, or not within a year.
func TimeToFull(perSecond float64, room int) (time.Duration, bool) {
	if perSecond <= 0 {
		return 0, false
	}
	if sec := float64(max(room, 0)) / perSecond; sec < 400*day {
		return time.Duration(sec * float64(time.Second)), true
	}
	return 0, false
}

// Parts of the limit. Above full some packets of new flows are dropped already, since each CPU counts for itself for a while.
const (
	partHigh = 0.8
	partFull = 0.95
)

// filling tells that the table is full, or will be.
func filling(_ *Engine, in *Input) []Finding {
	limit, n := in.limit(), in.entries()
	if limit == 0 {
		return nil
	}
	f := Finding{Name: "table-filling", Place: InStats, Amount: int64(n) * 100 / int64(limit)}
	f.Text = fmt.Sprintf("the table is %s full: %s of %s entries", percent(n, limit), count(n), count(limit))
	part := share(n, limit)
	g, _ := Growth(in.Seconds, in.Stats.LoadedAt)
	left, growing := TimeToFull(g, limit-n)
	if growing {
		f.Text += fmt.Sprintf(", %s more each second, full in %s", count(max(int(g+0.5), 1)), model.AppendDuration(nil, left))
	}
	switch {
	case part >= partFull, growing && left < 5*time.Minute && part >= 0.5:
		f.Severity = Severe
	case part >= partHigh, growing && left < time.Hour && part >= 0.5, growing && left < 10*time.Minute && part >= 0.2:
		f.Severity = Warning
	default:
		return nil
	}
	more := 2 * limit
	f.Cures = append(f.Cures,
		Cure{"see who fills it", "ctview list --group-by src" + netnsFlag(in)},
		Cure{fmt.Sprintf("room for %s entries, on the host: some %s of kernel memory more when it is full", count(more),
			model.AppendBytes(nil, uint64(more-limit)*entrySize)), fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", more)})
	if b := in.System.Buckets; b.OK && int(b.Value)*4 < more {
		f.Cures = append(f.Cures, Cure{"as many buckets, or looking up gets slow", fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_buckets=%d", more)})
	}
	return []Finding{f}
}

// entrySize is about what an entry takes of the kernel's memory: struct nf_conn is 256 bytes with its slab, its extensions
// (accounting, timestamps, NAT) come on top.
const entrySize = 384

// idle tells of established TCP flows that fill the table without a packet.
func idle(_ *Engine, in *Input) []Finding {
	s := in.Survey
	if s == nil || s.Idle < 100 || share(s.Idle, in.Stats.Flows) < 0.2 {
		return nil
	}
	limit := in.System.TCPTimeouts[model.TCPEstablished].Value
	f := Finding{Name: "idle-flows", Place: InFlows, Amount: int64(s.Idle),
		Filter: fmt.Sprintf("tcp and state established and timeout > %ds and timeout < %ds", unacknowledged, limit-day)}
	f.Text = fmt.Sprintf("%s%s TCP flows are established and idle for more than a day, %s of all: they stay %s after their last packet",
		s.some(), count(s.Idle), percent(s.Idle, in.Stats.Flows), model.AppendDurationLong(nil, time.Duration(limit)*time.Second))
	if n := in.limit(); n > 0 && share(in.entries(), n) >= 0.5 {
		f.Severity = Warning
	}
	f.Cures = []Cure{{"let them go after 2 hours and 4 minutes, the least that RFC 5382 asks for; those that are there keep their time until their next packet",
		sysctl(in, "nf_conntrack_tcp_timeout_established", "7440")}}
	return []Finding{f}
}

// some is what stands before a number that was taken from a sample.
func (s *Survey) some() string {
	if s.Exact {
		return ""
	}
	return "some "
}
