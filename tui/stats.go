package tui

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/finding"
	"ctview/model/format"
	"ctview/model/table"
)

// stats is the screen of the table's health: how full, of what, what the kernel and ctview count.
type stats struct {
	got      bool
	totals   table.Breakdown
	seconds  []table.Second
	cpus     []model.CPUStats
	cpuErr   error
	expects  int // -1 unknown
	memory   uint64
	last     [16]uint64 // counters at the reading before
	lastAt   time.Time
	sums     [16]uint64
	has      uint32
	perSec   [16]float64
	hasRates bool

	page // one that always follows: what is on it has names, and comes and goes
}

func newStats() *stats { return &stats{expects: -1} }

func (s *stats) unread() bool            { return !s.got }
func (s *stats) name() string            { return "Stats" }
func (s *stats) alsoBindings() []binding { return viewBindings }

var statsBindings = slices.Concat([]binding{
	{id: "flows", keys: []string{"enter"}, help: "the flows of the row, or switch the setting", hint: "show flows", narrow: "flows", group: groupLook, row: true,
		run: on((*stats).open)},
}, moves, []binding{
	{id: "resync", keys: []string{"R", "r"}, help: "read the whole table again", hint: "resync now", narrow: "resync", group: groupTime,
		run: inApp((*App).resync)},
	{id: "acct", keys: []string{"a"}, help: "counting of bytes on or off", hint: "acct", group: groupAct, writes: true,
		run: switching("nf_conntrack_acct", func(s *model.System) model.Setting { return s.Acct })},
	{id: "timestamp", keys: []string{"t"}, help: "start times on or off", hint: "timestamp", group: groupAct, writes: true,
		run: switching("nf_conntrack_timestamp", func(s *model.System) model.Setting { return s.Timestamp })},
	{id: "events", keys: []string{"e"}, help: "events always, or the default", group: groupAct, writes: true,
		run: switching("nf_conntrack_events", func(s *model.System) model.Setting { return s.Events })},
	{id: "pause", keys: []string{"p"}, help: "pause screen", group: groupTime,
		run: inApp((*App).pause)},
})

func (s *stats) bindings() []binding { return statsBindings }

func (s *stats) walk(a *App, id string) tea.Cmd { return s.steer(a, id, "") }

func (s *stats) open(a *App) tea.Cmd {
	if r := s.row(); r != nil && r.enter != nil {
		return r.enter(a)
	}
	return nil
}

// switching asks before a setting is switched.
func switching(name string, now func(*model.System) model.Setting) action {
	return on(func(s *stats, a *App) tea.Cmd { return s.askSysctl(a, name, now(&a.sys)) })
}

// switched returns the value that a setting gets from now on, and what that is called. Events are never switched off.
func switched(name string, now int64) (value, verb string) {
	events := name == "nf_conntrack_events"
	switch {
	case events && now == 1:
		return "2", "default"
	case events && now == 2:
		return "1", "always on"
	case now == 0:
		return "1", "turn on"
	}
	return "0", "turn off"
}

// askSysctl asks before a setting is switched.
func (s *stats) askSysctl(a *App, name string, now model.Setting) tea.Cmd {
	if a.opt.Inspector == nil || !now.OK {
		a.fail(name + " cannot be changed here")
		return nil
	}
	value, verb := switched(name, now.Value)
	insp, ctx := a.opt.Inspector, a.ctx
	why := map[string]string{
		"nf_conntrack_acct":      "Counting packets and bytes costs a few percent of forwarding. Flows that are there already are not counted before their next life.",
		"nf_conntrack_events":    "1: every flow that begins tells of its changes. 2: only those that begin while somebody listens.",
		"nf_conntrack_timestamp": "With timestamps the kernel tells when each new flow began. Flows that are there already stay without.",
	}[name]
	a.push(&confirm{head: "net.netfilter." + name + " = " + value + "?", lines: []string{why, "It counts for this namespace, until it is set again or the machine restarts."},
		key: "y", verb: verb, no: "leave it", yes: func(a *App) tea.Cmd {
			return func() tea.Msg {
				err := insp.SetSysctl(ctx, name, value)
				return doneMsg{func(a *App) tea.Cmd {
					if err != nil {
						a.fail(err.Error())
						return nil
					}
					a.say(name + " = " + value)
					return a.ask(true)
				}}
			}
		}})
	return nil
}

type statsAnswer struct {
	totals  table.Breakdown
	seconds []table.Second
	cpus    []model.CPUStats
	cpuErr  error
	expects int
	memory  uint64
	at      time.Time
}

func (s *stats) ask(a *App, _ bool) func(context.Context) any {
	store, insp, now := a.opt.Store, a.opt.Inspector, a.opt.Now
	return func(ctx context.Context) any {
		n := &statsAnswer{expects: -1}
		store.Breakdown(&n.totals)
		if insp != nil {
			n.cpus, n.cpuErr = insp.CPUStats(ctx)
			if xs, err := insp.Expects(ctx); err == nil {
				n.expects = len(xs)
			}
		}
		m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
		metrics.Read(m)
		if m[0].Value.Kind() == metrics.KindUint64 {
			n.memory = m[0].Value.Uint64()
		}
		n.at = now()
		n.seconds = store.Seconds(n.at.UnixNano(), nil)
		return n
	}
}

