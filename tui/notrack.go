package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/model/filter"
)

// notrack is the screen of NOTRACK rules: ctview's own, and those of others.
type notrack struct {
	got       bool
	rules     []model.NotrackRule
	others    []model.ForeignRule
	err       error
	othersErr error
	wanted    string // the rule that the cursor goes to once it is on the screen
	page
}

func newNotrack() *notrack { return &notrack{} }

func (s *notrack) unread() bool            { return !s.got }
func (s *notrack) name() string            { return "Notrack" }
func (s *notrack) bindings() []binding     { return notrackBindings }
func (s *notrack) alsoBindings() []binding { return viewBindings }

var notrackBindings = slices.Concat([]binding{
	{id: "add", keys: []string{"a", "N"}, help: "rule from a filter", hint: "add from filter", narrow: "add", group: groupAct, writes: true,
		run: does(func(_ *notrack, a *App) { a.askRuleText(a.text) })},
	{id: "flows", keys: []string{"enter"}, help: "the flows that it covers", hint: "show flows", narrow: "flows", group: groupLook, row: true,
		run: on((*notrack).showFlows)},
	{id: "keep", keys: []string{"c"}, help: "confirm a rule on trial", hint: "confirm", group: groupAct, row: true, writes: true,
		run: onRule((*App).keepRule)},
	{id: "remove", keys: []string{"D", "f9"}, help: "remove rule", hint: "remove rule", narrow: "remove", group: groupAct, row: true, writes: true,
		run: onRule((*App).askRemove)},
	{id: "undo", keys: []string{"u"}, help: "undo the last rule", hint: "undo last", narrow: "undo", group: groupAct, writes: true,
		run: inApp((*App).undoRule)},
	{id: "copy", keys: []string{"y"}, help: "copy the rule's text (OSC 52)", hint: "copy", group: groupAway, row: true,
		run: on((*notrack).copy)},
}, moves, []binding{
	{id: "pause", keys: []string{"p"}, help: "pause screen", group: groupTime,
		run: inApp((*App).pause)},
	followBinding("rule"),
})

func (s *notrack) walk(a *App, id string) tea.Cmd { return s.steer(a, id, "rule") }

// onRule makes an action of what is done to a rule of ctview's own.
func onRule(f func(*App, *model.NotrackRule) tea.Cmd) action {
	return on(func(s *notrack, a *App) tea.Cmd {
		if r := s.rule(); r != nil {
			return f(a, r)
		}
		if s.row() != nil {
			a.say("that rule is not ctview's: it is left alone")
		}
		return nil
	})
}

func (a *App) keepRule(r *model.NotrackRule) tea.Cmd {
	if !r.Pending {
		a.say("that rule is confirmed already")
		return nil
	}
	return a.confirmRule(r.ID, nil)
}

func (s *notrack) copy(a *App) tea.Cmd {
	if r := s.rule(); r != nil {
		return a.copy(r.Text())
	}
	return nil
}

// rule is the rule under the cursor, nil for none of ctview's own.
func (s *notrack) rule() *model.NotrackRule {
	if r := s.row(); r != nil {
		rule, _ := r.on.(*model.NotrackRule)
		return rule
	}
	return nil
}

// showFlows shows the flows of the first rule's addresses and ports, as far as a filter can say it.
func (s *notrack) showFlows(a *App) tea.Cmd {
	r := s.rule()
	if r == nil || len(r.Rules) == 0 {
		return nil
	}
	return a.showFlows(ruleFilter(&r.Rules[0]))
}

// ruleFilter is the filter of the flows that a rule covers in its own direction.
func ruleFilter(r *model.Rule) string {
	var out []string
	if r.HasProto {
		out = append(out, "proto "+r.Proto.String())
	}
	if r.Src.IsValid() {
		out = append(out, "src "+r.Src.String())
	}
	if r.Dst.IsValid() {
		out = append(out, "dst "+r.Dst.String())
	}
	if !r.Sport.Any() {
		out = append(out, "sport "+r.Sport.String())
	}
	if !r.Dport.Any() {
		out = append(out, "dport "+r.Dport.String())
	}
	return strings.Join(out, " and ")
}

type notrackAnswer struct {
	rules     []model.NotrackRule
	others    []model.ForeignRule
	err       error
	othersErr error
}

func (s *notrack) ask(a *App, _ bool) func(context.Context) any {
	rules := a.opt.Rules
	if rules == nil {
		return nil
	}
	return func(ctx context.Context) any {
		n := &notrackAnswer{}
		n.rules, n.err = rules.List(ctx)
		n.others, n.othersErr = rules.Others(ctx)
		return n
	}
}

