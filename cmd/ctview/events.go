package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
	"github.com/ti-mo/netfilter"
)

// eventOptions are the flags of events.
type eventOptions struct {
	listOptions
	types string
	max   int
	span  time.Duration
	dump  bool
	buf   int
}

func eventsCommand(g *globals) *cobra.Command {
	var o eventOptions
	cmd := &cobra.Command{
		Use:   "events [FILTER…]",
		Short: "the event stream, until interrupted",
		Long: `events prints what the kernel reports: a line for each flow that begins, changes or ends and matches FILTER.
Events that the kernel had to drop are counted and told: on stderr, and with -o json as {"event":"lost","lost":N} in line.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvents(cmd.Context(), g, filterText(args), o)
		},
	}
	f := cmd.Flags()
	addFormatFlags(cmd, &o.listOptions)
	f.StringVar(&o.types, "types", "new,update,destroy", "kinds of events: `LIST`")
	f.IntVar(&o.max, "max", 0, "end after `N` events")
	addReadFlag(cmd, &o.read)
	addDuration(f, &o.span, "for", 0, "end after `DURATION`, e.g. 30s")
	f.BoolVar(&o.dump, "dump", false, "begin with the table")
	addSize(f, &o.buf, "buffer", "socket buffer of `SIZE`, e.g. 1M (default 64 MiB where allowed)")
	return cmd
}

// parseTypes reads --types.
func parseTypes(s string) (set [5]bool, err error) {
	for _, w := range strings.Split(s, ",") {
		switch strings.ToLower(strings.TrimSpace(w)) {
		case "new":
			set[model.New] = true
		case "update", "updates":
			set[model.Update] = true
		case "destroy":
			set[model.Destroy] = true
		case "all":
			set[model.New], set[model.Update], set[model.Destroy] = true, true, true
		default:
			return set, usageError{fmt.Sprintf("--types: unknown kind %q", w), "the kinds are new, update, destroy"}
		}
	}
	return set, nil
}

func runEvents(ctx context.Context, g *globals, text string, o eventOptions) error {
	f, err := g.parseEvents(text)
	if err != nil {
		return err
	}
	types, err := parseTypes(o.types)
	if err != nil {
		return err
	}
	lf, err := g.newLineFormat(o.listOptions, true)
	if err == nil {
		err = g.refuseOwners("events")
	}
	if err != nil {
		return err
	}
	if o.max < 0 || o.span < 0 || o.buf < 0 {
		return usageError{"--max, --for and --buffer must not be negative", ""}
	}
	if o.output == "json" {
		lf.line = dumpStamped(lf.line)
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	types[model.Dump] = o.dump
	s := &eventSink{g: g, filter: f, format: lf, out: newFlusher(g.out), types: types, max: o.max, done: done}
	s.out.buf = append(s.out.buf, lf.head...)
	if o.read != "" {
		return g.replayEvents(ctx, s, o)
	}
	return s.watch(ctx, o)
}

// watch prints the kernel's events until ctx ends or there are enough.
func (s *eventSink) watch(ctx context.Context, o eventOptions) error {
	ns, err := s.g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{RcvBuf: o.buf, Groups: groupsOf(s.types)})
	if err != nil {
		return err
	}
	defer w.Close()
	s.g.opened()
	s.g.noteSilence(ns)
	s.on = func(setting string) bool {
		text, err := ns.Sysctl(setting)
		return err == nil && text != "0"
	}
	if o.span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.span)
		defer cancel()
	}
	if o.dump {
		if err := s.table(ctx, ns); err != nil && !s.enough() && ctx.Err() != context.DeadlineExceeded { // --for is over
			return err
		}
	}
	if err := s.out.flush(); err != nil {
		return err
	}
	s.g.askNothing()
	err = w.Run(ctx, s)
	s.lost.end(s.g)
	if s.err != nil {
		return s.err
	}
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		s.out.buf = append(s.out.buf, s.format.foot...)
		return s.out.flush()
	}
	return err
}

// noteSilence says beforehand that a stream will stay empty, whatever happens: nothing tells it from a quiet network.
func (g *globals) noteSilence(ns *ctnl.Netns) {
	if ns.EventsOff() && !g.quiet {
		fmt.Fprintln(g.err, "ctview: nf_conntrack_events is 0 here: the kernel tells no events, so none will come\n"+
			"hint: sysctl -w net.netfilter.nf_conntrack_events=1; flows that begin afterwards are told")
	}
}

// dumpStamped is line, a line of -o json, with the time of the reading in those of --dump: whoever keeps the stream cannot tell
// later when a flow was seen that no event told of.
func dumpStamped(line func([]byte, *model.Event, int64) []byte) func([]byte, *model.Event, int64) []byte {
	stamped := stampedJSON(line, func(now int64) int64 { return now })
	return func(dst []byte, ev *model.Event, now int64) []byte {
		if ev.Kind == model.Dump {
			return stamped(dst, ev, now)
		}
		return line(dst, ev, now)
	}
}

// groupsOf returns the multicast groups that deliver the kinds in set.
func groupsOf(set [5]bool) (g []netfilter.NetlinkGroup) {
	if set[model.New] {
		g = append(g, netfilter.GroupCTNew)
	}
	if set[model.Update] {
		g = append(g, netfilter.GroupCTUpdate)
	}
	if set[model.Destroy] {
		g = append(g, netfilter.GroupCTDestroy)
	}
	return g
}

// An eventSink prints what it is given. It writes within Apply: a reader of our output that is too slow holds up the
// event socket, the kernel drops, and the drop is counted and told. Nothing is dropped in between and no line is torn.
type eventSink struct {
	g       *globals
	filter  *filter.Filter
	format  lineFormat
	out     *flusher
	types   [5]bool
	max     int
	printed int
	told    [5]bool                   // kinds of which it was said that the filter cannot be answered
	on      func(setting string) bool // in the namespace that is watched; nil for a file
	lost    lossSum
	done    context.CancelFunc
	err     error
}

// table prints the dump that --dump asks for, all of it at the time when its reading began. Events that come meanwhile wait in
// the socket and follow.
func (s *eventSink) table(ctx context.Context, ns *ctnl.Netns) error {
	began := s.g.now()
	return ctnl.DumpTo(ctx, ns, s.filter.Kernel(), func(evs []model.Event) error {
		s.Apply(began, evs)
		return s.err
	})
}

// Apply implements ctnl.Sink.
func (s *eventSink) Apply(now int64, evs []model.Event) {
	for i := range evs {
		ev := &evs[i]
		if s.err != nil || s.enough() {
			break
		}
		if !s.types[ev.Kind] || !s.match(ev, now) {
			continue
		}
		s.out.buf = s.format.line(s.out.buf, ev, now)
		s.printed++
		s.write(s.out.spill())
	}
	s.write(s.out.flush())
	s.lost.due(s.g, now)
	if s.enough() {
		s.done()
	}
}

// enough reports whether --max has been printed.
func (s *eventSink) enough() bool { return s.max > 0 && s.printed >= s.max }

// match reports whether ev is to be printed. The age that a filter asks for is that of the flow at the event: none at
// its NEW, and at its DESTROY the time that it lived.
func (s *eventSink) match(ev *model.Event, now int64) bool {
	switch {
	case ev.Kind == model.Destroy && ev.Stop != 0:
		now = ev.Stop
	case ev.Time != 0:
		now = ev.Time
	}
	match, unknown := s.filter.MatchEvent(ev.Kind, &ev.Flow, &ev.Extra, now)
	if unknown && !s.told[ev.Kind] && !s.g.quiet {
		s.told[ev.Kind] = true
		fmt.Fprintf(s.g.err, "ctview: events: there are %s events that do not tell the %s: they count as not matching\n",
			ev.Kind, s.filter.UnknownNoun())
		s.g.hintUnknown(s.filter, s.on)
	}
	return match
}

func (s *eventSink) write(err error) {
	if err != nil && s.err == nil {
		s.err = err
		s.done()
	}
}

// Lost implements ctnl.Sink: it tells in the stream, where that has a form for it, and on stderr.
func (s *eventSink) Lost(now int64, n uint64) {
	if s.format.lost != nil {
		s.out.buf = s.format.lost(s.out.buf, now, n)
		s.write(s.out.flush())
	}
	s.lost.add(s.g, now, n)
}

// lossPace is how often losses are told at most: a socket that overflows does so hundreds of times.
const lossPace = 10 * int64(time.Second)

// A lossSum tells of losses in one running sum: the first at once, then the sum so far, and the sum at the end.
type lossSum struct {
	lost, gaps uint64
	told       uint64 // gaps that have been told
	at         int64  // when, Unix nanoseconds
}

func (l *lossSum) add(g *globals, now int64, n uint64) {
	l.lost += n
	l.gaps++
	l.due(g, now)
}

// due tells the sum if it is time.
func (l *lossSum) due(g *globals, now int64) {
	if l.told != l.gaps && (l.told == 0 || now-l.at >= lossPace) {
		l.at = now
		l.end(g)
	}
}

// end tells what has not been told yet.
func (l *lossSum) end(g *globals) {
	if l.told == l.gaps || g.quiet {
		return
	}
	l.told = l.gaps
	fmt.Fprintf(g.err, "ctview: events: %d lost in %s: the socket buffer was full\n", l.lost, model.Plural(l.gaps, "gap"))
}

// Refuse implements ctnl.Sink.
func (s *eventSink) Refuse(forged, malformed uint64) {
	if forged > 0 {
		fmt.Fprintf(s.g.err, "ctview: events: refused %s that did not come from the kernel\n", model.Plural(forged, "message"))
	}
	if malformed > 0 {
		fmt.Fprintf(s.g.err, "ctview: events: refused %s\n", model.Plural(malformed, "broken message"))
	}
}

// BeginDump implements ctnl.Sink; events has no table.
func (*eventSink) BeginDump(int64) {}

// EndDump implements ctnl.Sink.
func (*eventSink) EndDump(int64, bool) table.DumpResult { return table.DumpResult{} }
