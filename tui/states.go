package tui

import (
	"context"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
)

// States are the five states of packets, and samples of those that have no flow. Methods are called from goroutines of
// their own and end when ctx does.
type States interface {
	// Counts returns what can be told: from the table and statistics, and, while watching, from the watch table.
	Counts(ctx context.Context) (model.StateCounts, error)
	// Watch installs the watch table, or takes it away; with reasons, the kernel is made to tell why packets are
	// INVALID. What was changed is put back when ctview ends.
	Watch(ctx context.Context, on, reasons bool) error
	// Watching reports what Watch has installed.
	Watching() (on, reasons bool)
	// Samples appends the last samples, newest first.
	Samples(dst []model.Sample) []model.Sample
}

// packetStates covers the screen with the five states and the samples.
type packetStates struct {
	got         bool
	counts      model.StateCounts
	err         error
	on, reasons bool
	samples     []model.Sample // that match the filter
	kept        int            // all of them
	rules       []model.NotrackRule
	filter      *filter.Filter
	text        string
	cursor[sampleID]
	frozen bool
}

// A sampleID tells samples apart.
type sampleID struct {
	at  int64
	seq uint32
}

func (s *packetStates) unread() bool { return !s.got }
func (s *packetStates) name() string { return "States" }
func (s *packetStates) covers() bool { return true }

var stateBindings = slices.Concat([]binding{
	{id: "back", keys: []string{"esc", "backspace"}, help: "back", hint: "back", group: groupLook,
		run: inApp(closeTop)},
	{id: "watch", keys: []string{"w"}, help: "count packets of all five states, sample (asks)", hint: "count packets", narrow: "count", group: groupAct, writes: true,
		run: on((*packetStates).askWatch)},
	{id: "reasons", keys: []string{"e"}, help: "the kernel's reasons for INVALID (asks)", hint: "reasons", group: groupAct, writes: true,
		run: on((*packetStates).askReasons)},
	{id: "flow", keys: []string{"enter"}, help: "UNTRACKED: its rule; INVALID: the flow it nearly belongs to", hint: "rule or flow", narrow: "open", group: groupLook, row: true,
		run: on((*packetStates).openFlow)},
	{id: "rule", keys: []string{"N"}, help: "which rule an UNTRACKED packet is due to", hint: "rule", group: groupLook, row: true,
		run: on((*packetStates).openRule)},
	{id: "filter", keys: []string{"/"}, help: "filter the samples", hint: "filter", group: groupLook,
		run: does((*packetStates).askFilter)},
	{id: "freeze", keys: []string{"p"}, help: "hold the list", hint: "pause", group: groupTime,
		run: does(func(s *packetStates, _ *App) { s.frozen = !s.frozen })},
	followBinding("sample"),
}, moves)

func (s *packetStates) bindings() []binding { return stateBindings }

// openStates shows the five states.
func (a *App) openStates() tea.Cmd {
	if a.opt.States == nil {
		a.fail("the states of packets cannot be told here")
		return nil
	}
	a.push(&packetStates{})
	return a.ask(true)
}

func (s *packetStates) walk(a *App, id string) tea.Cmd {
	if id == "follow" {
		s.toggle(a, "sample", s.sample() == nil)
	} else {
		s.steer(id, len(s.samples), s.rowsOn(a), s.sampleAt)
	}
	return nil
}

// openFlow leads from an INVALID packet to the flow that it nearly belongs to, from an UNTRACKED one to its rule.
func (s *packetStates) openFlow(a *App) tea.Cmd {
	if x := s.sample(); x != nil && x.State == model.CtInvalid {
		return s.openNear(a, x)
	}
	return s.openRule(a)
}

func (s *packetStates) sampleAt(place int) sampleID {
	return sampleID{s.samples[place].At, s.samples[place].Seq}
}

// rowsOn is the number of samples that fit on the screen, under the five states.
func (s *packetStates) rowsOn(a *App) int {
	return max(screenRows(a)-len(model.CtStates)-1-len(a.notes(s.note(a), "")), 1)
}

