package ctnl

import (
	"context"
	"net/netip"

	"ctview/model"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// A Spec says what a flow shall be. Flow.Key names it; of the rest only what Has says is sent: HasReply, HasStatus,
// HasProtoinfo (the state), HasTCPInfo, HasSCTPInfo, HasDCCPInfo, HasHelper, HasTimeout, HasMark, HasMaster,
// HasSeqAdjOrig, HasSeqAdjReply, HasLabels, HasSynproxy. Other bits are ignored: the kernel takes no counters, times or
// IDs from us.
type Spec struct {
	model.Event

	// HelperName is the helper where HasHelper is set and Flow.Helper is 0; "" takes the helper away.
	HelperName string
	// MarkMask are the bits of the mark to change; the others stay. Only with HasMarkMask.
	MarkMask    uint32
	HasMarkMask bool
	// LabelsMask are the labels to change. Only with HasLabelsMask.
	LabelsMask    model.Labels
	HasLabelsMask bool
	// SrcNAT and DstNAT make the kernel set up NAT. Create only.
	SrcNAT, DstNAT *NATRange
}

// A NATRange is where NAT may take the new address and port from. A zero Max is Min; a zero PortMin is no ports.
type NATRange struct {
	Min, Max         netip.Addr
	PortMin, PortMax uint16
}

// CreateMany makes n flows, hundreds per system call, on a socket of its own. fill is called for each with a Spec that
// still is as the last call left it. Flows that the kernel refused are returned; the error says why it ended early.
func (k *Kernel) CreateMany(ctx context.Context, n int, fill func(i int, s *Spec)) (failed []Failure, err error) {
	var s Spec
	err = k.alone(ctx, "create", func(x *exchange) error {
		return x.pipeline(ctx, n,
			func(i int, flags uint16) {
				fill(i, &s)
				x.create(&s, flags)
			},
			func(i int, err error) { failed = append(failed, Failure{i, err}) }, nil)
	})
	return failed, err
}

func (x *exchange) create(s *Spec, flags uint16) {
	x.begin(netfilter.NFSubsysCTNetlink, ctNew, flags|unix.NLM_F_CREATE|unix.NLM_F_EXCL, s.Flow.Family, 0).creation(s)
}

// AppendCreate appends the message with which Create makes a flow, its sequence number 0 and no acknowledgement asked for.
func AppendCreate(b []byte, s *Spec) []byte {
	r := request{b: b}
	r.message(netfilter.NFSubsysCTNetlink, ctNew, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, s.Flow.Family, 0)
	r.creation(s)
	return r.b
}

// AppendUpdate is AppendCreate for Update.
func AppendUpdate(b []byte, s *Spec) []byte {
	r := request{b: b}
	r.message(netfilter.NFSubsysCTNetlink, ctNew, 0, 0, s.Flow.Family, 0)
	r.key(&s.Flow.Key)
	r.change(s)
	r.end()
	return r.b
}

// AppendDelete appends the message that deletes whatever flow has the key k.
func AppendDelete(b []byte, k *model.Key) []byte {
	r := request{b: b}
	r.message(netfilter.NFSubsysCTNetlink, ctDelete, 0, 0, k.Family, 0)
	r.key(k)
	r.end()
	return r.b
}

// creation adds what a new flow is, and ends the message.
func (r *request) creation(s *Spec) {
	r.tuples(s)
	r.change(s)
	if s.Has.Has(model.HasMaster) {
		r.tuple(ctaTupleMaster, &s.Extra.Master, s.Extra.MasterZone)
	}
	r.nat(ctaNATSrc, s.SrcNAT)
	r.nat(ctaNATDst, s.DstNAT)
	r.end()
}

// UpdateMany is CreateMany for Update.
func (k *Kernel) UpdateMany(ctx context.Context, n int, fill func(i int, s *Spec)) (failed []Failure, err error) {
	var s Spec
	err = k.alone(ctx, "update", func(x *exchange) error {
		return x.pipeline(ctx, n,
			func(i int, flags uint16) {
				fill(i, &s)
				x.update(&s, flags)
			},
			func(i int, err error) { failed = append(failed, Failure{i, err}) }, nil)
	})
	return failed, err
}

func (x *exchange) update(s *Spec, flags uint16) {
	r := x.begin(netfilter.NFSubsysCTNetlink, ctNew, flags, s.Flow.Family, 0)
	r.key(&s.Flow.Key)
	r.change(s)
	r.end()
}

// tuples adds both tuples and the zone of a new flow.
func (r *request) tuples(s *Spec) {
	f := &s.Flow
	orig, reply := f.Orig(), f.Reply()
	if !s.Has.Has(model.HasReply) {
		reply = orig.Invert()
	}
	var zones [2]uint16
	switch f.ZoneDir {
	case model.ZoneOrig:
		zones[0] = f.Zone
	case model.ZoneReply:
		zones[1] = f.Zone
	}
	r.tuple(ctaTupleOrig, &orig, zones[0])
	r.tuple(ctaTupleReply, &reply, zones[1])
	if f.Zone != 0 && f.ZoneDir == model.ZoneBoth {
		r.uint16(ctaZone, f.Zone)
	}
}

// change adds what Create and Update have in common.
func (r *request) change(s *Spec) {
	if s.Has.Has(model.HasTimeout) {
		r.uint32(ctaTimeout, s.Timeout)
	}
	if s.Has.Has(model.HasStatus) {
		// Without the bit that every flow in the table has, the kernel takes it for an attempt to clear it: EBUSY.
		r.uint32(ctaStatus, uint32(s.Flow.Status|model.StatusConfirmed))
	}
	if s.Has.Has(model.HasMark) {
		r.uint32(ctaMark, s.Flow.Mark) // 0 too: it clears
		if s.HasMarkMask {
			r.uint32(ctaMarkMask, s.MarkMask)
		}
	}
	r.protoinfo(s)
	if s.Has.Has(model.HasHelper) {
		name := s.HelperName
		if s.Flow.Helper != 0 {
			name = s.Flow.Helper.String()
		}
		at := r.nest(ctaHelp)
		r.cstring(ctaHelpName, name)
		r.endNest(at)
	}
	if s.Has.Has(model.HasLabels) {
		r.bytes(ctaLabels, s.Extra.Labels[:]...)
		if s.HasLabelsMask {
			r.bytes(ctaLabelsMask, s.LabelsMask[:]...)
		}
	}
	if s.Has.Has(model.HasSeqAdjOrig) {
		r.seqAdj(ctaSeqAdjOrig, &s.SeqAdj[0])
	}
	if s.Has.Has(model.HasSeqAdjReply) {
		r.seqAdj(ctaSeqAdjReply, &s.SeqAdj[1])
	}
	if s.Has.Has(model.HasSynproxy) {
		at := r.nest(ctaSynproxy)
		r.uint32(ctaSynproxyISN, s.Synproxy.ISN)
		r.uint32(ctaSynproxyITS, s.Synproxy.ITS)
		r.uint32(ctaSynproxyTSOff, s.Synproxy.TSOff)
		r.endNest(at)
	}
}

// protoinfo adds the state and what goes with it. The kernel refuses an SCTP state without both tags
// (nlattr_to_sctp) and a DCCP state without a role (nlattr_to_dccp), so those always go along.
func (r *request) protoinfo(s *Spec) {
	if s.Has&(model.HasProtoinfo|model.HasTCPInfo|model.HasSCTPInfo|model.HasDCCPInfo) == 0 {
		return
	}
	at := r.nest(ctaProtoinfo)
	switch s.Flow.Proto {
	case model.ProtoTCP:
		in := r.nest(ctaProtoinfoTCP)
		if s.Has.Has(model.HasProtoinfo) {
			r.bytes(ctaTCPState, uint8(s.Flow.State))
		}
		if s.Has.Has(model.HasTCPInfo) {
			r.bytes(ctaTCPWScaleOrig, s.TCP.WScale[0])
			r.bytes(ctaTCPWScaleReply, s.TCP.WScale[1])
			r.bytes(ctaTCPFlagsOrig, s.TCP.Flags[0], s.TCP.Masks[0])
			r.bytes(ctaTCPFlagsReply, s.TCP.Flags[1], s.TCP.Masks[1])
		}
		r.endNest(in)
	case model.ProtoSCTP:
		in := r.nest(ctaProtoinfoSCTP)
		r.bytes(ctaSCTPState, uint8(s.Flow.State))
		r.uint32(ctaSCTPVTagOrig, s.SCTP.VTag[0])
		r.uint32(ctaSCTPVTagReply, s.SCTP.VTag[1])
		r.endNest(in)
	case model.ProtoDCCP:
		in := r.nest(ctaProtoinfoDCCP)
		r.bytes(ctaDCCPState, uint8(s.Flow.State))
		r.bytes(ctaDCCPRole, s.DCCP.Role)
		r.uint64(ctaDCCPHandshakeSeq, s.DCCP.HandshakeSeq)
		r.endNest(in)
	}
	r.endNest(at)
}

func (r *request) seqAdj(typ uint16, a *model.SeqAdj) {
	at := r.nest(typ)
	r.uint32(ctaSeqAdjPos, a.CorrectionPos)
	r.uint32(ctaSeqAdjBefore, a.OffsetBefore)
	r.uint32(ctaSeqAdjAfter, a.OffsetAfter)
	r.endNest(at)
}

func (r *request) nat(typ uint16, n *NATRange) {
	if n == nil {
		return
	}
	at := r.nest(typ)
	last := n.Max
	if !last.IsValid() {
		last = n.Min
	}
	minTyp, maxTyp := uint16(ctaNATv4Min), uint16(ctaNATv4Max)
	if n.Min.Is6() {
		minTyp, maxTyp = ctaNATv6Min, ctaNATv6Max
	}
	if n.Min.IsValid() {
		r.bytes(minTyp, n.Min.AsSlice()...)
		r.bytes(maxTyp, last.AsSlice()...)
	}
	if n.PortMin != 0 {
		ports := r.nest(ctaNATProto)
		r.uint16(ctaNATPortMin, n.PortMin)
		r.uint16(ctaNATPortMax, max(n.PortMin, n.PortMax))
		r.endNest(ports)
	}
	r.endNest(at)
}
