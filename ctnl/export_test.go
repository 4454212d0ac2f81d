package ctnl

import (
	"context"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"

	"ctview/model"
)

// WithoutMemInfo makes the Watcher do as on a kernel without SO_MEMINFO.
func (w *Watcher) WithoutMemInfo() error {
	w.exact = false
	return w.s.conn.SetOption(netlink.NoENOBUFS, false)
}

// CutAt makes the Watcher's reads so short that events are cut.
func (w *Watcher) CutAt(n int) {
	for i := range w.in.iovs {
		w.in.iovs[i].SetLen(n)
	}
}

// ProbeSubsystem asks a subsystem other than conntrack's, as if the kernel had none.
func (k *Kernel) ProbeSubsystem(ctx context.Context, id netfilter.SubsystemID) error {
	_, err := k.cpuStats(ctx, id, 0)
	return err
}

// Jumped is jumped.
var Jumped = jumped

// ParseProcStats is parseProcStats.
var ParseProcStats = parseProcStats

// ContainerOf is containerOf, ParseStat is parseStat.
var (
	ContainerOf = containerOf
	ParseStat   = parseStat
)

// ParseDiag is parseDiag, ReadLocalAddr readLocalAddr.
var (
	ParseDiag     = parseDiag
	ReadLocalAddr = readLocalAddr
)

// SwapDatagram is swapDatagram, OtherOrder otherOrder.
var (
	SwapDatagram = swapDatagram
	OtherOrder   = otherOrder
)

// Control is control.
func (k *Kernel) Control(ctx context.Context, fn func(c *conntrack.Conn) error) error {
	return k.control(ctx, "test", fn)
}

// Sayable reports whether ti-mo/conntrack sends all of s and nothing else.
func Sayable(s *Spec) bool {
	_, ok := sayable(s)
	return ok
}

// FreeMemoryBelow is freeMemory, RcvBufFor rcvBufFor.
var (
	FreeMemoryBelow = freeMemory
	RcvBufFor       = rcvBufFor
)

// Queued is how many bytes the kernel holds for the Watcher.
func (w *Watcher) Queued() int {
	_ = w.s.raw.Control(w.readMem)
	return int(w.mem[memRmemAlloc])
}

// FullError is fullError.
var FullError = fullError

// ProbeError is probeError.
var ProbeError = probeError

// DumpAgain is dumpAgain.
var DumpAgain = dumpAgain

// SplitDumps has dumps read by two readers, or by one, until the function that it returns is called.
func SplitDumps(yes bool) (restore func()) {
	was := worthSplitting
	worthSplitting = func(*Netns) bool { return yes }
	return func() { worthSplitting = was }
}

// Shares is shares.
var Shares = shares

// DumpParts dumps by a reader for each of ask, of whose rows those are handed on that its part lets pass.
func DumpParts(ctx context.Context, ns *Netns, ask, parts []model.KernelFilter, fn func([]model.Event) error) error {
	var socks []*socket
	before := buckets(ns)
	for _, k := range ask {
		s, err := dial(ns)
		if err != nil {
			return err
		}
		defer s.close()
		var r request
		dumpRequest(&r, &DumpOptions{Filter: k})
		if err := s.send(r.b); err != nil {
			return err
		}
		socks = append(socks, s)
	}
	if err := dumpRows(ctx, socks, parts, &DumpOptions{}, &DumpInfo{}, fn); err != nil || before == buckets(ns) {
		return err
	}
	return ErrIncomplete
}

// ReadInetSocket is InetSocket.read.
func ReadInetSocket(b []byte, p model.Proto) error { return new(InetSocket).read(b, p) }