// sample is the one under the cursor, nil for none.
func (s *packetStates) sample() *model.Sample {
	if p := s.pos(); p < len(s.samples) {
		return &s.samples[p]
	}
	return nil
}

// askWatch asks before the watch table is made; taking it away needs no question.
func (s *packetStates) askWatch(a *App) tea.Cmd {
	if s.on {
		return a.watchStates(false, false)
	}
	a.push(&confirm{head: "Count packets of all five states?", key: "y", verb: "count", no: "leave it", lines: []string{
		"ctview makes a table of its own (inet ctview_watch_PID) with counters behind conntrack, and samples INVALID and UNTRACKED packets, at most 50 a second of each.",
		"It changes no packet and is gone when ctview ends, however it ends."},
		yes: func(a *App) tea.Cmd { return a.watchStates(true, false) }})
	return nil
}

func (s *packetStates) askReasons(a *App) tea.Cmd {
	if s.reasons {
		return a.watchStates(true, false)
	}
	a.push(&confirm{head: "Have the kernel tell why packets are INVALID?", key: "y", verb: "tell", no: "leave it", lines: []string{
		"This sets nf_conntrack_log_invalid to 255 and the logger of this namespace to nfnetlink_log, and counts packets as w does.",
		"Both are put back when ctview ends; after a crash, the next time that it is started. The kernel does not bound the rate."},
		yes: func(a *App) tea.Cmd { return a.watchStates(true, true) }})
	return nil
}

func (a *App) watchStates(on, reasons bool) tea.Cmd {
	st, ctx := a.opt.States, a.ctx
	return func() tea.Msg {
		err := st.Watch(ctx, on, reasons)
		return doneMsg{func(a *App) tea.Cmd {
			switch {
			case err != nil:
				a.fail(err.Error())
			case !on:
				a.say("the watch table is gone")
			default:
				a.say("counting")
			}
			return a.ask(true)
		}}
	}
}

func (s *packetStates) askFilter(a *App) {
	p := newPrompt("samples", "", func(t string) []filter.Completion { return filter.Complete(t, len(t), a.dyn) },
		func(a *App, text string) (tea.Cmd, error) {
			f, err := filter.Parse(text, a.opt.Parse)
			if err != nil {
				return nil, err
			}
			s.filter, s.text = f, text
			return a.ask(false), nil
		})
	if s.text != "" {
		p.past = []string{s.text}
	}
	a.push(p)
}

// openRule goes to the rule that an UNTRACKED packet is due to.
func (s *packetStates) openRule(a *App) tea.Cmd {
	x := s.sample()
	if x == nil {
		return nil
	}
	if x.State != model.CtUntracked {
		a.say("that packet is INVALID: no rule made it so. Enter shows the flow that it nearly belongs to")
		return nil
	}
	id, ok := model.RuleFor(x, s.rules)
	if !ok {
		a.say("no rule of ctview's matches it: a rule of others (6 lists them), or the kernel itself: neighbour discovery is never tracked")
		return nil
	}
	for i, m := range a.screens {
		if n, ok := m.(*notrack); ok {
			n.wanted = id
			a.say("rule " + id)
			return a.away(func() tea.Cmd { return a.show(i) })
		}
	}
	return nil
}

// openNear goes to the flow that an INVALID packet nearly belongs to.
func (s *packetStates) openNear(a *App, x *model.Sample) tea.Cmd {
	for _, t := range x.Near() {
		k := model.Key{Src: t.Src, Dst: t.Dst, Sport: t.Sport, Dport: t.Dport, Proto: t.Proto, Family: t.Family}
		if r, ok := a.opt.Store.Get(k); ok {
			return a.openFlow(k, &r)
		}
	}
	var found *model.Row
	near := x.Near()
	a.opt.Store.Each(func(f *model.Flow, e *model.Extra) bool {
		if t := f.Reply(); f.Orig() == near[0] || f.Orig() == near[1] || t == near[0] || t == near[1] {
			found = &model.Row{Flow: *f, Extra: *e} // in another zone, or translated
		}
		return found == nil
	})
	if found == nil {
		a.say("no flow has its addresses and ports: it came too late, too early, or from nowhere")
		return nil
	}
	return a.openFlow(found.Flow.Key, found)
}

