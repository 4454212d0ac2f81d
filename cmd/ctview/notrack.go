package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/filter"

	"github.com/spf13/cobra"
)

const ruleHelp = `a rule is named as: tcp 192.168.1.10:51022 to 203.0.113.7:443, udp 10.0.1.0/24 to any:53, gre 10.0.0.1 to 10.0.0.2; ` +
	`or by a filter of addresses, protocol and ports`

func notrackCommand(g *globals) *cobra.Command {
	var backend string
	cmd := &cobra.Command{
		Use:   "notrack",
		Short: "take traffic out of connection tracking, safely and for a time",
		Long: `notrack installs rules that keep packets out of connection tracking. A rule lives for a minute (--for) unless it is
confirmed; the kernel itself lets it expire. It stands in a table of its own (inet ctview) or, where there is no
nftables, in the raw table of iptables; nothing that ctview did not make is touched.

` + strings.ToUpper(ruleHelp[:1]) + ruleHelp[1:] + `.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{"notrack: say what to do", "add, list, remove, confirm, undo or print"}
		},
	}
	cmd.PersistentFlags().StringVar(&backend, "backend", "", "`BACKEND`: nftables, iptables, iptables-nft or iptables-legacy (default: nftables where the kernel has it)")
	offer(cmd, "backend", "nftables", "iptables", "iptables-nft", "iptables-legacy")
	cmd.AddCommand(notrackAdd(g, &backend), notrackList(g, &backend), notrackRemove(g, &backend), notrackConfirm(g, &backend),
		notrackUndo(g, &backend), notrackPrint(g, &backend))
	return cmd
}

// A notrackAddOptions are the flags of notrack add.
type notrackAddOptions struct {
	change
	trial, verify           time.Duration
	keep                    string
	iif                     string
	oneWay, flows, noDelete bool
	mine, nat, cut          bool
}

func notrackAdd(g *globals, backend *string) *cobra.Command {
	var o notrackAddOptions
	cmd := &cobra.Command{
		Use:   "add TUPLE|FILTER…",
		Short: "install a rule for a minute; see what it would do first",
		Long: `add shows the rules, the flows that they cover and what could go wrong, asks, installs, deletes the covered entries and
then looks whether the traffic is really untracked; where it is not, the rule is taken back with the reason. Traffic that
is translated (NAT) is refused: untracked packets are not translated.

Confirm a rule that does what it should: ctview notrack confirm.

` + strings.ToUpper(ruleHelp[:1]) + ruleHelp[1:] + `.
A filter becomes one rule that matches future connections too; --flows makes an exact rule for each flow that matches the
filter now, and then takes any filter.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			words := splitWords(args)
			if len(words) == 0 {
				return usageError{"notrack add: say which traffic", ruleHelp}
			}
			return runNotrackAdd(cmd.Context(), g, *backend, strings.Join(words, " "), &o)
		},
	}
	addChangeFlags(cmd, &o.change)
	addOverFlag(cmd, g)
	f := cmd.Flags()
	addDuration(f, &o.trial, "for", notrack.DefaultTrial, "`TIME` that the rule lives unless it is confirmed")
	f.StringVar(&o.keep, "keep", "removed", "`TIME` that it lives once confirmed, such as 10m; or session (until this command ends), or removed (by notrack remove)")
	f.StringVar(&o.iif, "iif", "", "only packets that come in on this `INTERFACE`, and their answers")
	f.BoolVar(&o.oneWay, "one-way", false, "this direction only, not the answers")
	f.BoolVar(&o.flows, "flows", false, "an exact rule for each flow that matches FILTER now")
	f.BoolVar(&o.noDelete, "no-delete", false, "leave the covered entries in the table until they time out")
	addDuration(f, &o.verify, "verify", notrack.DefaultVerify, "`TIME` to look for packets that are tracked all the same; 0 to not look")
	offer(cmd, "keep", "removed", "10m", "session")
	f.BoolVar(&o.nat, "nat", false, "allow a rule of which some traffic may be translated (NAT): --yes does not")
	f.BoolVar(&o.cut, "cut", false, "allow a rule that is certain to cut connections, at once or when it ends: --yes does not")
	f.BoolVar(&o.mine, "mine", false, "allow a rule that covers your own ssh session")
	return cmd
}

// parseKeep reads --keep.
func parseKeep(s string) (model.Keep, error) {
	switch s {
	case "removed", "until-removed", "forever":
		return model.KeepUntilRemoved, nil
	case "session":
		return model.KeepSession, nil
	}
	d, err := parseDuration(s)
	if err != nil || d < time.Second {
		return 0, usageError{fmt.Sprintf("--keep: %q is neither a time nor removed nor session", s), "write --keep 10m"}
	}
	return model.Keep(d / time.Second), nil
}

