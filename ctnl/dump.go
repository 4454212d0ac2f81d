package ctnl

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"ctview/model"
	"ctview/model/crash"

	"golang.org/x/sys/unix"
)

const (
	// dumpBuffer is the size of each read. The kernel fills at most 32 KiB and sizes its datagrams by the largest read
	// seen; one fixed size above that never cuts one.
	dumpBuffer = 64 << 10
	// dumpAhead is how many datagrams are read before they are decoded: some 20 ms of the kernel's time, in which a View
	// may hold the table. The kernel fills half of each, so 1 MB is touched.
	dumpAhead = 32
	// batchSize is the most events that are handed on at once.
	batchSize = 256
)

// A DumpSource is a list of flows that the kernel keeps.
type DumpSource uint8

// The lists.
const (
	Tracked     DumpSource = iota // the table
	Dying                         // flows whose DESTROY event could not be delivered yet
	Unconfirmed                   // always empty since Linux 5.19
)

// DumpOptions say what to dump. The zero value is the whole table.
type DumpOptions struct {
	Source DumpSource
	Filter model.KernelFilter // rows that do not match are not handed on, whether or not the kernel filters
	Zero   bool               // set the counters to 0 in the same step (IPCTNL_MSG_CT_GET_CTRZERO)
	// OneReader has one reader at any rate. Else a large table is read by two side by side where no other program runs: one
	// for each family, or one for what is translated and one for what is not. The rows then come in no order.
	OneReader bool
	// Raw, if not nil, gets every datagram before it is decoded, on the caller's goroutine; it must not keep b.
	Raw func(now int64, b []byte)
}

// A DumpInfo tells how a dump went.
type DumpInfo struct {
	Rows     int           // rows that the kernel sent
	Passed   int           // rows handed on
	Bad      int           // messages refused: malformed
	Filtered bool          // the kernel applied the filter
	Resized  bool          // the hash was resized meanwhile: flows may be missing
	CPU      time.Duration // CPU time that reading took, almost all of it the kernel's
	Wall     time.Duration
}

// DumpTo streams the table of ns: fn gets the rows that k lets pass, in batches of at most 256, see Dump. It is for one
// question: where the kernel had no buffer for its answer (ErrOverrun) it asks again, three times, and hands on what it
// has not handed on yet. For that it keeps 8 bytes a row.
func DumpTo(ctx context.Context, ns *Netns, k model.KernelFilter, fn func(batch []model.Event) error) error {
	return dumpAgain(ctx, ns, DumpOptions{Filter: k}, fn)
}

// overrunTries is how often one question is asked that the kernel has no buffer for; between two it pauses 50 ms, then
// twice as long: the cause is memory that is short (netlink_dump), which passes or does not.
const overrunTries = 4