type statesAnswer struct {
	counts      model.StateCounts
	err         error
	on, reasons bool
	samples     []model.Sample
	kept        int
	rules       []model.NotrackRule
}

func (s *packetStates) ask(a *App, full bool) func(context.Context) any {
	st, rules, filter, now := a.opt.States, a.opt.Rules, s.filter, a.opt.Now
	return func(ctx context.Context) any {
		n := &statesAnswer{}
		n.on, n.reasons = st.Watching()
		n.counts, n.err = st.Counts(ctx)
		n.samples = st.Samples(nil)
		n.kept = len(n.samples)
		n.samples = slices.DeleteFunc(n.samples, func(x model.Sample) bool {
			f := x.Flow()
			return !filter.Match(&f, nil, now().UnixNano())
		})
		if rules != nil && n.on {
			n.rules, _ = rules.List(ctx)
		}
		return n
	}
}

func (s *packetStates) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*statesAnswer)
	if !ok {
		return nil
	}
	s.got, s.counts, s.err, s.on, s.reasons, s.rules = true, n.counts, n.err, n.on, n.reasons, n.rules
	if s.frozen {
		return nil
	}
	s.samples, s.kept = n.samples, n.kept
	if s.settle(len(s.samples), s.rowsOn(a), s.sampleAt) {
		a.say("the sample that was followed is gone: the cursor stays in its place")
	}
	return nil
}

// A Losser tells of NOTRACK rules that another program removed. Rules may be one.
type Losser interface {
	// Losses returns what was lost since the last call.
	Losses() []model.NotrackLoss
	// Failures returns with what a goroutine that looks after the rules ended since the last call.
	Failures() []error
}

// losses tells who removed rules of ctview's, and offers to install them again.
func (a *App) losses() {
	l, ok := a.opt.Rules.(Losser)
	if !ok {
		return
	}
	for _, err := range l.Failures() {
		a.fail("!! " + err.Error())
	}
	for _, x := range l.Losses() {
		who := "another program"
		if x.PID != 0 {
			who = fmt.Sprintf("%s (pid %d)", model.Escape(x.Name), x.PID)
		}
		head := fmt.Sprintf("%s removed %s of ctview's at %s", who, model.Plural(len(x.Rules), "NOTRACK rule"), x.At.In(a.now.Location()).Format(time.TimeOnly))
		a.fail("!! " + head)
		if a.opt.ReadOnly || len(a.stack) > 0 {
			continue // the message stands; no question over another
		}
		lost := x.Rules
		c := &confirm{head: "Rules are gone", key: "y", verb: "install again, on trial", no: "leave it", lines: []string{head + ". Their traffic is tracked again."},
			yes: func(a *App) tea.Cmd { return a.reinstall(lost) }}
		for i := range lost {
			c.lines = append(c.lines, "  "+model.Escape(lost[i].Text()))
		}
		a.push(c)
	}
}

// reinstall installs lost rules for another trial.
func (a *App) reinstall(lost []model.NotrackRule) tea.Cmd {
	rules := a.opt.Rules
	return a.ruleCmd(func(ctx context.Context) (string, error) {
		for i := range lost {
			q := RuleRequest{Rules: lost[i].Rules, Keep: lost[i].Keep}
			p, err := rules.Preview(ctx, q) // who took them away may have changed more
			if err != nil {
				return "", err
			}
			if why := p.Unanswered(); why != "" {
				return "", fmt.Errorf("not installed again: %s", why)
			}
			res, err := rules.Apply(ctx, q)
			if err != nil {
				return "", err
			}
			if res.TakenBack != "" {
				return "", fmt.Errorf("taken back: %s", res.TakenBack)
			}
		}
		return "installed again, on trial; c on the Notrack screen confirms", nil
	})
}
