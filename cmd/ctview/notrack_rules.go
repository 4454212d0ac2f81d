package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

func notrackList(g *globals, backend *string) *cobra.Command {
	var output string
	var bare bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "ctview's rules with their counters and time left, and, read-only, those of others",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := g.appendRules
			switch {
			case output == "json":
				show = appendRulesJSON
			case bare:
				show = func(b []byte, rules []model.NotrackRule, others []model.ForeignRule) []byte {
					return withoutHeader(g.appendRules(b, rules, others), "ID")
				}
			}
			return runNotrackList(cmd.Context(), g, *backend, show)
		},
	}
	addOutput(cmd, &output, "", "table", "json")
	addNoHeader(cmd.Flags(), &bare)
	return cmd
}

func runNotrackList(ctx context.Context, g *globals, backend string,
	show func(b []byte, rules []model.NotrackRule, others []model.ForeignRule) []byte) error {
	n, err := g.openNotrack(backend)
	if err != nil {
		return err
	}
	defer n.close()
	n.tidy(ctx)
	rules, err := n.conn.List(ctx)
	if err != nil {
		return err
	}
	others, err := n.conn.Others(ctx)
	switch {
	case errors.Is(err, notrack.ErrUnread):
		g.summary("not all rules are shown: %v", err)
	case err != nil:
		return err
	}
	if _, err := g.out.Write(show(nil, rules, others)); err != nil {
		return failure{err}
	}
	return nil
}

// leftWords says how long a rule will live and whether it is confirmed.
func leftWords(r *model.NotrackRule) string {
	switch {
	case r.Pending:
		return r.Left.Round(time.Second).String() + " unconfirmed"
	case r.Limited:
		return r.Left.Round(time.Second).String()
	}
	return r.Keep.String()
}

func (g *globals) appendRules(b []byte, rules []model.NotrackRule, others []model.ForeignRule) []byte {
	if len(rules) == 0 {
		b = append(b, "no rule of ctview's\n"...)
	} else {
		b = fmt.Appendf(b, "%-6s  %10s %9s %6s  %-22s %-22s %s\n", "ID", "PACKETS", "BYTES", "LEAKED", "LEFT", "BY", "MATCH")
	}
	for i := range rules {
		r := &rules[i]
		leaked := "-"
		if r.HasLeak {
			leaked = strconv.FormatUint(r.Leaked, 10)
		}
		b = fmt.Appendf(b, "%-6s  %10d %9s %6s  %-22s %-22s %s", model.Escape(r.ID), r.Packets[0]+r.Packets[1],
			model.AppendBytes(nil, r.Bytes[0]+r.Bytes[1]), leaked, leftWords(r), model.Escape(r.Who)+" "+string(g.appendWhen(nil, r.When.UnixNano(), "01-02 15:04:05")), model.Escape(r.Text()))
		if r.Owner != 0 {
			b = fmt.Appendf(b, "  (session of pid %d)", r.Owner)
		}
		if r.Backend != "nftables" {
			b = fmt.Appendf(b, "  (%s)", r.Backend)
		}
		b = append(b, '\n')
	}
	if len(others) > 0 {
		b = append(b, "\nNOTRACK rules of others (read only)\n"...)
	}
	for _, o := range others {
		packets := "-"
		if o.HasCounter {
			packets = strconv.FormatUint(o.Packets, 10)
		}
		b = fmt.Appendf(b, "%-10s  %10s  %s: %s\n", o.Hook, packets, model.Escape(o.Place), model.Escape(o.Match))
	}
	return b
}

// A ruleJSON is a rule of ctview's, or of others where by_others is set, as a line of JSON.
type ruleJSON struct {
	ID        string   `json:"id,omitempty"`
	Others    bool     `json:"by_others,omitempty"`
	Match     []string `json:"match"`
	Backend   string   `json:"backend,omitempty"`
	Table     string   `json:"table,omitempty"`
	Place     string   `json:"place,omitempty"`
	Hooks     []string `json:"hooks,omitempty"`
	Packets   *uint64  `json:"packets,omitempty"`
	Bytes     *uint64  `json:"bytes,omitempty"`
	Leaked    *uint64  `json:"leaked,omitempty"`
	Left      *float64 `json:"left,omitempty"`
	Confirmed *bool    `json:"confirmed,omitempty"`
	Keep      string   `json:"keep,omitempty"`
	Who       string   `json:"who,omitempty"`
	When      string   `json:"when,omitempty"`
	Session   uint32   `json:"session_pid,omitempty"`
}

