package model

import "net/netip"

// A ZoneDir says to which direction of a flow its zone is tied (enum ip_conntrack_dir + 1; 0 for both).
type ZoneDir uint8

// The directions that a zone can be tied to.
const (
	ZoneBoth ZoneDir = iota
	ZoneOrig
	ZoneReply
)

// A Key names a flow: its original tuple in its zone. It is comparable, holds no pointers and is 42 bytes. IPv4
// addresses are kept as ::ffff:a.b.c.d (4-in-6) with Family IPv4. What the ports hold depends on the protocol:
//
//	TCP, UDP, UDP-Lite, SCTP, DCCP   ports, host byte order
//	ICMP, ICMPv6                     Sport the identifier, Dport type<<8|code
//	GRE                              Sport and Dport the keys (16 bits in the kernel)
//	others                           0
type Key struct {
	Src, Dst     [16]byte
	Sport, Dport uint16
	Zone         uint16
	Proto        Proto
	Family       Family
	ZoneDir      ZoneDir
}

// A Tuple is one direction of a flow, without a zone. The ports are as in Key. 38 bytes, no pointers.
type Tuple struct {
	Src, Dst     [16]byte
	Sport, Dport uint16
	Proto        Proto
	Family       Family
}

// Known says which of a flow's optional facts the kernel has told. What is not known is shown as "-".
type Known uint8

// The facts of a Flow that can be missing.
const (
	KnownState    Known = 1 << iota // State: the protocol has one and the kernel sent it
	KnownTimeout                    // Expires: not for offloaded flows
	KnownCounters                   // Packets and Bytes: nf_conntrack_acct was on when the flow was made
	KnownStart                      // First is the kernel's start time (nf_conntrack_timestamp was on), not ctview's
	KnownRate                       // Rate and PacketRate: two readings of the counters exist
	KnownExtra                      // the table has an Extra for this flow
	KnownWhole                      // a NEW, a dump row or the answer to a GET told everything; else only an UPDATE was seen
	KnownEvents                     // an event of this flow came: the kernel reports its changes
)

// A Flow is what is known of one tracked connection: 168 bytes, no pointers, so that a million of them cost the
// collector nothing. Index 0 of a pair is the original direction, 1 the reply.
type Flow struct {
	Key
	ReplySrc, ReplyDst     [16]byte
	ReplySport, ReplyDport uint16
	Known                  Known
	State                  State
	ID, Mark               uint32
	Status                 Status
	Helper                 HelperID
	Book                   Book
	Packets, Bytes         [2]uint64
	First                  int64      // Unix nanoseconds: the kernel's start, or when ctview first saw it (see KnownStart)
	Expires                int64      // Unix nanoseconds: when the timeout last told will run out
	CountersAt             int64      // Unix nanoseconds: when Packets and Bytes were read
	Rate, PacketRate       [2]float32 // bytes and packets per second between the last two readings
}

// A Book is what a table notes about a flow for itself. Nobody else writes it; 3 bytes.
type Book struct {
	Gen   uint8 // see Flow.Generation
	Epoch uint8 // the last dump that the flow had to do with, and what events told since: see model/table
	Heard uint8 // second of the last event, modulo 256
}

// Generation tells apart the lives of one key: a tuple that ends and begins again keeps its key, and mostly its ID, but
// is another flow. A new life has another number than the one before it; lives further apart may share one.
func (f *Flow) Generation() uint8 { return f.Book.Gen }

// Orig returns the original tuple.
func (f *Flow) Orig() Tuple {
	return Tuple{f.Src, f.Dst, f.Sport, f.Dport, f.Proto, f.Family}
}

// Reply returns the reply tuple.
func (f *Flow) Reply() Tuple {
	return Tuple{f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport, f.Proto, f.Family}
}

// OrigTuple returns the tuple of k without the zone.
func (k *Key) OrigTuple() Tuple {
	return Tuple{k.Src, k.Dst, k.Sport, k.Dport, k.Proto, k.Family}
}

// Addr turns an address as a Key holds it into a netip.Addr of the family: no 4-in-6 for IPv4.
func (f Family) Addr(a [16]byte) netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte(a[12:]))
	}
	return netip.AddrFrom16(a)
}

// AddrBytes is the inverse of Family.Addr: a in the form that Key holds.
func AddrBytes(a netip.Addr) [16]byte { return a.As16() }

// SrcAddr returns the source address.
func (t *Tuple) SrcAddr() netip.Addr { return t.Family.Addr(t.Src) }

// DstAddr returns the destination address.
func (t *Tuple) DstAddr() netip.Addr { return t.Family.Addr(t.Dst) }

