package tui

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"ctview/tui/draw"
)

// A Tracer follows packets of a flow through the rules of the packet filter. It is for use by several goroutines.
type Tracer interface {
	// Trace makes what has the kernel tell of packets of f, calls ready with what has to be known of it, and fn for each packet
	// as its way ends, one at a time; it takes away what it made before it returns: when ctx ends, which is no error, or when
	// each direction had n packets.
	Trace(ctx context.Context, f *model.Flow, n int, ready func(notes []string), fn func(*model.TracePacket)) error
}

// What one look follows.
const (
	tracedPackets = 10 // of each direction
	tracedTime    = 30 * time.Second
)

// traced covers the screen with the ways of a flow's packets.
type traced struct {
	page
	flow model.Flow
	end  context.CancelFunc
	till time.Time // of the clock of the screen

	got  tracedPart // what is shown
	mu   sync.Mutex // guards part
	part tracedPart // what has come
}

// A tracedPart is what is known of a trace. The packets themselves do not change once they are in it.
type tracedPart struct {
	packets []*model.TracePacket
	notes   []string
	stands  bool // the kernel has what it takes
	done    bool
	err     error
	history []table.Change // of the flow
}

var tracedBindings = slices.Concat(moves, []binding{
	{id: "again", keys: []string{"t"}, help: "follow the next packets", hint: "again", group: groupAct, writes: true,
		run: on((*traced).again)},
	{id: "copy", keys: []string{"y"}, help: "copy the way of the packet", hint: "copy", group: groupAway,
		run: on((*traced).copy)},
	{id: "back", keys: []string{"esc", "enter", "backspace"}, help: "end it, back to the flow", hint: "end, back", narrow: "back", group: groupLook,
		run: on((*traced).close)},
})

func (s *traced) name() string            { return "Trace" }
func (s *traced) covers() bool            { return true }
func (s *traced) bindings() []binding     { return tracedBindings }
func (s *traced) alsoBindings() []binding { return viewBindings[6:] }

func (s *traced) walk(a *App, id string) tea.Cmd { return s.steer(a, id, "packet") }

// askTrace asks before packets of a flow are followed: the kernel gets a table for it.
func (a *App) askTrace(f *model.Flow) tea.Cmd {
	if a.opt.Tracer == nil {
		a.fail("nothing here can follow packets: that takes the kernel, not a recording")
		return nil
	}
	flow := *f
	o := flow.Orig()
	a.push(&confirm{head: "Follow packets of this flow through the nftables rules?", lines: []string{
		flow.Proto.String() + " " + string(draw.AppendPair(nil, &o)),
		"Up to " + model.Plural(tracedPackets, "packet") + " of each direction, for " + tracedTime.String() + ", are marked for tracing by a table of ctview's " +
			"own (inet ctview_trace_PID). It decides nothing, payload is not read, and it is gone with the trace and with ctview.",
	}, key: "y", verb: "follow", no: "do not", yes: func(a *App) tea.Cmd {
		s := &traced{flow: flow}
		a.push(s)
		return s.begin(a)
	}})
	return nil
}

// begin has packets followed, off the loop, until the time is over or the screen is left.
func (s *traced) begin(a *App) tea.Cmd {
	ctx, end := context.WithTimeout(a.ctx, tracedTime)
	s.end, s.till = end, a.opt.Now().Add(tracedTime)
	s.part, s.got = tracedPart{}, tracedPart{}
	tracer, flow := a.opt.Tracer, s.flow
	a.opt.Store.Watch(flow.Key)
	change := func(fn func(*tracedPart)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fn(&s.part)
	}
	return func() tea.Msg {
		defer end()
		err := tracer.Trace(ctx, &flow, tracedPackets, func(notes []string) {
			change(func(p *tracedPart) { p.notes, p.stands = notes, true })
		}, func(k *model.TracePacket) {
			change(func(p *tracedPart) { p.packets = append(p.packets, k) })
		})
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		change(func(p *tracedPart) { p.done, p.err = true, err })
		return doneMsg{func(a *App) tea.Cmd { return a.ask(false) }}
	}
}

