package finding

import (
	"fmt"
	"time"

	"ctview/model"
)

// The kernel's counters (CTA_STATS_*) that tell of trouble.
const (
	// statFull is none of the kernel's, which has no number 0: packets dropped that cannot have been dropped because their tuple
	// was taken. nf_ct_resolve_clash counts those as drop and as insert_failed; what nf_conntrack_in drops for want of an entry is
	// drop alone.
	statFull         = 0
	statInsertFailed = model.StatInsertFailed
	statDrop         = 10
	statEarlyDrop    = 11
	statClash        = 14
	statChain        = 15
)

// A tally is what the kernel's counters were when they were first read, and when they grew.
type tally struct {
	has   bool
	base  [16]uint64
	sum   [16]uint64
	first [16]int64 // of a growth, Unix nanoseconds; 0 none
	last  [16]int64
	at    int64 // of base

	pending        uint64     // of statFull
	window, before [16]uint64 // begin of the minute that growth is counted in, and sum then
	most           [16]uint64 // growth within such a minute
}

func (t *tally) read(now int64, cpus []model.CPUStats) {
	var v [16]uint64
	var ok [16]bool
	for n := range v {
		v[n], ok[n] = model.SumStats(cpus, n)
	}
	v[statFull], ok[statFull] = t.full(v[statDrop], v[statInsertFailed]), ok[statDrop]
	for n, v := range v {
		switch {
		case !ok[n]:
			continue
		case !t.has || v < t.sum[n]: // the first reading, or a 32-bit counter that began anew
			t.base[n], t.first[n], t.last[n], t.most[n] = v, 0, 0, 0
			t.window[n], t.before[n] = uint64(now), v
		case v > t.sum[n]:
			t.last[n] = now
			if t.first[n] == 0 {
				t.first[n] = now
			}
		}
		t.most[n] = max(t.most[n], v-t.before[n])
		if uint64(now)-t.window[n] >= uint64(fresh) {
			t.window[n], t.before[n] = uint64(now), v
		}
		t.sum[n] = v
	}
	if !t.has {
		t.has, t.at = true, now
	}
}

// full is what statFull is now. A packet counts at the reading after: the two counters are not read at one moment.
func (t *tally) full(drop, failed uint64) uint64 {
	if !t.has {
		return drop - min(failed, drop)
	}
	d, f := drop-min(t.sum[statDrop], drop), failed-min(t.sum[statInsertFailed], failed)
	n := t.sum[statFull] + t.pending - min(t.pending, f-min(d, f))
	t.pending = d - min(f, d)
	return n
}

// A sign is a counter that should not grow.
type sign struct {
	n     int
	name  string
	least uint64   // less growth than that within a minute is nobody's concern
	worst Severity // while it grows; a step less when it has stopped
	what  string   // of the packets or entries that are counted
	why   string
}

var signs = []sign{
	{statFull, "drops", 1, Severe, "packets dropped", "no entry could be made for them: the table was full, or memory short"},
	{statEarlyDrop, "early-drops", 1, Severe, "entries thrown out early", "the table was full, and what was not assured made room"},
	{statChain, "chain-too-long", 1, Severe, "packets dropped", "their hash chain was too long: too few buckets, or an attack on the hash"},
	{statInsertFailed, "insert-failed", 10, Warning, "entries could not be put in", "their tuple was taken: NAT found no free port, or two packets raced"},
	{statClash, "clashes", 100, Note, "packets raced for one tuple and both went through", "two at a time of one flow, mostly DNS over UDP: harmless"},
}

// fresh is how long after its last growth a counter counts as growing.
const fresh = 60 * second

// counters tells what the kernel's statistics have grown by, and what they were.
func counters(e *Engine, in *Input) (all []Finding) {
	if in.CPUs == nil {
		return nil
	}
	t := &e.counters
	t.read(in.Now, in.CPUs)
	for _, s := range signs {
		f := Finding{Name: s.name, Place: InStats, Severity: s.worst}
		n := int(t.sum[s.n] - t.base[s.n])
		switch {
		case t.most[s.n] >= s.least && n > 0:
			f.Amount, f.Since = int64(n), t.first[s.n]
			f.Text = fmt.Sprintf("%s %s, the last %s ago: %s", count(n), s.what, ago(in.Now-t.last[s.n]), s.why)
			if s.worst > Note && in.Now-t.last[s.n] > fresh {
				f.Severity--
			}
		case t.base[s.n] > 0 && s.least == 1:
			n = int(t.base[s.n])
			f.Amount, f.Severity = int64(n), Note
			f.Text = fmt.Sprintf("%s %s since the namespace began, none in the last %s: %s", count(n), s.what, ago(in.Now-t.at), s.why)
		default:
			continue
		}
		f.Cures = s.cures(in)
		all = append(all, f)
	}
	return all
}

func (s *sign) cures(in *Input) []Cure {
	limit := in.limit()
	if limit == 0 {
		return nil
	}
	switch s.n {
	case statFull, statEarlyDrop:
		return []Cure{
			{"see who fills the table", "ctview list --group-by src" + netnsFlag(in)},
			{"twice as many entries, on the host", fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*limit)},
		}
	case statChain:
		return []Cure{{"as many buckets as entries may be there, on the host", fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_buckets=%d",
			max(limit, 2*int(in.System.Buckets.Value)))}}
	}
	return nil
}

func ago(ns int64) string { return string(model.AppendAge(nil, time.Duration(ns))) }

// lost tells that ctview itself was too slow for the events.
func lost(_ *Engine, in *Input) []Finding {
	s := &in.Stats
	if s.Lost == 0 {
		return nil
	}
	f := Finding{Name: "lost-events", Place: InEvents, Amount: int64(s.Lost), Since: s.LastLost, Severity: Warning}
	f.Text = fmt.Sprintf("%s events lost, the last %s ago: they came faster than they were read", count(int(s.Lost)), ago(in.Now-s.LastLost))
	switch {
	case s.Stale:
		f.Text += ", and the table is not read again yet"
	case s.Resyncs > 0:
		f.Text += "; the table was read again and is whole"
		if in.Now-s.LastLost > fresh {
			f.Severity = Note
		}
	}
	if in.System.RcvBufHeld {
		f.Cures = []Cure{{"a larger buffer for events, from the next start of ctview on", "sysctl -w net.core.rmem_max=67108864"}}
	}
	return []Finding{f}
}