func (s *notrack) take(a *App, answer any) tea.Cmd {
	n, ok := answer.(*notrackAnswer)
	if !ok {
		return nil
	}
	s.got, s.rules, s.others, s.err, s.othersErr = true, n.rules, n.others, n.err, n.othersErr
	return nil
}

// ruleCmd runs do off the loop, tells its error or done, and asks again.
func (a *App) ruleCmd(do func(context.Context) (string, error)) tea.Cmd {
	if a.opt.Rules == nil {
		a.fail("NOTRACK rules cannot be made here")
		return nil
	}
	ctx := a.ctx
	return func() tea.Msg {
		text, err := do(ctx)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail(err.Error())
			} else {
				a.say(model.Escape(text))
			}
			return a.ask(true)
		}}
	}
}

// undoRule takes back the last change. It asks first where that ends a rule of which connections are cut then.
func (a *App) undoRule() tea.Cmd {
	rules := a.opt.Rules
	if rules == nil {
		a.fail("NOTRACK rules cannot be made here")
		return nil
	}
	q := &endQuestion{rules: rules, head: "Undo: remove this rule?", quiet: true, find: func(ctx context.Context) ([]string, error) {
		id, err := rules.Last(ctx)
		if id == "" {
			return nil, err
		}
		return []string{id}, err
	}}
	q.then = func(ctx context.Context, ids []string) (string, error) {
		only := ""
		if len(ids) > 0 {
			only = ids[0]
		}
		r, err := rules.Undo(ctx, only)
		if err != nil {
			return "", err
		}
		if list, err := rules.List(ctx); err == nil && slices.ContainsFunc(list, func(x model.NotrackRule) bool { return x.ID == r.ID }) {
			return "put back: " + r.Text(), nil
		}
		return "taken back: " + r.Text() + ". A deleted flow cannot come back.", nil
	}
	return q.look(a)
}

// confirmRule keeps a rule beyond its trial.
func (a *App) confirmRule(id string, keep *model.Keep) tea.Cmd {
	rules := a.opt.Rules
	return a.ruleCmd(func(ctx context.Context) (string, error) {
		return "confirmed", rules.Confirm(ctx, id, keep)
	})
}

func (a *App) askRemove(r *model.NotrackRule) tea.Cmd {
	id, rules := r.ID, a.opt.Rules
	q := &endQuestion{rules: rules, head: "Remove this rule?", find: func(context.Context) ([]string, error) { return []string{id}, nil }}
	q.then = func(ctx context.Context, ids []string) (string, error) { return "removed", rules.Remove(ctx, ids...) }
	return q.look(a)
}

// An endQuestion asks before rules end, with what becomes of their connections.
type endQuestion struct {
	rules Rules
	head  string
	find  func(context.Context) (ids []string, err error) // the rules, now
	then  func(ctx context.Context, ids []string) (said string, err error)
	quiet bool // if nothing becomes of any connection, it does not ask
}

// look finds out and asks.
func (q *endQuestion) look(a *App) tea.Cmd {
	ctx := a.ctx
	return func() tea.Msg {
		e, err := q.ending(ctx)
		return doneMsg{func(a *App) tea.Cmd {
			switch {
			case err != nil:
				a.fail(err.Error())
			case q.quiet && len(e.Warnings) == 0:
				return a.ruleCmd(func(ctx context.Context) (string, error) { return q.then(ctx, idsOf(e)) })
			default:
				q.ask(a, e)
			}
			return nil
		}}
	}
}

func (q *endQuestion) ending(ctx context.Context) (*model.NotrackEnd, error) {
	ids, err := q.find(ctx)
	if err != nil || len(ids) == 0 {
		return &model.NotrackEnd{}, err
	}
	return q.rules.Ending(ctx, ids...)
}

func idsOf(e *model.NotrackEnd) (ids []string) {
	for i := range e.Rules {
		ids = append(ids, e.Rules[i].ID)
	}
	return ids
}