func (s *traced) again(a *App) tea.Cmd {
	if !s.got.done {
		a.say("it is under way")
		return nil
	}
	a.pop() // the next takes its place
	return a.askTrace(&s.flow)
}

func (s *traced) close(a *App) tea.Cmd {
	s.end()
	return closeTop(a)
}

func (s *traced) copy(a *App) tea.Cmd {
	r := s.row()
	if r == nil {
		return nil
	}
	p := r.on.(*model.TracePacket)
	text := format.TracedPacket(p) + "\n"
	for _, l := range format.TraceSteps(p) {
		text += "  " + l + "\n"
	}
	return a.copy(text + "  = " + format.TraceOutcome(p) + "\n")
}

func (s *traced) ask(a *App, _ bool) func(context.Context) any {
	store := a.opt.Store
	return func(context.Context) any {
		history := store.History(s.flow.Key, nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		p := s.part
		p.history = history
		return &p
	}
}

func (s *traced) take(_ *App, answer any) tea.Cmd {
	if p, ok := answer.(*tracedPart); ok {
		s.got = *p
	}
	return nil
}

func (s *traced) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	o := s.flow.Orig()
	f.Begin(draw.Plain)
	f.Styled(draw.Strong, " "+s.flow.Proto.String()+" "+string(draw.AppendPair(nil, &o)))
	f.Right(draw.Plain, s.standing(a))
	f.End()
	lines := s.lines(a, f)
	beside := func(*App) string { return s.position() }
	s.layOver(a, lines, f.Y(), s.note, beside)
	s.page.draw(f, lines)
	a.foot(f, s.note(a), s.position())
}

// standing says how far the trace is.
func (s *traced) standing(a *App) string {
	n := model.Plural(len(s.got.packets), "packet")
	switch {
	case s.got.err != nil:
		return n
	case s.got.done:
		return n + ", ended"
	case !s.got.stands:
		return "asking the kernel"
	}
	return n + ", " + draw.Duration(max(s.till.Sub(a.opt.Now()), 0)) + " left"
}

func (s *traced) lines(a *App, f *draw.Frame) (out []pageLine) {
	add := func(look draw.Role, indent, text string, row *pageRow) {
		for i, t := range wrapKeep(text, f.W-4-len(indent)) {
			l := textLine(look, indent+t)
			if i == 0 {
				l.row = row
			}
			out = append(out, l)
		}
	}
	if s.got.err != nil {
		add(draw.Alarm, "", model.Escape(s.got.err.Error()), nil)
	}
	for _, n := range s.got.notes {
		add(draw.Warn, "", model.Escape(n), nil)
	}
	if len(s.got.packets) == 0 && s.got.err == nil {
		text := "waiting for the next packet of this flow"
		if s.got.done {
			text = "no packet of this flow came by. An idle one sends none; one in a flowtable passes no rule"
		}
		add(draw.Plain, "", text, nil)
	}
	// What happened to the flow stands between its packets, in time.
	history := s.got.history[max(len(s.got.history)-eventsTraced, 0):]
	told := func(until int64) {
		for len(history) > 0 && history[0].Time <= until {
			c := &history[0]
			add(draw.Faint, "", strings.TrimRight(stamp(c.Time, a.opt.Now().Location(), true)+" "+padRight(kindWord(c, true), 7)+" "+
				padRight(changeState(c), 11)+" "+changeNote(c), " "), nil)
			history = history[1:]
		}
	}
	for i, p := range s.got.packets {
		told(p.At)
		clock := time.Unix(0, p.At).In(a.opt.Now().Location()).Format("15:04:05.000")
		add(draw.Strong, "", clock+" "+format.TracedPacket(p), &pageRow{id: model.Plural(i, "packet"), on: p})
		for _, step := range format.TraceSteps(p) {
			add(draw.Plain, "  ", step, nil)
		}
		look := draw.Plain
		if p.Ended() != nil {
			look = draw.Alarm
		}
		add(look, "  ", "= "+format.TraceOutcome(p), nil)
	}
	told(math.MaxInt64)
	return out
}

// eventsTraced is how many events of the flow are shown beside its packets, the last ones.
const eventsTraced = 20
