package fill

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// Message types and attributes, <linux/netfilter/nfnetlink_conntrack.h>.
const (
	ctNew    = unix.NFNL_SUBSYS_CTNETLINK << 8   // IPCTNL_MSG_CT_NEW
	ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	nested   = unix.NLA_F_NESTED
	tcpFlags = 0x08 /* IP_CT_TCP_FLAG_BE_LIBERAL */ // real packets of a made-up window are then no error

	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaProtoinfo  = 4
	ctaTimeout    = 7
	ctaMark       = 8
	ctaZone       = 18
)

// begin appends the headers of a message and returns where it starts; end fills in its length.
func begin(b []byte, typ, flags uint16, k *model.Key) ([]byte, int) {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number, port
	return append(b, byte(k.Family), unix.NFNETLINK_V0, 0, 0), at
}

func end(b []byte, at int) []byte {
	binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// attr appends one attribute; its length is a multiple of 4 with the padding that it needs.
func attr(b []byte, typ uint16, v ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func attr16(b []byte, typ, v uint16) []byte { return attr(b, typ, byte(v>>8), byte(v)) }

func attr32(b []byte, typ uint16, v uint32) []byte {
	return attr(b, typ, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// tuple appends a direction of k.
func tuple(b []byte, typ uint16, k *model.Key, reply bool) []byte {
	src, dst, sport, dport := k.Src, k.Dst, k.Sport, k.Dport
	if reply {
		src, dst, sport, dport = dst, src, dport, sport
	}
	at := len(b)
	b = attr(b, typ|nested)
	ip := len(b)
	b = attr(b, 1|nested) // CTA_TUPLE_IP
	if k.Family == model.IPv4 {
		b = attr(b, 1, src[12:]...)
		b = attr(b, 2, dst[12:]...)
	} else {
		b = attr(b, 3, src[:]...)
		b = attr(b, 4, dst[:]...)
	}
	nestEnd(b, ip)
	proto := len(b)
	b = attr(b, 2|nested) // CTA_TUPLE_PROTO
	b = attr(b, 1, byte(k.Proto))
	b = attr16(b, 2, sport)
	b = attr16(b, 3, dport)
	nestEnd(b, proto)
	nestEnd(b, at)
	return b
}

func nestEnd(b []byte, at int) { binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at)) }

// create appends the message that makes flow i.
func create(b []byte, i int) []byte {
	k, a := Key(i), AttrsOf(i)
	b, at := begin(b, ctNew, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL, &k)
	b = tuple(b, ctaTupleOrig, &k, false)
	b = tuple(b, ctaTupleReply, &k, true)
	b = zone(b, &k)
	b = attr32(b, ctaTimeout, a.Timeout)
	b = attr32(b, ctaStatus, uint32(a.Status))
	if a.Mark != 0 {
		b = attr32(b, ctaMark, a.Mark)
	}
	if k.Proto == model.ProtoTCP {
		info := len(b)
		b = attr(b, ctaProtoinfo|nested)
		tcp := len(b)
		b = attr(b, 1|nested)              // CTA_PROTOINFO_TCP
		b = attr(b, 1, byte(a.State))      // CTA_PROTOINFO_TCP_STATE
		b = attr(b, 4, tcpFlags, tcpFlags) // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: flags, mask
		b = attr(b, 5, tcpFlags, tcpFlags) // CTA_PROTOINFO_TCP_FLAGS_REPLY
		nestEnd(b, tcp)
		nestEnd(b, info)
	}
	return end(b, at)
}

// update appends the message that gives flow i a mark.
func update(b []byte, i int, mark uint32) []byte {
	k := Key(i)
	b, at := begin(b, ctNew, unix.NLM_F_REQUEST, &k)
	b = tuple(b, ctaTupleOrig, &k, false)
	b = zone(b, &k)
	b = attr32(b, ctaMark, mark)
	return end(b, at)
}

// destroy appends the message that ends flow i.
func destroy(b []byte, i int) []byte {
	k := Key(i)
	b, at := begin(b, ctDelete, unix.NLM_F_REQUEST, &k)
	b = tuple(b, ctaTupleOrig, &k, false)
	b = zone(b, &k)
	return end(b, at)
}

func zone(b []byte, k *model.Key) []byte {
	if k.Zone == 0 {
		return b
	}
	return attr16(b, ctaZone, k.Zone)
}
