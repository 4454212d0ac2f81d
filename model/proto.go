package model

import (
	"fmt"
	"strconv"
	"strings"
)

// A Proto is an IP protocol number (IPPROTO_*, <linux/in.h>).
type Proto uint8

// The protocols that conntrack knows by name.
const (
	ProtoICMP    Proto = 1
	ProtoTCP     Proto = 6
	ProtoUDP     Proto = 17
	ProtoDCCP    Proto = 33
	ProtoGRE     Proto = 47
	ProtoICMPv6  Proto = 58
	ProtoSCTP    Proto = 132
	ProtoUDPLite Proto = 136
)

// String returns conntrack(8)'s name of p, or its number.
func (p Proto) String() string {
	if n := p.Name(); n != "" {
		return n
	}
	return strconv.Itoa(int(p))
}

// Name returns conntrack(8)'s name of p, or "" where it has none.
func (p Proto) Name() string {
	switch p {
	case ProtoICMP:
		return "icmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoDCCP:
		return "dccp"
	case ProtoGRE:
		return "gre"
	case ProtoICMPv6:
		return "icmpv6"
	case ProtoSCTP:
		return "sctp"
	case ProtoUDPLite:
		return "udplite"
	}
	return ""
}

// HasPorts reports whether tuples of p carry ports.
func (p Proto) HasPorts() bool {
	switch p {
	case ProtoTCP, ProtoUDP, ProtoUDPLite, ProtoSCTP, ProtoDCCP:
		return true
	}
	return false
}

// IsICMP reports whether tuples of p carry an ICMP type, code and identifier.
func (p Proto) IsICMP() bool { return p == ProtoICMP || p == ProtoICMPv6 }

// ParseProto reads a name as String writes it, or a number up to 255.
func ParseProto(s string) (Proto, error) {
	for _, p := range []Proto{ProtoTCP, ProtoUDP, ProtoICMP, ProtoICMPv6, ProtoSCTP, ProtoDCCP, ProtoGRE, ProtoUDPLite} {
		if strings.EqualFold(s, p.Name()) {
			return p, nil
		}
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return Proto(n), nil
	}
	return 0, fmt.Errorf("unknown protocol %q", s)
}

// A Family is the address family of a flow: AF_INET or AF_INET6 (<linux/socket.h>).
type Family uint8

// The families that conntrack tracks.
const (
	IPv4 Family = 2
	IPv6 Family = 10
)

// String returns "ipv4", "ipv6", or the number.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	return strconv.Itoa(int(f))
}

// A State is the state that the tracker of a flow's protocol keeps
// (enum tcp_conntrack, sctp_conntrack, ct_dccp_states). Its meaning depends on the protocol; only flows
// with HasState have one. The zero value is NONE in all three.
type State uint8

var (
	tcpStates = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
		"TIME_WAIT", "CLOSE", "SYN_SENT2"}
	sctpStates = [...]string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT",
		"SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT",
		"IGNORE", "INVALID"}
)

// The TCP states that code asks for by name.
const (
	TCPSynSent     State = 1
	TCPSynRecv     State = 2
	TCPEstablished State = 3
	TCPFinWait     State = 4
	TCPCloseWait   State = 5
	TCPLastAck     State = 6
	TCPTimeWait    State = 7
	TCPClose       State = 8
	TCPSynSent2    State = 9
)

// StateNames returns the names of p's states, indexed by State; nil where p has none. The slice is shared: read only.
func StateNames(p Proto) []string {
	switch p {
	case ProtoTCP:
		return tcpStates[:]
	case ProtoSCTP:
		return sctpStates[:]
	case ProtoDCCP:
		return dccpStates[:]
	}
	return nil
}

// StateName returns conntrack(8)'s name of state s of protocol p; a number that it does not know is NONE, as there.
func StateName(p Proto, s State) string {
	names := StateNames(p)
	if int(s) < len(names) {
		return names[s]
	}
	return "NONE"
}

// A Phase is where a flow stands in its life, for every protocol alike.
type Phase uint8

// The phases, in order of life.
const (
	Opening Phase = iota + 1
	Open
	Closing
	Closed
)

// String returns the name that the filter language uses.
func (p Phase) String() string {
	switch p {
	case Opening:
		return "opening"
	case Open:
		return "open"
	case Closing:
		return "closing"
	case Closed:
		return "closed"
	}
	return ""
}

// A CtState is the state of a flow's packets as nft's "ct state" and iptables' -m conntrack name it. INVALID and
// UNTRACKED packets have no flow; the two values exist for samples and counters of such packets.
type CtState uint8

// The five states.
const (
	CtNew CtState = iota + 1
	CtEstablished
	CtRelated
	CtInvalid
	CtUntracked
)

// String returns nft's name.
func (c CtState) String() string {
	switch c {
	case CtNew:
		return "new"
	case CtEstablished:
		return "established"
	case CtRelated:
		return "related"
	case CtInvalid:
		return "invalid"
	case CtUntracked:
		return "untracked"
	}
	return ""
}

// A Status is the set of IPS_* bits of a flow (enum ip_conntrack_status, <linux/netfilter/nf_conntrack_common.h>).
type Status uint32

// The bits, in the kernel's order.
const (
	StatusExpected Status = 1 << iota
	StatusSeenReply
	StatusAssured
	StatusConfirmed
	StatusSrcNAT
	StatusDstNAT
	StatusSeqAdjust
	StatusSrcNATDone
	StatusDstNATDone
	StatusDying
	StatusFixedTimeout
	StatusTemplate
	StatusUntracked // IPS_NAT_CLASH before 4.x
	StatusHelper
	StatusOffload
	StatusHWOffload

	StatusNATMask = StatusSrcNAT | StatusDstNAT
)

var statusNames = [...]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST",
	"SRC_NAT_DONE", "DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD"}

// StatusNames returns the names of the status bits, indexed by bit number. The slice is shared: read only.
func StatusNames() []string { return statusNames[:] }

// Has reports whether all bits of x are set in s.
func (s Status) Has(x Status) bool { return s&x == x }

// String returns the names of the set bits, joined by "|"; bits without a name as "bitN".
func (s Status) String() string {
	var b []byte
	for i := range 32 {
		if s&(1<<i) == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, '|')
		}
		if i < len(statusNames) {
			b = append(b, statusNames[i]...)
		} else {
			b = strconv.AppendInt(append(b, "bit"...), int64(i), 10)
		}
	}
	return string(b)
}
