package trace

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// Errors of Open.
var (
	ErrNoNftables = errors.New("this kernel has no nf_tables, whose rules alone can be traced")
	ErrNoRules    = errors.New("there are no nftables rules in this namespace that a packet could meet")
)

// prio is right behind the defragmenter (-400): all of a packet is there, and few rules stand before.
const prio = -399

// Packets is how many packets are traced in each direction where Plan does not say.
const Packets = 10

// tablePrefix begins the name of the table; the process follows.
const tablePrefix = "ctview_trace_"

// A Plan says which packets to trace.
type Plan struct {
	Orig  model.Tuple
	Reply model.Tuple // of the answers, as they arrive: before NAT is undone. Zero: the inverse of Orig
	// Packets bounds each direction; the kernel counts. 0: Packets.
	Packets int
}

func (p Plan) replies() model.Tuple {
	if p.Reply == (model.Tuple{}) {
		return p.Orig.Invert()
	}
	return p.Reply
}

func (p Plan) packets() uint32 {
	if p.Packets > 0 {
		return uint32(p.Packets)
	}
	return Packets
}

// Rules is the table as nft would read it, for eyes.
func (p Plan) Rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s%d {\n\tflags owner\n", tablePrefix, os.Getpid())
	for _, c := range chains {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority %d; policy accept;\n", c.name, c.hook, prio)
		for _, t := range [...]model.Tuple{p.Orig, p.replies()} {
			fmt.Fprintf(&b, "\t\t%s limit rate 1/day burst %d packets meta nftrace set 1\n", matchText(&t), p.packets())
		}
		b.WriteString("\t}\n")
	}
	return b.String() + "}\n"
}

var chains = [...]struct {
	name, hook string
	hooknum    *nftables.ChainHook
}{{"pre", "prerouting", nftables.ChainHookPrerouting}, {"out", "output", nftables.ChainHookOutput}}

func matchText(t *model.Tuple) string {
	ip := map[model.Family]string{model.IPv4: "ip", model.IPv6: "ip6"}[t.Family]
	s := fmt.Sprintf("%s saddr %s %s daddr %s meta l4proto %d", ip, t.SrcAddr(), ip, t.DstAddr(), t.Proto)
	switch {
	case t.Proto.HasPorts():
		s += fmt.Sprintf(" th sport %d th dport %d", t.Sport, t.Dport)
	case t.Proto.IsICMP():
		s += fmt.Sprintf(" @th,0,8 %d @th,32,16 %d", t.Dport>>8, t.Sport)
	}
	return s
}

// match returns the expressions for packets of a tuple.
func match(t *model.Tuple) []expr.Any {
	eq := func(v []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: v} }
	field := func(base expr.PayloadBase, off uint32, v []byte) []expr.Any {
		return []expr.Any{&expr.Payload{Base: base, Offset: off, Len: uint32(len(v)), DestRegister: 1}, eq(v)}
	}
	src, dst := t.SrcAddr().AsSlice(), t.DstAddr().AsSlice()
	off, family := uint32(12), byte(unix.NFPROTO_IPV4) // iphdr.saddr
	if t.Family == model.IPv6 {
		off, family = 8, unix.NFPROTO_IPV6 // ipv6hdr.saddr
	}
	es := []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, eq([]byte{family})}
	es = append(es, field(expr.PayloadBaseNetworkHeader, off, src)...)
	es = append(es, field(expr.PayloadBaseNetworkHeader, off+uint32(len(src)), dst)...)
	es = append(es, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, eq([]byte{byte(t.Proto)}))
	switch be := binaryutil.BigEndian; {
	case t.Proto.HasPorts():
		es = append(es, field(expr.PayloadBaseTransportHeader, 0, be.PutUint16(t.Sport))...)
		es = append(es, field(expr.PayloadBaseTransportHeader, 2, be.PutUint16(t.Dport))...)
	case t.Proto.IsICMP(): // icmphdr.type, icmphdr.un.echo.id
		es = append(es, field(expr.PayloadBaseTransportHeader, 0, []byte{byte(t.Dport >> 8)})...)
		es = append(es, field(expr.PayloadBaseTransportHeader, 4, be.PutUint16(t.Sport))...)
	}
	return es
}

