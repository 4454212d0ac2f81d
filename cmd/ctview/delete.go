package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func deleteCommand(g *globals) *cobra.Command {
	var c change
	cmd := &cobra.Command{
		Use:   "delete FLOW|FILTER…",
		Short: "delete one flow by tuple and zone, or what a filter matches",
		Long: `delete takes flows out of the table. Each is named to the kernel by tuple, zone and ID, so that a new flow seldom
dies for an old one; a flow that has ended meanwhile is no error.` + tupleTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			words := splitWords(args)
			if len(words) == 0 {
				return usageError{"delete: say which flows", `"ctview flush" deletes all; ` + tupleHelp}
			}
			return runDelete(cmd.Context(), g, words, c)
		},
	}
	addChangeFlags(cmd, &c)
	addOverFlag(cmd, g)
	return cmd
}

func flushCommand(g *globals) *cobra.Command {
	var (
		c      change
		family string
	)
	cmd := &cobra.Command{
		Use:   "flush [FILTER…]",
		Short: "delete everything, or what the filter matches",
		Long: `flush without a filter empties the table of this namespace (--family: of one family). With one it is
"ctview delete FILTER": ctview never uses the kernel's own filtered flush, because a kernel that does not know the filter
would empty the whole table.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if words := splitWords(args); len(words) > 0 {
				if family != "" {
					words = append([]string{map[string]string{"ipv4": "ip", "ipv6": "ip6"}[family], "and", "("}, append(words, ")")...)
				}
				return runDelete(cmd.Context(), g, words, c)
			}
			return runFlush(cmd.Context(), g, family, c)
		},
	}
	addChangeFlags(cmd, &c)
	addOverFlag(cmd, g)
	cmd.Flags().StringVarP(&family, "family", "f", "", "only `ipv4` or ipv6")
	return cmd
}

func addChangeFlags(cmd *cobra.Command, c *change) {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVarP(&c.dryRun, "dry-run", "n", false, "show what would be changed and change nothing")
}

func runDelete(ctx context.Context, g *globals, words []string, c change) error {
	if err := g.allowed("delete"); err != nil && !c.dryRun {
		return err
	}
	s, err := g.selection(words)
	if err != nil {
		return err
	}
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		if c.yes && !c.dryRun && s.key == nil {
			return s.deleteAsFound(ctx, g, ns, k)
		}
		targets, own, err := s.targets(ctx, g, ns, k, c.dryRun)
		if err != nil {
			return err
		}
		if c.dryRun {
			g.summary("%s would be deleted", model.Plural(len(targets), "flow"))
			return nil
		}
		q := fmt.Sprintf("delete: %s?", model.Plural(len(targets), "flow"))
		return g.deleteListed(ctx, k, targets, own, c, q)
	})
}

// deleteListed asks question, unless c answers it, and deletes the targets. own says whose they are.
func (g *globals) deleteListed(ctx context.Context, k *ctnl.Kernel, targets []ctnl.Target, own whose, c change, question string) error {
	if len(targets) == 0 {
		return g.deleted(ctnl.DeleteResult{})
	}
	own.warn(g, c)
	if err := g.confirm(c, question, len(targets)); err != nil {
		return err
	}
	p := g.progress("deleted", len(targets))
	res, err := k.DeleteMany(ctx, targets, p.at)
	p.clear()
	if err != nil {
		return err
	}
	return g.deleted(res)
}

func (g *globals) warnOwnSession() {
	fmt.Fprintln(g.err, "ctview: this includes your own ssh session")
}

// deleted tells what a deletion did.
func (g *globals) deleted(res ctnl.DeleteResult) error {
	if res.Deleted+res.Gone+len(res.Failed) == 0 {
		g.summary("no flow matches; nothing deleted")
		return nil
	}
	gone := ""
	if res.Gone > 0 {
		gone = fmt.Sprintf(", %d had ended", res.Gone)
	}
	g.summary("%s deleted%s", model.Plural(res.Deleted, "flow"), gone)
	return g.failures("deleted", res.Failed)
}

// failures tells of what the kernel refused: the number and the first reason.
func (g *globals) failures(what string, failed []ctnl.Failure) error {
	if len(failed) == 0 {
		return nil
	}
	return failure{fmt.Errorf("%d could not be %s: %w", len(failed), what, failed[0].Err)}
}

// A selection names the flows that a command is to change: one by its key, or those that a filter matches.
type selection struct {
	key    *model.Key
	filter *filter.Filter
}

// selection reads a flow's name or a filter. An empty filter is refused: what changes all must say so.
func (g *globals) selection(words []string) (selection, error) {
	if looksLikeTuple(words) {
		k, err := parseTuple(words)
		return selection{key: &k}, err
	}
	f, err := g.parseFilter(filterText(words))
	if err == nil && f == nil {
		err = usageError{"the filter is empty: that would be every flow", `"ctview flush" deletes all`}
	}
	return selection{filter: f}, err
}

// each calls fn for every flow of the selection.
func (s selection) each(ctx context.Context, g *globals, ns *ctnl.Netns, k *ctnl.Kernel, fn func(*model.Event) error) error {
	if s.key != nil {
		ev, err := k.Get(ctx, *s.key)
		if errors.Is(err, ctnl.ErrGone) {
			return errNoFlow
		}
		if err != nil {
			return err
		}
		return fn(&ev)
	}
	unknown := 0
	err := g.dump(ctx, ns, s.filter, func(evs []model.Event) error {
		now := g.now()
		for i := range evs {
			m, u := s.filter.MatchKnown(&evs[i].Flow, &evs[i].Extra, now)
			if u {
				unknown++
			}
			if !m {
				continue
			}
			if err := fn(&evs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	g.noteUnknown(s.filter, unknown)
	return err
}

// targets gathers what is to be deleted, in a dry run printing each; own says whether the own session is among them.
func (s selection) targets(ctx context.Context, g *globals, ns *ctnl.Netns, k *ctnl.Kernel, show bool) (ts []ctnl.Target, own whose, err error) {
	op := ownSession()
	own = without(op)
	out := newFlusher(g.out)
	lf, err := g.newLineFormat(listOptions{output: "extended"}, false)
	if err != nil {
		return nil, nobodys, err
	}
	err = s.each(ctx, g, ns, k, func(ev *model.Event) error {
		ts = append(ts, ctnl.Target{Key: ev.Flow.Key, ID: ev.Flow.ID})
		if op.Has(&ev.Flow) {
			own = mine
		}
		if !show {
			return nil
		}
		out.buf = lf.line(out.buf, ev, g.now())
		return out.spill()
	})
	if err == nil {
		err = out.flush()
	}
	return ts, own, err
}

func runFlush(ctx context.Context, g *globals, family string, c change) error {
	if err := g.allowed("flush"); err != nil && !c.dryRun {
		return err
	}
	var fam model.Family
	switch family {
	case "":
	case "ipv4":
		fam = model.IPv4
	case "ipv6":
		fam = model.IPv6
	default:
		return usageError{fmt.Sprintf("--family: unknown family %q", family), "write ipv4 or ipv6"}
	}
	return g.withKernel(func(ns *ctnl.Netns, k *ctnl.Kernel) error {
		if !c.yes && !c.dryRun {
			return g.flushListed(ctx, ns, k, fam)
		}
		entries, _, err := k.Count(ctx)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("all flows (%d at the last count)", entries)
		if fam != 0 {
			what = fmt.Sprintf("all %s flows of %d", fam, entries)
		}
		if c.dryRun {
			g.summary("%s would be deleted", what)
			return nil
		}
		if g.tracked(ctx, k, fam) {
			g.warnOwnSession()
		}
		if err := k.Flush(ctx, fam); err != nil {
			return err
		}
		g.summary("%s deleted", what)
		return nil
	})
}

// flushListed asks, and deletes the flows that it asked about by key and ID. What began while the answer was awaited
// was not asked about, and stays: the kernel's own flush would take it too.
func (g *globals) flushListed(ctx context.Context, ns *ctnl.Netns, k *ctnl.Kernel, fam model.Family) error {
	text := map[model.Family]string{model.IPv4: "ip", model.IPv6: "ip6"}[fam]
	f, err := g.parseFilter(text)
	if err != nil {
		return err
	}
	targets, own, err := selection{filter: f}.targets(ctx, g, ns, k, false)
	if err != nil {
		return err
	}
	what := "all"
	if fam != 0 {
		what += " " + fam.String()
	}
	return g.deleteListed(ctx, k, targets, own, change{}, fmt.Sprintf("flush: delete %s flows, %d?", what, len(targets)))
}

// summary tells on stderr what was done, unless -q.
func (g *globals) summary(format string, args ...any) {
	if !g.quiet {
		fmt.Fprintf(g.err, "ctview: %s\n", model.Escape(fmt.Sprintf(format, args...)))
	}
}

// A progress shows on a terminal how far long work has come.
type progress struct {
	w     io.Writer // nil: not shown
	verb  string
	total int
	shown bool
}

func (g *globals) progress(verb string, total int) *progress {
	p := &progress{verb: verb, total: total}
	if f, ok := g.err.(*os.File); ok && !g.quiet && term.IsTerminal(int(f.Fd())) && total > 1000 {
		p.w = f
	}
	return p
}

func (p *progress) at(done int) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r%s %d of %d", p.verb, done, p.total)
		p.shown = true
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
