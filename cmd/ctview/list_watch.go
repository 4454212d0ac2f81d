package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/format"
	tuiterm "ctview/tui/term"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A watchFlag is the value of --watch, which may be given without a time.
type watchFlag struct {
	on    *bool
	every *time.Duration
	least time.Duration
}

// addWatch adds -w, --watch[=TIME]: again and again, every TIME, which is what the caller has put there unless it is given.
func addWatch(cmd *cobra.Command, on *bool, every *time.Duration, least time.Duration, usage string) {
	f := cmd.Flags().VarPF(&watchFlag{on, every, least}, "watch", "w", usage)
	f.NoOptDefVal = every.String()
}

// String implements pflag.Value: off, its default, is told by no word.
func (w *watchFlag) String() string { return "" }

// Type implements pflag.Value.
func (w *watchFlag) Type() string { return "duration" }

// Set implements pflag.Value.
func (w *watchFlag) Set(s string) error {
	if on, err := strconv.ParseBool(s); err == nil && len(s) > 1 { // as other flags that need no value; 1 is a second
		*w.on = on
		return nil
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		return err
	case d < w.least:
		return fmt.Errorf("is too short: %v is the shortest", w.least)
	}
	*w.on, *w.every = true, d
	return nil
}

// watchCure says how the time of --watch is written, if s is one: the value of a flag that needs none stands behind =.
func watchCure(s string) (cure string, ok bool) {
	d, err := parseDuration(s)
	return fmt.Sprintf("for every %v write --watch=%s", d, s), err == nil
}

// checkWatch refuses what does not go with --watch.
func (o *listOptions) checkWatch(g *globals, args []string) error {
	switch {
	case !o.watch:
		return nil
	case o.read != "":
		return usageError{"--watch: a recording does not change", "leave --watch or --read out"}
	case g.over > 0:
		return usageError{"--watch knows rates from one reading to the next", "leave --over out"}
	case o.exitCode:
		return usageError{"--exit-code: --watch goes on until it is interrupted", "leave one of them out"}
	case o.output != "table" && o.output != "wide" && o.output != "json" && o.output != "csv":
		return usageError{"--watch: -o " + o.output + " has no place for the time of a reading", "use it with -o table, wide, json or csv"}
	case len(args) > 0:
		if cure, ok := watchCure(args[0]); ok {
			return usageError{fmt.Sprintf("list: %s is no filter", args[0]), cure}
		}
	}
	return nil
}

// A listReading prints one reading of src.
type listReading func(ctx context.Context, src flowSource) error

// watchList prints the list again and again: on a terminal over the one before, elsewhere one behind the other.
func watchList(ctx context.Context, g *globals, o *listOptions, keep bool, read listReading) error {
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	g.opened()
	ctx, stop := ns.Lasting(ctx)
	defer stop()
	src := func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error {
		return g.dumpOwned(ctx, ns, k, fn)
	}
	if keep {
		g.again = g.newTable()
	}
	show := showBehind
	if g.redraws(o.output) {
		end := g.beginPages(o)
		defer end()
		show = showPage
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	next := time.NewTimer(o.every)
	defer next.Stop()
	for first := true; ; first = false {
		began := time.Now()
		err := show(g, o, first, func() error { return read(ctx, src) })
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		wait := time.Until(began.Add(o.every))
		if first && keep { // rates are soon wanted
			wait = min(wait, time.Second)
		}
		next.Reset(wait)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-next.C:
		case <-resized:
		}
	}
}

// redraws reports whether readings are drawn over each other.
func (g *globals) redraws(output string) bool {
	return (output == "table" || output == "wide") && isTerminal(g.out) && tuiterm.KindOf(os.Getenv("TERM")) != tuiterm.Unable
}

// showBehind prints a reading with its time: on a line before a table, in each row of what programs read.
func showBehind(g *globals, o *listOptions, first bool, read func() error) error {
	o.at = time.Now()
	if o.output == "table" || o.output == "wide" {
		gap := "\n"
		if first {
			gap = ""
		}
		if _, err := fmt.Fprintf(g.out, "%s%s\n", gap, g.appendWhen(nil, o.at.UnixNano(), time.DateTime)); err != nil {
			return failure{err}
		}
	}
	return read()
}

// A watchPage is what list --watch shows at a time.
type watchPage struct {
	width, height int
	rows, notes   bytes.Buffer
}

// beginPages makes room on the terminal without taking away what is there: it can be scrolled back to. The function that it returns
// leaves the last page where it is.
func (g *globals) beginPages(o *listOptions) (end func()) {
	out, errOut := g.out, g.err
	o.page = &watchPage{}
	o.page.measure(out)
	_, _ = io.WriteString(out, strings.Repeat("\n", o.page.height-1))
	return func() {
		g.out, g.err = out, errOut
		_, _ = io.WriteString(out, "\r\n")
	}
}