func appendRulesJSON(b []byte, rules []model.NotrackRule, others []model.ForeignRule) []byte {
	line := func(j *ruleJSON) { b = format.AppendJSONLine(b, j) }
	for i := range rules {
		r := &rules[i]
		packets, bytes, left, confirmed := r.Packets[0]+r.Packets[1], r.Bytes[0]+r.Bytes[1], r.Left.Seconds(), !r.Pending
		j := &ruleJSON{ID: r.ID, Backend: r.Backend, Table: r.Table, Hooks: strings.Fields(r.Hooks), Packets: &packets, Bytes: &bytes,
			Confirmed: &confirmed, Keep: r.Keep.String(), Who: r.Who, When: r.When.UTC().Format(time.RFC3339), Session: r.Owner}
		for _, m := range r.Rules {
			j.Match = append(j.Match, m.String())
		}
		if r.Limited {
			j.Left = &left
		}
		if r.HasLeak {
			j.Leaked = &r.Leaked
		}
		line(j)
	}
	for i := range others {
		o := &others[i]
		j := &ruleJSON{Others: true, Match: []string{model.Escape(o.Match)}, Place: model.Escape(o.Place), Hooks: strings.Fields(o.Hook)}
		if o.HasCounter {
			j.Packets, j.Bytes = &o.Packets, &o.Bytes
		}
		line(j)
	}
	return b
}

