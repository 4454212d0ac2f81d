package model

// A Kind says what a kernel message means.
type Kind uint8

// The kinds. A Dump message is a row of a table dump or the answer to a GET: a snapshot. The others are deltas.
const (
	New Kind = iota + 1
	Update
	Destroy
	Dump
)

// String returns the name that JSON uses (docs/flow.schema.json).
func (k Kind) String() string {
	switch k {
	case New:
		return "new"
	case Update:
		return "update"
	case Destroy:
		return "destroy"
	case Dump:
		return "dump"
	}
	return ""
}

// Fields is the set of attributes that one message carried. Two attributes that come as a pair have a bit each.
type Fields uint32

// The attributes, named after CTA_* (<linux/netfilter/nfnetlink_conntrack.h>).
const (
	HasOrig Fields = 1 << iota
	HasReply
	HasStatus
	HasProtoinfo // a TCP, SCTP or DCCP state
	HasHelper
	HasTimeout
	HasMark
	HasCountersOrig
	HasCountersReply
	HasUse
	HasID
	HasMaster
	HasSeqAdjOrig
	HasSeqAdjReply
	HasZone
	HasSecctx
	HasStart
	HasStop
	HasLabels
	HasSynproxy
	HasTime // CTA_TIMESTAMP_EVENT
	HasTCPInfo
	HasSCTPInfo
	HasDCCPInfo
	HasSecmark
)

// Has reports whether all of x are in f.
func (f Fields) Has(x Fields) bool { return f&x == x }

// A Labels is the bitmap of connection labels as the kernel sends it (CTA_LABELS): 128 bits as 32-bit words in host
// byte order. Bit reads it.
type Labels [16]byte

// An Extra holds what few flows have. A table keeps it beside the flow, not in it.
type Extra struct {
	Labels Labels
	Secctx string // LSM security context
	Master Tuple  // the flow that this one was expected by; Family 0 if none
	// MasterZone is the zone of the master tuple where the kernel names one (CTA_TUPLE_ZONE).
	MasterZone uint16
	// MasterHelper is the helper of the master, 0 if it has none, and MasterSeen whether that is known. The kernel sends
	// the master's tuple alone: a table knows, as long as the master is in it.
	MasterHelper HelperID
	MasterSeen   bool
	// Owner is who holds the sockets of the flow. No message tells it, a table keeps it for no flow: it is looked up in
	// Owners where a row or a filter wants it.
	Owner Owner
	// Route is which way it takes, likewise, of Routes.
	Route Route
}

// An Event is everything that one kernel message said of one flow. A decoder reuses it: who keeps an Event keeps a
// copy; nothing in it refers to the message's buffer. Has says which optional parts are valid; Flow's Known bits are
// set to match. Fields of Flow that only a table knows (rates, generation) are zero.
type Event struct {
	Kind   Kind
	Has    Fields
	Flow   Flow
	Extra  Extra
	PortID uint32 // netlink port of the process that caused it (nlmsg_pid); 0 = the kernel
	Time   int64  // when the kernel made the event (CTA_TIMESTAMP_EVENT), Unix nanoseconds

	Timeout     uint32 // seconds left when the message was made
	Use         uint32 // reference count
	Secmark     uint32
	Start, Stop int64  // CTA_TIMESTAMP, Unix nanoseconds
	HelperInfo  string // CTA_HELP_INFO as text where the helper sends one; mostly ""

	TCP      TCPInfo
	SCTP     SCTPInfo
	DCCP     DCCPInfo
	SeqAdj   [2]SeqAdj // original, reply
	Synproxy Synproxy
}

// TCPInfo is CTA_PROTOINFO_TCP without the state. Index 0 is the original direction.
type TCPInfo struct {
	WScale [2]uint8
	Flags  [2]uint8 // IP_CT_TCP_FLAG_*
	Masks  [2]uint8
}

// SCTPInfo is CTA_PROTOINFO_SCTP without the state: verification tags in host byte order.
type SCTPInfo struct {
	VTag [2]uint32
}

// DCCPInfo is CTA_PROTOINFO_DCCP without the state.
type DCCPInfo struct {
	Role         uint8 // 0 client, 1 server: the role of the original direction
	HandshakeSeq uint64
}

// A SeqAdj is CTA_SEQ_ADJ_*: how far TCP sequence numbers of a direction are shifted by NAT helpers.
type SeqAdj struct {
	CorrectionPos, OffsetBefore, OffsetAfter uint32
}

// A Synproxy is CTA_SYNPROXY: initial sequence number, initial timestamp, timestamp offset.
type Synproxy struct {
	ISN, ITS, TSOff uint32
}

// A Row is a flow as a view copies it out, with what few flows have.
type Row struct {
	Flow  Flow
	Extra Extra
}
