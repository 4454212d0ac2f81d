package tui

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

// A part is a piece of the title line; those with the highest drop go first where there is little room.
type part struct {
	text string
	look draw.Role
	drop int
}

// titleLine writes the first line: where, how fresh, how fast, how full.
func (a *App) titleLine(f *draw.Frame) {
	left, right := a.titleParts(f.W >= wideFrom)
	gap := 1
	if f.W >= wideFrom {
		gap = 3
	}
	for {
		used := 2
		worst, at, inLeft := 0, -1, false
		for i, p := range left {
			used += draw.Width(p.text) + gap
			if p.drop > worst {
				worst, at, inLeft = p.drop, i, true
			}
		}
		for i, p := range right {
			used += draw.Width(p.text) + gap
			if p.drop > worst {
				worst, at, inLeft = p.drop, i, false
			}
		}
		if used <= f.W || at < 0 {
			break
		}
		if inLeft {
			left = append(left[:at], left[at+1:]...)
		} else {
			right = append(right[:at], right[at+1:]...)
		}
	}
	f.Begin(draw.Title)
	f.Text(" ")
	for i, p := range left {
		if i > 0 {
			f.Pad(f.X + gap)
		}
		f.Styled(p.look, p.text)
	}
	n := 1
	for i, p := range right {
		n += draw.Width(p.text)
		if i > 0 {
			n += gap
		}
	}
	f.Pad(f.W - n)
	for i, p := range right {
		if i > 0 {
			f.Pad(f.X + gap)
		}
		f.Styled(p.look, p.text)
	}
	f.End()
	a.alarmLine(f)
}

// titleParts returns the pieces left and right.
func (a *App) titleParts(wide bool) (left, right []part) {
	host := model.Escape(a.opt.Host)
	if a.hasSys && a.sys.Host != "" {
		host = model.Escape(a.sys.Host)
	}
	name := "ctview"
	live, look := a.liveWord()
	rate, lost := a.eventRateText(), strconv.FormatUint(a.stats.Lost, 10)
	lostLook := draw.Plain
	if a.stats.Lost > 0 {
		lostLook = draw.Alarm
	}
	fill, fillLook := a.fill()
	now := a.now
	if wide {
		ns := "default"
		if a.opt.Netns != "" {
			ns = model.Escape(a.opt.Netns)
		}
		if host != "" {
			name += "  " + host
		}
		left = []part{{name, draw.Plain, 0}, {"ns " + ns, draw.Plain, 3}, {live, look, 0}, {rate + " ev/s", draw.Plain, 4}, {"lost " + lost, lostLook, 0}}
		right = []part{{"flows " + fill, fillLook, 1}}
		if text := a.leftOut(); text != "" {
			right[0] = part{text, draw.Alarm, 0}
		}
		if a.hasSys {
			right = append(right, part{"acct " + onOff(a.sys.Acct), draw.Plain, 6}, part{"tstamp " + onOff(a.sys.Timestamp), draw.Plain, 7})
		}
		return left, append(right, part{now.Format("15:04:05"), draw.Plain, 5})
	}
	left = []part{{name, draw.Plain, 0}, {host, draw.Plain, 6}, {live, look, 0}, {rate + "ev/s", draw.Plain, 5}, {"lost " + lost, lostLook, 1}}
	if host == "" {
		left = append(left[:1], left[2:]...)
	}
	if len(a.ill.loud) > 0 && a.alarmRows() == 0 {
		left = slices.Insert(left, 1, part{severitySign(a.ill.loud[0].Severity) + strconv.Itoa(len(a.ill.loud)), severityLook(a.ill.loud[0].Severity), 0})
	}
	if a.opt.Netns != "" { // who deletes must see where
		left = slices.Insert(left, 1, part{"ns " + draw.Clip(model.Escape(a.opt.Netns), 20, a.marks.Ellipsis), draw.Strong, 0})
	}
	where := "" // the line of views tells it
	switch {
	case a.bottom() >= 0: // what covers a view has no number
		where = a.top0().name()
	case !a.hasTabs():
		where = strconv.Itoa(a.current+1) + a.top0().name()
	}
	fillDrop := 2
	if left := a.leftOut(); left != "" {
		fill, fillLook, fillDrop = left, draw.Alarm, 0
	}
	right = []part{{fill, fillLook, fillDrop}, {where, draw.Plain, 4}, {now.Format("15:04"), draw.Plain, 3}}
	return left, right
}

// eventRateText is the rate of events over the last second or more, "-" before there was one.
func (a *App) eventRateText() string {
	if !a.hasEventRate {
		return "-"
	}
	return strconv.Itoa(int(a.eventRate + 0.5))
}

// top0 is the mode that fills the screen.
func (a *App) top0() mode {
	if i := a.bottom(); i >= 0 {
		return a.stack[i]
	}
	return a.screen()
}