// A notracker is what the subcommands share: the namespace and the rules in it.
type notracker struct {
	g    *globals
	ns   *ctnl.Netns
	conn *notrack.Installer
}

func (g *globals) openNotrack(backend string) (*notracker, error) {
	if !slices.Contains([]string{"", "nftables", "nft", "iptables", "iptables-nft", "iptables-legacy"}, backend) {
		return nil, usageError{fmt.Sprintf("--backend: unknown backend %q", backend), "nftables, iptables, iptables-nft or iptables-legacy"}
	}
	ns, err := g.openNetns()
	if err != nil {
		return nil, err
	}
	g.opened()
	conn, err := notrack.Open(ns, notrack.Options{Backend: backend})
	if err != nil {
		_ = ns.Close()
		return nil, err
	}
	return &notracker{g, ns, conn}, nil
}

func (n *notracker) close() {
	_ = n.conn.Close()
	_ = n.ns.Close()
}

// known turns what a user can do something about into a failure with exit code 1.
func known(err error) error {
	if errors.Is(err, notrack.ErrExists) || errors.Is(err, notrack.ErrOverlap) || errors.Is(err, notrack.ErrNoRule) || errors.Is(err, notrack.ErrNotOurs) {
		return failure{err}
	}
	return err
}

func runNotrackAdd(ctx context.Context, g *globals, backend, text string, o *notrackAddOptions) error {
	if err := g.allowed("notrack add"); err != nil && !o.dryRun {
		return err
	}
	q := &notrack.Request{Trial: o.trial, Leave: o.noDelete}
	var err error
	if q.Keep, err = parseKeep(o.keep); err != nil {
		return err
	}
	if o.trial < time.Second {
		return usageError{"--for: too short", "1s is the shortest"}
	}
	if !o.flows {
		r, err := notrackRule(text, o)
		if err != nil {
			return err
		}
		q.Rules = []model.Rule{r}
	}
	n, err := g.openNotrack(backend)
	if err != nil {
		return err
	}
	defer n.close()
	if o.flows {
		if q.Rules, err = n.flowRules(ctx, text, o); err != nil {
			return err
		}
	}
	p, err := n.preview(ctx, q, o.dryRun)
	if err != nil {
		return known(err)
	}
	if why := p.Refused(); why != "" {
		return failure{fmt.Errorf("notrack: refused: %s", why)}
	}
	if o.dryRun {
		g.summary("nothing was changed (--dry-run)")
		return nil
	}
	if p, err = n.agreed(ctx, q, p, o); err != nil {
		return err
	}
	return n.apply(ctx, q, o, model.CutText(p.Warnings))
}

// agreed asks until what was agreed to is what there is: minutes may pass at a prompt.
func (n *notracker) agreed(ctx context.Context, q *notrack.Request, p *model.NotrackPreview, o *notrackAddOptions) (*model.NotrackPreview, error) {
	for range 5 {
		if err := n.agree(p, o); err != nil || o.yes {
			return p, err
		}
		now, err := n.look(ctx, q)
		if err != nil {
			return nil, known(err)
		}
		if !p.Changed(now) {
			return now, nil
		}
		n.g.summary("while you answered, this has changed:")
		if err := n.show(now, q, false); err != nil {
			return nil, err
		}
		if why := now.Refused(); why != "" {
			return nil, failure{fmt.Errorf("notrack: refused: %s", why)}
		}
		p = now
	}
	return nil, errRestless
}

var errRestless = failure{errors.New("notrack: it changes faster than it can be agreed to: nothing was changed")}

// notrackRule reads the rule and adds what the flags say.
func notrackRule(text string, o *notrackAddOptions) (model.Rule, error) {
	if o.iif != "" {
		text += " iif " + o.iif
	}
	r, err := filter.ParseRule(text)
	if err != nil {
		return r, err
	}
	r.OneWay = r.OneWay || o.oneWay
	if err := r.Check(); err != nil {
		return r, usageError{"notrack add: " + err.Error(), ruleHelp}
	}
	return r, nil
}

// maxFlowRules bounds --flows: each flow is two set elements.
const maxFlowRules = 20_000

