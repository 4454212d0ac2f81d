package tui

import (
	"fmt"
	"slices"
	"time"

	"ctview/model"

	"ctview/tui/draw"
)

// notices tells, each once, what the operator should know of the data: why a value is "-", what was lost.
func (a *App) notices() {
	off := func(s model.Setting) bool { return a.hasSys && s.OK && s.Value == 0 }
	a.advise("events", off(a.sys.Events), `events are off: what changes is seen when the table is read again. In Stats press e for nf_conntrack_events=1.`)
	some := a.stats.Flows > 0
	a.advise("acct", some && off(a.sys.Acct), `bytes need net.netfilter.nf_conntrack_acct=1 (in Stats press a). Flows older than that stay at "-".`)
	a.advise("timestamp", some && off(a.sys.Timestamp), `AGE ">" counts from when ctview first saw a flow. Start times need nf_conntrack_timestamp=1 (in Stats press t).`)
	s := &a.stats
	if s.Gaps > 0 && !s.Stale && s.LastLost > 0 {
		key := fmt.Sprint("lost ", s.Gaps, s.Resyncs)
		if !a.noticed[key] {
			a.noticed[key] = true
			r := s.LastResync
			a.fail(fmt.Sprintf("!! %s  %s or more lost (socket buffer full); resynced in %.2f s, flows +%d -%d",
				draw.Clock(s.LastLost, a.now.Location()), model.Plural(s.Lost, "event"), time.Duration(r.Ended-r.Began).Seconds(), r.Added, r.Removed))
		}
	}
	if a.hasSys && a.sys.Max.OK && a.sys.EntriesOK && int64(a.sys.Entries) >= a.sys.Max.Value && a.sys.Max.Value > 0 {
		if !a.noticed["full"] {
			a.noticed["full"] = true
			a.fail(a.fullText())
		}
	} else {
		delete(a.noticed, "full")
	}
	a.losses()
	a.nextNotice()
}

// advise queues text once where it holds, and takes it back as soon as it does not.
func (a *App) advise(key string, holds bool, text string) {
	switch {
	case holds && !a.noticed[key]:
		a.noticed[key] = true
		a.waiting = append(a.waiting, text)
	case !holds && a.noticed[key]:
		delete(a.noticed, key)
		a.waiting = slices.DeleteFunc(a.waiting, func(t string) bool { return t == text })
		if a.note == text {
			a.note = ""
		}
	}
}

// nextNotice shows the next queued text when the line is free.
func (a *App) nextNotice() {
	if a.note == "" && len(a.waiting) > 0 {
		a.say(a.waiting[0])
		a.waiting = a.waiting[1:]
	}
}

// fullText tells that the table is full, and what that has cost since ctview started.
func (a *App) fullText() string {
	t := fmt.Sprintf("!! table full: %d of %d", a.sys.Entries, a.sys.Max.Value)
	if a.hasDrops && a.drops > a.dropsFirst {
		t += fmt.Sprintf(", kernel dropped %s since %s (insert_failed, drop)", model.Plural(a.drops-a.dropsFirst, "packet"), a.dropsSince.Format("15:04"))
	}
	return t + ". Groups shows who holds it."
}

// packetsDropped adds up what the kernel's counters say of packets that got no entry: insert_failed (9) and drop (10).
func packetsDropped(cpus []model.CPUStats) uint64 {
	n := uint64(0)
	for _, c := range cpus {
		n += uint64(c.Values[9]) + uint64(c.Values[10])
	}
	return n
}
