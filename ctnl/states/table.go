package states

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// ErrInactive says that a watch table would switch connection tracking on.
var ErrInactive = errors.New("connection tracking is not active in this namespace, and a rule with \"ct state\" would switch it on")

// Options say what a Watch does beside counting.
type Options struct {
	Samples bool // sample INVALID and UNTRACKED packets
	// Rate and Burst bound the samples of each state and hook, per second; 0 are 50 and 20.
	Rate, Burst int
}

// A Watch is the watch table and, with samples, the socket that they come by. It is safe for concurrent use; Close ends
// it and takes the table away.
type Watch struct {
	ns     ruleset.Namespace
	family uint8 // of the table: ip or ip6 where the other is not tracked, so that it is not switched on
	c      *nftables.Conn
	table  *nftables.Table
	log    *nflog // nil without samples

	mu   sync.Mutex
	past model.RateBase[model.StateCounts]
	gen  uint32 // of the ruleset, when it was last seen that others track
}

// bits of nft's ct state, in the order of model.CtState.
var stateBits = [5]uint32{expr.CtStateBitNEW, expr.CtStateBitESTABLISHED, expr.CtStateBitRELATED, expr.CtStateBitINVALID,
	expr.CtStateBitUNTRACKED}

// prioWatch is right behind conntrack (-200), where the state is known and nobody has dropped anything yet.
const prioWatch = -190

const (
	prefixInvalid   = "ctv:I"
	prefixUntracked = "ctv:U"
	snaplen         = 160 // an IPv6 header and the packet that an ICMP error quotes
)

// Open makes the watch table. The error wraps ErrInactive where nothing else makes the namespace track connections.
func Open(ns ruleset.Namespace, opt Options) (*Watch, error) {
	tracked, err := ruleset.Active(ns)
	if err != nil {
		return nil, err
	}
	if !tracked.Any() {
		return nil, fmt.Errorf("states: %w", ErrInactive)
	}
	w := &Watch{ns: ns, family: tracked.Family()}
	if opt.Samples {
		if w.log, err = openSamples(ns); err != nil {
			return nil, err
		}
	}
	if err := w.build(&opt); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

// Close takes the table away.
func (w *Watch) Close() error {
	if w.log != nil {
		w.log.close()
	}
	if w.c == nil {
		return nil
	}
	return w.c.CloseLasting()
}

// build makes the table, and its chains in one transaction.
func (w *Watch) build(opt *Options) (err error) {
	if w.c, w.table, err = notrack.OwnTable(w.ns, w.family, "ctview_watch_"); err != nil {
		return fmt.Errorf("states: %w", err)
	}
	w.chain("pre", nftables.ChainHookPrerouting, opt)
	w.chain("out", nftables.ChainHookOutput, opt)
	if err := w.c.Flush(); err != nil {
		return fmt.Errorf("states: make table %s: %w", w.table.Name, err)
	}
	return nil
}

func (w *Watch) chain(name string, hook *nftables.ChainHook, opt *Options) {
	accept := nftables.ChainPolicyAccept
	c := w.c.AddChain(&nftables.Chain{Name: name, Table: w.table, Hooknum: hook, Type: nftables.ChainTypeFilter,
		Priority: nftables.ChainPriorityRef(prioWatch), Policy: &accept})
	add := func(comment string, es ...expr.Any) {
		w.c.AddRule(&nftables.Rule{Table: w.table, Chain: c, Exprs: es, UserData: userdata.AppendString(nil, userdata.TypeComment, comment)})
	}
	if name == "pre" { // what comes from the loopback interface was counted in output
		add("loopback", &expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_LOOPBACK)},
			&expr.Verdict{Kind: expr.VerdictAccept})
	}
	for i, s := range model.CtStates {
		add(s.String(), append(isState(stateBits[i]), &expr.Counter{})...)
	}
	if w.log == nil {
		return
	}
	for _, s := range [...]struct {
		bit    uint32
		prefix string
	}{{expr.CtStateBitINVALID, prefixInvalid}, {expr.CtStateBitUNTRACKED, prefixUntracked}} {
		add("sample", append(isState(s.bit),
			&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(or(opt.Rate, 50)), Unit: expr.LimitTimeSecond, Burst: uint32(or(opt.Burst, 20))},
			&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
				Group: w.log.group, Snaplen: snaplen, QThreshold: 32, Data: []byte(s.prefix)})...)
	}
}

func or(n, other int) int {
	if n > 0 {
		return n
	}
	return other
}

func isState(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(bit)},
	}
}

// Counts reads the counters; rates are since a reading that is model.RateWindow older. Flows are not counted: see Flows.
func (w *Watch) Counts(context.Context) (model.StateCounts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.stillTracked(); err != nil {
		return model.StateCounts{}, err
	}
	now := model.StateCounts{At: time.Now().UnixNano(), Source: "watch table"}
	for _, chain := range [...]string{"pre", "out"} {
		rules, err := w.c.GetRules(w.table, &nftables.Chain{Name: chain, Table: w.table})
		if err != nil {
			return now, fmt.Errorf("states: read the counters: %w", err)
		}
		for _, r := range rules {
			name, _ := userdata.GetString(r.UserData, userdata.TypeComment)
			for i, s := range model.CtStates {
				if s.String() != name {
					continue
				}
				for _, x := range r.Exprs {
					if c, ok := x.(*expr.Counter); ok {
						now.Of[i].Packets += c.Packets
						now.Of[i].Bytes += c.Bytes
						now.Of[i].HasPackets, now.Of[i].HasBytes = true, true
					}
				}
			}
		}
	}
	rates(&now, &w.past)
	return now, nil
}

// stillTracked ends the watch where nobody else tracks connections any more: its own rules would keep that on. The ruleset is
// read only when it has changed.
func (w *Watch) stillTracked() error {
	rd, err := ruleset.Dial(w.ns)
	if err != nil {
		return err
	}
	gen, err := rd.Generation()
	rd.Close()
	if err != nil || gen == w.gen {
		return err
	}
	tracked, err := ruleset.Active(w.ns)
	if err != nil {
		return err
	}
	if w.family == unix.NFPROTO_INET && !tracked.All() || w.family == unix.NFPROTO_IPV4 && !tracked.IPv4 ||
		w.family == unix.NFPROTO_IPV6 && !tracked.IPv6 {
		return errors.Join(fmt.Errorf("states: the rules that tracked connections have gone: %w", ErrInactive), w.Close())
	}
	w.gen = gen
	return nil
}

// rates sets the rates since one of the readings before, if one is old enough.
func rates(now *model.StateCounts, past *model.RateBase[model.StateCounts]) {
	last, span := past.Add(now.At, *now)
	if last == nil {
		return
	}
	dt := span.Seconds()
	for i := range now.Of {
		n, l := &now.Of[i], &last.Of[i]
		if n.HasPackets && l.HasPackets && n.Packets >= l.Packets {
			n.PacketRate, n.HasRate = float64(n.Packets-l.Packets)/dt, true
			n.BytesPerSec = float64(n.Bytes-l.Bytes) / dt
		}
	}
}
