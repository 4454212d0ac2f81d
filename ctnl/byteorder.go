package ctnl

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// otherOrder returns the byte order that is not this machine's.
func otherOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// swapDatagram turns the messages of a machine of the other byte order into this one's, in place: a big-endian router's
// capture is read on a PC. Headers of messages and attributes are in the sender's order; values are in network order,
// but for errno, the count of a mark, and labels, which are words of 32 bits (ctnetlink_dump_labels). What follows a
// broken length is left as it is; the decoder refuses it.
func swapDatagram(b []byte) {
	for len(b) >= nlmsgHdrLen {
		reverse(b, 4, 2, 2, 4, 4) // struct nlmsghdr
		n := int(binary.NativeEndian.Uint32(b))
		if n < nlmsgHdrLen || n > len(b) {
			return
		}
		switch typ, payload := binary.NativeEndian.Uint16(b[4:]), b[nlmsgHdrLen:n]; {
		case typ == unix.NLMSG_DONE || typ == unix.NLMSG_ERROR:
			reverse(payload, 4)
		case typ == markLost:
			reverse(payload, 8)
		case len(payload) > nfgenLen:
			swapAttrs(payload[nfgenLen:], typ>>8 == subsysCT)
		}
		b = b[min(align(n), len(b)):]
	}
}

// swapAttrs swaps the headers of attributes and of those nested in them; flow says that they are a flow's.
func swapAttrs(b []byte, flow bool) {
	for len(b) >= nlaHdrLen {
		reverse(b, 2, 2) // struct nlattr
		typ := binary.NativeEndian.Uint16(b[2:])
		_, v, rest, ok := attr(b)
		switch {
		case !ok:
			return
		case typ&unix.NLA_F_NESTED != 0:
			swapAttrs(v, false)
		case flow && (typ == ctaLabels || typ == ctaLabelsMask):
			for ; len(v) >= 4; v = v[4:] {
				reverse(v, 4)
			}
		}
		b = rest
	}
}

// reverse turns fields of these sizes round, one behind the other from the start of b, as far as b goes.
func reverse(b []byte, sizes ...int) {
	for _, n := range sizes {
		if n > len(b) {
			return
		}
		slices.Reverse(b[:n])
		b = b[n:]
	}
}