// completeIDs offers the names of the rules that are installed.
func (g *globals) completeIDs(backend *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		n, err := g.openNotrack(*backend)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer n.close()
		rules, err := n.conn.List(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var out []cobra.Completion
		for i := range rules {
			out = append(out, cobra.CompletionWithDesc(rules[i].ID, model.Escape(rules[i].Text())))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// offer completes a flag with fixed words.
func offer(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, word string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, w := range words {
			if strings.HasPrefix(w, word) {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
}

// An endOptions are the flags of what ends rules.
type endOptions struct {
	change
	cut bool
}

func addEndFlags(cmd *cobra.Command, o *endOptions) {
	addChangeFlags(cmd, &o.change)
	cmd.Flags().BoolVar(&o.cut, "cut", false, "allow it where connections are certain to be cut: --yes does not")
}

func notrackRemove(g *globals, backend *string) *cobra.Command {
	var all bool
	var o endOptions
	cmd := &cobra.Command{
		Use:   "remove ID…",
		Short: "take rules out; their traffic is tracked again from the next packet on",
		Long: `remove takes rules out; their traffic is tracked again from the next packet on. Where the firewall cuts connections that
tracking meets in mid-stream, it says so and asks first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 != all {
				return usageError{"notrack remove: say which rules", `"ctview notrack list" shows their IDs; --all takes every rule of ctview's`}
			}
			return g.withNotrack(*backend, "notrack remove", o.dryRun, func(n *notracker) error {
				ctx := cmd.Context()
				e, err := n.agreedEnd(ctx, "notrack remove", &o, func() ([]string, error) {
					if all {
						return n.conn.All(ctx)
					}
					return args, nil
				})
				switch {
				case err != nil || o.dryRun:
					return err
				case all:
					removed, err := n.conn.RemoveAll(ctx)
					if err == nil {
						g.summary("%s removed; nothing of ctview's is left but what running sessions have", model.Plural(removed, "rule"))
					}
					return err
				}
				if err := n.conn.Remove(ctx, args...); err != nil {
					return err
				}
				g.summary("%s removed", model.Plural(len(e.Rules), "rule"))
				return nil
			})
		},
	}
	cmd.ValidArgsFunction = g.completeIDs(backend)
	cmd.Flags().BoolVar(&all, "all", false, "every rule that outlives ctview; those of running sessions stay")
	addEndFlags(cmd, &o)
	return cmd
}

// agreedEnd tells which connections are cut, or may be, when the rules of find end, and asks until what was agreed to is what
// there is. Where none are, it asks nothing.
func (n *notracker) agreedEnd(ctx context.Context, what string, o *endOptions, find func() ([]string, error)) (*model.NotrackEnd, error) {
	look := func() (*model.NotrackEnd, error) {
		ids, err := find()
		if err != nil {
			return nil, err
		}
		return n.conn.Ending(ctx, notrack.KernelFlows(n.ns), ids...)
	}
	e, err := look()
	for range 5 {
		if err != nil {
			return nil, err
		}
		if _, err := n.g.out.Write(appendEnd(nil, e, o.dryRun)); err != nil {
			return nil, failure{err}
		}
		if o.dryRun {
			n.g.summary("nothing was changed (--dry-run)")
			return e, nil
		}
		if err := n.agreeEnd(what, e, o); err != nil || o.yes || o.cut || len(e.Warnings) == 0 {
			return e, err
		}
		was := e
		if e, err = look(); err == nil {
			if !was.Changed(e) {
				return e, nil
			}
			n.g.summary("while you answered, this has changed:")
		}
	}
	return nil, errRestless
}

// appendEnd writes what becomes of connections, of a dry run the rules, too.
func appendEnd(b []byte, e *model.NotrackEnd, dry bool) []byte {
	for i := range e.Rules {
		if r := &e.Rules[i]; dry || len(e.Warnings) > 0 {
			b = fmt.Appendf(b, "rule %s: %s\n", model.Escape(r.ID), model.Escape(r.Text()))
		}
	}
	return appendWarnings(b, e.Warnings)
}

// agreeEnd asks where connections are cut, or may be.
func (n *notracker) agreeEnd(what string, e *model.NotrackEnd, o *endOptions) error {
	for _, w := range e.Warnings {
		if w.Ask && o.yes && !o.cut {
			return usageError{what + ": " + w.Text, "--yes does not answer that: answer at a terminal, or add --cut"}
		}
	}
	if len(e.Warnings) == 0 || o.cut {
		return nil
	}
	err := n.g.confirm(o.change, fmt.Sprintf("%s: remove %s?", what, model.Plural(len(e.Rules), "rule")), len(e.Rules))
	var usage usageError
	if len(e.Words()) > 0 && errors.As(err, &usage) { // no terminal, and --yes is no answer either
		usage.cure = "--cut answers beforehand, --dry-run shows what would be done"
		return usage
	}
	return err
}

// withNotrack runs fn where changes are allowed, or none are made.
func (g *globals) withNotrack(backend, what string, dry bool, fn func(*notracker) error) error {
	if err := g.allowed(what); err != nil && !dry {
		return err
	}
	n, err := g.openNotrack(backend)
	if err != nil {
		return err
	}
	defer n.close()
	err = known(fn(n))
	n.tidy(context.Background())
	return err
}

// tidyless are the commands, by their first word, before which nothing is taken away: those that tell what there is, and
// those that have nothing to do with the namespace.
var tidyless = []string{"doctor", "notrack", "demo", "help", "completion", "conntrack", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}

// sweep takes away what expired rules have left before a command runs. notrack does so itself, with a word where it fails.
func (g *globals) sweep(cmd *cobra.Command) {
	words := strings.Fields(cmd.CommandPath())
	read, version := cmd.Flags().Lookup("read"), cmd.Flags().Lookup("version")
	if len(words) > 1 && slices.Contains(tidyless, words[1]) || read != nil && read.Changed || version != nil && version.Changed {
		return
	}
	g.sweepRules(cmd.Context())
}

// sweepRules is nobody's wish, so it fails nothing: the next command tries again.
func (g *globals) sweepRules(ctx context.Context) {
	if g.allowed("") != nil {
		return
	}
	ns, err := ctnl.OpenNetns(g.netns)
	if err != nil {
		return // the command itself will say so
	}
	defer ns.Close()
	if err := notrack.TidyLeft(ctx, ns); err != nil && g.verbose {
		g.summary("what expired rules left behind could not be removed: %v", err)
	}
}

// tidy takes away what expired rules have left, where changes are allowed. It is nobody's wish, so it fails nothing.
func (n *notracker) tidy(ctx context.Context) {
	if n.g.allowed("notrack") != nil {
		return
	}
	if err := n.conn.Tidy(ctx); err != nil && !errors.Is(err, notrack.ErrPermission) {
		n.g.summary("what expired rules left behind could not be removed: %v", err)
	}
}

func notrackConfirm(g *globals, backend *string) *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:   "confirm [ID…]",
		Short: "keep rules beyond their minute; without ID the one that waits for it",
		RunE: func(cmd *cobra.Command, args []string) error {
			var k *model.Keep
			if keep != "" {
				v, err := parseKeep(keep)
				if err != nil {
					return err
				}
				k = &v
			}
			return g.withNotrack(*backend, "notrack confirm", false, func(n *notracker) error {
				ids, err := n.pending(cmd.Context(), args)
				if err != nil {
					return err
				}
				for _, id := range ids {
					if err := n.conn.Confirm(cmd.Context(), id, k); err != nil {
						return err
					}
					e, err := n.conn.Ending(cmd.Context(), notrack.KernelFlows(n.ns), id)
					if err != nil {
						return fmt.Errorf("rule %s is confirmed, but: %w", id, err)
					}
					text := ""
					if r := &e.Rules[0]; r.Limited && len(e.Warnings) > 0 {
						text = fmt.Sprintf("; it ends in %s: %s", r.Left.Round(time.Second), model.CutText(e.Warnings))
					}
					g.summary("rule %s confirmed%s", id, text)
				}
				return nil
			})
		},
	}
	cmd.ValidArgsFunction = g.completeIDs(backend)
	cmd.Flags().StringVar(&keep, "keep", "", "for another `TIME` than it was made for, or until removed")
	return cmd
}

// pending returns the rules to confirm: those named, or the only one that waits.
func (n *notracker) pending(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) > 0 {
		return ids, nil
	}
	rules, err := n.conn.List(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rules {
		if rules[i].Pending && rules[i].Owner == 0 {
			ids = append(ids, rules[i].ID)
		}
	}
	switch len(ids) {
	case 0:
		return nil, failure{fmt.Errorf("notrack: no rule waits to be confirmed: %w", notrack.ErrNoRule)}
	case 1:
		return ids, nil
	}
	return nil, usageError{fmt.Sprintf("notrack confirm: %d rules wait: say which", len(ids)), "they are " + strings.Join(ids, ", ")}
}

func notrackUndo(g *globals, backend *string) *cobra.Command {
	var o endOptions
	cmd := &cobra.Command{
		Use:   "undo",
		Short: "remove the rule that was installed last",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withNotrack(*backend, "notrack undo", o.dryRun, func(n *notracker) error {
				e, err := n.agreedEnd(cmd.Context(), "notrack undo", &o, func() ([]string, error) {
					id, err := n.conn.Last(cmd.Context())
					if err == nil && id == "" {
						err = fmt.Errorf("notrack: nothing to undo: %w", notrack.ErrNoRule)
					}
					return []string{id}, err
				})
				if err != nil || o.dryRun {
					return err
				}
				r, _, err := n.conn.Undo(cmd.Context(), e.Rules[0].ID)
				if err != nil {
					return err
				}
				g.summary("rule %s removed: %s", r.ID, model.Escape(r.Text()))
				return nil
			})
		},
	}
	addEndFlags(cmd, &o)
	return cmd
}

