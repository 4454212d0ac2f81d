package ctcompat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"

	"github.com/ti-mo/netfilter"
)

const lossWarning = "WARNING: We have hit ENOBUFS! We are losing events.\n" +
	"This message means that the current netlink socket buffer size is too small.\n" +
	"Please, check --buffer-size in conntrack(8) manpage.\n"

// resyncPause is the least time between two resyncs: under steady loss each would cost more than it tells.
const resyncPause = time.Second

// A follower prints events. It is a ctnl.Sink; its methods are called on the Watcher's goroutine.
type follower struct {
	r      *run
	c      *command
	p      *printer
	names  *prognames
	cancel context.CancelCauseFunc

	losses, lost uint64
	want         chan struct{} // holds one request for a resync

	mu      sync.Mutex // the streams are the follower's and the resyncs'
	resyncs int
}

// events is -E. It ends with the context, as conntrack ends with SIGINT and SIGTERM.
func (r *run) events(c *command) error {
	ctx := r.ctx
	if r.Follow != nil {
		var stop func()
		ctx, stop = r.Follow(ctx)
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{r: r, c: c, p: r.newPrinter(c, true), names: newPrognames(r.ns), cancel: cancel, want: make(chan struct{}, 1)}
	f.p.opt.Progname = f.names.name
	opt := ctnl.WatchOptions{Groups: c.groups(), RcvBuf: c.buffer}
	if c.op == expEvent {
		f.p.root = expRoot
		opt.Groups, opt.Expect = []netfilter.NetlinkGroup{}, f.expects
	}
	w, err := ctnl.Watch(r.ns, opt)
	if err != nil {
		return r.cannotWatch(c, err)
	}
	defer w.Close()
	if c.opts.has(optBufferSize) {
		size, _ := w.RcvBuf()
		fmt.Fprintf(r.Stderr, "NOTICE: Netlink socket buffer size has been set to %d bytes.\n", size)
	}
	if r.ns.EventsOff() {
		fmt.Fprintln(r.Stderr, "ctview: nf_conntrack_events is 0 here: the kernel tells no events, so none will come")
	}
	done := make(chan struct{})
	go func() {
		defer crash.Guard()
		defer close(done)
		f.resync(ctx)
	}()
	err = w.Run(ctx, f)
	cancel(nil)
	<-done
	return f.end(ctx, err)
}

// cannotWatch says why -E cannot begin.
func (r *run) cannotWatch(c *command, err error) error {
	if c.op == expEvent {
		return failf("Can't open handler")
	}
	fmt.Fprintf(r.Stderr, "mnl_socket_bind: %s\n", errorText(err))
	return failf("Can't open netlink socket")
}

// groups are the multicast groups of -e.
func (c *command) groups() []netfilter.NetlinkGroup {
	if !c.opts.has(optEventMask) {
		return netfilter.GroupsCT
	}
	groups := []netfilter.NetlinkGroup{}
	for i, g := range []netfilter.NetlinkGroup{netfilter.GroupCTNew, netfilter.GroupCTUpdate, netfilter.GroupCTDestroy} {
		if c.events&(1<<i) != 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// end closes the document and prints the summary.
func (f *follower) end(ctx context.Context, err error) error {
	f.p.end()
	var unwritten *exitError
	if err == nil && errors.As(context.Cause(ctx), &unwritten) {
		return unwritten
	}
	if err != nil {
		return failf("failed to received netlink event: %s", errorText(err))
	}
	what := "flow"
	if f.c.op == expEvent {
		what = "expectation"
	}
	fmt.Fprintf(f.r.Stderr, "%s%d %s events have been shown.\n", prefix, f.r.shown, what)
	if f.losses > 0 {
		fmt.Fprintf(f.r.Stderr, "ctview: %s lost in %s; %s.\n",
			model.Plural(f.lost, "event"), model.Plural(f.losses, "gap"), model.Plural(f.resyncs, "resync"))
	}
	return nil
}

// Apply prints the events that match.
func (f *follower) Apply(_ int64, evs []model.Event) {
	f.names.forget()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range evs {
		if f.c.match(&evs[i]) {
			f.p.flow(&evs[i])
			f.r.shown++
		}
	}
	f.flush()
}

// expects prints events of expectations.
func (f *follower) expects(_ int64, xs []model.Expect) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range xs {
		f.p.expect(&xs[i])
		f.r.shown++
	}
	f.flush()
}

// flush writes a whole batch: a reader sees whole lines, and the kernel's queue is read in one go.
func (f *follower) flush() {
	if err := f.r.out.Flush(); err != nil {
		f.cancel(failf("write: %s", errorText(err)))
	}
}

// Lost tells of a loss as conntrack does, and asks for a resync.
func (f *follower) Lost(_ int64, n uint64) {
	f.losses++
	f.lost += n
	f.mu.Lock()
	fmt.Fprint(f.r.Stderr, lossWarning)
	f.mu.Unlock()
	select {
	case f.want <- struct{}{}:
	default: // one is due already
	}
}

// Refuse takes the number of messages that were not the kernel's or broken: conntrack does not tell of them.
func (f *follower) Refuse(_, _ uint64) {}

// BeginDump and EndDump are for a Syncer, which -E has not.
func (f *follower) BeginDump(int64) {}

// EndDump see BeginDump.
func (f *follower) EndDump(int64, bool) table.DumpResult { return table.DumpResult{} }

// resync reads the table after each loss and tells what it holds, so that who follows the events knows where he stands.
// It runs until ctx ends.
func (f *follower) resync(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.want:
		}
		rows := 0
		err := ctnl.DumpTo(ctx, f.r.ns, model.KernelFilter{Family: f.c.family}, func(batch []model.Event) error {
			for i := range batch {
				if f.c.match(&batch[i]) {
					rows++
				}
			}
			return nil
		})
		if err == nil || errors.Is(err, ctnl.ErrIncomplete) {
			f.mu.Lock()
			f.resyncs++
			fmt.Fprintf(f.r.Stderr, "ctview: resync %d: events were lost; %s now.\n", f.resyncs, model.Plural(rows, "entry"))
			f.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(resyncPause):
		}
	}
}