// flowRules returns an exact rule for each flow that matches the filter now.
func (n *notracker) flowRules(ctx context.Context, text string, o *notrackAddOptions) ([]model.Rule, error) {
	if o.iif != "" {
		return nil, usageError{"--flows with --iif: a flow does not tell its interface", "leave one of them out"}
	}
	f, err := n.g.parseFilter(text)
	if err != nil {
		return nil, err
	}
	var rules []model.Rule
	unknown, many := 0, false
	err = n.g.dump(ctx, n.ns, f, func(evs []model.Event) error {
		now := n.g.now()
		for i := range evs {
			m, u := f.MatchKnown(&evs[i].Flow, &evs[i].Extra, now)
			if u {
				unknown++
			}
			if !m {
				continue
			}
			if len(rules) >= maxFlowRules {
				many = true
				break
			}
			r := model.RuleFromFlow(&evs[i].Flow)
			r.OneWay = o.oneWay
			rules = append(rules, r)
		}
		return nil
	})
	n.g.noteUnknown(f, unknown)
	switch {
	case err != nil:
		return nil, err
	case many:
		return nil, failure{fmt.Errorf("notrack: more than %d flows match: name them by one rule of addresses and ports", maxFlowRules)}
	case len(rules) == 0:
		return nil, failure{errors.New("notrack: no flow matches")}
	}
	return rules, nil
}

// preview finds and prints what the rules would do.
func (n *notracker) preview(ctx context.Context, q *notrack.Request, dry bool) (*model.NotrackPreview, error) {
	p, err := n.look(ctx, q)
	if err != nil {
		return nil, err
	}
	return p, n.show(p, q, dry)
}

func (n *notracker) look(ctx context.Context, q *notrack.Request) (*model.NotrackPreview, error) {
	own := ownSession()
	return n.conn.Preview(ctx, q, notrack.KernelFlows(n.ns), &own)
}

func (n *notracker) show(p *model.NotrackPreview, q *notrack.Request, dry bool) error {
	if _, err := n.g.out.Write(appendPreview(nil, p, q, dry)); err != nil {
		return failure{err}
	}
	return nil
}

// previewLines is how many commands and flows a preview prints.
const previewLines = 12

// appendPreview writes a preview; of a dry run every command, so that what is printed can be pasted.
func appendPreview(b []byte, p *model.NotrackPreview, q *notrack.Request, dry bool) []byte {
	b = fmt.Appendf(b, "rule %s: %s\n", p.ID, model.Escape(model.RulesText(p.Rules)))
	b = fmt.Appendf(b, "backend: %s (%s)\n\n", p.Backend, p.Why)
	lines, more := slices.Concat(p.Setup, p.Commands), 0
	if !dry {
		if lines = p.Commands; len(p.Setup) > 0 {
			b = fmt.Appendf(b, "  what the rules stand in is made first (--dry-run shows it: %s)\n", model.Plural(len(p.Setup), "command"))
		}
		more = max(0, len(lines)-previewLines)
	}
	for _, c := range lines[:len(lines)-more] {
		b = append(model.AppendEscaped(append(b, "  "...), c), '\n')
	}
	if more > 0 {
		b = fmt.Appendf(b, "  … and %d more\n", more)
	}
	b = fmt.Appendf(b, "\ncovers %s now\n", model.Plural(p.Covered, "flow"))
	for i := range p.Sample {
		if i == previewLines {
			break
		}
		r := model.RuleFromFlow(&p.Sample[i])
		b = fmt.Appendf(b, "  %s %s", r, p.Sample[i].StateText())
		if z := p.Sample[i].Zone; z != 0 {
			b = fmt.Appendf(b, " zone %d", z)
		}
		b = append(b, '\n')
	}
	b = appendWarnings(b, p.Warnings)
	switch {
	case p.SessionHit:
	case p.SessionUnknown:
		b = append(b, "whether your own ssh session is matched is not known\n"...)
	case p.Session != "":
		b = fmt.Appendf(b, "your ssh session is not matched (%s)\n", p.Session)
	}
	trial := q.Trial
	if trial == 0 {
		trial = notrack.DefaultTrial
	}
	return fmt.Appendf(b, "lives %s unless confirmed, then %s\n", trial, keepText(q.Keep))
}

func appendWarnings(b []byte, ws []model.NotrackWarning) []byte {
	for _, w := range ws {
		mark := "!"
		if w.Refuse {
			mark = "REFUSED"
		}
		b = append(model.AppendEscaped(fmt.Appendf(b, "%s %s: ", mark, w.Kind), w.Text), '\n')
	}
	return b
}

func keepText(k model.Keep) string {
	if k > 0 {
		return "for " + k.String()
	}
	return k.String()
}

