package ctnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// DefaultRcvBuf is the receive buffer that a Watcher asks for where memory allows, see AdvisedRcvBuf. The kernel doubles it; each event costs 1,280 bytes of
// it whatever its size, so it holds some 100,000 events: 250 ms at 400,000 a second.
const DefaultRcvBuf = 64 << 20

// minCharge is less than any queued message is charged for: the smallest socket buffer and its header.
const minCharge = 512

// A Sink takes what the kernel says; *model.Table is one. Apply must not keep evs.
type Sink interface {
	// Apply takes events, or the rows of a dump, in their order. now is when they were received, Unix nanoseconds.
	Apply(now int64, evs []model.Event)
	// BeginDump and EndDump frame the rows of a dump. complete says that the rows were all there are.
	BeginDump(now int64)
	EndDump(now int64, complete bool) table.DumpResult
	// Lost says that the kernel dropped n events, 0 if it does not say how many.
	Lost(now int64, n uint64)
	// Refuse counts messages that were not applied: not from the kernel, or broken.
	Refuse(forged, malformed uint64)
}

// WatchOptions say what to listen to. The zero value is flow events with a buffer of AdvisedRcvBuf.
type WatchOptions struct {
	Groups []netfilter.NetlinkGroup // nil: netfilter.GroupsCT
	RcvBuf int                      // bytes asked for; 0: AdvisedRcvBuf

	// Expect, if not nil, gets the events of expectations, whose groups are then joined too. It is called on Run's
	// goroutine, after the flow events that came before; it must not keep xs.
	Expect func(now int64, xs []model.Expect)
	// Lost, if not nil, is called on Run's goroutine after Sink.Lost.
	Lost func(n uint64)
	// Raw, if not nil, gets every datagram of the kernel before it is decoded; it must not keep b.
	Raw func(now int64, b []byte)
}

// A Watcher receives conntrack events on a socket of its own. Loss is counted, never pushed back: the kernel's
// reliable mode (NETLINK_BROADCAST_ERROR) would make it keep dead flows and drop packets for a reader that stands
// still.
type Watcher struct {
	opt    WatchOptions
	s      *socket
	in     *mailbox
	d      *Decoder
	ns     *Netns
	wish   int // bytes of receive buffer
	rcvbuf int
	forced bool

	sink    Sink
	now     int64 // when the batch was received
	batch   []model.Event
	expects []model.Expect
	taken   uint64 // datagrams received

	exact   bool // SO_MEMINFO tells how many were dropped
	mem     memInfo
	drops   uint32 // as last seen
	readMem func(fd uintptr)

	asks  chan *drain
	ended chan struct{}
}

// A drain is a function that waits until every message that was queued when it was asked for is applied.
type drain struct {
	fn    func()
	until uint64 // datagrams received by then at the latest
	done  chan struct{}
}

// Watch joins the groups in ns; from then on events queue up. Run reads them, Close gives the socket back. Errors wrap
// ErrPermission or ErrNoConntrack.
func Watch(ns *Netns, opt WatchOptions) (*Watcher, error) {
	s, err := dial(ns)
	if err != nil {
		return nil, fmt.Errorf("ctnl: watch: %w", err)
	}
	w := &Watcher{opt: opt, ns: ns, s: s, in: newMailbox(s), d: NewDecoder(),
		batch: make([]model.Event, 0, batchSize), expects: make([]model.Expect, 0, batchSize),
		asks: make(chan *drain, 1), ended: make(chan struct{})}
	w.readMem = func(fd uintptr) { w.exact = readMemInfo(int(fd), &w.mem) }
	if err := w.setup(); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("ctnl: watch: %w", err)
	}
	return w, nil
}

