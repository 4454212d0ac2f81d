package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

// A ruleDialog shows what NOTRACK rules would do, and installs them once their count was typed.
type ruleDialog struct {
	rules   []model.Rule
	keep    int // index of keeps
	del     bool
	focus   int // 0 typing, then the fields
	typing  edit
	wrong   bool
	preview *model.NotrackPreview
	err     error
	asked   int // numbers the questions, so that an old answer is dropped
	top     int
}

// keeps are the lives that can be chosen.
var keeps = []struct {
	keep model.Keep
	name string
}{{model.KeepSession, "until quit"}, {600, "10 min"}, {model.KeepUntilRemoved, "stay"}}

// The fields that Tab goes through.
const (
	fieldWord = iota
	fieldScope
	fieldKeep
	fieldDelete
	fields
)

// openRule opens the dialog for rules.
func (a *App) openRule(rules []model.Rule) tea.Cmd {
	if a.opt.Rules == nil {
		a.fail("NOTRACK rules cannot be made here")
		return nil
	}
	d := &ruleDialog{rules: rules, del: true}
	a.push(d)
	return d.look(a)
}

// look asks for the preview.
func (d *ruleDialog) look(a *App) tea.Cmd {
	d.asked++
	n, q, rules, ctx := d.asked, d.request(), a.opt.Rules, a.ctx
	d.preview, d.err = nil, nil
	d.typing = edit{} // what has to be typed is not known before the answer
	return func() tea.Msg {
		p, err := rules.Preview(ctx, q)
		return doneMsg{func(*App) tea.Cmd {
			if n == d.asked {
				d.preview, d.err = p, err
			}
			return nil
		}}
	}
}

func (d *ruleDialog) request() RuleRequest {
	return RuleRequest{Rules: slices.Clone(d.rules), Keep: keeps[d.keep].keep, Leave: !d.del}
}

func (d *ruleDialog) name() string        { return "Add NOTRACK" }
func (d *ruleDialog) bindings() []binding { return ruleDialogBindings }
func (d *ruleDialog) covers() bool        { return true }

var ruleDialogBindings = []binding{
	{id: "cancel", keys: []string{"esc"}, help: "cancel, nothing is changed", hint: "cancel", group: groupLook},
	{id: "field", keys: []string{"tab"}, help: "next field", hint: "field", group: groupLook},
	{id: "change", keys: []string{"space"}, help: "change the field", hint: "change", group: groupLook},
	{id: "install", keys: []string{"enter"}, help: "install", hint: "install", group: groupAct, writes: true},
	{id: "pagedown", keys: []string{"pgdown"}, help: "further down", group: groupMove},
	{id: "pageup", keys: []string{"pgup"}, help: "further up", group: groupMove},
}