func dumpAgain(ctx context.Context, ns *Netns, opt DumpOptions, fn func(batch []model.Event) error) error {
	var (
		seed = maphash.MakeSeed()
		sums rowSums             // of the rows handed on
		had  map[uint64]struct{} // the same, once it is asked again
	)
	fresh := func(batch []model.Event) error {
		n := 0
		for i := range batch {
			sum := maphash.Comparable(seed, rowID{batch[i].Flow.Key, batch[i].Flow.ID})
			if _, twice := had[sum]; twice {
				continue
			}
			sums.add(sum)
			if n != i {
				batch[n] = batch[i]
			}
			n++
		}
		if n == 0 {
			return nil
		}
		return fn(batch[:n])
	}
	for try, pause := 1, 50*time.Millisecond; ; try, pause = try+1, 2*pause {
		_, err := Dump(ctx, ns, opt, fresh)
		if try == overrunTries || !errors.Is(err, ErrOverrun) {
			return err
		}
		had = map[uint64]struct{}{}
		for _, chunk := range sums {
			for _, sum := range chunk {
				had[sum] = struct{}{}
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rowSums are sums in pieces of 256 kB: nothing is copied, and nothing becomes garbage, as they grow to millions.
type rowSums [][]uint64

func (s *rowSums) add(sum uint64) {
	last := len(*s) - 1
	if last < 0 || len((*s)[last]) == cap((*s)[last]) {
		*s = append(*s, make([]uint64, 0, 1<<15))
		last++
	}
	(*s)[last] = append((*s)[last], sum)
}

// A rowID tells the rows of a dump apart.
type rowID struct {
	key model.Key
	id  uint32
}

// Dump streams a list of flows on a socket of its own. fn is called on the caller's goroutine with rows of Kind Dump;
// the batch is reused, fn keeps copies. Reading goes on in another goroutine meanwhile, at most 32 datagrams ahead,
// so that the kernel's work and fn's overlap; a slow fn slows the dump down. An error of fn ends it and is returned.
//
// A flow that lives through the dump is among the rows, perhaps twice. Where that cannot be said (the hash was
// resized, messages were broken) all rows are handed on and the error wraps ErrIncomplete. Other errors wrap
// ErrPermission, ErrNoConntrack, ErrBusy, ErrTimeout or the context's.
//
// A dump walks every bucket of the host's table with bottom halves off, whatever the filter: space dumps by their
// cost (Info.CPU).
func Dump(ctx context.Context, ns *Netns, opt DumpOptions, fn func(batch []model.Event) error) (DumpInfo, error) {
	info := DumpInfo{}
	start := time.Now()
	before := buckets(ns)
	var socks []*socket
	parts := shares(ctx, ns, &opt)
	for _, part := range parts {
		s, err := dial(ns)
		if err != nil {
			return info, fmt.Errorf("ctnl: dump: %w", err)
		}
		defer s.close()
		defer s.cancelOn(ctx)()
		var r request
		dumpRequest(&r, &DumpOptions{Source: opt.Source, Zero: opt.Zero, Filter: part})
		if err := s.send(r.b); err != nil {
			return info, fmt.Errorf("ctnl: dump: %w", ctxError(ctx, err))
		}
		socks = append(socks, s)
	}
	err := dumpRows(ctx, socks, parts, &opt, &info, fn)
	info.Wall = time.Since(start)
	after := buckets(ns)
	info.Resized = before != after && before >= 0 && after >= 0 // without a descriptor left to ask with it is not
	switch {
	case errors.Is(err, errStopped):
		return info, errors.Unwrap(err)
	case err != nil:
		return info, fmt.Errorf("ctnl: dump: %w", ctxError(ctx, err))
	case info.Resized:
		return info, fmt.Errorf("ctnl: dump: %w: the hash table was resized meanwhile", ErrIncomplete)
	case info.Bad > 0:
		return info, fmt.Errorf("ctnl: dump: %w: %d messages broken", ErrIncomplete, info.Bad)
	}
	return info, nil
}

// buckets returns nf_conntrack_buckets, -1 where it cannot be read.
func buckets(ns *Netns) int64 {
	var s model.Setting
	_ = ns.Do(func() error { s = readSetting("nf_conntrack_buckets"); return nil })
	if !s.OK {
		return -1
	}
	return s.Value
}

// errStopped wraps an error of the caller's function, which Dump returns as it is.
var errStopped = errors.New("stopped")

type stopError struct{ error }

func (e stopError) Unwrap() error        { return e.error }
func (e stopError) Is(target error) bool { return target == errStopped }

// A chunk is one datagram on its way from the reader to the decoder.
type chunk struct {
	r      *receiver
	free   chan<- *receiver // where r goes when b was decoded
	b      []byte
	err    error
	reader int
	cpu    time.Duration // of the reader so far
}

// dumpRows starts a reader for each socket and decodes what they read until all dumps are over. Each row is held to the part of
// its reader: whatever the kernel sends, no two hand it on.
func dumpRows(ctx context.Context, socks []*socket, parts []model.KernelFilter, opt *DumpOptions, info *DumpInfo, fn func([]model.Event) error) error {
	full, quit := make(chan chunk, dumpAhead), make(chan struct{})
	cpu := make([]time.Duration, len(socks))
	var readers sync.WaitGroup
	for i, s := range socks {
		free := make(chan *receiver, dumpAhead)
		for range dumpAhead / len(socks) {
			free <- newReceiver(s, dumpBuffer)
		}
		readers.Go(func() {
			defer crash.Guard()
			readAhead(ctx, i, free, full, quit)
		})
	}
	defer func() {
		close(quit)
		for _, s := range socks {
			_ = s.conn.SetDeadline(past) // a reader that waits for the kernel gives up
		}
		readers.Wait()
	}()
	d, evs := NewDecoder(), make([]model.Event, 0, batchSize)
	for left := len(socks); left > 0; {
		c := <-full
		info.CPU += c.cpu - cpu[c.reader]
		cpu[c.reader] = c.cpu
		if c.err != nil {
			return c.err
		}
		over, err := dumpChunk(d, c.b, evs, opt, &parts[c.reader], info, fn)
		if err != nil {
			return err
		}
		if over {
			left--
		}
		c.free <- c.r
	}
	return nil
}

// readAhead reads datagrams until one cannot be the last of a dump that goes on, or quit is closed. The goroutine keeps
// its thread, so that the thread's clock is the dump's cost.
func readAhead(ctx context.Context, reader int, free chan *receiver, full chan<- chunk, quit <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadCPU()
	for {
		c := chunk{reader: reader, free: free}
		select {
		case c.r = <-free:
		case <-quit:
			return
		}
		if c.err = c.r.s.await(ctx, answerTimeout); c.err == nil {
			c.b, c.err = c.r.next()
		}
		c.cpu = threadCPU() - start
		last := c.err != nil || endsDump(c.b)
		select {
		case full <- c: // from here on the datagram is the decoder's
		case <-quit:
			return
		}
		if last {
			return
		}
	}
}

// endsDump reports whether the datagram's last word is NLMSG_DONE or NLMSG_ERROR. The kernel sends either in a datagram
// of its own or after the last rows; walking the headers finds it.
func endsDump(b []byte) bool {
	w := Walk{Rest: b}
	for len(w.Rest) > 0 {
		h, _, ok := w.next()
		if !ok || h.typ == unix.NLMSG_DONE || h.typ == unix.NLMSG_ERROR {
			return ok
		}
	}
	return false
}

// dumpChunk decodes one datagram and hands its rows on that part lets pass. over: it was the last.
func dumpChunk(d *Decoder, b []byte, evs []model.Event, opt *DumpOptions, part *model.KernelFilter, info *DumpInfo, fn func([]model.Event) error) (over bool, err error) {
	w := Walk{Rest: b}
	now := nowNano()
	if opt.Raw != nil {
		opt.Raw(now, b)
	}
	for len(w.Rest) > 0 && !w.Done {
		evs = d.Batch(now, evs[:0], &w)
		info.Rows += len(evs)
		if evs = keep(evs, part); len(evs) == 0 {
			continue
		}
		info.Passed += len(evs)
		if err := fn(evs); err != nil {
			return true, stopError{err}
		}
	}
	info.Bad += w.Bad
	info.Filtered = info.Filtered || w.Flags&unix.NLM_F_DUMP_FILTERED != 0
	if w.Err != nil {
		return true, probeError(w.Err)
	}
	return w.Done, nil
}

// keep drops the events that k does not let pass, in place.
func keep(evs []model.Event, k *model.KernelFilter) []model.Event {
	if k.IsZero() {
		return evs
	}
	n := 0
	for i := range evs {
		if k.Match(&evs[i].Flow) {
			if n != i {
				evs[n] = evs[i]
			}
			n++
		}
	}
	return evs[:n]
}

// threadCPU is the CPU time that the calling thread has used.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// nowNano is the time in Unix nanoseconds.
func nowNano() int64 { return time.Now().UnixNano() }