// Open joins the kernel's trace messages and then makes the table, so that nothing is missed between. The error wraps
// ErrNoNftables or ErrNoRules where tracing can tell nothing, ctnl.ErrPermission where it is not allowed. Close ends it.
func Open(ns ruleset.Namespace, p Plan) (*Tracer, error) {
	t := &Tracer{ns: ns, plan: p, names: ruleset.NewIfNames(ns), open: map[uint32]*building{}}
	if err := t.survey(); err != nil {
		return nil, err
	}
	err := ns.Do(func() (err error) {
		if t.group, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err == nil {
			_ = t.group.SetReadBuffer(1 << 20)
			err = t.group.JoinGroup(unix.NFNLGRP_NFTRACE)
		}
		return err
	})
	if err == nil {
		err = t.install()
	}
	if err != nil {
		_ = t.Close()
		return nil, wrap(err)
	}
	return t, nil
}

func wrap(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("trace: %w", ctnl.ErrPermission)
	}
	return fmt.Errorf("trace: %w", err)
}

// survey reads the rules, and refuses where there is nothing to trace.
func (t *Tracer) survey() error {
	rd, err := ruleset.Dial(t.ns)
	if err != nil {
		return err
	}
	defer rd.Close()
	if _, err = rd.Generation(); err != nil {
		if err = ruleset.Wrap("probe nf_tables", err); errors.Is(err, ctnl.ErrPermission) {
			return err
		}
		return fmt.Errorf("trace: %w", ErrNoNftables)
	}
	if t.rules, err = rd.Read(); err != nil {
		return err
	}
	t.Legacy = ruleset.LegacyTables(t.ns, t.plan.Orig.Family == model.IPv6)
	for i := range t.rules.Chains {
		if c := &t.rules.Chains[i]; c.Base && meets(c.Family, t.plan.Orig.Family) {
			return nil
		}
	}
	if len(t.Legacy) > 0 {
		return fmt.Errorf("trace: %w; those of legacy iptables (%s) are not nftables' and cannot be traced by it",
			ErrNoRules, strings.Join(t.Legacy, ", "))
	}
	return fmt.Errorf("trace: %w", ErrNoRules)
}

// meets reports whether packets of a family come by the chains of a table.
func meets(table uint8, f model.Family) bool {
	return table == unix.NFPROTO_INET || table == unix.NFPROTO_IPV4 && f == model.IPv4 || table == unix.NFPROTO_IPV6 && f == model.IPv6
}

// install makes the table, and its chains in one transaction.
func (t *Tracer) install() (err error) {
	if t.c, t.table, err = notrack.OwnTable(t.ns, unix.NFPROTO_INET, tablePrefix); err != nil {
		return err
	}
	accept := nftables.ChainPolicyAccept
	for _, c := range chains {
		ch := t.c.AddChain(&nftables.Chain{Name: c.name, Table: t.table, Hooknum: c.hooknum, Type: nftables.ChainTypeFilter,
			Priority: nftables.ChainPriorityRef(prio), Policy: &accept})
		for i, tuple := range [...]model.Tuple{t.plan.Orig, t.plan.replies()} {
			t.c.AddRule(&nftables.Rule{Table: t.table, Chain: ch,
				UserData: userdata.AppendString(nil, userdata.TypeComment, "ctview trace "+[...]string{"orig", "reply"}[i]),
				Exprs: append(match(&tuple),
					// One token a day: what the burst allows is all that is traced, whatever becomes of ctview.
					&expr.Limit{Type: expr.LimitTypePkts, Rate: 1, Unit: expr.LimitTimeDay, Burst: t.plan.packets()},
					&expr.Immediate{Register: 1, Data: []byte{1}},
					&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1})})
		}
	}
	if err := t.c.Flush(); err != nil {
		return fmt.Errorf("make table %s: %w", t.table.Name, err)
	}
	return nil
}
