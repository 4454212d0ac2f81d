package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/finding"
	"ctview/model/table"

	"ctview/tui/draw"
)

// An illness is what is known to be wrong with the namespace, on whatever screen one stands. The event loop owns it.
type illness struct {
	engine finding.Engine
	all    []finding.Finding
	loud   []*finding.Finding // those that are worth a line: neither notes nor acknowledged, the worst first
	rules  finding.Rules
	ranges *table.PortRanges // of rules; nil: not read

	failed, failedFirst uint64 // insert_failed of the kernel: now, and when first read
	failedSince         time.Time

	looking          bool
	passes           int
	lookedAt, readAt time.Time
	took             time.Duration
}

// Pace of the findings. To look costs milliseconds, and 50 ns a flow where somebody is worth a look.
const (
	judgePace   = 2 * time.Second
	judgeFactor = 300              // wait this many times what the last look took: a third of a percent of a core
	judgeMost   = 10 * time.Second // a look that waited for the processor took long, and cost little
	outlinePace = 30 * time.Second // while something is wrong, and cures are wanted; a tenth as often else: some rulesets are large
)

// diagnose returns the Cmd that looks what is wrong, nil where it is not time yet.
func (a *App) diagnose() tea.Cmd {
	il := &a.ill
	now := a.opt.Now()
	if il.looking || a.paused || !a.stats.Loaded || now.Sub(il.lookedAt) < max(judgePace, min(judgeFactor*il.took, judgeMost)) {
		return nil
	}
	il.looking, il.lookedAt = true, now
	in := finding.Input{System: a.sys, HasSystem: a.hasSys, Rules: il.rules}
	pace := outlinePace
	if g, ok := a.top().(*groups); len(il.all) == 0 && !(ok && g.byPorts()) {
		pace *= 10
	}
	outline := now.Sub(il.readAt) >= pace
	if outline {
		il.readAt = now
	}
	ranges := il.ranges
	store, insp, states, pass, parent, clock := a.opt.Store, a.opt.Inspector, a.opt.States, il.passes, a.ctx, a.opt.Now
	il.passes++
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, patience)
		defer cancel()
		if insp != nil {
			in.CPUs, _ = insp.CPUStats(ctx) // not known then
			if outline {
				in.Rules = insp.Outline(ctx)
				ranges = &table.PortRanges{Of: in.Rules.SourcePorts}
			}
		}
		began := clock()
		in.Now = began.UnixNano()
		q := finding.Question{Now: in.Now, System: &in.System, Pass: pass}
		if states != nil {
			q.Samples = states.Samples(nil)
		}
		in.Survey = finding.Look(store, &q)
		took := clock().Sub(began)
		in.Stats, in.Seconds = store.Stats(), store.Seconds(in.Now, nil)
		return doneMsg{func(a *App) tea.Cmd {
			if a.opt.Store != store { // of the namespace before
				return nil
			}
			rows := a.alarmRows()
			a.ill.ranges = ranges
			a.ill.count(&in)
			if a.ill.take(&in, took); a.alarmRows() != rows {
				return a.ask(false) // there is room for more rows, or less
			}
			return nil
		}}
	}
}

// count keeps what the kernel says of entries that could not be put in.
func (il *illness) count(in *finding.Input) {
	n, ok := model.SumStats(in.CPUs, model.StatInsertFailed)
	switch {
	case !ok:
		return
	case il.failedSince.IsZero() || n < il.failedFirst:
		il.failedFirst, il.failedSince = n, time.Unix(0, in.Now)
	}
	il.failed = n
}

// failedText is the counter insert_failed and what it has grown by, "" where nothing is known.
func (il *illness) failedText(zone *time.Location) string {
	switch {
	case il.failedSince.IsZero():
		return ""
	case il.failed == il.failedFirst:
		return fmt.Sprintf("insert_failed %d", il.failed)
	}
	return fmt.Sprintf("insert_failed %d (+%d since %s)", il.failed, il.failed-il.failedFirst, il.failedSince.In(zone).Format("15:04:05"))
}

