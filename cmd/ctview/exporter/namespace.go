package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"
)

const (
	// budget is the part of a core that dumps may take in the long run. Nobody looks at the counters of single flows here: a
	// dump only finds what ended without an event.
	budget = 0.01
	// againAfter is how long a namespace that is gone, or whose socket failed, is left alone.
	againAfter = 5 * time.Second
	// rulesEvery is how often the NOTRACK rules are read.
	rulesEvery = 30 * time.Second
)

// A namespace is one that the exporter was asked for, whether it is there or not.
type namespace struct {
	spec string // as --netns takes it, "" for the exporter's own
	log  *slog.Logger
	ends bool // what ends is sent
	// active, if not 0, is how often what goes on is.
	active time.Duration

	mu    sync.Mutex
	now   *watching    // nil while it is not there
	queue *table.Table // has the ends that were not taken, of all lives; nil where none are kept
	past  eventCounts  // of the lives before
	kernelCounts
}

// kernelCounts are what the kernel counts in a namespace, summed over its lives: a counter does not step back.
type kernelCounts struct {
	mu    sync.Mutex
	life  *watching // whose readings are taken
	wide  wideStats
	found notrackReading
}

// of says whose readings are taken from here on, nil for nobody's; another: it is in another namespace than the one before.
func (k *kernelCounts) of(w *watching, another bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.life, k.found.ok = w, false
	if another {
		k.wide.last, k.found.leaks = nil, nil
	}
}

// eventCounts are what a table has counted of events.
type eventCounts struct{ created, updated, ended, lost, gaps, resyncs, forged, malformed uint64 }

func (c *eventCounts) add(s table.Stats) {
	c.created += s.New
	c.updated += s.Updates
	c.ended += s.Ended
	c.lost += s.Lost
	c.gaps += s.Gaps
	c.resyncs += s.Resyncs
	c.forged += s.Forged
	c.malformed += s.Malformed
}

func newNamespace(spec string, log *slog.Logger) *namespace {
	if spec != "" {
		log = log.With("netns", spec)
	}
	return &namespace{spec: spec, log: log}
}

// A watching is one life of a namespace: its table and what keeps it true. Counts of the table begin anew with it.
type watching struct {
	ns     *ctnl.Netns
	table  *table.Table
	sync   *ctnl.Syncer
	kernel *ctnl.Kernel // of its own: an answer does not wait for the Syncer's questions
	rules  *notrack.Installer
	counts *kernelCounts // the namespace's

	mu     sync.Mutex
	wrong  map[string]findingCount // by name; made anew by each look
	judged bool
}

// open subscribes to the namespace's events; nothing runs before run.
func (n *namespace) open() (w *watching, err error) {
	ns, err := ctnl.OpenNetns(n.spec)
	if err != nil {
		return nil, err
	}
	w = &watching{ns: ns, table: table.New(), kernel: ctnl.NewKernel(ns), counts: &n.kernelCounts}
	if n.ends {
		w.table.QueueEnds(endsKept)
		w.table.QueueActive(int64(n.active))
	}
	if w.sync, err = ctnl.NewSyncer(ns, w.table, ctnl.SyncOptions{Budget: budget}); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	if w.rules, err = notrack.Open(ns, notrack.Options{}); err != nil {
		n.log.Warn("NOTRACK rules are not told", "err", err)
		w.rules = nil
	}
	return w, nil
}

func (w *watching) close() error {
	errs := []error{w.sync.Close(), w.kernel.Close()}
	if w.rules != nil {
		errs = append(errs, w.rules.Close())
	}
	return errors.Join(append(errs, w.ns.Close())...)
}

// run watches until ctx ends, w first; a namespace that is gone is looked for again.
func (n *namespace) run(ctx context.Context, w *watching) {
	told := ""
	for {
		var err error
		if w == nil {
			w, err = n.open()
		}
		if err == nil {
			if told != "" {
				n.log.Info("watched again")
				told = ""
			}
			n.begin(w)
			err = w.run(ctx)
			n.end(errors.Is(err, ctnl.ErrNetnsGone))
			err = errors.Join(err, w.close())
			w = nil
		}
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != told { // once, not every few seconds
			n.log.Error("not watched, tried again every few seconds", "err", err)
			told = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(againAfter):
		}
	}
}