func (s *stats) take(_ *App, answer any) tea.Cmd {
	n, ok := answer.(*statsAnswer)
	if !ok {
		return nil
	}
	s.got = true
	s.totals, s.seconds, s.cpuErr, s.expects, s.memory = n.totals, n.seconds, n.cpuErr, n.expects, n.memory
	if n.cpuErr != nil || n.cpus == nil {
		return nil
	}
	s.cpus = n.cpus
	var sums [16]uint64
	s.has = 0
	for _, c := range n.cpus {
		s.has |= c.Has
		for i, v := range c.Values {
			sums[i] += uint64(v)
		}
	}
	if d := n.at.Sub(s.lastAt).Seconds(); !s.lastAt.IsZero() && d >= rateWindow.Seconds() {
		for i := range sums {
			s.perSec[i] = float64(sums[i]-min(s.last[i], sums[i])) / d
		}
		s.hasRates = true
	}
	if s.lastAt.IsZero() || n.at.Sub(s.lastAt) >= rateWindow {
		s.last, s.lastAt = sums, n.at
	}
	s.sums = sums
	return nil
}

// counterWhy explains the kernel's counters (CTA_STATS_*), by number.
var counterWhy = map[int]string{
	1:  "lookups in the table (kernels before 4.9)",
	2:  "lookups that met an entry where a new one was about to be put: two packets of one flow at the same time",
	3:  "entries made (kernels before 4.9)",
	4:  "packets that tracking could make nothing of: no entry, ct state invalid, mostly dropped by the firewall",
	5:  "packets that were not tracked on purpose",
	8:  "entries put in by hand: conntrack -I, conntrackd, a load balancer",
	9:  "entries that could not be put in: two packets raced for the same tuple, or NAT found no free port",
	10: "packets dropped because no entry could be made: the table is full or there was no memory",
	11: "entries thrown out early to make room in a full table",
	12: "ICMP errors that fit no flow, and other packets with wrong headers",
	13: "lookups begun again because the table was resized meanwhile",
	14: "two packets raced for one tuple, and both went through: harmless",
	15: "packets dropped because a hash chain was too long: the table needs more buckets, or is under attack",
}

// counterBad are the counters that should not grow, with the finding that tells when one has.
var counterBad = map[int]string{9: "insert-failed", 10: "drops", 11: "early-drops", 15: "chain-too-long"}

// marked reports whether a counter that should not grow does, or has, and nobody has acknowledged it.
func (s *stats) marked(a *App, i int) bool {
	name := counterBad[i]
	return name != "" && (s.hasRates && s.perSec[i] >= 1 ||
		slices.ContainsFunc(a.ill.loud, func(f *finding.Finding) bool { return f.Name == name }))
}

// counterAbout says what counter i means, with each CPU's share.
func (s *stats) counterAbout(i int) string {
	t := format.StatName(i, false) + ": " + counterWhy[i]
	if len(s.cpus) > 1 && s.sums[i] > 0 {
		t += "  (by CPU:"
		for n, c := range s.cpus {
			if n == 8 {
				t += " ..."
				break
			}
			t += " " + strconv.FormatUint(uint64(c.Values[i]), 10)
		}
		t += ")"
	}
	return t
}

// growth is how many flows more there are each second, over the last minute; not ok where that is not known yet.
func (s *stats) growth() (perSecond float64, ok bool) {
	n := len(s.seconds)
	if n < 15 { // the first dump is no growth
		return 0, false
	}
	from := max(n-61, 5)
	return float64(s.seconds[n-1].Flows-s.seconds[from].Flows) / float64(n-1-from), true
}

// growthText is growth as it is shown.
func (s *stats) growthText(a *App) string {
	g, ok := s.growth()
	switch {
	case !ok:
		return "-"
	case g == 0:
		return "none"
	}
	digits := 1
	if math.Abs(g) < 0.1 {
		digits = 2
	}
	t := fmt.Sprintf("%+.*f flows/s", digits, g)
	if d, ok := s.timeToFull(a); ok {
		t += ", full in " + string(model.AppendDuration(nil, d))
	}
	return t
}

// striking is the sentence on what stands out, "" for nothing.
func (s *stats) striking(a *App) string {
	st := &s.totals
	for _, x := range st.States {
		pct := 100 * float64(x.Flows) / float64(max(st.Flows, 1))
		if x.Proto == model.ProtoTCP && (x.State == "SYN_SENT" || x.State == "SYN_RECV") && pct >= 20 && x.Flows >= 20 {
			return fmt.Sprintf("! %.1f%% of flows are half-open (%s): Enter on that row shows them by source", pct, x.State)
		}
	}
	for i := range s.perSec {
		if counterBad[i] != "" && s.hasRates && s.perSec[i] >= 1 {
			return fmt.Sprintf("! %s grows by %.0f/s: %s", format.StatName(i, false), s.perSec[i], counterWhy[i])
		}
	}
	if d, ok := s.timeToFull(a); ok && d < time.Hour {
		return "! at this rate the table is full in " + string(model.AppendDuration(nil, d))
	}
	return ""
}

// timeToFull is when the table will be full if it goes on growing as in the last minute.
func (s *stats) timeToFull(a *App) (time.Duration, bool) {
	g, _ := s.growth()
	if g <= 0 || !a.hasSys || !a.sys.Max.OK || a.sys.Max.Value <= 0 {
		return 0, false
	}
	free := float64(a.sys.Max.Value - int64(a.stats.Flows))
	if sec := free / g; sec < 400*86400 {
		return time.Duration(sec * float64(time.Second)), true
	}
	return 0, false
}
