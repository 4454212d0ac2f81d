package ctnl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"ctview/model"
	"ctview/model/crash"

	"github.com/ti-mo/netfilter"
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
		sums []uint64            // of the rows handed on
		had  map[uint64]struct{} // the same, once it is asked again
	)
	fresh := func(batch []model.Event) error {
		n := 0
		for i := range batch {
			sum := maphash.Comparable(seed, rowID{batch[i].Flow.Key, batch[i].Flow.ID})
			if _, twice := had[sum]; twice {
				continue
			}
			sums = append(sums, sum)
			batch[n] = batch[i]
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
		had = make(map[uint64]struct{}, len(sums))
		for _, sum := range sums {
			had[sum] = struct{}{}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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

// splitFrom is how many flows a table has that is read by two: each reader walks all buckets, some 0.36 µs each.
const splitFrom = 30_000

// halves are what the flows of two readers are told apart by. It never changes while a flow lives, so that none is missed
// between the two: the family, and statuses that are set before a flow is confirmed (IPS_UNCHANGEABLE_MASK). Every kernel
// filters by the family; by the status those since 5.15.
var halves = [...][2]model.KernelFilter{
	{{Family: model.IPv4}, {Family: model.IPv6}},
	{model.KernelFilter{}.WithStatus(model.StatusSrcNAT, model.StatusSrcNAT), model.KernelFilter{}.WithStatus(0, model.StatusSrcNAT)},
	{model.KernelFilter{}.WithStatus(model.StatusDstNAT, model.StatusDstNAT), model.KernelFilter{}.WithStatus(0, model.StatusDstNAT)},
}

// shares returns what the readers of a dump ask for, one or two. The first rows of the table, which come in the order of their
// hash, tell which halves are alike: the smaller has to have a fifth, that of a status a tenth more than the families have.
func shares(ctx context.Context, ns *Netns, opt *DumpOptions) []model.KernelFilter {
	k := opt.Filter
	one := []model.KernelFilter{k}
	if opt.OneReader || opt.Source != Tracked || opt.Zero || opt.Raw != nil || k.Orig.Has|k.Reply.Has != 0 ||
		runtime.GOMAXPROCS(0) < 2 || !worthSplitting(ns) {
		return one
	}
	rows := firstRows(ctx, ns, &model.KernelFilter{})
	best, most := one, len(rows)/10
	for _, h := range halves {
		if k.Family != 0 && h[0].Family != 0 || k.StatusMask&h[0].StatusMask != 0 {
			continue
		}
		first := matching(rows, &h[0])
		if small := min(first, len(rows)-first); small > most+len(rows)/10 && (h[0].Family != 0 || filtersStatus(ctx, ns, &h)) {
			best, most = []model.KernelFilter{k.And(h[0]), k.And(h[1])}, small
		}
	}
	return best
}

// filtersStatus reports whether the kernel sends of each half of h, both of which are there, nothing of the other.
func filtersStatus(ctx context.Context, ns *Netns, h *[2]model.KernelFilter) bool {
	for i := range h {
		if rows := firstRows(ctx, ns, &h[i]); len(rows) == 0 || matching(rows, &h[i]) < len(rows) {
			return false
		}
	}
	return true
}

// firstRows returns the first rows of a dump, some 200: those of two datagrams, of which the first is small (NLMSG_GOODSIZE).
func firstRows(ctx context.Context, ns *Netns, k *model.KernelFilter) (rows []model.Event) {
	s, err := dial(ns)
	if err != nil {
		return nil
	}
	defer s.close() // which ends the dump
	defer s.cancelOn(ctx)()
	var r request
	dumpRequest(&r, &DumpOptions{Filter: *k})
	if s.send(r.b) != nil || s.await(ctx, answerTimeout) != nil {
		return nil
	}
	in, d, part := newReceiver(s, dumpBuffer), NewDecoder(), make([]model.Event, 0, batchSize)
	for range 2 {
		b, err := in.next()
		if err != nil {
			return nil
		}
		w := Walk{Rest: b}
		if rows = append(rows, d.Batch(0, part, &w)...); w.Done {
			break
		}
	}
	return rows
}

// matching returns how many of rows k lets pass.
func matching(rows []model.Event, k *model.KernelFilter) (n int) {
	for i := range rows {
		if k.Match(&rows[i].Flow) {
			n++
		}
	}
	return n
}

// worthSplitting reports whether the table is large and a CPU idle. Tests put their own in its place.
var worthSplitting = func(ns *Netns) bool {
	var count model.Setting
	_ = ns.Do(func() error { count = readSetting("nf_conntrack_count"); return nil })
	return count.Value >= splitFrom && busyCPUs() < runtime.NumCPU()
}

// busyCPUs is how many threads run or want to at this moment, the caller's included; many where it is not known.
func busyCPUs() int {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 3 {
		running, _, _ := strings.Cut(f[3], "/")
		if n, err := strconv.Atoi(running); err == nil {
			return n
		}
	}
	return math.MaxInt
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

// dumpRequest writes the request. Only what the kernel matches rightly goes into it (see model.KernelFilter), and
// always a value with its mask: a mask alone is ignored, a status of 0 alone refused.
func dumpRequest(r *request, opt *DumpOptions) {
	typ := uint8(ctGet)
	switch {
	case opt.Source == Dying:
		typ = ctGetDying
	case opt.Source == Unconfirmed:
		typ = ctGetUnconfirmed
	case opt.Zero:
		typ = ctGetCtrZero
	}
	k := &opt.Filter
	r.message(netfilter.NFSubsysCTNetlink, typ, unix.NLM_F_DUMP, 1, k.Family, 0)
	if k.HasMark {
		r.uint32(ctaMark, k.Mark&k.MarkMask)
		r.uint32(ctaMarkMask, k.MarkMask)
	}
	if k.HasStatus && k.StatusMask != 0 {
		r.uint32(ctaStatus, uint32(k.Status&k.StatusMask))
		r.uint32(ctaStatusMask, uint32(k.StatusMask))
	}
	if k.HasZone {
		r.uint16(ctaZone, k.Zone)
	}
	r.filterTuples(k)
	r.end()
}

// Bits of CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS (CTA_FILTER_F_* in nf_conntrack_netlink.c), by the parts of a
// model.KernelTuple.
var filterFlags = [...]uint32{1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 3}

// filterTuples writes CTA_FILTER and what it compares. The kernel refuses it without a family.
func (r *request) filterTuples(k *model.KernelFilter) {
	tuples := [...]*model.KernelTuple{&k.Orig, &k.Reply}
	if k.Family == 0 || tuples[0].Has|tuples[1].Has == 0 {
		return
	}
	var flags [2]uint32
	for i, t := range tuples {
		for part, bit := range filterFlags {
			if t.Has>>part&1 != 0 {
				flags[i] |= bit
			}
		}
		if t.Has == 0 {
			continue
		}
		at := r.nest(uint16(ctaTupleOrig + i))
		ip := r.nest(ctaTupleIP)
		if k.Family == model.IPv4 {
			r.bytes(ctaIPv4Src, t.Src[:]...)
			r.bytes(ctaIPv4Dst, t.Dst[:]...)
		}
		r.endNest(ip)
		proto := r.nest(ctaTupleProto)
		r.bytes(ctaProtoNum, uint8(t.Proto))
		r.uint16(ctaProtoSrcPort, t.Sport)
		r.uint16(ctaProtoDstPort, t.Dport)
		r.endNest(proto)
		r.endNest(at)
	}
	at := r.nest(ctaFilter)
	r.bytes(1, binary.NativeEndian.AppendUint32(nil, flags[0])...) // CTA_FILTER_ORIG_FLAGS
	r.bytes(2, binary.NativeEndian.AppendUint32(nil, flags[1])...) // CTA_FILTER_REPLY_FLAGS
	r.endNest(at)
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
