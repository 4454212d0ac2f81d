package ctnl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Attribute and message numbers (<linux/netfilter/nfnetlink_conntrack.h>). Neither library exports them.
const (
	ctNew = iota // IPCTNL_MSG_CT_*
	ctGet
	ctDelete
	ctGetCtrZero
	ctGetStatsCPU
	ctGetStats
	ctGetDying
	ctGetUnconfirmed
)

const (
	expNew = iota // IPCTNL_MSG_EXP_*
	expGet
	expDelete
	expGetStatsCPU
)

const (
	ctaTupleOrig = iota + 1 // CTA_*
	ctaTupleReply
	ctaStatus
	ctaProtoinfo
	ctaHelp
	ctaNATSrc
	ctaTimeout
	ctaMark
	ctaCountersOrig
	ctaCountersReply
	ctaUse
	ctaID
	ctaNATDst
	ctaTupleMaster
	ctaSeqAdjOrig
	ctaSeqAdjReply
	ctaSecmark
	ctaZone
	ctaSecctx
	ctaTimestamp
	ctaMarkMask
	ctaLabels
	ctaLabelsMask
	ctaSynproxy
	ctaFilter
	ctaStatusMask
	ctaTimestampEvent
)

const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum        = 1
	ctaProtoSrcPort    = 2
	ctaProtoDstPort    = 3
	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9

	ctaProtoinfoTCP  = 1
	ctaProtoinfoDCCP = 2
	ctaProtoinfoSCTP = 3

	ctaTCPState       = 1
	ctaTCPWScaleOrig  = 2
	ctaTCPWScaleReply = 3
	ctaTCPFlagsOrig   = 4
	ctaTCPFlagsReply  = 5

	ctaDCCPState        = 1
	ctaDCCPRole         = 2
	ctaDCCPHandshakeSeq = 3

	ctaSCTPState     = 1
	ctaSCTPVTagOrig  = 2
	ctaSCTPVTagReply = 3

	ctaHelpName = 1
	ctaHelpInfo = 2

	ctaCountersPackets   = 1
	ctaCountersBytes     = 2
	ctaCounters32Packets = 3
	ctaCounters32Bytes   = 4

	ctaTimestampStart = 1
	ctaTimestampStop  = 2

	ctaSeqAdjPos    = 1
	ctaSeqAdjBefore = 2
	ctaSeqAdjAfter  = 3

	ctaSynproxyISN   = 1
	ctaSynproxyITS   = 2
	ctaSynproxyTSOff = 3

	ctaSecctxName = 1

	ctaNATv4Min   = 1
	ctaNATv4Max   = 2
	ctaNATProto   = 3
	ctaNATv6Min   = 4
	ctaNATv6Max   = 5
	ctaNATPortMin = 1
	ctaNATPortMax = 2
)

const (
	ctaExpectMaster = iota + 1 // CTA_EXPECT_*
	ctaExpectTuple
	ctaExpectMask
	ctaExpectTimeout
	ctaExpectID
	ctaExpectHelpName
	ctaExpectZone
	ctaExpectFlags
	ctaExpectClass
	ctaExpectNAT
	ctaExpectFn
)

const (
	ctaExpectNATDir   = 1
	ctaExpectNATTuple = 2
)

const (
	nlmsgHdrLen = 16 // struct nlmsghdr
	nfgenLen    = 4  // struct nfgenmsg
	nlaHdrLen   = 4  // struct nlattr

	nlaNested   = 1 << 15   // NLA_F_NESTED
	nlaTypeMask = 1<<14 - 1 // NLA_TYPE_MASK
	subsysCT    = 1         // NFNL_SUBSYS_CTNETLINK
	subsysExp   = 2         // NFNL_SUBSYS_CTNETLINK_EXP
)

// align rounds n up to the 4 bytes that netlink aligns messages and attributes to.
func align(n int) int { return (n + 3) &^ 3 }

// attr splits the first attribute off b: its type without the flag bits, its value, and what follows it. ok is false
// where the length is not one that a kernel sends (nla_ok in <net/netlink.h>).
func attr(b []byte) (typ uint16, v, rest []byte, ok bool) {
	if len(b) < nlaHdrLen {
		return 0, nil, nil, false
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < nlaHdrLen || n > len(b) {
		return 0, nil, nil, false
	}
	return binary.NativeEndian.Uint16(b[2:]) & nlaTypeMask, b[nlaHdrLen:n], b[min(align(n), len(b)):], true
}

// be16, be32 and be64 read a value in network order of exactly that size.
func be16(v []byte, dst *uint16) bool {
	if len(v) != 2 {
		return false
	}
	*dst = binary.BigEndian.Uint16(v)
	return true
}

func be32(v []byte, dst *uint32) bool {
	if len(v) != 4 {
		return false
	}
	*dst = binary.BigEndian.Uint32(v)
	return true
}

func be64(v []byte, dst *uint64) bool {
	if len(v) != 8 {
		return false
	}
	*dst = binary.BigEndian.Uint64(v)
	return true
}

func u8(v []byte, dst *uint8) bool {
	if len(v) != 1 {
		return false
	}
	*dst = v[0]
	return true
}

// EachAttr calls fn for each attribute of b (struct nlattr of <linux/netlink.h>), the flag bits taken off its type; v is a
// part of b. It ends at the first whose length cannot be, with an error that wraps ErrMalformed. It is the walk of everything
// but flows: the decoders of those have their own loops, which take half of its time (docs/performance.md).
func EachAttr(b []byte, fn func(typ uint16, v []byte)) error {
	for len(b) > 0 {
		if len(b) < unix.NLA_HDRLEN {
			return fmt.Errorf("%w: %d bytes behind the last attribute", ErrMalformed, len(b))
		}
		n := int(binary.NativeEndian.Uint16(b))
		typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if n < unix.NLA_HDRLEN || n > len(b) {
			return fmt.Errorf("%w: attribute %d of %d bytes in %d", ErrMalformed, typ, n, len(b))
		}
		fn(typ, b[unix.NLA_HDRLEN:n])
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}