func (il *illness) take(in *finding.Input, took time.Duration) {
	il.looking, il.took, il.rules = false, took, in.Rules
	were := len(il.all)
	if il.all = il.engine.Judge(in); were == 0 && len(il.all) > 0 {
		il.readAt = time.Time{} // cures are wanted, for the rules as they are now
	}
	il.sift()
}

// sift finds the ones that are worth a line.
func (il *illness) sift() {
	il.loud = il.loud[:0]
	for i := range il.all {
		if f := &il.all[i]; f.Severity > finding.Note && !il.engine.Quiet(f) {
			il.loud = append(il.loud, f)
		}
	}
}

// alarmRows is how many lines the worst finding takes, below the title: none where there is no room, and the title says it.
func (a *App) alarmRows() int {
	if len(a.ill.loud) == 0 || a.h < shortHeight {
		return 0
	}
	return 1
}

// alarmLine says the worst of what is wrong.
func (a *App) alarmLine(f *draw.Frame) {
	if a.alarmRows() == 0 {
		return
	}
	more := keyOf(a.views, "findings") + " list"
	if n := len(a.ill.loud) - 1; n > 0 {
		more = "and " + strconv.Itoa(n) + " more: " + more
	}
	f.Begin(draw.Plain)
	f.Text(" ")
	w := f.W - draw.Width(more) - 4
	f.Styled(severityLook(a.ill.loud[0].Severity), draw.Clip(severitySign(a.ill.loud[0].Severity)+" "+model.Escape(a.ill.loud[0].Text), w, f.Marks.Ellipsis))
	f.Right(draw.Faint, more)
	f.End()
}

func severitySign(s finding.Severity) string {
	return [...]string{"-", "!", "!!"}[min(s, finding.Severe)]
}

func severityLook(s finding.Severity) draw.Role {
	return [...]draw.Role{draw.Plain, draw.Warn, draw.Alarm}[min(s, finding.Severe)]
}

// places are the screens of App.screens by what a finding says of where it shows best.
var places = map[finding.Place]int{finding.InFlows: 0, finding.InGroups: 1, finding.InEvents: 2, finding.InStats: 3, finding.InExpect: 4, finding.InNotrack: 5}

// alarmed reports whether a finding concerns screen i.
func (a *App) alarmed(i int) bool {
	return slices.ContainsFunc(a.ill.loud, func(f *finding.Finding) bool { return places[f.Place] == i })
}

// findings covers the screen with the list of what is wrong.
type findings struct{ page }

func (s *findings) name() string            { return "Findings" }
func (s *findings) covers() bool            { return true }
func (s *findings) bindings() []binding     { return findingsBindings }
func (s *findings) alsoBindings() []binding { return viewBindings }

var findingsBindings = slices.Concat([]binding{
	{id: "proof", keys: []string{"enter"}, help: "the flows that prove it, or the screen that shows it", hint: "proof", group: groupLook,
		run: onFinding((*findings).proof)},
}, moves, []binding{
	{id: "copy", keys: []string{"y"}, help: "copy a cure", hint: "copy a cure", narrow: "copy", group: groupAway,
		run: onFinding((*findings).copy)},
	{id: "acknowledge", keys: []string{"a"}, help: "keep it quiet until it grows, or no longer", hint: "acknowledge", narrow: "ack", group: groupLook,
		run: onFinding((*findings).acknowledge)},
	{id: "back", keys: []string{"esc", "!"}, help: "back to the screen", hint: "back", group: groupLook,
		run: inApp(closeTop)},
})

// openFindings shows the list.
func (a *App) openFindings() tea.Cmd {
	a.push(&findings{})
	return nil
}

func (s *findings) finding() *finding.Finding {
	if r := s.row(); r != nil {
		return r.on.(*finding.Finding)
	}
	return nil
}

func (s *findings) walk(a *App, id string) tea.Cmd { return s.steer(a, id, "finding") }

