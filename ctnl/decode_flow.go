package ctnl

import (
	"bytes"
	"encoding/binary"

	"ctview/model"
)

// flow reads the attributes of a flow message (ctnetlink_fill_info, ctnetlink_conntrack_event).
func (d *Decoder) flow(b []byte, e *model.Event) error {
	var err error
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaTupleOrig:
			err = d.origTuple(v, e)
		case ctaTupleReply:
			err = d.replyTuple(v, e)
		case ctaStatus:
			ok = be32(v, (*uint32)(&e.Flow.Status))
			e.Has |= model.HasStatus
		case ctaProtoinfo:
			err = protoinfo(v, e)
		case ctaHelp:
			err = d.help(v, e)
		case ctaTimeout:
			ok = be32(v, &e.Timeout)
			e.Has |= model.HasTimeout
		case ctaMark:
			ok = be32(v, &e.Flow.Mark)
			e.Has |= model.HasMark
		case ctaCountersOrig:
			err = counters(v, &e.Flow.Packets[0], &e.Flow.Bytes[0])
			e.Has |= model.HasCountersOrig
		case ctaCountersReply:
			err = counters(v, &e.Flow.Packets[1], &e.Flow.Bytes[1])
			e.Has |= model.HasCountersReply
		case ctaUse:
			ok = be32(v, &e.Use)
			e.Has |= model.HasUse
		case ctaID:
			ok = be32(v, &e.Flow.ID)
			e.Has |= model.HasID
		case ctaZone:
			ok = be16(v, &e.Flow.Zone)
			e.Flow.ZoneDir = model.ZoneBoth
			e.Has |= model.HasZone
		case ctaTimestamp:
			err = timestamp(v, e)
		default:
			ok, err = d.rare(typ, v, e)
		}
		if err != nil {
			return err
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

// rare reads the attributes that few messages carry. What it does not know it skips: tomorrow's kernel adds some.
func (d *Decoder) rare(typ uint16, v []byte, e *model.Event) (ok bool, err error) {
	ok = true
	switch typ {
	case ctaTupleMaster:
		var p parsedTuple
		if err := p.parse(v); err != nil {
			return true, err
		}
		e.Extra.Master, e.Extra.MasterZone = p.t, p.zone
		e.Has |= model.HasMaster
	case ctaSeqAdjOrig:
		err = seqAdj(v, &e.SeqAdj[0])
		e.Has |= model.HasSeqAdjOrig
	case ctaSeqAdjReply:
		err = seqAdj(v, &e.SeqAdj[1])
		e.Has |= model.HasSeqAdjReply
	case ctaSecmark:
		ok = be32(v, &e.Secmark)
		e.Has |= model.HasSecmark
	case ctaSecctx:
		err = d.secctx(v, e)
	case ctaLabels:
		e.Extra.Labels = model.Labels{}
		copy(e.Extra.Labels[:], v)
		e.Has |= model.HasLabels
	case ctaSynproxy:
		err = synproxy(v, e)
	case ctaTimestampEvent:
		var t uint64
		ok = be64(v, &t)
		e.Time = int64(t)
		e.Has |= model.HasTime
	}
	return ok, err
}

func (d *Decoder) origTuple(v []byte, e *model.Event) error {
	var p parsedTuple
	if err := p.parse(v); err != nil {
		return err
	}
	k := &e.Flow.Key
	k.Src, k.Dst, k.Sport, k.Dport, k.Proto, k.Family = p.t.Src, p.t.Dst, p.t.Sport, p.t.Dport, p.t.Proto, p.t.Family
	if p.hasZone {
		k.Zone, k.ZoneDir = p.zone, model.ZoneOrig
		e.Has |= model.HasZone
	}
	if k.Family != 0 {
		e.Has |= model.HasOrig
	}
	return nil
}

func (d *Decoder) replyTuple(v []byte, e *model.Event) error {
	var p parsedTuple
	if err := p.parse(v); err != nil {
		return err
	}
	f := &e.Flow
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = p.t.Src, p.t.Dst, p.t.Sport, p.t.Dport
	if p.hasZone {
		f.Zone, f.ZoneDir = p.zone, model.ZoneReply
		e.Has |= model.HasZone
	}
	e.Has |= model.HasReply
	return nil
}

// protoinfo reads CTA_PROTOINFO_TCP, _DCCP or _SCTP.
func protoinfo(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		var err error
		switch typ {
		case ctaProtoinfoTCP:
			err = protoTCP(v, e)
		case ctaProtoinfoDCCP:
			err = protoDCCP(v, e)
		case ctaProtoinfoSCTP:
			err = protoSCTP(v, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func protoTCP(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		has := model.HasTCPInfo
		switch typ {
		case ctaTCPState:
			ok = u8(v, (*uint8)(&e.Flow.State))
			has = model.HasProtoinfo
		case ctaTCPWScaleOrig:
			ok = u8(v, &e.TCP.WScale[0])
		case ctaTCPWScaleReply:
			ok = u8(v, &e.TCP.WScale[1])
		case ctaTCPFlagsOrig:
			ok = tcpFlags(v, e, 0)
		case ctaTCPFlagsReply:
			ok = tcpFlags(v, e, 1)
		default:
			continue
		}
		if !ok {
			return errValueLen
		}
		e.Has |= has
	}
	return nil
}

// tcpFlags reads struct nf_ct_tcp_flags: flags, then the mask of those that are meant.
func tcpFlags(v []byte, e *model.Event, dir int) bool {
	if len(v) != 2 {
		return false
	}
	e.TCP.Flags[dir], e.TCP.Masks[dir] = v[0], v[1]
	return true
}

func protoDCCP(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		has := model.HasDCCPInfo
		switch typ {
		case ctaDCCPState:
			ok = u8(v, (*uint8)(&e.Flow.State))
			has = model.HasProtoinfo
		case ctaDCCPRole:
			ok = u8(v, &e.DCCP.Role)
		case ctaDCCPHandshakeSeq:
			ok = be64(v, &e.DCCP.HandshakeSeq)
		default:
			continue
		}
		if !ok {
			return errValueLen
		}
		e.Has |= has
	}
	return nil
}

func protoSCTP(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		has := model.HasSCTPInfo
		switch typ {
		case ctaSCTPState:
			ok = u8(v, (*uint8)(&e.Flow.State))
			has = model.HasProtoinfo
		case ctaSCTPVTagOrig:
			ok = be32(v, &e.SCTP.VTag[0])
		case ctaSCTPVTagReply:
			ok = be32(v, &e.SCTP.VTag[1])
		default:
			continue
		}
		if !ok {
			return errValueLen
		}
		e.Has |= has
	}
	return nil
}

func (d *Decoder) help(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaHelpName:
			e.Flow.Helper = model.HelperFor(cstring(v))
			e.Has |= model.HasHelper
		case ctaHelpInfo:
			e.HelperInfo = d.intern(v)
		}
	}
	return nil
}