// liveWord says how fresh the screen is.
func (a *App) liveWord() (string, draw.Role) {
	s := &a.stats
	switch {
	case a.paused:
		return "PAUSED " + draw.Duration(a.now.Sub(a.pausedAt)), draw.Badge
	case s.Dumping && !s.Loaded:
		return "LOADING " + draw.Count(s.DumpRows), draw.Badge
	case s.Dumping && s.Stale, s.Stale:
		t := "RESYNC"
		if s.Dumping {
			t += " " + draw.Count(s.DumpRows)
			if a.hasSys && a.sys.EntriesOK {
				t += " of about " + strconv.FormatUint(uint64(a.sys.Entries), 10)
			}
		}
		return t, draw.Badge
	}
	if a.opt.Replay {
		return "REPLAY", draw.Plain
	}
	if a.hasSys && a.sys.Events.OK && a.sys.Events.Value == 0 {
		return "NO EVENTS", draw.Warn
	}
	return "LIVE", draw.Plain
}

// fill says how many flows there are, how many there may be, and how much that is.
func (a *App) fill() (string, draw.Role) {
	t := draw.Count(a.stats.Flows)
	if !a.hasSys || !a.sys.Max.OK || a.sys.Max.Value <= 0 {
		return t, draw.Plain
	}
	n := int64(a.stats.Flows)
	if a.sys.EntriesOK {
		n = int64(a.sys.Entries)
	}
	pct := n * 100 / a.sys.Max.Value
	look := draw.Plain
	switch {
	case pct >= 90:
		look = draw.Alarm
	case pct >= 75:
		look = draw.Badge
	}
	gap := " "
	if a.w >= wideFrom {
		gap = "   "
	}
	return fmt.Sprintf("%s/%d%s%d%%", t, a.sys.Max.Value, gap, pct), look
}

// leftOut says that there is no memory for all flows, "" where there is. Every screen counts and sorts those that are shown.
func (a *App) leftOut() string {
	s := &a.stats
	if s.Left == 0 {
		return ""
	}
	t := thousands(s.Flows) + " of " + thousands(a.flowsInAll()) + ": memory"
	if a.w >= shortWidth {
		t = "showing " + t
	}
	return t
}

// flowsInAll is how many flows there are, those among them that were left out.
func (a *App) flowsInAll() int {
	n := a.stats.Flows + a.stats.Left
	if a.hasSys && a.sys.EntriesOK {
		n = max(n, int(a.sys.Entries))
	}
	return n
}

// shortWidth is from how many columns on there is room for whole sentences in the title.
const shortWidth = 80

// thousands writes n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func onOff(s model.Setting) string {
	switch {
	case !s.OK:
		return "?"
	case s.Value == 0:
		return "off"
	}
	return "on"
}

// hasTabs reports whether a screen has the line of views: every one that is wide, or high enough to spare it.
func (a *App) hasTabs() bool { return a.w >= wideFrom || a.h >= shortHeight }

// A tab is a view as the line of views names it.
type tab struct {
	text string
	on   bool
	open func() tea.Cmd
}

// tabs are the views that keys lead to, those of packets' states among them.
func (a *App) tabs() []tab {
	gap := " "
	if a.w < wideFrom {
		gap = ""
	}
	_, states := a.top0().(*packetStates)
	ts := make([]tab, 0, len(a.screens)+1)
	for i, s := range a.screens {
		mark := ""
		if a.alarmed(i) {
			mark = "!"
		}
		ts = append(ts, tab{strconv.Itoa(i+1) + gap + s.name() + mark, i == a.current && !states, func() tea.Cmd { return a.show(i) }})
	}
	return append(ts, tab{keyOf(a.views, "states") + gap + "States", states, a.openStates})
}

// tabsLine writes the line of views; tabsGap is between two of them.
func (a *App) tabsLine(f *draw.Frame) { a.tabsWith(f, "") }

// tabsWith writes the line of views, and the position in a list that has no line for it.
func (a *App) tabsWith(f *draw.Frame, position string) {
	if !a.hasTabs() {
		return
	}
	f.Begin(draw.Plain)
	f.Text(" ")
	for i, t := range a.tabs() {
		if i > 0 {
			f.Text(a.tabsGap())
		}
		if t.on {
			f.Styled(draw.Strong, "["+t.text+"]")
		} else {
			f.Styled(draw.Faint, t.text)
		}
	}
	if f.W >= wideFrom {
		position += "   refresh " + interval(a.refresh)
	}
	f.Right(draw.Faint, position)
	f.End()
}

// headRows is how many lines the title, the worst finding and the line of views take.
func (a *App) headRows() int {
	n := 1 + a.alarmRows()
	if a.hasTabs() {
		n++
	}
	return n
}

func (a *App) tabsGap() string {
	if a.w < wideFrom {
		return " "
	}
	return "  "
}

func interval(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(d.Seconds(), 'g', 2, 64) + "s"
	}
	return draw.Duration(d)
}
