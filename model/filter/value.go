package filter

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// parseInt reads a decimal or 0x-hexadecimal number. ok is false where s is none; big where it does not fit 64 bits.
func parseInt(s string) (n uint64, ok, big bool) {
	base := 10
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s, base = s[2:], 16
	}
	if s == "" {
		return 0, false, false
	}
	for i := range len(s) {
		if v := hexValue(s[i]); int(v) >= base {
			return 0, false, false
		}
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, true, err != nil
}

// isNumeric reports whether s is a number as parseInt reads it.
func isNumeric(s string) bool {
	_, ok, _ := parseInt(s)
	return ok
}

// splitDecimal splits the number at the start of s into its digits before and after the point, and the rest.
func splitDecimal(s string) (whole, frac, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	whole, rest = s[:i], s[i:]
	if whole != "" && len(rest) > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9' {
		j := 1
		for j < len(rest) && rest[j] >= '0' && rest[j] <= '9' {
			j++
		}
		frac, rest = rest[1:j], rest[j:]
	}
	return whole, frac, rest
}

// scale returns whole.frac × mult, rounded down; ok is false if it does not fit.
func scale(whole, frac string, mult uint64) (n uint64, ok bool) {
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, false
	}
	hi, n := bits.Mul64(w, mult)
	if hi != 0 {
		return 0, false
	}
	if frac == "" {
		return n, true
	}
	if len(frac) > 18 {
		frac = frac[:18]
	}
	f, _ := strconv.ParseUint(frac, 10, 64)
	div := uint64(1)
	for range len(frac) {
		div *= 10
	}
	hi, lo := bits.Mul64(f, mult)
	if hi >= div {
		return 0, false // cannot be: f < div
	}
	q, _ := bits.Div64(hi, lo, div)
	n, carry := bits.Add64(n, q, 0)
	return n, carry == 0
}

// prefixFactor returns what a unit's prefix stands for: "k" 1000, "ki" 1024; ok is false for others.
func prefixFactor(u string) (uint64, bool) {
	base := uint64(1000)
	if strings.HasSuffix(u, "i") {
		base, u = 1024, u[:len(u)-1]
		if u == "" {
			return 0, false
		}
	}
	switch u {
	case "":
		return 1, true
	case "k":
		return base, true
	case "m":
		return base * base, true
	case "g":
		return base * base * base, true
	case "t":
		return base * base * base * base, true
	}
	return 0, false
}

// parseAddrVal reads an address or a prefix, whose host bits may be set: they do not count. bad says what is wrong,
// cure how to write it, fixed the corrected text; all "" when s is right.
func parseAddrVal(s string) (p netip.Prefix, bad, cure, fixed string) {
	host, length, isPrefix := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		bad, cure, fixed = badAddr(s, host, isPrefix)
		return p, bad, cure, fixed
	case a.Zone() != "":
		fixed = a.WithZone("").String()
		return p, quote(s) + " names an interface, and the kernel's tuples have none", "write " + fixed, fixed
	case !isPrefix:
		return netip.PrefixFrom(a, a.BitLen()), "", "", ""
	}
	name := "IPv6"
	if a.Is4() {
		name = "IPv4"
	}
	goes := name + " prefixes go from /0 to /" + strconv.Itoa(a.BitLen())
	n, ok, big := parseInt(length)
	if m, err := netip.ParseAddr(length); err == nil && m.Is4() && a.Is4() {
		if ones, ok := maskLen(m); ok {
			fixed = host + "/" + strconv.Itoa(ones)
			return p, "netmask " + quote(length), "write " + fixed, fixed
		}
	}
	switch {
	case !ok || strings.HasPrefix(length, "0x"):
		return p, quote(length) + " is no prefix length", goes, ""
	case big || n > uint64(a.BitLen()):
		return p, "prefix /" + length + " is too long", goes, ""
	}
	return netip.PrefixFrom(a, int(n)).Masked(), "", "", ""
}

// maskLen returns the length of a netmask such as 255.255.0.0.
func maskLen(m netip.Addr) (int, bool) {
	b := m.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^v)
	return n, v<<n == 0
}

// badAddr explains why s is no address: a dotted address that stops early is taken for a network.
func badAddr(s, host string, isPrefix bool) (bad, cure, fixed string) {
	bad = quote(s) + " is no address"
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return quote(s) + " is an address with a port", "", ap.Addr().WithZone("").String()
	}
	if a, b, ok := strings.Cut(s, "-"); ok {
		_, errA := netip.ParseAddr(a)
		if _, errB := netip.ParseAddr(b); errA == nil && errB == nil {
			return quote(s) + " is a range", "write prefixes, or the addresses in braces", ""
		}
	}
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	short := len(parts) < 4 && len(parts) > 1 || len(parts) == 1 && isPrefix
	for _, x := range parts {
		if v, err := strconv.ParseUint(x, 10, 8); err != nil || strconv.FormatUint(v, 10) != x {
			short = false
		}
	}
	if short {
		full := strings.Join(parts, ".") + strings.Repeat(".0", 4-len(parts))
		_, length, ok := strings.Cut(s, "/")
		if !ok {
			length = strconv.Itoa(8 * len(parts))
		}
		fixed = full + "/" + length
		if _, err := netip.ParsePrefix(fixed); err == nil {
			return bad, "did you mean " + fixed + "?", fixed
		}
	}
	if strings.IndexFunc(host, func(r rune) bool { return r >= 'g' && r <= 'z' || r >= 'G' && r <= 'Z' }) >= 0 {
		return bad, "names are not looked up, write the address", ""
	}
	return bad, "write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32", ""
}

// looksLikeAddr reports whether an unknown word was probably meant as an address.
func looksLikeAddr(s string) bool {
	if s[0] >= '0' && s[0] <= '9' || s[0] == ':' {
		dots := strings.Count(s, ".")
		return dots >= 2 || strings.Count(s, ":") >= 2 || dots == 1 && strings.Contains(s, "/")
	}
	return strings.Count(s, ":") >= 2 && strings.Trim(s, "0123456789abcdefABCDEF:./%") == ""
}
