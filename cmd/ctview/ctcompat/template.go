package ctcompat

import "ctview/model"

// An attr is a set of the facts that a command line told of a flow.
type attr uint64

// The facts. Orig and Reply addresses come with the family (hasOrigFamily); protocol, ports and ICMP fields one by one.
const (
	hasOrigFamily attr = 1 << iota
	hasOrigSrc
	hasOrigDst
	hasOrigProto
	hasOrigSport
	hasOrigDport
	hasReplyFamily
	hasReplySrc
	hasReplyDst
	hasReplyProto
	hasReplySport
	hasReplyDport
	hasICMPType
	hasICMPCode
	hasICMPID
	hasTimeout
	hasStatus
	hasSecmark
	hasID
	hasZone
	hasOrigZone
	hasReplyZone
	hasTCPState
	hasTCPFlags
	hasSCTPState
	hasVTagOrig
	hasVTagReply
	hasDCCPState
	hasDCCPRole
	hasSNAT
	hasSNATPort
	hasDNAT
	hasDNATPort

	hasICMP = hasICMPType | hasICMPCode | hasICMPID
)

// has reports whether any fact of x is in a.
func (a attr) has(x attr) bool { return a&x != 0 }

// A tuple is one direction of a template: a model.Tuple of which parts may be missing (see attr).
type tuple struct {
	model.Tuple
	zone uint16
}

// A natRange is where a flow's source or destination is translated to: one address, one port.
type natRange struct {
	addr   [16]byte
	family model.Family
	port   uint16
}

// A template is a flow as a command line describes it, for requests and for comparison.
type template struct {
	has         attr // which of what follows was told
	orig, reply tuple
	icmpType    uint8
	icmpCode    uint8
	icmpID      uint16
	timeout     uint32
	status      model.Status // bits to be set
	statusClear model.Status // bits that must be clear (-u '!ASSURED')
	secmark, id uint32
	zone        uint16
	state       model.State
	tcpFlags    uint8
	vtag        [2]uint32
	role        uint8
	snat, dnat  natRange
	helper      string // --helper, which conntrack has not; see exactOptions

	mark      markMask
	label     labelSet // -l
	labelMod  labelSet // --label-add, --label-del
	delLabels bool     // --label-del without names: all of them

	expTuple expTuple // --tuple-*
	expMask  expTuple // --mask-*
}

// A markMask is -m VALUE[/MASK].
type markMask struct{ value, mask uint32 }

// An expTuple is the expected tuple or the mask of an expectation. The family is 0 where no address was given.
type expTuple struct {
	model.Tuple
	hasSrc, hasDst bool
}

// mirror fills in what the command line left out of one direction from the other, as if nothing were translated.
// Without reply addresses the reply ports are the original's turned round, whatever was given, as in conntrack; but not
// where -n or -g tell of NAT: there they say which ports the kernel shall keep, and conntrack's -R loses them.
func (t *template) mirror() {
	if t.has.has(hasICMP) {
		t.orig.Sport, t.orig.Dport = t.icmpID, uint16(t.icmpType)<<8|uint16(t.icmpCode)
	}
	if t.orig.Family == 0 {
		t.orig.Family = t.reply.Family
	}
	hasReplyPorts := t.has.has(hasReplySport|hasReplyDport) && t.has.has(hasReplySrc|hasReplyDst|hasSNAT|hasDNAT)
	hasOrigPorts := t.has.has(hasOrigSport | hasOrigDport)
	fill(&t.orig.Src, t.reply.Dst, t.has.has(hasOrigSrc))
	fill(&t.orig.Dst, t.reply.Src, t.has.has(hasOrigDst))
	fill(&t.reply.Src, t.orig.Dst, t.has.has(hasReplySrc))
	fill(&t.reply.Dst, t.orig.Src, t.has.has(hasReplyDst))
	t.reply.Family, t.reply.Proto = t.orig.Family, t.orig.Proto
	switch {
	case t.orig.Proto.IsICMP():
		t.reply.Sport, t.reply.Dport = t.orig.Sport, replyType(t.orig.Tuple)
	case !hasOrigPorts:
		t.orig.Sport, t.orig.Dport = t.reply.Dport, t.reply.Sport
	case !hasReplyPorts:
		t.reply.Sport, t.reply.Dport = t.orig.Dport, t.orig.Sport
	}
	t.has |= hasOrigFamily | hasOrigProto | hasReplyFamily | hasReplyProto
}

func fill(addr *[16]byte, from [16]byte, given bool) {
	if !given {
		*addr = from
	}
}

// replyType returns the type and code of the ICMP packets that answer t. A type that has no answer gives 255, which the
// kernel refuses: such flows cannot be.
func replyType(t model.Tuple) uint16 {
	inv := t.Invert()
	if inv.Dport == t.Dport {
		return 255<<8 | t.Dport&0xff
	}
	return inv.Dport
}