// ICMP returns the ICMP type, code and identifier of a tuple of an ICMP protocol.
func (t *Tuple) ICMP() (typ, code uint8, id uint16) {
	return uint8(t.Dport >> 8), uint8(t.Dport), t.Sport
}

// Invert returns the tuple that replies to t carry when nothing is translated. For ICMP the type becomes the reply's
// (icmp_invmap, icmpv6_invmap in nf_conntrack_proto_icmp*.c); a type without a reply stays.
func (t Tuple) Invert() Tuple {
	t.Src, t.Dst = t.Dst, t.Src
	if t.Proto.IsICMP() {
		typ := t.Dport >> 8
		if r, ok := icmpReply(t.Proto, uint8(typ)); ok {
			t.Dport = uint16(r)<<8 | t.Dport&0xff
		}
		return t
	}
	t.Sport, t.Dport = t.Dport, t.Sport
	return t
}

func icmpReply(p Proto, typ uint8) (uint8, bool) {
	if p == ProtoICMP {
		switch typ {
		case 8: // ICMP_ECHO
			return 0, true
		case 0:
			return 8, true
		case 13: // ICMP_TIMESTAMP
			return 14, true
		case 14:
			return 13, true
		case 15: // ICMP_INFO_REQUEST
			return 16, true
		case 16:
			return 15, true
		case 17: // ICMP_ADDRESS
			return 18, true
		case 18:
			return 17, true
		}
		return 0, false
	}
	switch typ {
	case 128: // ICMPV6_ECHO_REQUEST
		return 129, true
	case 129:
		return 128, true
	case 139: // ICMPV6_NI_QUERY
		return 140, true
	case 140:
		return 139, true
	}
	return 0, false
}

// SNAT and DNAT report whether the flow's source or destination is translated: by its status bits, or, for entries
// made by hand, by a reply tuple that is not the inverse of the original.
func (f *Flow) SNAT() bool {
	return f.Status&StatusSrcNAT != 0 || f.ReplyDst != f.Src || f.Proto.HasPorts() && f.ReplyDport != f.Sport
}

// DNAT reports whether the destination is translated; see SNAT.
func (f *Flow) DNAT() bool {
	return f.Status&StatusDstNAT != 0 || f.ReplySrc != f.Dst || f.Proto.HasPorts() && f.ReplySport != f.Dport
}

// CtState returns the state that nft's "ct state" gives to the packets that would come next: established once a reply
// was seen, related for a flow that was expected and has no reply yet, new otherwise (resolve_normal_ct in
// nf_conntrack_core.c: a reply makes even an expected flow established).
func (f *Flow) CtState() CtState { return f.Status.CtState() }

// CtState is Flow.CtState, which hangs on the status alone.
func (s Status) CtState() CtState {
	switch {
	case s&StatusSeenReply != 0:
		return CtEstablished
	case s&StatusExpected != 0:
		return CtRelated
	}
	return CtNew
}

// Offloaded reports whether packets of the flow bypass conntrack in a flowtable; the kernel then sends neither state
// nor timeout.
func (f *Flow) Offloaded() bool { return f.Status.Offloaded() }

// Offloaded is Flow.Offloaded, which hangs on the status alone.
func (s Status) Offloaded() bool { return s&(StatusOffload|StatusHWOffload) != 0 }

// StateText returns what the STATE column shows: the protocol's state in capitals, "offload", or, for protocols
// without states, "replied" or "unreplied".
func (f *Flow) StateText() string {
	switch {
	case f.Offloaded():
		return "offload"
	case f.Known&KnownState != 0:
		return StateName(f.Proto, f.State)
	case f.Status&StatusSeenReply != 0:
		return "replied"
	}
	return "unreplied"
}

// Phase returns where the flow stands in its life.
func (f *Flow) Phase() Phase {
	if f.Known&KnownState == 0 || f.Offloaded() {
		if f.Status&StatusSeenReply != 0 || f.Offloaded() {
			return Open
		}
		return Opening
	}
	switch f.Proto {
	case ProtoTCP:
		switch f.State {
		case TCPEstablished:
			return Open
		case TCPFinWait, TCPCloseWait, TCPLastAck:
			return Closing
		case TCPTimeWait, TCPClose:
			return Closed
		}
	case ProtoSCTP:
		switch f.State {
		case 4, 9: // ESTABLISHED, HEARTBEAT_ACKED
			return Open
		case 5, 6, 7: // SHUTDOWN_*
			return Closing
		case 1: // CLOSED
			return Closed
		}
	case ProtoDCCP:
		switch f.State {
		case 3, 4: // PARTOPEN, OPEN
			return Open
		case 5, 6: // CLOSEREQ, CLOSING
			return Closing
		case 7: // TIMEWAIT
			return Closed
		}
	}
	return Opening
}
