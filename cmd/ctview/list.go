package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

// listOptions are the flags of list; the ones about the shape of a line are shared with events.
type listOptions struct {
	output   string
	columns  string
	noHeader bool
	sort     string
	limit    int
	groupBy  string
	exitCode bool
	resolve  bool
	read     string
	watch    bool
	every    time.Duration // between two readings of --watch

	filter string     // its text
	at     time.Time  // of the reading that is printed
	count  string     // of what it has
	page   *watchPage // that it is printed on, nil for none
}

func listCommand(g *globals) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list [FILTER…]",
		Short: "the table, once",
		Long: `list prints the flows that match FILTER, or all. Without --sort and --limit it streams, and
takes 8 bytes of memory a flow.

--watch goes on until it is interrupted: on a terminal it draws each reading over the one before, as far as the screen reaches;
into a pipe or a file it writes one behind the other, each with its time. It knows rates from the second reading on.

--group-by nat-ports tells of each address that sources are translated to, and each destination, how many ports are in use of the
range that the rules give it, the scarcest first. A range that no rule tells is "-"; a rule without one has 1024-65535, from which
the kernel chooses for sources that have such a port themselves. Of a large range the kernel tries no more than a part, by chance:
what finds none is dropped before all are in use, and counted as insert_failed.`,
		Example: `  ctview list 'src 192.168.1.0/24 and not assured' --sort bytes:desc --limit 20
  ctview list --watch --sort rate:desc
  ctview list --watch=5s --group-by src,dport --limit 10
  ctview list --group-by nat-ports --limit 5
  ctview list -j --columns proto,src,dst,bytes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.checkWatch(g, args); err != nil {
				return err
			}
			return runList(cmd.Context(), g, filterText(args), o)
		},
	}
	f := cmd.Flags()
	addFormatFlags(cmd, &o)
	f.StringVar(&o.sort, "sort", "", "sort by `COLUMN[:desc]`")
	f.IntVar(&o.limit, "limit", 0, "print at most `N` flows (0: all)")
	f.StringVar(&o.groupBy, "group-by", "", "totals by `KEY[,KEY]`: src, dport, zone, src/24, …, or nat-ports; sorted by key, flows, unreplied, bytes, used")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 1 when nothing matches")
	addReadFlag(cmd, &o.read)
	addOverFlag(cmd, g)
	o.every = 2 * time.Second
	addWatch(cmd, &o.watch, &o.every, minOver, "again and again, every `TIME` (2s unless said)")
	return cmd
}

// addFormatFlags adds the flags that say how a flow is printed.
func addFormatFlags(cmd *cobra.Command, o *listOptions) {
	f := cmd.Flags()
	addOutput(cmd, &o.output, "", outputNames...)
	f.StringVar(&o.columns, "columns", "", "columns, or fields of json: `NAME,...`; \"ctview help columns\" lists them")
	addNoHeader(f, &o.noHeader)
	f.BoolVar(&o.resolve, "resolve", false, "host names in place of addresses (asks the resolver; with -o json beside them)")
}

func runList(ctx context.Context, g *globals, text string, o listOptions) error {
	g.watches = o.watch
	f, err := g.parseFilter(text)
	if err != nil {
		return err
	}
	if o.limit < 0 {
		return usageError{"--limit must not be negative", "0 means all"}
	}
	if o.read != "" && g.over > 0 {
		return usageError{"--over: a recording is not read twice", "leave --over or --read out"}
	}
	prepare := prepareList
	if o.groupBy != "" {
		prepare = prepareGroups
	}
	o.filter = text
	read, keep, err := prepare(g, f, &o)
	if err != nil {
		return err
	}
	if o.watch {
		return watchList(ctx, g, &o, keep, read)
	}
	src, done, err := g.flows(o.read)
	if err != nil {
		return err
	}
	defer done()
	return read(ctx, src)
}

// prepareList returns what prints a list, and whether it takes a table of the readings before.
func prepareList(g *globals, f *filter.Filter, o *listOptions) (_ listReading, keep bool, err error) {
	lf, err := g.newLineFormat(*o, false)
	if err != nil {
		return nil, false, err
	}
	order, err := parseSort(o.sort)
	if err != nil {
		return nil, false, err
	}
	if order != nil {
		g.wants(order.column)
		if err := g.needsOver("--sort", order.column); err != nil {
			return nil, false, err
		}
	}
	if o.watch {
		lf = stamped(lf, o)
	}
	return func(ctx context.Context, src flowSource) error {
		l := lister{g: g, src: g.reading(src, f), filter: f, rows: rowPrinter{format: lf, out: newFlusher(g.out)}, limit: o.limit}
		if o.page != nil {
			l.room = o.page.left(o)
		}
		if o.output == "csv" {
			lf.head = nil // once is enough
		}
		err := l.print(ctx, o, order)
		o.count = countOf(l.printed, l.matched, "flow")
		return err
	}, asksRate(f, o, order), nil
}

// print prints a reading.
func (l *lister) print(ctx context.Context, o *listOptions, order *sortOrder) error {
	if o.resolve {
		asked, cancel := context.WithTimeout(ctx, resolveTime)
		defer cancel()
		l.resolve = func(evs []*model.Event) { l.g.resolve(asked, evs) }
	}
	var err error
	if order != nil {
		err = l.sorted(ctx, *order)
	} else {
		err = l.stream(ctx)
	}
	if err == nil {
		err = l.rows.end()
	}
	if err != nil {
		return err
	}
	l.g.noteUnknown(l.filter, l.unknown)
	if l.matched == 0 && o.exitCode {
		return errNoMatch
	}
	return nil
}

// A lister prints one dump.
type lister struct {
	g       *globals
	src     flowSource
	filter  *filter.Filter
	rows    rowPrinter
	limit   int
	room    int // rows that are printed at most, of all that are counted; 0: all
	matched int
	printed int
	unknown int
	resolve func([]*model.Event) // asks for the names in what is to be printed; nil: without names
}

// match counts and reports whether ev is to be printed.
func (l *lister) match(ev *model.Event, now int64) bool {
	m, u := l.filter.MatchKnown(&ev.Flow, &ev.Extra, now)
	if u {
		l.unknown++
	}
	if m {
		l.matched++
	}
	return m
}

// stream prints flows in the kernel's order as they come.
func (l *lister) stream(ctx context.Context) error {
	var line []byte
	err := l.src(ctx, l.filter.Kernel(), func(evs []model.Event) error {
		now := l.g.now()
		if l.resolve != nil {
			l.resolveMatching(evs, now)
		}
		for i := range evs {
			if !l.match(&evs[i], now) || l.room > 0 && l.printed == l.room {
				continue
			}
			l.printed++
			line = l.rows.format.line(line[:0], &evs[i], now)
			if err := l.rows.print(line); err != nil {
				return err
			}
			if l.limit > 0 && l.matched == l.limit {
				return errEnough
			}
		}
		return nil
	})
	if err == errEnough {
		return nil
	}
	return err
}

// resolveMatching asks for the names in those of evs that will be printed.
func (l *lister) resolveMatching(evs []model.Event, now int64) {
	var shown []*model.Event
	for i := range evs {
		if l.limit > 0 && l.matched+len(shown) == l.limit || l.room > 0 && l.printed+len(shown) == l.room {
			break
		}
		if l.filter.Match(&evs[i].Flow, &evs[i].Extra, now) {
			shown = append(shown, &evs[i])
		}
	}
	l.resolve(shown)
}

// errEnough stops a dump that has given what was asked for.
var errEnough = &failure{}

// A sortOrder is what --sort says.
type sortOrder struct {
	column model.Column
	desc   bool
}

// parseSort reads COLUMN, COLUMN:desc or COLUMN:asc; "" gives nil.
func parseSort(s string) (*sortOrder, error) {
	if s == "" {
		return nil, nil
	}
	name, dir, _ := strings.Cut(strings.ToLower(s), ":")
	c, err := model.ParseColumn(name)
	if err != nil {
		return nil, usageError{"--sort: " + err.Error(), `"ctview help columns" lists the columns`}
	}
	switch dir {
	case "", "asc":
		return &sortOrder{column: c}, nil
	case "desc":
		return &sortOrder{column: c, desc: true}, nil
	}
	return nil, usageError{"--sort: unknown direction " + dir, "write " + name + ":asc or " + name + ":desc"}
}

// sorted prints the flows in order. With a limit it never keeps more than twice that many, and else no more than there is
// memory for.
func (l *lister) sorted(ctx context.Context, order sortOrder) error {
	var kept packed
	var key []byte
	now, limit := l.g.now(), l.limit
	if l.room > 0 && (limit == 0 || limit > l.room) {
		limit = l.room
	}
	err := l.src(ctx, l.filter.Kernel(), func(evs []model.Event) error {
		now = l.g.now()
		for i := range evs {
			ev := &evs[i]
			if !l.match(ev, now) {
				continue
			}
			key = table.AppendSortKey(key[:0], order.column, order.desc, &ev.Flow, &ev.Extra)
			kept.add(key, ev)
			if limit > 0 && kept.n >= 2*limit+1024 {
				kept = kept.first(limit)
			}
		}
		return l.g.enough(kept.memory(), "sorting", l.matched)
	})
	if err != nil {
		return err
	}
	rows := kept.sorted()
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	l.printed = len(rows)
	l.measure(&kept, rows, now)
	var ev model.Event
	var line []byte
	for _, row := range rows {
		kept.event(row, &ev)
		l.g.know(&ev)
		line = l.rows.format.line(line[:0], &ev, now)
		if err := l.rows.print(line); err != nil {
			return err
		}
	}
	return nil
}

// measure asks for the names in rows, if they are wanted, and makes the columns as wide as the lines.
func (l *lister) measure(kept *packed, rows []packedRow, now int64) {
	t := l.rows.format.table
	if l.resolve == nil && t == nil {
		return
	}
	evs := make([]model.Event, min(len(rows), 1024))
	asked := make([]*model.Event, len(evs))
	var line []byte
	for some := range slices.Chunk(rows, max(len(evs), 1)) {
		for i, row := range some {
			kept.event(row, &evs[i])
			l.g.know(&evs[i])
			asked[i] = &evs[i]
		}
		if l.resolve != nil {
			l.resolve(asked[:len(some)])
		}
		for i := range some {
			if t != nil {
				line = l.rows.format.line(line[:0], &evs[i], now)
				t.Widen(line)
			}
		}
	}
}

// flushSize is how much output is gathered before it is written.
const flushSize = 64 << 10

// A flusher gathers whole lines and writes them in large pieces, so that no reader ever sees half a line between two
// writes.
type flusher struct {
	w   io.Writer
	buf []byte
}

func newFlusher(w io.Writer) *flusher { return &flusher{w: w, buf: make([]byte, 0, flushSize+8<<10)} }

// spill writes when enough has gathered.
func (f *flusher) spill() error {
	if len(f.buf) < flushSize {
		return nil
	}
	return f.flush()
}

// flush writes what has gathered.
func (f *flusher) flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	_, err := f.w.Write(f.buf)
	f.buf = f.buf[:0]
	if err != nil {
		return failure{err}
	}
	return nil
}
