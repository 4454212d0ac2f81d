package notrack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ctview/ctnl/notrack/dryrun"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// sampleSize is how many covered flows a preview names.
const sampleSize = 20

// A tally counts what a preview tells of the covered flows.
type tally struct {
	nat, helper, expected, offload int
	running                        []model.Rule // the first maxProbes flows that a firewall could cut off
	plain                          int          // not translated
	helpers                        map[string]bool
}

func (t *tally) add(f *model.Flow) {
	if f.SNAT() || f.DNAT() {
		t.nat++
	} else {
		t.plain++
	}
	if len(t.running) < maxProbes && cutOff(f) {
		t.running = append(t.running, model.RuleFromFlow(f))
	}
	if f.Helper != 0 {
		t.helper++
		t.helpers[f.Helper.String()] = true
	}
	if f.Status.Has(model.StatusExpected) {
		t.expected++
	}
	if f.Offloaded() {
		t.offload++
	}
}

// Preview finds what the rules of a request would do. It changes nothing. own is what is known of the operator's
// own connections, nil for somebody at the machine itself.
func (c *Installer) Preview(ctx context.Context, q *Request, flows Flows, own *model.Operator) (*model.NotrackPreview, error) {
	g, err := c.group(q)
	if err != nil {
		return nil, err
	}
	b := &previewer{p: &model.NotrackPreview{ID: g.id, Rules: q.Rules, Why: c.why, Backend: c.be.name()},
		tally: tally{helpers: map[string]bool{}}}
	if b.p.Setup, b.p.Commands, err = c.be.commands(g); err != nil {
		return nil, err
	}
	cov := newCoverer(q.Rules)
	err = flows.Each(ctx, func(e *model.Event) bool {
		f := &e.Flow
		if cov.covers(f) {
			b.tally.add(f)
			if b.p.Covered++; len(b.p.Sample) < sampleSize {
				b.p.Sample = append(b.p.Sample, *f)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if b.s, err = dryrun.Open(c.ns); err != nil {
		return nil, err
	}
	defer b.s.Close()
	b.p.Active = b.s.Tracking.Any()
	b.flows()
	b.session(cov, own)
	b.unread()
	b.natRules()
	b.firewall(q.Leave)
	b.back(q.Leave)
	b.zones()
	b.helperRules()
	b.pmtu()
	b.wide()
	if !b.s.Tracking.Any() && len(b.s.Unread) > 0 {
		b.warn(model.WarnInactive, 0, "whether connection tracking is active here is not known. The rule gets no leak counter: that could switch tracking on")
	} else if !b.s.Tracking.Any() {
		b.warn(model.WarnInactive, 0, "connection tracking is not active in this namespace, so there is nothing to take out of it. "+
			"The rule gets no leak counter: that would switch tracking on")
	}
	if err := b.exists(ctx, c, q.Keep); err != nil {
		return nil, err
	}
	if err := b.place(c, q.Keep); err != nil {
		return nil, err
	}
	slices.SortStableFunc(b.p.Warnings, func(x, y model.NotrackWarning) int { return int(x.Kind) - int(y.Kind) })
	return b.p, nil
}

// A previewer puts a preview together.
type previewer struct {
	p *model.NotrackPreview
	s *dryrun.Survey
	tally
}

func (b *previewer) warn(k model.NotrackWarningKind, n int, format string, args ...any) {
	b.p.Warnings = append(b.p.Warnings, model.NotrackWarning{Kind: k, Count: n, Text: fmt.Sprintf(format, args...)})
}

func (b *previewer) refuse(k model.NotrackWarningKind, n int, format string, args ...any) {
	b.warn(k, n, format, args...)
	b.p.Warnings[len(b.p.Warnings)-1].Refuse = true
}

// ask warns of what a general "yes" does not answer: the kind's own word does.
func (b *previewer) ask(k model.NotrackWarningKind, n int, format string, args ...any) {
	b.warn(k, n, format, args...)
	b.p.Warnings[len(b.p.Warnings)-1].Ask = true
}

// flows tells what the covered flows themselves say.
func (b *previewer) flows() {
	if b.nat > 0 {
		b.refuse(model.WarnNAT, b.nat, "%s translated (NAT). Untracked packets are not translated: they would leave with their inner "+
			"addresses, get no answer, and connections would be reset", are(b.nat, b.p.Covered))
	}
	if b.helper > 0 {
		b.warn(model.WarnHelper, b.helper, "%s a helper (%s): it will not see them any more, so their RELATED connections become NEW "+
			"and no expectation is made", have(b.helper, b.p.Covered), strings.Join(slices.Sorted(maps.Keys(b.helpers)), ", "))
	}
	if b.expected > 0 {
		b.warn(model.WarnHelper, b.expected, "%s expected by a helper (RELATED): untracked, they are no longer recognised as such",
			are(b.expected, b.p.Covered))
	}
	if b.offload > 0 {
		b.warn(model.WarnOffload, b.offload, "%s offloaded to a flowtable: packets bypass the rule until the entry is deleted",
			are(b.offload, b.p.Covered))
	}
}

// are and have begin a sentence about n of all flows.
func are(n, all int) string {
	switch {
	case all == 1:
		return "the flow is"
	case n == all:
		return fmt.Sprintf("all %d flows are", n)
	case n == 1:
		return fmt.Sprintf("1 of the %d flows is", all)
	}
	return fmt.Sprintf("%d of the %d flows are", n, all)
}

func have(n, all int) string {
	s := are(n, all)
	if s, ok := strings.CutSuffix(s, " is"); ok {
		return s + " has"
	}
	return strings.TrimSuffix(s, " are") + " have"
}

// session looks whether the rule cuts off the one who asks for it.
func (b *previewer) session(cov *coverer, own *model.Operator) {
	if own == nil {
		return
	}
	b.p.SessionUnknown = own.Unknown
	var all []string
	for i := range own.Sessions {
		o := &own.Sessions[i]
		r, p := model.RuleFromTuple(o), o.Invert()
		all = append(all, r.String())
		f := model.Flow{Key: model.Key{Src: o.Src, Dst: o.Dst, Sport: o.Sport, Dport: o.Dport, Proto: o.Proto, Family: o.Family},
			ReplySrc: p.Src, ReplyDst: p.Dst, ReplySport: p.Sport, ReplyDport: p.Dport}
		if cov.covers(&f) {
			b.p.SessionHit = true
			b.warn(model.WarnSession, 0, "this is your own ssh session (%s): if something goes wrong you may be locked out until the rule expires", r)
		}
	}
	b.p.Session = strings.Join(all, ", ")
}

// maxProbes bounds how many rules are walked through the firewall; a group of thousands of like tuples gains nothing.
const maxProbes = 64

func (b *previewer) probes() []model.Rule { return b.p.Rules[:min(len(b.p.Rules), maxProbes)] }

// unread says of which rules nothing is known. A table that may translate is a question, as a rule is that may.
func (b *previewer) unread() {
	isNAT := func(t string) bool { return strings.HasPrefix(t, "nat") }
	const text = "the legacy iptables rules in %s cannot be read (iptables-legacy-save is missing, or fails): whether they %s this traffic is not known"
	if slices.ContainsFunc(b.s.Unread, isNAT) {
		b.ask(model.WarnNAT, 0, text, "nat", "translate")
	}
	if rest := slices.DeleteFunc(slices.Clone(b.s.Unread), isNAT); len(rest) > 0 {
		b.warn(model.WarnFirewall, 0, text, strings.Join(rest, ", "), "drop, or give a zone or a helper to,")
	}
}

// natRules looks for NAT rules that would translate the rule's traffic. Flows that exist and are not translated prove
// that they do not concern those.
func (b *previewer) natRules() {
	if b.nat > 0 {
		return
	}
	sure, perhaps := map[string]bool{}, map[string]bool{}
	for i := range b.probes() {
		r := &b.p.Rules[i]
		if r.Exact() && b.plain > 0 {
			continue
		}
		for _, m := range b.s.NAT(r) {
			if m.Sure == dryrun.Yes {
				sure[m.Where] = true
			} else {
				perhaps[m.Where] = true
			}
		}
	}
	if len(sure) > 0 {
		b.refuse(model.WarnNAT, 0, "a rule translates this traffic (%s). Untracked packets are not translated", list(sure))
	} else if len(perhaps) > 0 {
		b.ask(model.WarnNAT, 0, "a rule may translate some of this traffic (%s). Untracked packets are not translated", list(perhaps))
	}
}

// list names at most three of the places.
func list(m map[string]bool) string {
	s := slices.Sorted(maps.Keys(m))
	if len(s) > 3 {
		s = append(s[:3], fmt.Sprintf("and %d more", len(s)-3))
	}
	return strings.Join(s, "; ")
}

// firewall walks the traffic through the filter rules as it is now and as untracked. Answers that a one-way rule leaves to
// tracking are new to it once the entry is gone.
func (b *previewer) firewall(left bool) {
	packets, answers := places{}, places{}
	for i := range b.probes() {
		r := &b.p.Rules[i]
		packets.add(b.s.UntrackedDropped(r))
		if r.OneWay && b.s.Tracking.Any() {
			answers.add(b.s.AnswersDropped(r, left))
		}
	}
	if sure := packets[true]; len(sure) > 0 {
		b.ask(model.WarnFirewall, 0, "untracked packets of it will be dropped: %s. What gets through now does so as established or related; "+
			"an accept for \"ct state untracked\" is needed there", list(sure))
	} else if perhaps := packets[false]; len(perhaps) > 0 {
		b.warn(model.WarnFirewall, 0, "untracked packets of it may be dropped: %s", list(perhaps))
	}
	const text = "the answers, which are tracked without what they answer, are new or INVALID and %s dropped: %s. A rule of both directions takes them out, too"
	if sure := answers[true]; len(sure) > 0 {
		b.ask(model.WarnFirewall, 0, text, "will be", list(sure))
	} else if perhaps := answers[false]; len(perhaps) > 0 {
		b.warn(model.WarnFirewall, 0, text, "may be", list(perhaps))
	}
}

// places are where packets are dropped, for sure or perhaps.
type places map[bool]map[string]bool

func (p places) add(where []string, sure bool) {
	for _, w := range where {
		if p[sure] == nil {
			p[sure] = map[string]bool{}
		}
		p[sure][w] = true
	}
}

// back walks the flows through the filter rules as they will be when the rule ends; where there is none yet, the rules' own
// packets.
func (b *previewer) back(left bool) {
	if !b.s.Tracking.Any() {
		return
	}
	conns, later := b.running, len(b.running) == 0
	if later && !slices.ContainsFunc(b.p.Warnings, func(w model.NotrackWarning) bool { return w.Kind == model.WarnFirewall }) {
		conns = b.probes()
	}
	var f fates
	for i := range conns {
		f.add(b.s.Back(&conns[i], left && !later))
	}
	of := ""
	if b.p.Covered > len(conns) && len(conns) == maxProbes {
		of = fmt.Sprintf(" of the first %d", maxProbes)
	}
	who := func(n int) string { return these(n) + of }
	if later {
		who = func(int) string { return "connections that begin meanwhile" }
	}
	b.p.Warnings = append(b.p.Warnings, f.warnings(who, !later)...)
}

func (b *previewer) zones() {
	sure, perhaps := map[string]bool{}, map[string]bool{}
	for i := range b.probes() {
		for _, m := range b.s.Zone(&b.p.Rules[i]) {
			if m.Sure == dryrun.Yes {
				sure[m.Where] = true
			} else {
				perhaps[m.Where] = true
			}
		}
	}
	if len(sure) > 0 {
		b.refuse(model.WarnZone, 0, "a rule puts this traffic in a zone (%s): that overrides NOTRACK, whatever the order", list(sure))
	} else if len(perhaps) > 0 {
		b.warn(model.WarnZone, 0, "a rule may put some of this traffic in a zone (%s): that overrides NOTRACK", list(perhaps))
	}
}

// helperRules looks for rules that give connections a helper which are not there yet.
func (b *previewer) helperRules() {
	if b.helper > 0 {
		return
	}
	sure, perhaps := map[string]bool{}, map[string]bool{}
	for i := range b.probes() {
		r := &b.p.Rules[i]
		if r.Exact() && b.plain > 0 { // it is there, and has none
			continue
		}
		for _, m := range b.s.Helper(r) {
			if m.Sure == dryrun.Yes {
				sure[m.Where] = true
			} else {
				perhaps[m.Where] = true
			}
		}
	}
	if len(sure) > 0 {
		b.warn(model.WarnHelper, 0, "a rule gives this traffic a helper (%s): it will not see it, so RELATED connections become NEW and no "+
			"expectation is made", list(sure))
	} else if len(perhaps) > 0 {
		b.warn(model.WarnHelper, 0, "a rule may give some of this traffic a helper (%s), which will not see it", list(perhaps))
	}
}

func (b *previewer) pmtu() {
	where := map[string]bool{}
	for i := range b.probes() {
		for _, w := range b.s.InvalidDropped(&b.p.Rules[i]) {
			where[w] = true
		}
	}
	if len(where) > 0 {
		b.warn(model.WarnPMTU, 0, "ICMP errors about untracked packets are INVALID, not RELATED, and are dropped here (%s): "+
			"path MTU discovery turns into a black hole", list(where))
	}
}

// wide spells out what a rule matches beyond the flows that somebody may have in mind.
func (b *previewer) wide() {
	for i := range b.p.Rules {
		r := &b.p.Rules[i]
		if r.Exact() {
			continue
		}
		text := fmt.Sprintf("%s is wider than a flow: it matches future connections too", r)
		if !r.OneWay {
			rev := r.Reverse()
			text += fmt.Sprintf(", and, as answers, every packet that fits \"%s\", asked for or not", rev)
		}
		if r.Iface != "" {
			text += "; answers are matched on every interface; entries are left to time out, because a flow does not tell its interface"
		}
		b.warn(model.WarnWide, 0, "%s", text)
		if i >= 4 {
			return
		}
	}
}

func (b *previewer) exists(ctx context.Context, c *Installer, keep model.Keep) error {
	rules, err := c.List(ctx)
	if err != nil {
		return err
	}
	for i := range rules {
		if rules[i].ID == b.p.ID {
			b.warn(model.WarnExists, 0, "this rule is installed already (by %s, %s)", rules[i].Who, leftText(&rules[i]))
		} else if t := overlap(&rules[i], b.p, keep == model.KeepSession); t != "" {
			b.refuse(model.WarnExists, 0, "rule %s (by %s, %s) has packets of %s already, and a tuple belongs to one rule only: remove that one, or wait until it ends",
				rules[i].ID, rules[i].Who, leftText(&rules[i]), t)
		}
	}
	return nil
}

// place looks whether the table is ctview's to write to. That of a session is made anew.
func (b *previewer) place(c *Installer, keep model.Keep) error {
	n, ok := c.be.(*nft)
	if !ok || keep == model.KeepSession {
		return nil
	}
	c.mu.Lock()
	rs, have, err := n.readInstalled()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := usable(rs, have, ruleset.TableName); err != nil {
		b.refuse(model.WarnExists, 0, "%s", strings.TrimPrefix(err.Error(), "notrack: "))
	}
	return nil
}

// overlap returns the first exact rule of a preview of which an installed one has packets, "" for none. Both stand in the
// sets of one table then; lines of iptables, and tables of other sessions, can overlap.
func overlap(have *model.NotrackRule, p *model.NotrackPreview, session bool) string {
	if p.Backend != "nftables" || have.Backend != p.Backend || have.Owner != 0 && !have.Mine || (have.Owner != 0) != session {
		return ""
	}
	taken := map[model.Tuple]bool{}
	each := func(r *model.Rule, fn func(model.Tuple)) {
		if !r.Exact() || !r.Proto.HasPorts() {
			return
		}
		o, back := r.Tuples()
		if fn(o); !r.OneWay {
			fn(back)
		}
	}
	for i := range have.Rules {
		each(&have.Rules[i], func(t model.Tuple) { taken[t] = true })
	}
	for i := range p.Rules {
		hit := false
		each(&p.Rules[i], func(t model.Tuple) { hit = hit || taken[t] })
		if hit {
			return p.Rules[i].String()
		}
	}
	return ""
}

// leftText says how long a rule will live.
func leftText(r *model.NotrackRule) string {
	if !r.Limited {
		return r.Keep.String()
	}
	return "for another " + r.Left.Round(1e9).String()
}