// setup sizes the buffer, chooses how loss is told, and joins the groups last: nothing is missed between.
func (w *Watcher) setup() (err error) {
	size := w.opt.RcvBuf
	if size == 0 {
		size = AdvisedRcvBuf()
	}
	w.wish = size
	if w.rcvbuf, w.forced, err = w.s.setReadBuffer(size); err != nil {
		return err
	}
	if err := w.s.raw.Control(w.readMem); err != nil {
		return err
	}
	w.drops = w.mem[memDrops]
	if w.exact {
		// Left off, the first loss makes the kernel drop everything until the queue is empty.
		if err := w.s.conn.SetOption(netlink.NoENOBUFS, true); err != nil {
			return errnoError(err)
		}
	}
	groups := w.opt.Groups
	if groups == nil {
		groups = netfilter.GroupsCT
	}
	if w.opt.Expect != nil {
		groups = slices.Concat(groups, netfilter.GroupsCTExp)
	}
	for _, g := range groups {
		if err := w.s.conn.JoinGroup(uint32(g)); err != nil {
			return errnoError(err)
		}
	}
	return nil
}

// RcvBuf returns the size of the receive buffer as the kernel counts it, twice what was asked for, and whether it
// could be forced beyond net.core.rmem_max.
func (w *Watcher) RcvBuf() (bytes int, forced bool) { return w.rcvbuf, w.forced }

// Close leaves the groups. Run must have returned.
func (w *Watcher) Close() error { return w.s.close() }

// Run hands events to sink, at most 256 at once, until ctx ends; then it returns nil. Batches form by themselves: an
// idle reader gets one event, a busy one whatever has queued up. Nothing is allocated per event. Run can be called
// once. It ends with ErrNetnsGone when the namespace is gone, which the socket would keep alive, and its links with it.
func (w *Watcher) Run(ctx context.Context, sink Sink) error {
	defer crash.Guard()
	ctx, stop := w.ns.Lasting(ctx)
	defer stop()
	w.sink = sink
	defer close(w.ended)
	defer context.AfterFunc(ctx, w.wake)()
	var d *drain
	for ctx.Err() == nil {
		if d == nil {
			d = w.asked()
		}
		taken, before := w.taken, w.now
		dry, err := w.fill(d == nil)
		w.flush()
		if dry && d == nil {
			w.gather(w.taken-taken, before)
		}
		if d != nil && (dry || w.taken >= d.until) {
			d.fn()
			close(d.done)
			d = nil
		}
		if err := w.checkDrops(); err != nil {
			return fmt.Errorf("ctnl: watch: %w", err)
		}
		switch {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, unix.ENOBUFS):
			w.lost(0)
		default:
			return fmt.Errorf("ctnl: watch: %w", errnoError(err))
		}
	}
	if err := context.Cause(ctx); errors.Is(err, ErrNetnsGone) {
		return err
	}
	return nil
}

// wake makes a waiting read return.
func (w *Watcher) wake() { _ = w.s.conn.SetReadDeadline(past) }

// drained runs fn on Run's goroutine once every message that is queued now has been applied, and waits for it. Losses
// before fn are reported before it, except those since the queue was last seen; these are reported right after it.
// It returns ctx's error, or errStopped where Run has ended.
func (w *Watcher) drained(ctx context.Context, fn func()) error {
	d := &drain{fn: fn, done: make(chan struct{})}
	select {
	case w.asks <- d:
	case <-w.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	w.wake()
	select {
	case <-d.done:
		return nil
	case <-w.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asked takes a drain, if there is one, and works out when it is due at the latest: under load the queue may never be
// empty, but what was queued at this moment has been read after as many messages as fit into the bytes charged for it.
func (w *Watcher) asked() *drain {
	select {
	case d := <-w.asks:
		queued := w.rcvbuf
		if w.exact && w.s.raw.Control(w.readMem) == nil && w.exact {
			queued = int(w.mem[memRmemAlloc])
		}
		d.until = w.taken + uint64(queued/minCharge) + 1
		return d
	default:
		return nil
	}
}

// checkDrops reports what the kernel dropped since the last call.
func (w *Watcher) checkDrops() error {
	if !w.exact {
		return nil
	}
	if err := w.s.raw.Control(w.readMem); err != nil {
		return err
	}
	if n := w.mem[memDrops] - w.drops; n != 0 { // the counter wraps
		w.drops = w.mem[memDrops]
		w.lost(uint64(n))
	}
	return nil
}

func (w *Watcher) lost(n uint64) {
	w.sink.Lost(nowNano(), n)
	if w.opt.Lost != nil {
		w.opt.Lost(n)
	}
}
