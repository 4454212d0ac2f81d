package tui

import (
	"fmt"
	"time"

	"ctview/model"

	"ctview/tui/draw"
)

// notices tells, each once, what the operator should know of the data: why a value is "-", what was lost.
func (a *App) notices() {
	if a.hasSys && a.sys.Events.OK && a.sys.Events.Value == 0 {
		a.once("events", `events are off: what changes is seen when the table is read again. In Stats press e for nf_conntrack_events=1.`)
	}
	if a.stats.Flows > 0 && a.hasSys {
		if a.sys.Acct.OK && a.sys.Acct.Value == 0 {
			a.once("acct", `bytes need net.netfilter.nf_conntrack_acct=1 (in Stats press a). Flows older than that stay at "-".`)
		}
		if a.sys.Timestamp.OK && a.sys.Timestamp.Value == 0 {
			a.once("timestamp", `AGE ">" counts from when ctview first saw a flow. Start times need nf_conntrack_timestamp=1 (in Stats press t).`)
		}
	}
	s := &a.stats
	if s.Gaps > 0 && !s.Stale && s.LastLost > 0 {
		key := fmt.Sprint("lost ", s.Gaps, s.Resyncs)
		if !a.noticed[key] {
			a.noticed[key] = true
			r := s.LastResync
			a.fail(fmt.Sprintf("!! %s  %d or more events lost (socket buffer full); resynced in %.2f s: +%d -%d flows",
				draw.Clock(s.LastLost, a.now.Location()), s.Lost, time.Duration(r.Ended-r.Began).Seconds(), r.Added, r.Removed))
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

// once queues text unless it was told before under that key.
func (a *App) once(key, text string) {
	if !a.noticed[key] {
		a.noticed[key] = true
		a.waiting = append(a.waiting, text)
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
		t += fmt.Sprintf(", kernel dropped %d packets since %s (insert_failed, drop)", a.drops-a.dropsFirst, a.dropsSince.Format("15:04"))
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
