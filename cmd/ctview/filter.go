package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"
)

// parseFilter compiles text, which judges the flows of a table, with the names that this user has saved and those of connlabel.conf.
func (g *globals) parseFilter(text string) (*filter.Filter, error) {
	return g.parseFor(text, filter.Options{Once: !g.rates(), Living: true})
}

// parseEvents is parseFilter for what judges events, too.
func (g *globals) parseEvents(text string) (*filter.Filter, error) {
	return g.parseFor(text, filter.Options{Once: !g.rates()})
}

// parseFor is parseFilter for what knows as much as of says.
func (g *globals) parseFor(text string, of filter.Options) (*filter.Filter, error) {
	c, err := g.settings()
	if err == nil {
		err = g.checkOver()
	}
	if err != nil {
		return nil, err
	}
	opt := c.parseOptions()
	opt.Once, opt.Living = of.Once, of.Living
	f, err := filter.Parse(text, opt)
	if f.NeedsOwner() {
		g.wantOwners()
	}
	if f.NeedsRoute() {
		g.ways = true
	}
	return f, g.tried(err, opt)
}

// tryTime is how long the table may be read for the sake of an error's text.
const tryTime = time.Second

// tried returns err, if it is one of a filter that proposes several, with those behind that match nothing here, as the screen has
// them. It is err where the table cannot be read, or not in that time.
func (g *globals) tried(err error, opt filter.Options) error {
	var e *filter.Error
	if !errors.As(err, &e) || len(e.Suggestions) < 2 || e.Mixed || g.elsewhere {
		return err
	}
	ns, nsErr := g.openNetns()
	if nsErr != nil {
		return err
	}
	defer ns.Close()
	found, tries := make([]int, len(e.Suggestions)), make([]*filter.Filter, len(e.Suggestions))
	for i := range tries {
		text, _ := e.Fixed(i)
		if tries[i], nsErr = filter.Parse(text, opt); nsErr != nil || tries[i].NeedsMaster() || tries[i].NeedsOwner() || tries[i].NeedsRoute() {
			found[i] = -1 // one dump does not tell
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryTime)
	defer cancel()
	read := func(evs []model.Event) error {
		now := g.now()
		for i := range evs {
			for k, f := range tries {
				if found[k] < 0 {
					continue
				}
				switch match, unknown := f.MatchKnown(&evs[i].Flow, &evs[i].Extra, now); {
				case unknown:
					found[k] = -1
				case match:
					found[k]++
				}
			}
		}
		return ctx.Err()
	}
	if ctnl.DumpTo(ctx, ns, model.KernelFilter{}, read) == nil {
		e.Rank(found, true)
	}
	return err
}

// parseOptions are the names that a filter may use: saved filters and labels.
func (c *config) parseOptions() filter.Options {
	labels := systemLabels()
	return filter.Options{
		Saved:    c.Filters,
		Labels:   labels.Bit,
		Services: servicePortOf,
		LabelName: func(bit int) (string, bool) {
			name := labels.Name(bit)
			return name, name != ""
		},
	}
}

// now is the time that a filter's ages and a row's timeouts are measured against.
func (g *globals) now() int64 {
	if g.at != 0 {
		return g.at
	}
	return time.Now().UnixNano()
}

// noteUnknown tells that n flows lacked a value that f compares: they did not match, but they might have.
func (g *globals) noteUnknown(f *filter.Filter, n int) {
	if n == 0 || g.quiet {
		return
	}
	it := "they count"
	if n == 1 {
		it = "it counts"
	}
	fmt.Fprintf(g.err, "ctview: %s: %s as not matching\n", f.UnknownText(n, "flow"), it)
	g.hintUnknown(f, nil)
}

// hintUnknown tells what makes the kernel tell more of what f compares; on: see filter.UnknownCures.
func (g *globals) hintUnknown(f *filter.Filter, on func(setting string) bool) {
	for _, cure := range f.UnknownCures(on) {
		fmt.Fprintln(g.err, "hint: "+cure)
	}
}
