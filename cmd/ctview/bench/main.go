package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"ctview/ctnl/lab/fill"
)

// A plan says how much is measured.
type plan struct {
	ctview string // the program to measure
	dir    string // for output files
	flows  int    // in the big table
	runs   int    // of each program in alternation
	big    bool   // 4M flows too
	only   []string
}

func (p *plan) wants(id string) bool { return len(p.only) == 0 || slices.Contains(p.only, id) }

// parts measure one or more figures each.
var parts = []struct {
	ids []string
	run func(context.Context, *plan, *report) error
}{
	{[]string{"P10"}, measureDecode},
	{[]string{"P8"}, measureSize},
	{[]string{"P15"}, measureStart},
	{[]string{"P5"}, measureEvents},
	{[]string{"P9"}, measureDelete},
	{[]string{"P13"}, measureRestore},
	{[]string{"P7"}, measureRepair},
	{[]string{"P1", "P1a", "P14"}, measureList},
	{[]string{"P2", "P3", "P6"}, measureScreen},
	{[]string{"P4"}, measureKeys},
	{[]string{"P11"}, measureGrowth},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareCommand {
		os.Exit(bareMain())
	}
	var p plan
	var only string
	quick := flag.Bool("quick", false, "100,000 flows and one run of each")
	flag.StringVar(&p.ctview, "ctview", "./ctview", "the program to measure, built and stripped")
	flag.IntVar(&p.flows, "flows", 1_000_000, "flows in the big table")
	flag.IntVar(&p.runs, "runs", 3, "runs of each program that is compared")
	flag.BoolVar(&p.big, "4m", false, "measure the growth up to 4,000,000 flows; takes 4 GB of kernel memory")
	flag.StringVar(&only, "only", "", "figures to measure, e.g. P1,P4")
	flag.Parse()
	if *quick {
		p.flows, p.runs = min(p.flows, 100_000), min(p.runs, 1)
	}
	if only != "" {
		p.only = strings.Split(only, ",")
	}
	if err := bench(&p); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(p *plan) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if os.Getuid() != 0 {
		return errors.New("must be root: the tables are made in network namespaces")
	}
	if p.dir, err = os.MkdirTemp("", "ctview-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	most := p.flows
	if p.big {
		most = max(most, 4_000_000)
	}
	restore, err := fill.RaiseMax(most + most/4)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()

	began := time.Now()
	r := newReport(os.Stdout)
	for _, part := range parts {
		if !slices.ContainsFunc(part.ids, p.wants) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s %5.0fs ...\n", strings.Join(part.ids, " "), time.Since(began).Seconds())
		err := part.run(ctx, p, r)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", part.ids[0]+":", err) // it may hold a whole screen
			r.row(part.ids[0], "not measured", strings.SplitN(err.Error(), "\n", 2)[0], "")
		}
	}
	r.print(p, time.Since(began))
	return nil
}
