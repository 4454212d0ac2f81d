package finding

import (
	"cmp"
	"sort"

	"ctview/model"
	"ctview/model/table"
)

// An Input is what is known at one time. What is not known stays zero, and no check says anything of it.
type Input struct {
	Now       int64 // Unix nanoseconds
	Stats     table.Stats
	Seconds   []table.Second // as table.Seconds tells them
	System    model.System
	HasSystem bool
	CPUs      []model.CPUStats // nil: not read
	Survey    *Survey          // the last one; nil: none yet
	Rules     Rules
}

// entries returns how many entries the kernel counts, or how many flows the table has.
func (in *Input) entries() int {
	if in.System.EntriesOK {
		return int(in.System.Entries)
	}
	return in.Stats.Flows
}

// limit returns nf_conntrack_max, 0 where it is not known.
func (in *Input) limit() int {
	if in.HasSystem && in.System.Max.OK {
		return int(in.System.Max.Value)
	}
	return 0
}

// checks are all that is looked for, in the order in which findings of one severity are shown.
var checks = []func(*Engine, *Input) []Finding{
	filling, counters, natPorts, sources, targets, oneWay, asymmetric, pinned, helpers, zoned, elsewhere, lost, switches, timeouts, idle, uncounted,
	offloaded,
}

// keepAway is how long a finding may be away and still be the same when it comes back: since then, acknowledged.
const keepAway = 30 * second

// An Engine judges one namespace again and again: it knows since when something is so, how much counters have grown, and what
// the operator has acknowledged. The zero value is ready. Not safe for concurrent use.
type Engine struct {
	known    map[id]*record
	counters tally
}

type id struct{ name, subject string }

type record struct {
	since, last int64
	acked       bool
	amount      int64 // when it was acknowledged
	severity    Severity
	worst       Severity // that it ever had
}

// Judge returns what is wrong, the worst first. It costs microseconds: what takes longer is Look's. A finding that was
// acknowledged is among them, Quiet tells them apart.
func (e *Engine) Judge(in *Input) []Finding {
	var all []Finding
	for _, check := range checks {
		all = append(all, check(e, in)...)
	}
	if e.known == nil {
		e.known = map[id]*record{}
	}
	for i := range all {
		f := &all[i]
		r := e.known[id{f.Name, f.Subject}]
		if r == nil {
			r = &record{since: cmp.Or(f.Since, in.Now)}
			e.known[id{f.Name, f.Subject}] = r
		}
		r.last, r.worst = in.Now, max(r.worst, f.Severity)
		f.Since = r.since
	}
	for k, r := range e.known {
		if in.Now-r.last > keepAway {
			delete(e.known, k)
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Severity > all[j].Severity }) // see model.SortRules
	return all
}

// Acknowledge keeps a finding quiet until it is half as much again as now, or more severe than it
// ever was, or comes back after half a minute away.
func (e *Engine) Acknowledge(f *Finding) {
	if r := e.known[id{f.Name, f.Subject}]; r != nil {
		r.acked, r.amount, r.severity = true, f.Amount, r.worst
	}
}

// Quiet reports whether f was acknowledged and has not grown since.
func (e *Engine) Quiet(f *Finding) bool {
	r := e.known[id{f.Name, f.Subject}]
	return r != nil && r.acked && f.Severity <= r.severity && 2*f.Amount <= 3*r.amount
}

// Known reports whether f is so, or was within the last half minute: it may come back as the same.
func (e *Engine) Known(f *Finding) bool { return e.known[id{f.Name, f.Subject}] != nil }

// Worst returns the first finding of a judgement that is not quiet and more than a Note; nil if there is none.
func (e *Engine) Worst(all []Finding) *Finding {
	for i := range all {
		if all[i].Severity > Note && !e.Quiet(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

// Recall takes an acknowledgement back.
func (e *Engine) Recall(f *Finding) {
	if r := e.known[id{f.Name, f.Subject}]; r != nil {
		r.acked = false
	}
}