// counters reads a CTA_COUNTERS_*: 64 bits wide, or 32 from old kernels; CTA_COUNTERS_PAD is skipped.
func counters(b []byte, packets, octets *uint64) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaCountersPackets:
			ok = be64(v, packets)
		case ctaCountersBytes:
			ok = be64(v, octets)
		case ctaCounters32Packets:
			ok = wide32(v, packets)
		case ctaCounters32Bytes:
			ok = wide32(v, octets)
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func wide32(v []byte, dst *uint64) bool {
	if len(v) != 4 {
		return false
	}
	*dst = uint64(binary.BigEndian.Uint32(v))
	return true
}

// timestamp reads CTA_TIMESTAMP; CTA_TIMESTAMP_PAD, which 32-bit MIPS sends, is skipped.
func timestamp(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		var t uint64
		switch typ {
		case ctaTimestampStart:
			ok = be64(v, &t)
			e.Start = int64(t)
			e.Has |= model.HasStart
		case ctaTimestampStop:
			ok = be64(v, &t)
			e.Stop = int64(t)
			e.Has |= model.HasStop
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func seqAdj(b []byte, s *model.SeqAdj) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaSeqAdjPos:
			ok = be32(v, &s.CorrectionPos)
		case ctaSeqAdjBefore:
			ok = be32(v, &s.OffsetBefore)
		case ctaSeqAdjAfter:
			ok = be32(v, &s.OffsetAfter)
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func synproxy(b []byte, e *model.Event) error {
	e.Has |= model.HasSynproxy
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		switch typ {
		case ctaSynproxyISN:
			ok = be32(v, &e.Synproxy.ISN)
		case ctaSynproxyITS:
			ok = be32(v, &e.Synproxy.ITS)
		case ctaSynproxyTSOff:
			ok = be32(v, &e.Synproxy.TSOff)
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func (d *Decoder) secctx(b []byte, e *model.Event) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		if typ == ctaSecctxName {
			e.Extra.Secctx = d.intern(cstring(v))
			e.Has |= model.HasSecctx
		}
	}
	return nil
}

// cstring cuts v at its first NUL.
func cstring(v []byte) []byte {
	if i := bytes.IndexByte(v, 0); i >= 0 {
		return v[:i]
	}
	return v
}