// ask shows e. What is there after the answer is compared with it, and asked again where it says more.
func (q *endQuestion) ask(a *App, e *model.NotrackEnd) {
	c := &confirm{head: q.head, key: "y", verb: "remove"}
	for i := range e.Rules {
		c.lines = append(c.lines, model.Escape(e.Rules[i].Text()))
	}
	c.lines = append(c.lines, "New packets of it are tracked again.")
	for _, w := range e.Warnings {
		c.lines = append(c.lines, "! "+model.Escape(w.Text))
	}
	if words := e.Words(); len(words) > 0 {
		c.key, c.word = "", strings.Join(words, " ")
	}
	c.yes = func(a *App) tea.Cmd {
		ctx := a.ctx
		return func() tea.Msg {
			now, err := q.ending(ctx)
			return doneMsg{func(a *App) tea.Cmd {
				switch {
				case err != nil:
					a.fail(err.Error())
				case e.Changed(now):
					a.fail("it has changed while you answered: see above")
					q.ask(a, now)
				default:
					return a.ruleCmd(func(ctx context.Context) (string, error) { return q.then(ctx, idsOf(e)) })
				}
				return nil
			}}
		}
	}
	a.push(c)
}

// askRuleText asks for what a new rule is to match, as a filter or a tuple.
func (a *App) askRuleText(text string) {
	if a.opt.Rules == nil {
		a.fail("NOTRACK rules cannot be made here")
		return
	}
	a.push(newPrompt("NOTRACK for (filter, or tuple)", text, func(t string) []filter.Completion { return filter.Complete(t, len(t), a.dyn) },
		func(a *App, text string) (tea.Cmd, error) {
			if text == "" {
				return nil, errors.New("an empty rule would match every packet")
			}
			r, err := filter.ParseRule(text)
			if err != nil {
				return nil, err
			}
			a.pop()
			return a.openRule([]model.Rule{r}), nil
		}))
}

// askNotrack opens the dialog for the marked flows, or the current one.
func (s *flows) askNotrack(a *App) tea.Cmd {
	var rules []model.Rule
	for k := range s.marks {
		t := k.OrigTuple()
		rules = append(rules, model.RuleFromTuple(&t))
	}
	model.SortRules(rules)
	if len(rules) == 0 {
		r, ended := s.current()
		if r == nil {
			return nil
		}
		if ended {
			a.fail("that flow ended " + ago(a) + " ago")
			return nil
		}
		rules = []model.Rule{model.RuleFromFlow(&r.Flow)}
	}
	return a.openRule(rules)
}

// askNotrackFilter opens the dialog for what a filter matches.
func (a *App) askNotrackFilter(text string) tea.Cmd {
	r, err := filter.RuleFromFilter(text)
	if err != nil {
		a.fail("no rule can say that: " + err.Error())
		return nil
	}
	return a.openRule([]model.Rule{r})
}

// quitting asks what becomes of the rules that end with the session, if there are any.
func (a *App) quitting() tea.Cmd { return a.leave("quit", tea.Quit) }

// leave does then, which ends the session's rules here; before that it asks what becomes of them, if there are any. verb is
// what then does.
func (a *App) leave(verb string, then tea.Cmd) tea.Cmd {
	rules, ctx := a.opt.Rules, a.ctx
	if rules == nil || !a.installed || a.quitAsked {
		return then
	}
	return func() tea.Msg {
		list, err := rules.List(ctx)
		var mine []string
		for _, r := range list {
			if r.Mine && (r.Keep == model.KeepSession || r.Pending) {
				mine = append(mine, r.ID)
			}
		}
		if err != nil || len(mine) == 0 {
			return then()
		}
		cut := "; whether that cuts connections is not known"
		if e, err := rules.Ending(ctx, mine...); err == nil {
			if cut = model.CutText(e.Warnings); cut != "" {
				cut = "; " + cut
			}
		}
		return doneMsg{func(a *App) tea.Cmd {
			m := &menu{head: model.Plural(len(mine), "temporary NOTRACK rule") + " will be removed" + cut}
			m.choices = []choice{{key: "q", text: "remove and " + verb}, {key: "k", text: "keep and " + verb}, {key: "s", text: "stay (Esc)"}}
			if verb != "quit" {
				m.choices[0].key = "r"
			}
			a.quitAsked = verb == "quit"
			m.pick = func(a *App, i int, _ string) tea.Cmd {
				a.pop()
				switch i {
				case 0:
					return then
				case 1:
					return keepThen(rules, ctx, mine, then)
				}
				return nil
			}
			a.push(m)
			return nil
		}}
	}
}

// keepThen does then once the rules are to stay; if they cannot, it does not.
func keepThen(rules Rules, ctx context.Context, ids []string, then tea.Cmd) tea.Cmd {
	return func() tea.Msg {
		keep := model.KeepUntilRemoved
		for _, id := range ids {
			if err := rules.Confirm(ctx, id, &keep); err != nil {
				return doneMsg{func(a *App) tea.Cmd {
					a.fail("still here, the rules are not kept: " + err.Error())
					return nil
				}}
			}
		}
		return then()
	}
}
