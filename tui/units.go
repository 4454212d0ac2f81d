package tui

import (
	"strconv"
	"time"
)

// appendBytes appends n with three digits and a unit of 1000: 120, 9.9k, 402M, 1.91G.
func appendBytes(dst []byte, n uint64) []byte {
	if n < 1000 {
		return strconv.AppendUint(dst, n, 10)
	}
	const units = "kMGTPE"
	v, u := float64(n)/1000, 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	prec := 0
	if v < 99.95 {
		prec = 1
	}
	return append(strconv.AppendFloat(dst, v, 'f', prec, 64), units[u])
}

// appendRate appends bytes per second.
func appendRate(dst []byte, v float64) []byte {
	return append(appendBytes(dst, uint64(v+0.5)), "B/s"...)
}

// appendDuration appends d with its two largest units.
func appendDuration(dst []byte, d time.Duration) []byte {
	s := int64(d / time.Second)
	if s < 0 {
		s = 0
	}
	two := func(a int64, ua string, b int64, ub string) []byte {
		dst = append(strconv.AppendInt(dst, a, 10), ua...)
		if b == 0 {
			return dst
		}
		if b < 10 {
			dst = append(dst, '0')
		}
		return append(strconv.AppendInt(dst, b, 10), ub...)
	}
	switch {
	case s >= 86400:
		return two(s/86400, "d", s%86400/3600, "h")
	case s >= 3600:
		return two(s/3600, "h", s%3600/60, "m")
	case s >= 60:
		return two(s/60, "m", s%60, "s")
	}
	return append(strconv.AppendInt(dst, s, 10), 's')
}

// appendAge appends d with one unit below an hour and two above: 3s, 12m, 3h04m, 2d04h.
func appendAge(dst []byte, d time.Duration) []byte {
	switch {
	case d < time.Minute || d >= time.Hour:
		return appendDuration(dst, d)
	}
	return append(strconv.AppendInt(dst, int64(d/time.Minute), 10), 'm')
}
