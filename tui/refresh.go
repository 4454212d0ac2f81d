package tui

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/table"
)

// Pace. At most one question is open; the next comes after the refresh interval, or later when answers are dear.
const (
	costFactor  = 10                     // wait at least this many times what the last answer cost: a tenth of a core at most
	loadingPace = 100 * time.Millisecond // until the first dump is there
	quiet       = 500 * time.Millisecond // no re-sort this soon after a key press
	quietMost   = 2 * time.Second        // but at most this long, whatever keys are held down
	systemPace  = 2 * time.Second        // limits and settings are read this often: a dozen small files
	patience    = 5 * time.Second        // the kernel answers by then, or the screen goes on without
)

// refreshSteps are the intervals that + and - step through.
var refreshSteps = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

type tickMsg struct{ seq int }

// An answerMsg brings back what one question found.
type answerMsg struct {
	from   asker
	answer any
	full   bool
	stats  table.Stats
	system *model.System
	sysErr error
	cpus   []model.CPUStats
	now    time.Time
	cost   time.Duration
}

// ask returns the Cmd that asks for what the visible mode shows, or nil while a question is open; that one is asked again
// when it comes back; one of a mode that is not on the screen any more is given up. full is set by the clock.
func (a *App) ask(full bool) tea.Cmd {
	from := a.asker()
	if a.busy {
		a.again = true
		a.againFull = a.againFull || full
		if from != a.asking {
			a.giveUp()
		}
		return nil
	}
	ctx, giveUp := context.WithTimeout(a.ctx, patience)
	a.busy, a.asking, a.giveUp = true, from, giveUp
	var q func(context.Context) any
	if from != nil && !(a.paused && full && !isUnread(from)) {
		q = from.ask(a, full)
	}
	store, kernel, now := a.opt.Store, a.opt.Kernel, a.opt.Now
	insp, first := a.opt.Inspector, !a.hasDrops
	system := full && kernel != nil && (!a.hasSys || a.opt.Now().Sub(a.sysAt) >= systemPace)
	return func() tea.Msg {
		defer giveUp()
		began := time.Now()
		m := answerMsg{from: from, full: full}
		if q != nil {
			m.answer = q(ctx)
		}
		m.stats = store.Stats()
		if system {
			sys, err := kernel.System(ctx)
			m.system, m.sysErr = &sys, err
			full := err == nil && sys.EntriesOK && sys.Max.OK && int64(sys.Entries) >= sys.Max.Value
			if insp != nil && (first || full) {
				m.cpus, _ = insp.CPUStats(ctx)
			}
		}
		if errors.Is(ctx.Err(), context.Canceled) { // what came of it is of no use, and its errors are not the kernel's
			m.answer, m.system, m.cpus = nil, nil, nil
		}
		m.now = now()
		m.cost = time.Since(began)
		return m
	}
}

// isUnread reports whether q has no answer yet. A screen that is paused reads that once: what it has to show is not there to
// be kept.
func isUnread(q asker) bool {
	u, ok := q.(interface{ unread() bool })
	return ok && u.unread()
}

// asker is the mode whose data are on the screen.
func (a *App) asker() asker {
	for i := len(a.stack) - 1; i >= a.bottom() && i >= 0; i-- {
		if q, ok := a.stack[i].(asker); ok {
			return q
		}
	}
	if a.bottom() < 0 {
		if q, ok := a.screen().(asker); ok {
			return q
		}
	}
	return nil
}

// answered takes in an answer and arms the next tick.
func (a *App) answered(m answerMsg) tea.Cmd {
	a.busy = false
	a.dirty = true
	a.tally(m)
	var cmds []tea.Cmd
	if m.answer != nil && m.from != nil {
		cmds = append(cmds, m.from.take(a, m.answer))
	}
	if a.again {
		full := a.againFull
		a.again, a.againFull = false, false
		cmds = append(cmds, a.ask(full))
	}
	if m.full {
		cmds = append(cmds, a.diagnose())
	}
	if m.full && !a.armed {
		cmds = append(cmds, a.arm(max(a.pace(), costFactor*m.cost)))
	}
	if !a.busy {
		cmds = append(cmds, a.release())
	}
	return tea.Batch(cmds...)
}

// pace is the interval to the next refresh when answers cost nothing.
func (a *App) pace() time.Duration {
	if !a.stats.Loaded {
		return min(loadingPace, a.refresh)
	}
	return a.refresh
}

// arm has the next tick come after d. Ticks that were armed before are void.
func (a *App) arm(d time.Duration) tea.Cmd {
	a.armed = true
	a.seq++
	m := tickMsg{a.seq}
	return a.after(d, m)
}

// ticked asks again, unless the operator is at the keys: rows must not move between looking and pressing.
func (a *App) ticked(m tickMsg) tea.Cmd {
	if m.seq != a.seq {
		return nil
	}
	if since := a.opt.Now().Sub(a.lastKey); since >= 0 && since < quiet && a.refresh > quiet &&
		a.opt.Now().Sub(a.lastFull) < a.refresh+quietMost {
		return a.arm(quiet - since)
	}
	a.armed = false
	return a.ask(true)
}

// rateWindow is the shortest time that a rate is told of: a key asks at any moment, and over the milliseconds since the last
// answer a handful of events is thousands a second.
const rateWindow = time.Second

// tally keeps the totals of the title line.
func (a *App) tally(m answerMsg) {
	s := m.stats
	events := s.New + s.Updates + s.Ended
	if d := m.now.Sub(a.tallied); a.tallied.IsZero() {
		a.events, a.tallied = events, m.now
	} else if d >= rateWindow && events >= a.events {
		a.eventRate, a.hasEventRate = float64(events-a.events)/d.Seconds(), true
		a.events, a.tallied = events, m.now
	}
	a.stats, a.now = s, m.now
	if m.full {
		a.lastFull = m.now
	}
	if m.cpus != nil {
		a.drops = packetsDropped(m.cpus)
		if !a.hasDrops {
			a.hasDrops, a.dropsFirst, a.dropsSince = true, a.drops, m.now
		}
	}
	if m.system != nil {
		if m.sysErr != nil {
			a.sysErr = m.sysErr
		} else {
			a.sys, a.sysErr, a.hasSys, a.sysAt = *m.system, nil, true, m.now
			a.sysFlows = -1
			if s.Loaded && !s.Stale {
				a.sysFlows = s.Flows
			}
		}
	}
	a.notices()
}
