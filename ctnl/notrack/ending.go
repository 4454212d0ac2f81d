package notrack

import (
	"context"
	"fmt"
	"slices"

	"ctview/ctnl/notrack/dryrun"
	"ctview/model"
)

// Ending finds what becomes of connections when rules ids end, now: the same walk as in a Preview, of packets that are
// untracked today. It changes nothing. An id that nobody has gives ErrNoRule.
func (c *Installer) Ending(ctx context.Context, flows Flows, ids ...string) (*model.NotrackEnd, error) {
	c.mu.Lock()
	_, rules, err := c.byBackend(ctx, ids)
	c.mu.Unlock()
	e := &model.NotrackEnd{Rules: rules}
	if err != nil || len(rules) == 0 {
		return e, err
	}
	s, err := dryrun.Open(c.ns)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if !s.Tracking.Any() || !cuts(s, rules) { // the table, which can be large, need not be read
		return e, nil
	}
	stay, err := staying(ctx, flows, rules)
	if err != nil {
		return nil, err
	}
	var exact, wide, idle fates
	probes := 0
	for i := range rules {
		f := &wide
		if rules[i].Packets == [2]uint64{} {
			f = &idle
		}
		for j := range rules[i].Rules {
			if probes++; probes > maxProbes {
				break
			}
			if r := &rules[i].Rules[j]; r.Exact() {
				o, p := r.Tuples()
				exact.add(s.End(r, stay.entry[o] || stay.entry[p]))
			} else if e := s.End(r, false); f == &wide || e.Cut == dryrun.Yes { // what may be of what may be is no news
				f.add(e)
			}
		}
	}
	for i := range stay.wide {
		wide.add(s.End(&stay.wide[i], true))
	}
	of := ""
	if probes > maxProbes {
		of = fmt.Sprintf(" of the first %d", maxProbes)
	}
	e.Warnings = slices.Concat(
		exact.warnings(func(n int) string { return these(n) + of }, true),
		wide.warnings(func(int) string { return "connections that are kept out of tracking now" }, true),
		idle.warnings(func(int) string { return "connections of which no packet has come yet" }, false))
	return e, nil
}

// cuts reports whether anything cuts connections of rules when those end, with entries that were left or without.
func cuts(s *dryrun.Survey, rules []model.NotrackRule) bool {
	n := 0
	for i := range rules {
		for j := range rules[i].Rules {
			if r := &rules[i].Rules[j]; n < maxProbes && (s.End(r, false).Cut != dryrun.No || s.End(r, true).Cut != dryrun.No) {
				return true
			}
			n++
		}
	}
	return false
}

// Last returns the rule that Undo would remove, "" if there is none, or if it would put rules back.
func (c *Installer) Last(ctx context.Context) (id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, made, err := c.last(ctx)
	if err != nil || made == nil {
		return "", err
	}
	return made.ID, nil
}

// Removed returns the rules that Undo would put back.
func (c *Installer) Removed() []model.NotrackRule {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.undo); n > 0 {
		return slices.Clone(c.undo[n-1])
	}
	return nil
}

// A stay is what entries there are, all the same, of flows that rules cover: they were left when the rules came.
type stay struct {
	entry map[model.Tuple]bool // of exact rules, by both tuples
	wide  []model.Rule         // the first maxProbes of wide ones
}

func staying(ctx context.Context, flows Flows, rules []model.NotrackRule) (s stay, err error) {
	s.entry = map[model.Tuple]bool{}
	var all []model.Rule
	for i := range rules {
		all = append(all, rules[i].Rules...)
	}
	cov := newCoverer(all)
	err = flows.Each(ctx, func(e *model.Event) bool {
		f := &e.Flow
		switch o, p := f.Orig(), f.Reply(); {
		case cov.exact[o] || cov.exact[p]:
			s.entry[o], s.entry[p] = true, true
		case len(s.wide) < maxProbes && cov.covers(f) && cutOff(f):
			s.wide = append(s.wide, model.RuleFromFlow(f))
		}
		return true
	})
	return s, err
}

// cutOff reports whether a flow is of a kind that a firewall can cut off.
func cutOff(f *model.Flow) bool {
	return f.Proto.HasPorts() && (f.Proto != model.ProtoTCP || f.State == model.TCPEstablished)
}

// fates count what becomes of connections whose packets are tracked again.
type fates struct {
	n     [dryrun.Yes + 1]int // connections
	where [dryrun.Yes + 1]map[string]bool
	as    [dryrun.Yes + 1]map[string]bool
}

func (f *fates) add(r dryrun.Return) {
	if r.Cut == dryrun.No {
		return
	}
	if f.n[r.Cut]++; f.n[r.Cut] == 1 {
		f.where[r.Cut], f.as[r.Cut] = map[string]bool{}, map[string]bool{}
	}
	f.as[r.Cut][asText[r.As]] = true
	for _, w := range r.Where {
		f.where[r.Cut][w] = true
	}
}

// warnings say it; who names so many connections. If ask, those that are certain to be cut are a question.
func (f *fates) warnings(who func(n int) string, ask bool) (ws []model.NotrackWarning) {
	for _, x := range [...]struct {
		cut               dryrun.Tri
		will, still, drop string
	}{
		{dryrun.Yes, "will be", "", "dropped"},
		{dryrun.Maybe, "may be", ", or stand still until the client sends", "may be dropped"},
	} {
		if n := f.n[x.cut]; n > 0 {
			ws = append(ws, model.NotrackWarning{Kind: model.WarnBack, Count: n, Ask: ask && x.cut == dryrun.Yes,
				Text: fmt.Sprintf("%s %s cut when the rule ends%s: the first packets that are tracked again are %s, and %s (%s)",
					who(n), x.will, x.still, list(f.as[x.cut]), x.drop, list(f.where[x.cut]))})
		}
	}
	return ws
}

// these names n connections.
func these(n int) string {
	if n == 1 {
		return "this connection"
	}
	return fmt.Sprintf("these %d connections", n)
}

var asText = [...]string{
	dryrun.AsNew:       "new, but in mid-stream",
	dryrun.AsStrict:    "INVALID, because nf_conntrack_tcp_loose is 0",
	dryrun.AsHeartbeat: "INVALID until an end sends a heartbeat",
	dryrun.AsOutside:   "INVALID if more has passed than the window that their entry remembers",
}
