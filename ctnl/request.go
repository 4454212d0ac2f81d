package ctnl

import (
	"encoding/binary"

	"ctview/model"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// A request is one or more netlink messages under construction. Requests are sent by the thousand, so it writes into
// one buffer; a tree of ti-mo/netfilter's attributes would cost some 20 allocations each. The zero value is ready;
// reset keeps the memory.
type request struct {
	b     []byte
	start int // of the message being written
}

func (r *request) reset() { r.b = r.b[:0] }

// message begins a message. seq is what its answers will carry.
func (r *request) message(subsys netfilter.SubsystemID, typ uint8, flags uint16, seq uint32, family model.Family, version uint8) {
	r.start = len(r.b)
	r.b = binary.NativeEndian.AppendUint32(r.b, 0) // length, set by end
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(subsys)<<8|uint16(typ))
	r.b = binary.NativeEndian.AppendUint16(r.b, flags|unix.NLM_F_REQUEST)
	r.b = binary.NativeEndian.AppendUint32(r.b, seq)
	r.b = binary.NativeEndian.AppendUint32(r.b, 0)  // port: the kernel knows
	r.b = append(r.b, uint8(family), version, 0, 0) // struct nfgenmsg
}

// end sets the length of the message.
func (r *request) end() {
	binary.NativeEndian.PutUint32(r.b[r.start:], uint32(len(r.b)-r.start))
}

// nest begins a nested attribute and returns what endNest needs.
func (r *request) nest(typ uint16) int {
	at := len(r.b)
	r.b = binary.NativeEndian.AppendUint16(r.b, 0)
	r.b = binary.NativeEndian.AppendUint16(r.b, typ|nlaNested)
	return at
}

func (r *request) endNest(at int) {
	binary.NativeEndian.PutUint16(r.b[at:], uint16(len(r.b)-at))
}

// bytes adds an attribute, padded.
func (r *request) bytes(typ uint16, v ...byte) {
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(nlaHdrLen+len(v)))
	r.b = binary.NativeEndian.AppendUint16(r.b, typ)
	r.b = append(r.b, v...)
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}

func (r *request) uint16(typ, v uint16) { r.bytes(typ, byte(v>>8), byte(v)) }

func (r *request) uint32(typ uint16, v uint32) {
	r.bytes(typ, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// tuple adds a CTA_TUPLE_*, with CTA_TUPLE_ZONE where zone is not 0.
func (r *request) tuple(typ uint16, t *model.Tuple, zone uint16) {
	at := r.nest(typ)
	r.tupleBody(t)
	if zone != 0 {
		r.uint16(ctaTupleZone, zone)
	}
	r.endNest(at)
}

func (r *request) tupleBody(t *model.Tuple) {
	ip := r.nest(ctaTupleIP)
	if t.Family == model.IPv4 {
		r.bytes(ctaIPv4Src, t.Src[12:]...)
		r.bytes(ctaIPv4Dst, t.Dst[12:]...)
	} else {
		r.bytes(ctaIPv6Src, t.Src[:]...)
		r.bytes(ctaIPv6Dst, t.Dst[:]...)
	}
	r.endNest(ip)
	proto := r.nest(ctaTupleProto)
	r.bytes(ctaProtoNum, uint8(t.Proto))
	switch typ, code, id := t.ICMP(); t.Proto {
	case model.ProtoICMP:
		r.bytes(ctaProtoICMPType, typ)
		r.bytes(ctaProtoICMPCode, code)
		r.uint16(ctaProtoICMPID, id)
	case model.ProtoICMPv6:
		r.bytes(ctaProtoICMPv6Type, typ)
		r.bytes(ctaProtoICMPv6Code, code)
		r.uint16(ctaProtoICMPv6ID, id)
	default:
		r.uint16(ctaProtoSrcPort, t.Sport)
		r.uint16(ctaProtoDstPort, t.Dport)
	}
	r.endNest(proto)
}

// key adds what finds the flow k: its original tuple in the zone that this direction has. The original direction of
// a flow whose zone is tied to the reply is in zone 0 (nf_ct_zone_id).
func (r *request) key(k *model.Key) {
	t := k.OrigTuple()
	switch {
	case k.Zone == 0 || k.ZoneDir == model.ZoneReply:
		r.tuple(ctaTupleOrig, &t, 0)
	case k.ZoneDir == model.ZoneOrig:
		r.tuple(ctaTupleOrig, &t, k.Zone)
	default:
		r.tuple(ctaTupleOrig, &t, 0)
		r.uint16(ctaZone, k.Zone)
	}
}

func (r *request) uint64(typ uint16, v uint64) {
	r.b = binary.NativeEndian.AppendUint16(r.b, nlaHdrLen+8)
	r.b = binary.NativeEndian.AppendUint16(r.b, typ)
	r.b = binary.BigEndian.AppendUint64(r.b, v)
}

// cstring adds a string with the NUL that the kernel wants (NLA_NUL_STRING).
func (r *request) cstring(typ uint16, s string) {
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(nlaHdrLen+len(s)+1))
	r.b = binary.NativeEndian.AppendUint16(r.b, typ)
	r.b = append(append(r.b, s...), 0)
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}
