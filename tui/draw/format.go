package draw

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"ctview/model"
)

// AppendInt appends n.
func AppendInt[T ~int | ~int64 | ~uint32 | ~uint16](dst []byte, n T) []byte {
	return strconv.AppendInt(dst, int64(n), 10)
}

// Count writes n for the eyes: 18204, 41 200 with grouping where asked for by the texts of screens.
func Count(n int) string { return strconv.Itoa(n) }

// appendAddr appends an address, cut where it has more than room cells (room 0: never cut): IPv6 in its middle, most
// of its beginning kept; IPv4 at its front, for its end tells neighbours apart.
func appendAddr(dst []byte, a netip.Addr, room int, more string) []byte {
	from := len(dst)
	dst = a.AppendTo(dst)
	n := len(dst) - from
	if room <= 0 || n <= room {
		return dst
	}
	keep := room - 1
	if keep < 2 {
		return append(dst[:from], more...)
	}
	tail := keep / 3
	if a.Is4() {
		tail = keep
	}
	var end [48]byte
	t := copy(end[:], dst[len(dst)-tail:])
	dst = append(dst[:from+keep-tail], more...)
	return append(dst, end[:t]...)
}

// AppendEnd appends one end of a tuple, "addr:port", "[addr]:port" for IPv6 (RFC 5952, 6), "addr id N" for the source of
// ICMP, in at most room cells where the port leaves that much. An id that has no room beside its address is written as "addr N", else
// it goes, with a mark where that has room.
func AppendEnd(dst []byte, t *model.Tuple, src bool, room int, more string) []byte {
	a, port := t.DstAddr(), t.Dport
	if src {
		a, port = t.SrcAddr(), t.Sport
	}
	var tail [12]byte
	suffix := tail[:0]
	switch {
	case t.Proto.HasPorts():
		return AppendPort(dst, a, AppendInt(suffix, port), room, more)
	case t.Proto.IsICMP() && src:
		suffix = AppendInt(append(suffix, " id "...), port)
		if n := textLen(a); room > 0 && n+len(suffix) > room {
			suffix = AppendInt(append(suffix[:0], ' '), port)
			switch {
			case n+len(suffix) <= room:
			case n+2 <= room:
				suffix = append(append(suffix[:0], ' '), more...)
			default:
				suffix = suffix[:0]
			}
		}
	}
	if room > 0 {
		room = max(room-utf8.RuneCount(suffix), 1)
	}
	dst = appendAddr(dst, a, room, more)
	return append(dst, suffix...)
}

// AppendPort appends an address and a port, or what stands for one, in at most room cells where the port leaves that much
// (room 0: never cut).
func AppendPort[T ~string | ~[]byte](dst []byte, a netip.Addr, port T, room int, more string) []byte {
	beside := len(":") + utf8.RuneCountInString(string(port))
	if a.Is6() {
		dst = append(dst, '[')
		beside += len("[]")
	}
	if room > 0 {
		room = max(room-beside, 1)
	}
	dst = appendAddr(dst, a, room, more)
	if a.Is6() {
		dst = append(dst, ']')
	}
	return append(append(dst, ':'), port...)
}

// textLen is the number of cells of a.
func textLen(a netip.Addr) int {
	var b [48]byte
	return len(a.AppendTo(b[:0]))
}

// End returns one end of a tuple in full.
func End(t model.Tuple, src bool) string { return string(AppendEnd(nil, &t, src, 0, "")) }

// EndIn returns one end of a tuple in at most room cells: the port stays, the address is cut.
func EndIn(t model.Tuple, src bool, room int, more string) string {
	return string(AppendEnd(nil, &t, src, room, more))
}

// AppendPair appends "source > destination".
func AppendPair(dst []byte, t *model.Tuple) []byte {
	dst = AppendEnd(dst, t, true, 0, "")
	dst = append(dst, " > "...)
	return AppendEnd(dst, t, false, 0, "")
}

// PairIn writes "source > destination" in at most room cells: where both ends have no room, each is cut as AppendEnd does.
func PairIn(t *model.Tuple, room int, more string) string {
	const between = " > "
	src, dst := End(*t, true), End(*t, false)
	if free := room - len(between); Width(src)+Width(dst) > free {
		n := min(Width(src), max(free/2, free-Width(dst)))
		src, dst = EndIn(*t, true, n, more), EndIn(*t, false, free-n, more)
	}
	return src + between + dst
}

// Describe names a flow in a line: protocol, both ends, zone where it is not 0.
func Describe(k *model.Key) string {
	t := k.OrigTuple()
	b := append([]byte(k.Proto.String()), ' ')
	b = AppendPair(b, &t)
	if k.Zone != 0 {
		b = AppendZone(append(b, " zone "...), k)
	}
	return string(b)
}

// AppendZone appends the zone of k, with the direction it is tied to where that is only one.
func AppendZone(dst []byte, k *model.Key) []byte {
	dst = AppendInt(dst, k.Zone)
	switch k.ZoneDir {
	case model.ZoneOrig:
		dst = append(dst, 'o')
	case model.ZoneReply:
		dst = append(dst, 'r')
	}
	return dst
}

// Clock writes the time of day of t (Unix nanoseconds) in loc.
func Clock(t int64, loc *time.Location) string {
	return time.Unix(0, t).In(loc).Format("15:04:05")
}

// Duration writes d in at most six cells.
func Duration(d time.Duration) string { return string(model.AppendDuration(nil, d)) }