// begin makes w the present life.
func (n *namespace) begin(w *watching) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = w
	n.of(w, false)
	if n.ends {
		if n.queue != nil {
			w.table.InheritEnds(n.queue)
		}
		n.queue = w.table
	}
}

// end ends the present life; what it counted stays, and so do the ends that were not taken. gone: the namespace is no more.
func (n *namespace) end(gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.past.add(n.now.table.Stats())
	if n.ends {
		n.queue = table.New()
		n.queue.InheritEnds(n.now.table)
	}
	n.now = nil
	n.of(nil, gone)
}

// events returns the counts of all lives.
func (n *namespace) events() eventCounts {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.past
	if n.now != nil {
		all.add(n.now.table.Stats())
	}
	return all
}

// takeEnds moves ends of all lives to buf, see table.TakeEnds.
func (n *namespace) takeEnds(now int64, buf []table.Ended) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.queue == nil {
		return 0
	}
	return n.queue.TakeEnds(now, buf)
}

// endStats returns the counts of the ends of all lives.
func (n *namespace) endStats() table.EndStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.queue == nil {
		return table.EndStats{}
	}
	return n.queue.EndStats()
}

// watching returns the present life, nil for none. It may end at any time; its table stays readable, requests fail.
func (n *namespace) watching() *watching {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// run keeps the table true until ctx ends or the namespace is gone.
func (w *watching) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer crash.Guard()
		if err := w.sync.Run(ctx); err != nil {
			return err
		}
		return context.Cause(ctx)
	})
	group.Go(func() error {
		defer crash.Guard()
		w.judge(ctx)
		return nil
	})
	if w.rules != nil {
		group.Go(func() error {
			defer crash.Guard()
			w.readRules(ctx)
			return nil
		})
	}
	return group.Wait()
}

// A notrackReading is what the last reading of the rules said.
type notrackReading struct {
	ok     bool
	ours   []model.NotrackRule
	others int
	leaks  map[string]uint64 // by rule, as last read
	leaked uint64            // in all lives of all rules that were seen
}

// readRules reads the NOTRACK rules now and then. It is not done by a scrape: with the iptables backend it starts a program.
func (w *watching) readRules(ctx context.Context) {
	t := time.NewTicker(rulesEvery)
	defer t.Stop()
	for {
		ours, err := w.rules.List(ctx)
		var others []model.ForeignRule
		if err == nil {
			others, err = w.rules.Others(ctx)
		}
		w.counts.take(w, ours, len(others), err == nil)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (k *kernelCounts) take(w *watching, ours []model.NotrackRule, others int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life == w {
		k.found.take(ours, others, ok)
	}
}

// take notes a reading. What leaked is summed up by what was added since, so that it stays a counter when rules go.
func (r *notrackReading) take(ours []model.NotrackRule, others int, ok bool) {
	if r.ok = ok; !ok {
		return
	}
	r.ours, r.others = ours, others
	leaks := make(map[string]uint64, len(ours))
	for i := range ours {
		o := &ours[i]
		if !o.HasLeak {
			continue
		}
		leaks[o.ID] = o.Leaked
		if before := r.leaks[o.ID]; o.Leaked >= before {
			r.leaked += o.Leaked - before
		} else { // another rule of that name
			r.leaked += o.Leaked
		}
	}
	r.leaks = leaks
}

// A wideStats adds up the kernel's counters of all CPUs where they are 32 bits wide and begin at 0 again: to Prometheus that
// would be a restart, and a rate of billions. The zero value is ready.
type wideStats struct {
	last map[int]model.CPUStats
	sum  [len(model.CPUStats{}.Values)]uint64
	has  uint32
}

// add takes a reading; they have to come in the order in which they were made.
func (s *wideStats) add(cpus []model.CPUStats) {
	if s.last == nil {
		s.last = make(map[int]model.CPUStats, len(cpus))
	}
	for i := range cpus {
		c := &cpus[i]
		before := s.last[c.CPU]
		for n, v := range c.Values {
			if c.Has&(1<<n) != 0 {
				s.sum[n] += uint64(v - before.Values[n])
			}
		}
		s.has |= c.Has
		s.last[c.CPU] = *c
	}
}
