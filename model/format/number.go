package format

import "ctview/model"

// pairs holds the decimal digits of 0 to 99.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354" +
	"55565758596061626364656667686970717273747576777879808182838485868788899091929394959697989900"

const hexDigits = "0123456789abcdef"

// appendUint appends v in decimal. It is strconv.AppendUint without the copy through a buffer of its own.
func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 10:
		return append(dst, byte('0'+v))
	case v < 100:
		return append(dst, pairs[2*v], pairs[2*v+1])
	}
	n := len(dst)
	dst = append(dst, "00000000000000000000"[:decimals(v)]...)
	i := len(dst)
	for v >= 100 {
		q := v / 100
		r := 2 * (v - 100*q)
		i -= 2
		dst[i], dst[i+1] = pairs[r], pairs[r+1]
		v = q
	}
	if v >= 10 {
		dst[n], dst[n+1] = pairs[2*v], pairs[2*v+1]
	} else {
		dst[n] = byte('0' + v)
	}
	return dst
}

// decimals returns how many decimal digits v has; v is at least 100.
func decimals(v uint64) int {
	n := 3
	for v >= 10000 {
		v /= 10
		n++
		if v >= 1000000 {
			v /= 1000
			n += 3
		}
	}
	if v >= 1000 {
		n++
	}
	return n
}

// appendPadded appends v in decimal with at least width digits, zeros in front.
func appendPadded(dst []byte, v uint64, width int) []byte {
	for limit := uint64(10); width > 1; width-- {
		if v < limit {
			break
		}
		limit *= 10
	}
	for ; width > 1; width-- {
		dst = append(dst, '0')
	}
	return appendUint(dst, v)
}

// appendHex appends v in lower-case hexadecimal without padding.
func appendHex(dst []byte, v uint16) []byte {
	switch {
	case v >= 0x1000:
		return append(dst, hexDigits[v>>12], hexDigits[v>>8&15], hexDigits[v>>4&15], hexDigits[v&15])
	case v >= 0x100:
		return append(dst, hexDigits[v>>8], hexDigits[v>>4&15], hexDigits[v&15])
	case v >= 0x10:
		return append(dst, hexDigits[v>>4], hexDigits[v&15])
	}
	return append(dst, hexDigits[v])
}

// An octet is the decimal text of a byte: n of the three characters.
type octet struct {
	text [3]byte
	n    uint8
}

// octets holds the text of every byte: IPv4 addresses are the most frequent thing that this package writes.
var octets = makeOctets()

func makeOctets() (t [256]octet) {
	for i := range t {
		s := appendUint(nil, uint64(i))
		t[i].n = uint8(copy(t[i].text[:], s))
	}
	return t
}

// AppendAddr appends the address a, in the form that model.Key holds, exactly as glibc's inet_ntop writes it: the
// longest run of two or more zero groups as "::" (the first of equals), and ::1.2.3.4 and ::ffff:1.2.3.4 with their
// last part dotted.
func AppendAddr(dst []byte, fam model.Family, a [16]byte) []byte {
	if fam == model.IPv4 {
		return appendIPv4(dst, a[12], a[13], a[14], a[15])
	}
	return appendIPv6(dst, &a)
}

func appendIPv4(dst []byte, a, b, c, d byte) []byte {
	for _, x := range [3]byte{a, b, c} {
		o := &octets[x]
		dst = append(dst, o.text[0], o.text[1], o.text[2])
		dst = append(dst[:len(dst)-3+int(o.n)], '.')
	}
	o := &octets[d]
	dst = append(dst, o.text[0], o.text[1], o.text[2])
	return dst[:len(dst)-3+int(o.n)]
}

func appendIPv6(dst []byte, a *[16]byte) []byte {
	var words [8]uint16
	base, length := -1, 1 // the longest run of zero groups so far
	for i, run := 0, 0; i < 8; i++ {
		words[i] = uint16(a[2*i])<<8 | uint16(a[2*i+1])
		if words[i] != 0 {
			run = 0
			continue
		}
		if run++; run > length {
			base, length = i-run+1, run
		}
	}
	for i := 0; i < 8; i++ {
		if i == base {
			dst = append(dst, ':')
			if i += length; i == 8 {
				return append(dst, ':')
			}
		}
		if i != 0 {
			dst = append(dst, ':')
		}
		if i == 6 && base == 0 && (length == 6 || length == 5 && words[5] == 0xffff) {
			return appendIPv4(dst, a[12], a[13], a[14], a[15])
		}
		dst = appendHex(dst, words[i])
	}
	return dst
}
