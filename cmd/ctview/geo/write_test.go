//go:build !small

package geo

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
)

// A net is a prefix and what the file shall say of it.
type entry struct {
	prefix string
	value  any
}

// write makes a MaxMind DB file: a tree of that record size and IP version, and the values behind it.
func write(bits, version int, entries []entry) []byte {
	type node [2]int // index of a node, -1 none, or -2-i for entry i
	nodes := []node{{-1, -1}}
	var data []byte
	offsets := make([]int, len(entries))
	for i, e := range entries {
		offsets[i] = len(data)
		data = appendValue(data, e.value)
		p := netip.MustParsePrefix(e.prefix)
		key, n := p.Addr().AsSlice(), p.Bits()
		if version == 6 && p.Addr().Is4() {
			key, n = append(make([]byte, 12), key...), n+96
		}
		at := 0
		for b := range n {
			side := key[b/8] >> (7 - b%8) & 1
			if b == n-1 {
				nodes[at][side] = -2 - i
				break
			}
			if nodes[at][side] < 0 {
				nodes = append(nodes, node{-1, -1})
				nodes[at][side] = len(nodes) - 1
			}
			at = nodes[at][side]
		}
	}
	var out []byte
	for _, n := range nodes {
		var r [2]uint32
		for side, v := range n {
			switch {
			case v >= 0:
				r[side] = uint32(v)
			case v == -1:
				r[side] = uint32(len(nodes))
			default:
				r[side] = uint32(len(nodes) + dataGap + offsets[-2-v])
			}
		}
		switch bits {
		case 24:
			out = append(out, byte(r[0]>>16), byte(r[0]>>8), byte(r[0]), byte(r[1]>>16), byte(r[1]>>8), byte(r[1]))
		case 28:
			out = append(out, byte(r[0]>>16), byte(r[0]>>8), byte(r[0]), byte(r[0]>>24<<4|r[1]>>24), byte(r[1]>>16), byte(r[1]>>8), byte(r[1]))
		default:
			out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, r[0]), r[1])
		}
	}
	out = append(append(out, make([]byte, dataGap)...), data...)
	out = append(out, metaMarker...)
	return appendValue(out, map[string]any{"node_count": uint32(len(nodes)), "record_size": uint16(bits), "ip_version": uint16(version),
		"database_type": "Test", "binary_format_major_version": uint16(2), "build_epoch": uint64(1), "languages": []any{"en"}})
}

// A ref is a pointer to a value by its offset in the data section.
type ref int

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case ref:
		switch n := int(v); {
		case n < 2048:
			return append(b, byte(1<<5|n>>8), byte(n))
		default:
			n -= 2048
			return append(b, byte(1<<5|1<<3|n>>16), byte(n>>8), byte(n))
		}
	case string:
		return append(control(b, typeString, len(v)), v...)
	case uint16:
		return append(control(b, 5, 2), byte(v>>8), byte(v))
	case uint32:
		return binary.BigEndian.AppendUint32(control(b, 6, 4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(control(b, 9, 8), v)
	case float64:
		return append(control(b, 3, 8), make([]byte, 8)...)
	case bool:
		return control(b, typeBool, 1)
	case []any:
		b = control(b, typeArray, len(v))
		for _, x := range v {
			b = appendValue(b, x)
		}
		return b
	case map[string]any:
		b = control(b, typeMap, len(v))
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range slices.Clip(keys) {
			b = appendValue(appendValue(b, k), v[k])
		}
		return b
	}
	panic("no such type")
}

// control appends the bytes that a value of that type and size begins with.
func control(b []byte, typ, size int) []byte {
	var more []byte
	low := size
	switch {
	case size >= 65821:
		n := size - 65821
		low, more = 31, []byte{byte(n >> 16), byte(n >> 8), byte(n)}
	case size >= 285:
		n := size - 285
		low, more = 30, []byte{byte(n >> 8), byte(n)}
	case size >= 29:
		low, more = 29, []byte{byte(size - 29)}
	}
	if typ > 7 {
		b = append(b, byte(low), byte(typ-7))
	} else {
		b = append(b, byte(typ<<5|low))
	}
	return append(b, more...)
}