// word is what has to be typed.
func (d *ruleDialog) word() string {
	if d.preview != nil {
		if words := d.preview.Words(); len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	if d.preview != nil && d.preview.Covered > 0 {
		return strconv.Itoa(d.preview.Covered)
	}
	return "yes"
}

func (d *ruleDialog) typed(a *App, k tea.KeyPressMsg) (tea.Cmd, bool) {
	switch s := k.String(); s {
	case "esc":
		d.asked++ // an answer that is under way installs nothing
		a.pop()
	case "tab", "down":
		d.focus = (d.focus + 1) % fields
	case "shift+tab", "up":
		d.focus = (d.focus + fields - 1) % fields
	case "pgdown":
		d.top += 5
	case "pgup":
		d.top = max(d.top-5, 0)
	case "enter":
		return d.install(a), true
	case "ctrl+z", "ctrl+l":
		return nil, false
	case "space", "left", "right":
		if d.focus != fieldWord {
			return d.change(a, s == "left"), true
		}
		if d.preview != nil {
			d.typing.key(k)
		}
	default:
		d.focus, d.wrong = fieldWord, false
		if d.preview != nil {
			d.typing.key(k)
		}
	}
	return nil, true
}

func (d *ruleDialog) pasted(_ *App, text string) tea.Cmd {
	if d.preview != nil {
		d.typing.insert(text)
	}
	return nil
}

// change takes the next value of the field that has the focus.
func (d *ruleDialog) change(a *App, back bool) tea.Cmd {
	switch d.focus {
	case fieldScope:
		for i := range d.rules {
			d.rules[i].OneWay = !d.rules[i].OneWay
		}
		return d.look(a)
	case fieldKeep:
		step := 1
		if back {
			step = len(keeps) - 1
		}
		d.keep = (d.keep + step) % len(keeps)
	case fieldDelete:
		d.del = !d.del
		return d.look(a)
	}
	return nil
}

// install installs the rules for their trial and then asks whether to keep them.
func (d *ruleDialog) install(a *App) tea.Cmd {
	p := d.preview
	if p == nil {
		return nil
	}
	if p.Refused() != "" {
		a.fail(p.Refused())
		return nil
	}
	if strings.TrimSpace(d.typing.String()) != d.word() {
		d.wrong = true
		return nil
	}
	return d.lookAgain(a)
}

// lookAgain compares what is there now with what was agreed to, and installs, or asks again.
func (d *ruleDialog) lookAgain(a *App) tea.Cmd {
	was := d.preview
	look := d.look(a)
	n := d.asked
	return func() tea.Msg {
		answer := look().(doneMsg)
		return doneMsg{func(a *App) tea.Cmd {
			if cmd := answer.then(a); n != d.asked || d.preview == nil {
				return cmd // another question was asked meanwhile, or there was no answer
			}
			if was.Changed(d.preview) {
				a.fail("it has changed while you typed: see above, and type again")
				return nil
			}
			return d.apply(a)
		}}
	}
}

func (d *ruleDialog) apply(a *App) tea.Cmd {
	a.pop()
	q, rules, ctx, cut := d.request(), a.opt.Rules, a.ctx, model.CutText(d.preview.Warnings)
	a.installed = true
	a.say("installing " + a.marks.Ellipsis)
	return func() tea.Msg {
		res, err := rules.Apply(ctx, q)
		return doneMsg{func(a *App) tea.Cmd {
			if err != nil {
				a.fail(err.Error())
				return a.ask(true)
			}
			return a.installedRule(&res, cut)
		}}
	}
}

// installedRule tells what installing did and asks whether the rule shall stay; cut is what becomes of connections when it ends.
func (a *App) installedRule(res *model.NotrackResult, cut string) tea.Cmd {
	if res.TakenBack != "" {
		a.fail("taken back: " + res.TakenBack)
		return a.ask(true)
	}
	lines := []string{model.Escape(res.Rule.Text())}
	if res.Existed {
		lines = append(lines, "That rule was there already.")
	}
	if res.Deleted > 0 {
		lines = append(lines, model.Plural(res.Deleted, "entry")+" deleted.")
	}
	if res.Kept > 0 {
		lines = append(lines, model.Plural(res.Kept, "entry")+" left: no packet has shown yet that the rule holds.")
	}
	switch {
	case res.Verified:
		lines = append(lines, "It works: "+model.Plural(res.Packets, "packet")+" seen, none of them tracked.")
	case res.Packets > 0:
		lines = append(lines, model.Plural(res.Packets, "packet")+" seen; whether they are tracked all the same is not known.")
	default:
		lines = append(lines, "No packet of it was seen yet.")
	}
	if cut != "" {
		cut = "; " + cut
	}
	lines = append(lines, fmt.Sprintf("It goes by itself in %d s unless you keep it%s.", int(trial.Seconds()), cut))
	id := res.Rule.ID
	a.say("installed on trial; c on the Notrack screen confirms it, too")
	a.push(&confirm{head: "Keep this NOTRACK rule?", lines: lines, key: "y", verb: "keep (" + res.Rule.Keep.String() + ")", no: "let it go",
		yes: func(a *App) tea.Cmd { return a.confirmRule(id, nil) }})
	return a.ask(true)
}

func (d *ruleDialog) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	a.tabsLine(f)
	lines := d.lines(f)
	room := f.H - f.Y() - 5
	d.top = max(min(d.top, len(lines)-room), 0)
	part := ""
	if len(lines) > room {
		part = fmt.Sprintf("  %d-%d of %d, PgDn", d.top+1, d.top+room, len(lines))
	}
	f.Begin(draw.Head)
	w := f.W - draw.Width(part) - 1
	f.Text(padRight(draw.Clip(" Add NOTRACK for: "+model.Escape(model.RulesText(d.rules)), w, f.Marks.Ellipsis), w) + part)
	f.End()
	for _, l := range lines[d.top:min(len(lines), d.top+room)] {
		f.Begin(draw.Plain)
		f.Styled(l.look, " "+l.text)
		f.End()
	}
	f.Blanks(f.H - 4)
	d.fieldLines(f)
	a.noteLine(f, a.message(), "")
	a.hints(f, d.bindings())
}

