package model

import "net/netip"

// CtStates are the five states in the order in which they are shown.
var CtStates = [5]CtState{CtNew, CtEstablished, CtRelated, CtInvalid, CtUntracked}

// Meaning returns one sentence on what the state says of a packet.
func (c CtState) Meaning() string {
	switch c {
	case CtNew:
		return "begins a flow, or goes on before the first answer"
	case CtEstablished:
		return "of a flow that has been answered"
	case CtRelated:
		return "expected by a helper, or an ICMP error about a tracked flow"
	case CtInvalid:
		return "tracking could not place it: it has no entry"
	case CtUntracked:
		return "kept out by a NOTRACK rule, or by the kernel (IPv6 ND)"
	}
	return ""
}

// A StateCount is what is known of one state.
type StateCount struct {
	Flows                   int // flows in the table whose next packet would have this state
	HasFlows                bool
	Packets, Bytes          uint64 // since the watch began
	HasPackets, HasBytes    bool
	PacketRate, BytesPerSec float64 // since a reading that is RateWindow older
	HasRate                 bool
}

// StateCounts are the five states at one time. Index with CtState-1.
type StateCounts struct {
	At     int64 // Unix nanoseconds
	Of     [5]StateCount
	Source string // "watch table", or "table and statistics"
	// Invalid is the kernel's own per-CPU sum of INVALID packets since boot (CTA_STATS_INVALID), for every namespace
	// its own.
	Invalid    uint64
	HasInvalid bool
}

// A Sample is one INVALID or UNTRACKED packet, or one that the kernel logged as invalid with a reason.
type Sample struct {
	At      int64 // Unix nanoseconds
	State   CtState
	Seq     uint32 // NFLOG sequence number within the group
	Hook    uint8  // NF_INET_*: 0 prerouting, 3 local out
	In, Out string // interface names, unescaped
	Tuple   Tuple
	HasPort bool   // the packet had a transport header that was read
	TCP     string // flags as in "SYN,ACK", "" if not TCP
	Len     int    // bytes of the packet
	Reason  string // of nf_conntrack_log_invalid, "" where not asked for; unescaped
	// Inner is the packet that an ICMP error quotes.
	Inner    Tuple
	HasInner bool
}

// Near returns the flows keys that an INVALID sample nearly belongs to: its own tuple and the inverse, for ICMP errors
// those of the packet that it quotes.
func (s *Sample) Near() []Tuple {
	t := s.Tuple
	if s.HasInner {
		t = s.Inner
	}
	return []Tuple{t, t.Invert()}
}

// Flow returns the sample as a flow so that filters can be asked about it: both directions, no status, no counters.
func (s *Sample) Flow() Flow {
	r := s.Tuple.Invert()
	return Flow{Key: Key{Src: s.Tuple.Src, Dst: s.Tuple.Dst, Sport: s.Tuple.Sport, Dport: s.Tuple.Dport,
		Proto: s.Tuple.Proto, Family: s.Tuple.Family},
		ReplySrc: r.Src, ReplyDst: r.Dst, ReplySport: r.Sport, ReplyDport: r.Dport, First: s.At}
}

// HookName returns the name of a netfilter hook number of the inet families (enum nf_inet_hooks).
func HookName(h uint8) string {
	if names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}; int(h) < len(names) {
		return names[h]
	}
	return ""
}

// RuleFor returns the first rule that matches the packet of an UNTRACKED sample, in either direction.
func RuleFor(s *Sample, rules []NotrackRule) (id string, ok bool) {
	f := s.Flow()
	for i := range rules {
		for j := range rules[i].Rules {
			if rules[i].Rules[j].Covers(&f) {
				return rules[i].ID, true
			}
		}
	}
	return "", false
}

// TupleOf makes a tuple of netip values: what decoders of packets have at hand.
func TupleOf(p Proto, src, dst netip.Addr, sport, dport uint16) Tuple {
	t := Tuple{Src: src.As16(), Dst: dst.As16(), Sport: sport, Dport: dport, Proto: p, Family: IPv6}
	if src.Is4() {
		t.Family = IPv4
	}
	return t
}
