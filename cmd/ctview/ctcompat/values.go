package ctcompat

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"ctview/model"
)

// cutNumber reads a number as strtoul(3) with base 0 does, decimal, 0x or octal, after blanks, and returns what stands
// behind it.
func cutNumber(s string) (n uint64, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	s = strings.TrimPrefix(s, "+")
	base, digits := 10, s
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") && isHex(s[2]):
		base, digits = 16, s[2:]
	case strings.HasPrefix(s, "0"):
		base = 8
	}
	end := 0
	for end < len(digits) && digitValue(digits[end]) < base {
		end++
	}
	if end == 0 {
		return 0, s, false
	}
	n, err := strconv.ParseUint(digits[:end], base, 64)
	return n, digits[end:], err == nil
}

func isHex(c byte) bool { return digitValue(c) < 16 }

func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// parseNumber reads a whole number up to limit in C's notation. conntrack takes whatever strtoul(3) makes of the text,
// 0 if nothing; here that is an error.
func parseNumber(s, option string, limit uint64) (uint64, error) {
	n, rest, ok := cutNumber(s)
	if !ok || rest != "" || n > limit {
		return 0, badNumber(s, option)
	}
	return n, nil
}

// parseDecimal is parseNumber for the options that conntrack reads with atoi(3): 010 is ten.
func parseDecimal(s, option string, limit uint64) (uint64, error) {
	t := strings.TrimPrefix(strings.TrimLeft(s, " \t\n\v\f\r"), "+")
	n, err := strconv.ParseUint(t, 10, 64)
	if err != nil || n > limit {
		return 0, badNumber(s, option)
	}
	return n, nil
}

// badNumber is worded as conntrack 1.4.9 words it.
func badNumber(s, option string) error {
	return usageErrorf("unexpected value '%s' with %s option", s, option)
}

// parseMark reads VALUE or VALUE/MASK.
func parseMark(s string) (markMask, error) {
	value, rest, ok := cutNumber(s)
	if !ok || value > math.MaxUint32 {
		return markMask{}, badNumber(s, "-m")
	}
	if rest == "" {
		return markMask{uint32(value), math.MaxUint32}, nil
	}
	mask, tail, ok := cutNumber(strings.TrimPrefix(rest, "/"))
	if !ok || tail != "" || rest[0] != '/' || mask > math.MaxUint32 {
		return markMask{}, badNumber(s, "-m")
	}
	return markMask{uint32(value), uint32(mask)}, nil
}

// An address is an argument of -s and its kin. bits is the prefix length, noPrefix or badPrefix.
type address struct {
	family model.Family
	addr   [16]byte
	bits   int
}

const (
	noPrefix  = -1
	badPrefix = -2
)

// addressMax is how much of an address argument conntrack looks at (INET6_ADDRSTRLEN - 1).
const addressMax = 45

// parseAddress reads ADDR or ADDR/BITS; ok is false where ADDR is no address.
func parseAddress(s string) (a address, ok bool) {
	if len(s) > addressMax {
		s = s[:addressMax]
	}
	a.bits = noPrefix
	host, prefix, slash := strings.Cut(s, "/")
	if slash {
		a.bits = badPrefix
		// conntrack reads "1.2.3.4/" as /0: every address.
		if n, err := strconv.ParseUint(strings.TrimPrefix(prefix, "+"), 10, 31); err == nil {
			a.bits = int(n)
		}
	}
	if v4, isV4 := inetAton(host); isV4 {
		a.family = model.IPv4
		a.addr = model.AddrBytes(netip.AddrFrom4(v4))
	} else if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && ip.Zone() == "" {
		a.family = model.IPv6
		a.addr = ip.As16()
	} else {
		return a, false
	}
	if a.bits > maxBits(a.family) {
		a.bits = badPrefix
	}
	return a, true
}

func maxBits(f model.Family) int {
	if f == model.IPv4 {
		return 32
	}
	return 128
}

// prefixMask returns the netmask of a prefix length in the form that model.Tuple keeps addresses in.
func prefixMask(f model.Family, bits int) (mask [16]byte) {
	if f == model.IPv4 {
		v4 := uint32(math.MaxUint32)
		if bits < 32 {
			v4 = ^(math.MaxUint32 >> bits)
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], v4)
		return model.AddrBytes(netip.AddrFrom4(b))
	}
	for i := range mask {
		n := min(max(bits-8*i, 0), 8)
		mask[i] = ^byte(0xff >> n)
	}
	return mask
}

// inetAton is inet_aton(3): one to four numbers, each decimal, octal or hexadecimal, the last filling what is left.
// Blanks and what follows them are ignored.
func inetAton(s string) (addr [4]byte, ok bool) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() { // four decimal numbers
		return ip.As4(), true
	}
	if i := strings.IndexAny(s, " \t\n\v\f\r"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return addr, false
	}
	var v uint32
	for i, p := range parts {
		if p == "" || p[0] < '0' || p[0] > '9' {
			return addr, false
		}
		n, rest, good := cutNumber(p)
		limit := uint64(0xff)
		if i == len(parts)-1 {
			limit = math.MaxUint32 >> (8 * i)
		}
		if !good || rest != "" || n > limit {
			return addr, false
		}
		if i < len(parts)-1 {
			v |= uint32(n) << (24 - 8*i)
		} else {
			v |= uint32(n)
		}
	}
	binary.BigEndian.PutUint32(addr[:], v)
	return addr, true
}

// splitPort cuts the argument of -n, -g and -j: ADDR, ADDR:PORT, [ADDR6]:PORT.
func splitPort(s string) (host, port string, hasPort bool, err error) {
	if _, in, ok := strings.Cut(s, "["); ok {
		addr, behind, closed := strings.Cut(in, "]")
		switch {
		case closed && addr == "":
			return "", "", false, usageErrorf("No IPv6 address specified")
		case !closed:
			return "", "", false, usageErrorf("No closing ']' around IPv6 address")
		}
		_, port, hasPort = strings.Cut(behind, ":")
		host = addr
	} else if strings.Count(s, ":") == 1 {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if !hasPort {
		return s, "", false, nil
	}
	if port == "" {
		return "", "", false, usageErrorf("No port specified after `:'")
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return "", "", false, usageErrorf("Invalid port `%s'", port)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 64); err != nil || n > math.MaxUint16 {
		return "", "", false, usageErrorf("Invalid port `%s'", port)
	}
	return host, port, true, nil
}