// lines are the preview: what matches, warnings, commands. What warns is on the first page.
func (d *ruleDialog) lines(f *draw.Frame) []span {
	var out []span
	add := func(look draw.Role, lead, text string) {
		for i, l := range wrap(text, f.W-4-draw.Width(lead)) {
			if i > 0 {
				lead = strings.Repeat(" ", draw.Width(lead))
			}
			out = append(out, span{lead + l, look})
		}
	}
	switch {
	case d.err != nil:
		add(draw.Alarm, "", model.Escape(d.err.Error()))
		return out
	case d.preview == nil:
		add(draw.Plain, "", "looking "+f.Marks.Ellipsis)
		return out
	}
	p := d.preview
	out = append(out, span{})
	then := "entries stay in the table until they time out"
	if d.del {
		then = "entries are deleted, too"
	}
	add(draw.Plain, "  ", "matches now: "+model.Plural(p.Covered, "flow")+"; "+then)
	for _, w := range p.Warnings {
		look, mark := draw.Warn, "! "
		if w.Refuse {
			look, mark = draw.Alarm, "!!"
		}
		add(look, mark+" "+padRight(w.Kind.String(), 10)+" ", model.Escape(w.Text))
	}
	switch hit := "is not matched"; {
	case p.SessionUnknown && !p.SessionHit:
		add(draw.Plain, "  ", "whether your own ssh session is matched is not known")
	case p.Session != "":
		if p.SessionHit {
			hit = "IS MATCHED"
		}
		add(draw.Plain, "  ", "your ssh session ("+model.Escape(p.Session)+") "+hit)
	}
	add(draw.Plain, "  ", "backend: "+p.Backend+dotted(p.Why))
	out = append(out, span{})
	if len(p.Setup) > 0 {
		add(draw.Plain, "  ", "what the rules stand in is made first")
	}
	for _, c := range p.Commands {
		add(draw.Plain, "  ", model.Escape(c))
	}
	return out
}

func dotted(s string) string {
	if s == "" {
		return ""
	}
	return " (" + model.Escape(s) + ")"
}

// fieldLines write what can be changed and what has to be typed.
func (d *ruleDialog) fieldLines(f *draw.Frame) {
	pick := func(names []string, at int) string {
		out := make([]string, len(names))
		for i, n := range names {
			m := "( ) "
			if i == at {
				m = "(o) "
			}
			out[i] = m + n
		}
		return strings.Join(out, " ")
	}
	scope := 0
	if len(d.rules) > 0 && d.rules[0].OneWay {
		scope = 1
	}
	names := make([]string, len(keeps))
	for i, k := range keeps {
		names[i] = k.name
	}
	box := "[ ]"
	if d.del {
		box = "[x]"
	}
	look := func(field int) draw.Role {
		if d.focus == field {
			return draw.Selected
		}
		return draw.Plain
	}
	f.Begin(draw.Plain)
	f.Text(" ")
	dirs, until := []string{"both directions", "one"}, "keep "
	if f.W < 90 {
		dirs, names, until = []string{"both", "one"}, []string{"quit", "10m", "stay"}, "until "
	}
	f.Styled(look(fieldScope), pick(dirs, scope))
	f.Text("  ")
	f.Styled(look(fieldKeep), until+pick(names, d.keep))
	f.Text("  ")
	f.Styled(look(fieldDelete), box+" delete entries")
	f.End()
	f.Begin(draw.Plain)
	w := d.word()
	lead := " Type " + w + " to install: "
	if d.preview != nil && d.preview.Refused() != "" {
		f.Styled(draw.Alarm, " It cannot be installed, see !! above.")
		f.End()
		return
	}
	if d.preview == nil {
		if d.err == nil {
			f.Styled(draw.Faint, " what to type is told when the flows are counted")
		}
		f.End()
		return
	}
	f.Styled(draw.Strong, lead)
	if d.focus == fieldWord {
		f.CursorX, f.CursorY, f.HasCursor = f.X+draw.Width(d.typing.String()), f.Y(), true
	}
	t := d.typing.String()
	f.Text(t + strings.Repeat("_", max(draw.Width(w)-draw.Width(t), 0)))
	tail := fmt.Sprintf("   rolls back in %d s unless confirmed again", int(trial.Seconds()))
	if d.wrong {
		tail = "   not " + w
	}
	f.Text(tail)
	f.End()
}