// measure asks the terminal for its size.
func (p *watchPage) measure(out io.Writer) {
	p.width, p.height = 80, 24
	if f, ok := out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			p.width, p.height = w, h
		}
	}
}

// left is how many rows of a table there is room for, below the line about the page and that of the heads.
func (p *watchPage) left(o *listOptions) int {
	n := p.height - 2
	if o.noHeader {
		n++
	}
	return max(n, 1)
}

// showPage draws a reading over the one before, in one write.
func showPage(g *globals, o *listOptions, _ bool, read func() error) error {
	out, errOut, p := g.out, g.err, o.page
	p.measure(out)
	p.rows.Reset()
	p.notes.Reset()
	g.out, g.err = &p.rows, &p.notes
	err := read()
	g.out, g.err = out, errOut
	if err != nil {
		return err
	}
	o.at = time.Now()
	b := append([]byte("\x1b[H"), p.clip(p.head(g, o))...)
	lines := slices.Concat(splitLines(p.notes.String()), splitLines(p.rows.String()))
	for _, l := range lines[:min(len(lines), max(p.height-1, 0))] {
		b = append(append(b, "\x1b[K\r\n"...), p.clip(l)...)
	}
	if _, err := out.Write(append(b, "\x1b[K\x1b[J"...)); err != nil {
		return failure{err}
	}
	return nil
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func (p *watchPage) clip(s string) string { return ansi.Truncate(s, p.width, "") }

// head is the first line of a page: what is shown, how often, how much of it, and when.
func (p *watchPage) head(g *globals, o *listOptions) string {
	left := fmt.Sprintf("every %v: list", o.every)
	if o.filter != "" {
		left += " " + model.Escape(o.filter)
	}
	if g.netns != "" {
		left += "  [" + model.Escape(g.netns) + "]"
	}
	right := fmt.Sprintf("  %s  %s", o.count, g.appendWhen(nil, o.at.UnixNano(), time.TimeOnly))
	room := p.width - len(right)
	if room < 10 {
		return left
	}
	left = ansi.Truncate(left, room, "")
	return left + strings.Repeat(" ", max(room-ansi.StringWidth(left), 0)) + right
}

// countOf says how many of all are shown.
func countOf(shown, all int, noun string) string {
	if shown < all {
		return fmt.Sprintf("%d of %s", shown, model.Plural(all, noun))
	}
	return model.Plural(all, noun)
}

// asksRate reports whether a list takes rates, which are known from two readings.
func asksRate(f *filter.Filter, o *listOptions, order *sortOrder) bool {
	rates := []model.Column{model.ColRate, model.ColOrigRate, model.ColReplyRate, model.ColPPS}
	if order != nil && slices.Contains(rates, order.column) {
		return true
	}
	for name := range strings.SplitSeq(o.columns, ",") {
		name = strings.TrimSpace(name)
		if c, err := model.ParseColumn(name); err == nil && slices.Contains(rates, c) || strings.HasSuffix(name, ".rate") || strings.HasSuffix(name, ".pps") {
			return true
		}
	}
	names := f.Names()
	return f.NeedsMaster() || slices.Contains(names, "rate") || slices.Contains(names, "pps")
}

// stamped is lf with the time of the reading in each line, for -o json and csv.
func stamped(lf lineFormat, o *listOptions) lineFormat {
	line := lf.line
	switch o.output {
	case "json":
		lf.line = stampedJSON(line, func(int64) int64 { return o.at.UnixNano() })
	case "csv":
		if lf.head != nil {
			lf.head = append([]byte("time,"), lf.head...)
		}
		lf.line = func(dst []byte, ev *model.Event, now int64) []byte {
			return line(append(format.AppendRFC3339(dst, o.at.UnixNano()), ','), ev, now)
		}
	}
	return lf
}

// stampedJSON is a line of -o json with "time" in front: what at makes of the line's own now, Unix nanoseconds.
func stampedJSON(line func([]byte, *model.Event, int64) []byte, at func(now int64) int64) func([]byte, *model.Event, int64) []byte {
	return func(dst []byte, ev *model.Event, now int64) []byte {
		dst = append(format.AppendRFC3339(append(dst, `{"time":"`...), at(now)), '"')
		n := len(dst)
		dst = line(dst, ev, now)
		if dst[n+1] == '}' { // no field of it was chosen
			return append(dst[:n], "}\n"...)
		}
		dst[n] = ','
		return dst
	}
}
