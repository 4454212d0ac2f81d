package model

import (
	"net/netip"
	"strconv"
	"time"
)

// The formatters below append to dst and return it. They use neither fmt nor the heap, so that a frame of a thousand
// cells costs microseconds.

// AppendBytes appends n with a prefix of powers of 1000 and at most three digits: 120, 5.0k, 21.4M, 402M, 1.9G.
// It needs at most five cells below 1000 E.
func AppendBytes(dst []byte, n uint64) []byte {
	if n < 1000 {
		return strconv.AppendUint(dst, n, 10)
	}
	return appendScaled(dst, float64(n), 100)
}

// AppendRate appends bytes per second: 310B/s, 4.0kB/s, 96kB/s, 1.2MB/s. What is below zero or no number is 0B/s.
func AppendRate(dst []byte, bytesPerSecond float64) []byte {
	return append(appendPerSecond(dst, bytesPerSecond), "B/s"...)
}

// AppendPacketRate appends packets (or events) per second: 3.1/s, 204/s, 12k/s. Below 10 it keeps one decimal.
func AppendPacketRate(dst []byte, perSecond float64) []byte {
	if perSecond > 0 && perSecond < 9.95 {
		dst = appendTenths(dst, perSecond)
	} else {
		dst = appendPerSecond(dst, perSecond)
	}
	return append(dst, "/s"...)
}

func appendPerSecond(dst []byte, v float64) []byte {
	switch {
	case !(v > 0): // NaN too
		return append(dst, '0')
	case v < 999.5:
		return strconv.AppendUint(dst, uint64(v+0.5), 10)
	}
	return appendScaled(dst, v, 10)
}

// appendScaled appends v >= 1000 (or just below) with its prefix; one decimal below the limit, none from it on.
func appendScaled(dst []byte, v, limit float64) []byte {
	const prefixes = "kMGTPE"
	i := 0
	for v /= 1000; v >= 999.5 && i < len(prefixes)-1; v /= 1000 {
		i++
	}
	if v < limit-0.05 {
		dst = appendTenths(dst, v)
	} else {
		dst = strconv.AppendUint(dst, uint64(min(v, 1e18)+0.5), 10)
	}
	return append(dst, prefixes[i])
}

func appendTenths(dst []byte, v float64) []byte {
	t := uint64(v*10 + 0.5)
	return append(strconv.AppendUint(dst, t/10, 10), '.', byte('0'+t%10))
}

// AppendDuration appends d in at most two units, for a timeout: 21s, 2m59s, 12m, 3h04m, 4d23h, 400d. From ten minutes
// on the seconds go. It cuts, never rounds up; what is below zero is 0s.
func AppendDuration(dst []byte, d time.Duration) []byte {
	s := int64(max(d, 0) / time.Second)
	if s >= 60 && s < 600 {
		return appendTwo(dst, s/60, 'm', s%60, 's')
	}
	return AppendAge(dst, d)
}

// AppendAge appends d coarsely, for an age: 9s, 4m, 3h04m, 2d04h, 400d. It cuts, never rounds up; what is below zero
// is 0s.
func AppendAge(dst []byte, d time.Duration) []byte {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return append(strconv.AppendInt(dst, s, 10), 's')
	case s < 3600:
		return append(strconv.AppendInt(dst, s/60, 10), 'm')
	case s < 86400:
		return appendTwo(dst, s/3600, 'h', s/60%60, 'm')
	case s < 100*86400:
		return appendTwo(dst, s/86400, 'd', s/3600%24, 'h')
	}
	return append(strconv.AppendInt(dst, s/86400, 10), 'd')
}

func appendTwo(dst []byte, a int64, ua byte, b int64, ub byte) []byte {
	dst = append(strconv.AppendInt(dst, a, 10), ua)
	return append(dst, byte('0'+b/10), byte('0'+b%10), ub)
}

// AppendDurationLong appends d in at most three units and leaves out those that are 0, for a detail screen: 12m33s,
// 4d23h59m, 5d, 0s.
func AppendDurationLong(dst []byte, d time.Duration) []byte {
	s := int64(max(d, 0) / time.Second)
	if s == 0 {
		return append(dst, "0s"...)
	}
	units := 0 // from the first that is not 0
	for i, v := range [...]int64{s / 86400, s / 3600 % 24, s / 60 % 60, s % 60} {
		if v != 0 && units < 3 {
			dst = append(strconv.AppendInt(dst, v, 10), "dhms"[i])
		}
		if v != 0 || units > 0 {
			units++
		}
	}
	return dst
}

// A Side picks one end of a tuple.
type Side uint8

// The two ends.
const (
	Source Side = iota
	Destination
)

// AppendEndpoint appends one end of t as the table shows it: 192.0.2.1:80, [2001:db8::1]:443 (RFC 5952, 6), for ICMP the identifier
// at the source ("192.168.1.3 id 4711"), for protocols without ports the address alone.
func AppendEndpoint(dst []byte, t *Tuple, side Side) []byte {
	addr, port := t.Src, t.Sport
	if side == Destination {
		addr, port = t.Dst, t.Dport
	}
	bracketed := t.Family == IPv6 && t.Proto.HasPorts()
	if bracketed {
		dst = append(dst, '[')
	}
	dst = AppendAddr(dst, t.Family, addr)
	if bracketed {
		dst = append(dst, ']')
	}
	switch {
	case t.Proto.HasPorts():
		return strconv.AppendUint(append(dst, ':'), uint64(port), 10)
	case t.Proto.IsICMP() && side == Source:
		return strconv.AppendUint(append(dst, " id "...), uint64(port), 10)
	}
	return dst
}

// AppendAddr appends an address as a Key holds it: dotted for IPv4, RFC 5952 for IPv6.
func AppendAddr(dst []byte, f Family, a [16]byte) []byte {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte(a[12:])).AppendTo(dst)
	}
	return netip.AddrFrom16(a).AppendTo(dst)
}

// AppendFlags appends the letters of the FLAGS column: A assured, U unreplied, E expected, O offloaded, H watched by
// a helper, F fixed timeout, D dying; "-" for none.
func AppendFlags(dst []byte, f *Flow) []byte {
	n := len(dst)
	for _, l := range [...]struct {
		on     bool
		letter byte
	}{
		{f.Status&StatusAssured != 0, 'A'},
		{f.Status&StatusSeenReply == 0, 'U'},
		{f.Status&StatusExpected != 0, 'E'},
		{f.Offloaded(), 'O'},
		{f.Helper != 0 || f.Status&StatusHelper != 0, 'H'},
		{f.Status&StatusFixedTimeout != 0, 'F'},
		{f.Status&StatusDying != 0, 'D'},
	} {
		if l.on {
			dst = append(dst, l.letter)
		}
	}
	if len(dst) == n {
		dst = append(dst, '-')
	}
	return dst
}

// AppendNAT appends the letters of the NAT column: S, D, SD, or "-" for none.
func AppendNAT(dst []byte, f *Flow) []byte {
	s, d := f.SNAT(), f.DNAT()
	if s {
		dst = append(dst, 'S')
	}
	if d {
		dst = append(dst, 'D')
	}
	if !s && !d {
		dst = append(dst, '-')
	}
	return dst
}