// agree asks for the number of flows, and for a word where the own session is among them.
func (n *notracker) agree(p *model.NotrackPreview, o *notrackAddOptions) error {
	if p.SessionHit && !o.mine {
		return usageError{"notrack add: this rule covers your own ssh session", "--mine allows it; the rule expires by itself where you lose the connection"}
	}
	allowed := map[string]bool{"nat": o.nat, "cut": o.cut}
	for _, w := range p.Warnings {
		if word := w.Kind.Word(); w.Ask && o.yes && !allowed[word] {
			return usageError{"notrack add: " + w.Text, "--yes does not answer that: answer at a terminal, name the flows more exactly, or add --" + word}
		}
	}
	what := fmt.Sprintf("notrack: install this rule (%s covered)?", model.Plural(p.Covered, "flow"))
	return n.g.confirm(o.change, what, p.Covered)
}

// apply installs the rule; cut says what becomes of connections when it ends, "" for nothing.
func (n *notracker) apply(ctx context.Context, q *notrack.Request, o *notrackAddOptions, cut string) error {
	n.g.onExit(func() { _ = n.conn.Close() })
	opt := notrack.ApplyOptions{Delete: !o.noDelete, Verify: o.verify}
	if o.verify <= 0 {
		opt.Verify = -1
	}
	res, err := n.conn.Apply(ctx, q, notrack.KernelFlows(n.ns), opt)
	if err != nil {
		return known(err)
	}
	switch {
	case res.Existed:
		return failure{fmt.Errorf("notrack: rule %s is installed already (by %s): nothing was changed", res.Rule.ID, res.Rule.Who)}
	case res.TakenBack != "":
		return failure{fmt.Errorf("notrack: the rule was taken back: %s", res.TakenBack)}
	}
	n.g.summary("%s", appliedText(&res, opt))
	if q.Keep != model.KeepSession {
		if cut != "" {
			cut = " (" + cut + ")"
		}
		n.g.summary("it expires in %s%s unless: ctview notrack confirm %s", q.Trial, cut, res.Rule.ID)
		return nil
	}
	return n.hold(ctx, res.Rule.ID, q.Trial, cut)
}

func appliedText(r *model.NotrackResult, opt notrack.ApplyOptions) string {
	s := fmt.Sprintf("rule %s installed; ", r.Rule.ID)
	switch {
	case !opt.Delete:
		s += "entries left in the table; "
	case r.Kept > 0:
		s += model.Plural(r.Kept, "entry") + " left in the table: no packet has shown yet that the rule holds, and connections would be cut if it did not " +
			"(ctview delete takes them when it does); "
	default:
		s += model.Plural(r.Deleted, "entry") + " deleted; "
	}
	switch {
	case r.Verified:
		s += "verified: " + model.Plural(r.Packets, "packet") + ", none of them tracked"
	case opt.Verify < 0:
		s += "not verified"
	case !r.Rule.HasLeak && r.Rule.Backend == "nftables" && r.Packets == 0 && r.Kept == 0:
		s += "not verified: connection tracking is not active here"
	case r.Packets > 0:
		s += "not verified: " + model.Plural(r.Packets, "packet") + " met it, and nothing here tells whether they are tracked all the same"
	default:
		s += "not verified yet: no packet has come"
	}
	return s
}

// hold keeps the session's rule until the command is interrupted; Enter confirms it. cut is as for apply.
func (n *notracker) hold(ctx context.Context, id string, trial time.Duration, cut string) error {
	expired := "notrack: not confirmed: the rule has expired"
	if cut != "" {
		expired += ": see above what becomes of its connections"
		cut = "; " + cut
	}
	n.g.summary("it is gone when this command ends. Enter confirms it; without that it expires in %s%s", trial, cut)
	n.g.forget()
	lines := make(chan bool, 1)
	go func() {
		defer crash.Guard()
		_, err := bufio.NewReader(n.g.in).ReadString('\n')
		lines <- err == nil
	}()
	ctx, stop := n.ns.Lasting(ctx)
	defer stop()
	lost := make(chan error, 1)
	go func() {
		defer crash.Guard()
		lost <- n.conn.Hold(ctx)
	}()
	over := time.After(trial)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-lost:
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return known(err)
		case <-over:
			return failure{errors.New(expired)}
		case ok := <-lines:
			lines = nil
			if !ok {
				continue
			}
			if err := n.conn.Confirm(ctx, id, nil); err != nil {
				return known(err)
			}
			over = nil
			n.g.summary("rule %s confirmed until this command ends (Ctrl-C)", id)
		}
	}
}
