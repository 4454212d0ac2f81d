package ctnl_test

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"ctview/model"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
)

// nests says which attributes hold others: type → those below it. A nil map is a leaf level.
type nests map[uint16]nests

var (
	tupleNest = nests{1: {}, 2: {}}
	flowNests = nests{1: tupleNest, 2: tupleNest, 14: tupleNest, 4: {1: {}, 2: {}, 3: {}}, 5: {}, 9: {}, 10: {}, 15: {}, 16: {},
		19: {}, 20: {}, 24: {}}
)

// unlikeKernel walks attributes the obvious way and names what no kernel sends, so that the two decoders may differ
// on it: attributes of length 0 (ti-mo/conntrack takes them for empty ones), types above 255 (it truncates them),
// one attribute twice, a wrong size of an attribute that only we read, addresses of the wrong size, two families in a tuple, a second zone.
func unlikeKernel(b []byte, n nests, path string, zones *int) string {
	seen := map[uint16]bool{}
	for len(b) >= 4 {
		size, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&0x3fff
		switch {
		case size < 4 || size > len(b):
			return "length"
		case typ > 255:
			return "type above 255"
		case seen[typ]:
			return "twice"
		case path == "" && len(n) == len(flowNests) && (typ == 17 && size != 8 || typ == 27 && size != 12):
			return "size of what ti-mo/conntrack does not read"
		}
		seen[typ] = true
		v := b[4:size]
		if inner, ok := n[typ]; ok {
			if why := unlikeKernel(v, inner, fmt.Sprintf("%s/%d", path, typ), zones); why != "" {
				return why
			}
			if len(inner) == 0 && typ == 1 && len(n) == 2 {
				if why := unlikeAddresses(v); why != "" {
					return why
				}
			}
		}
		if path == "" && typ == 18 || len(n) == 2 && typ == 3 {
			*zones++
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	if *zones > 1 {
		return "two zones"
	}
	return ""
}

// unlikeAddresses judges the inside of CTA_TUPLE_IP.
func unlikeAddresses(b []byte) string {
	v4, v6 := 0, 0
	for len(b) >= 4 {
		size, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&0x3fff
		switch {
		case typ <= 2 && size == 8:
			v4++
		case (typ == 3 || typ == 4) && size == 20:
			v6++
		default:
			return "address"
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	if v4 > 0 && v6 > 0 {
		return "families"
	}
	return ""
}

// theirTuple turns a tuple of ti-mo/conntrack into ours.
func theirTuple(t *conntrack.Tuple) (m model.Tuple) {
	if !t.IP.SourceAddress.IsValid() {
		return model.Tuple{}
	}
	m.Src, m.Dst = t.IP.SourceAddress.As16(), t.IP.DestinationAddress.As16()
	m.Family = model.IPv4
	if t.IP.SourceAddress.Is6() {
		m.Family = model.IPv6
	}
	m.Proto, m.Sport, m.Dport = model.Proto(t.Proto.Protocol), t.Proto.SourcePort, t.Proto.DestinationPort
	if m.Proto.IsICMP() {
		m.Sport, m.Dport = t.Proto.ICMPID, uint16(t.Proto.ICMPType)<<8|uint16(t.Proto.ICMPCode)
	}
	return m
}

// sameFlow returns what differs between what ti-mo/conntrack and we decoded.
func sameFlow(f *conntrack.Flow, e *model.Event) string {
	zone, dir := f.Zone, model.ZoneBoth
	switch {
	case f.TupleOrig.Zone != 0:
		zone, dir = f.TupleOrig.Zone, model.ZoneOrig
	case f.TupleReply.Zone != 0:
		zone, dir = f.TupleReply.Zone, model.ZoneReply
	}
	reply := e.Flow.Reply()
	if !e.Has.Has(model.HasReply) {
		reply = model.Tuple{}
	} else if theirs := theirTuple(&f.TupleReply); theirs.Proto != reply.Proto || theirs.Family != reply.Family {
		reply.Family, reply.Proto = theirs.Family, theirs.Proto // a Flow has but one of each
		if theirs.Proto.IsICMP() != e.Flow.Proto.IsICMP() {
			reply = theirs
		}
	}
	var labels model.Labels
	copy(labels[:], f.Labels)
	start, stop := int64(0), int64(0)
	if e.Has.Has(model.HasStart) {
		start = f.Timestamp.Start.UnixNano()
	}
	if e.Has.Has(model.HasStop) {
		stop = f.Timestamp.Stop.UnixNano()
	}
	helper := e.Flow.Helper.String()
	if helper == "?" {
		helper = cut(f.Helper.Name) // the table of names is full
	}
	for _, c := range []struct {
		what         string
		theirs, ours any
	}{
		{"original tuple", theirTuple(&f.TupleOrig), e.Flow.Orig()},
		{"reply tuple", theirTuple(&f.TupleReply), reply},
		{"master tuple", theirTuple(&f.TupleMaster), e.Extra.Master},
		{"zone", zone, e.Flow.Zone},
		{"zone direction", zone != 0 && dir != e.Flow.ZoneDir, false},
		{"status", uint32(f.Status), uint32(e.Flow.Status)},
		{"id", f.ID, e.Flow.ID},
		{"timeout", f.Timeout, e.Timeout},
		{"mark", f.Mark, e.Flow.Mark},
		{"use", f.Use, e.Use},
		{"labels", labels, e.Extra.Labels},
		{"counters", [4]uint64{f.CountersOrig.Packets, f.CountersOrig.Bytes, f.CountersReply.Packets, f.CountersReply.Bytes},
			[4]uint64{e.Flow.Packets[0], e.Flow.Bytes[0], e.Flow.Packets[1], e.Flow.Bytes[1]}},
		{"times", [2]int64{start, stop}, [2]int64{e.Start, e.Stop}},
		{"helper", cut(f.Helper.Name), helper},
		{"helper info", string(f.Helper.Info), e.HelperInfo},
		{"security context", cut(string(f.SecurityContext)), e.Extra.Secctx},
		{"seqadj", [2]model.SeqAdj{theirSeqAdj(&f.SeqAdjOrig), theirSeqAdj(&f.SeqAdjReply)}, e.SeqAdj},
		{"synproxy", model.Synproxy{ISN: f.SynProxy.ISN, ITS: f.SynProxy.ITS, TSOff: f.SynProxy.TSOff}, e.Synproxy},
		{"protoinfo", theirProtoinfo(&f.ProtoInfo), fmt.Sprint(e.Flow.State, e.TCP, e.SCTP, e.DCCP)},
	} {
		if c.theirs != c.ours {
			return fmt.Sprintf("%s: ti-mo/conntrack %v, ours %v", c.what, c.theirs, c.ours)
		}
	}
	return ""
}

func cut(s string) string {
	if i := bytes.IndexByte([]byte(s), 0); i >= 0 {
		return s[:i]
	}
	return s
}

func theirSeqAdj(s *conntrack.SequenceAdjust) model.SeqAdj {
	return model.SeqAdj{CorrectionPos: s.Position, OffsetBefore: s.OffsetBefore, OffsetAfter: s.OffsetAfter}
}

func theirProtoinfo(p *conntrack.ProtoInfo) string {
	var state model.State
	var tcp model.TCPInfo
	var sctp model.SCTPInfo
	var dccp model.DCCPInfo
	switch {
	case p.TCP != nil:
		state = model.State(p.TCP.State)
		tcp = model.TCPInfo{WScale: [2]uint8{p.TCP.OriginalWindowScale, p.TCP.ReplyWindowScale},
			Flags: [2]uint8{uint8(p.TCP.OriginalFlags >> 8), uint8(p.TCP.ReplyFlags >> 8)},
			Masks: [2]uint8{uint8(p.TCP.OriginalFlags), uint8(p.TCP.ReplyFlags)}}
	case p.SCTP != nil:
		state = model.State(p.SCTP.State)
		sctp.VTag = [2]uint32{p.SCTP.VTagOriginal, p.SCTP.VTagReply}
	case p.DCCP != nil:
		state = model.State(p.DCCP.State)
		dccp = model.DCCPInfo{Role: p.DCCP.Role, HandshakeSeq: p.DCCP.HandshakeSeq}
	}
	return fmt.Sprint(state, tcp, sctp, dccp)
}

// kinds are ti-mo/conntrack's event types as ours; a dump row is an update to it.
func sameKind(their conntrack.Event, ours model.Kind, flags uint16) bool {
	if ours == model.Dump {
		return netlink.HeaderFlags(flags)&netlink.Multi != 0
	}
	switch their.Type {
	case conntrack.EventNew:
		return ours == model.New
	case conntrack.EventUpdate:
		return ours == model.Update
	case conntrack.EventDestroy:
		return ours == model.Destroy
	}
	return false
}