func notrackPrint(g *globals, backend *string) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "print [ID…|TUPLE|FILTER]",
		Short: "rules in a form for good: an nft snippet, an iptables-save fragment, an OpenWrt include",
		Long: `print writes rules as text that you can put where your system keeps its firewall. It writes no system file. Without
arguments it takes every rule of ctview's that is installed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := g.rulesToPrint(cmd.Context(), *backend, args)
			if err != nil {
				return known(err)
			}
			text, err := notrack.Print(rules, notrack.Form(form))
			if err != nil {
				return usageError{err.Error(), "--form nft, --form iptables or --form openwrt"}
			}
			if _, err := g.out.Write([]byte(text)); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	cmd.ValidArgsFunction = g.completeIDs(backend)
	cmd.Flags().StringVar(&form, "form", "nft", "`FORM`: nft, iptables or openwrt")
	offer(cmd, "form", "nft", "iptables", "openwrt")
	return cmd
}

// rulesToPrint returns the rules of IDs, of a text, or all.
func (g *globals) rulesToPrint(ctx context.Context, backend string, args []string) ([]model.Rule, error) {
	words := splitWords(args)
	if len(words) > 0 && !isRuleID(words[0]) {
		r, err := filter.ParseRule(strings.Join(words, " "))
		return []model.Rule{r}, err
	}
	n, err := g.openNotrack(backend)
	if err != nil {
		return nil, err
	}
	defer n.close()
	have, err := n.conn.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []model.Rule
	missing := map[string]bool{}
	for _, w := range words {
		missing[w] = true
	}
	for i := range have {
		if len(words) == 0 || missing[have[i].ID] {
			out = append(out, have[i].Rules...)
			delete(missing, have[i].ID)
		}
	}
	for id := range missing {
		return nil, fmt.Errorf("notrack: %s: %w", id, notrack.ErrNoRule)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("notrack: nothing to print: %w", notrack.ErrNoRule)
	}
	return out, nil
}

// isRuleID reports whether a word has the form of a rule's name.
func isRuleID(s string) bool {
	return len(s) == 6 && strings.Trim(s, "0123456789abcdef") == ""
}