// onFinding makes an action of what is done with the finding under the cursor.
func onFinding(f func(*findings, *App, *finding.Finding) tea.Cmd) action {
	return on(func(s *findings, a *App) tea.Cmd {
		if x := s.finding(); x != nil {
			return f(s, a, x)
		}
		return nil
	})
}

func (s *findings) acknowledge(a *App, f *finding.Finding) tea.Cmd {
	if a.ill.engine.Quiet(f) {
		a.ill.engine.Recall(f)
		a.say("told again")
	} else {
		a.ill.engine.Acknowledge(f)
		a.say("quiet until it is half as much again, or more severe")
	}
	a.ill.sift()
	return nil
}

// proof leads to the flows of a finding, or to the screen that shows it.
func (s *findings) proof(a *App, f *finding.Finding) tea.Cmd {
	if f.Filter == "" {
		return a.away(func() tea.Cmd { return a.show(places[f.Place]) })
	}
	return a.away(func() tea.Cmd {
		a.stack = a.stack[:0]
		return a.showFlows(f.Filter)
	})
}

// copy takes the command of a cure away; of several it asks for one.
func (s *findings) copy(a *App, f *finding.Finding) tea.Cmd {
	var cures []finding.Cure
	for _, c := range f.Cures {
		if c.Command != "" {
			cures = append(cures, c)
		}
	}
	switch len(cures) {
	case 0:
		a.say("there is no command that cures it")
		return nil
	case 1:
		return a.copy(cures[0].Command)
	}
	m := &menu{head: "copy to the terminal's clipboard (OSC 52)"}
	for i, c := range cures {
		m.choices = append(m.choices, choice{key: strconv.Itoa(i + 1), text: model.Escape(c.Command)})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return a.copy(cures[i].Command)
	}
	a.push(m)
	return nil
}

func (s *findings) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	lines := s.lines(a, f)
	s.layOver(a, lines, a.headRows(), s.note, s.beside)
	a.tabsWith(f, s.position())
	s.page.draw(f, lines)
	a.foot(f, s.note(a), s.beside(a))
}

// lines are the findings, each with what proves it and what cures it.
func (s *findings) lines(a *App, f *draw.Frame) (out []pageLine) {
	if len(a.ill.all) == 0 {
		t := "nothing is found: the table, its counters and settings are looked at all the time"
		if a.ill.passes == 0 || !a.stats.Loaded {
			t = "not looked yet: the table is being read"
		}
		for _, l := range wrap(t, f.W-4) {
			out = append(out, textLine(draw.Plain, l))
		}
		return out
	}
	for i := range a.ill.all {
		x := &a.ill.all[i]
		look, sign := severityLook(x.Severity), severitySign(x.Severity)
		if a.ill.engine.Quiet(x) {
			look, sign = draw.Faint, "ok"
		}
		for n, text := range wrapKeep(model.Escape(x.Text), f.W-6) {
			l := textLine(look, padRight(sign, 2)+" "+text)
			sign = ""
			if n == 0 {
				l.row = &pageRow{id: x.Name + " " + x.Subject, on: x}
			}
			out = append(out, l)
		}
		since := x.Name + ", since " + draw.Clock(x.Since, a.now.Location())
		if d := time.Duration(a.now.UnixNano() - x.Since); d >= time.Second {
			since += fmt.Sprintf(" (%s)", model.AppendAge(nil, d))
		}
		if x.Filter != "" {
			since += "   / " + model.Escape(x.Filter)
		}
		for _, text := range wrapKeep(since, f.W-6) {
			out = append(out, textLine(draw.Faint, "   "+text))
		}
		for _, c := range x.Cures {
			for _, text := range wrapKeep(model.Escape(c.What)+colon(c.Command), f.W-6) {
				out = append(out, textLine(draw.Plain, "   "+text))
			}
			if c.Command != "" {
				for _, text := range wrapKeep(model.Escape(c.Command), f.W-9) {
					out = append(out, textLine(draw.Strong, "      "+text))
				}
			}
		}
		out = append(out, textLine(draw.Plain, ""))
	}
	return out[:len(out)-1]
}

func colon(command string) string {
	if command == "" {
		return ""
	}
	return ":"
}
