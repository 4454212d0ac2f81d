//go:build !small

package geo

import (
	"errors"
	"io"
)

// Bounds of what is decoded of one record: real ones have some hundred values, five deep.
const (
	maxDepth  = 16
	maxValues = 4096
	maxString = 4096
)

// A decoder reads values of a data section. One is made for each question.
type decoder struct {
	r         io.ReaderAt
	base, end int64 // of the section
	at        int64 // where it reads, from base
	values    int
	depth     int
}

// The types of values. Those that ctview has no use for are skipped.
const (
	typePointer = 1
	typeString  = 2
	typeMap     = 7
	typeArray   = 11
	typeBool    = 14
)

// numberSize is the most bytes of the types of whole numbers without sign.
var numberSize = map[int]int{5: 2, 6: 4, 9: 8}

// value decodes the value at offset: a string, a uint64, a map[string]any, an []any, or nil for what is not kept.
func (d *decoder) value(offset int64) (any, error) {
	d.at = offset
	return d.next()
}

func (d *decoder) next() (any, error) {
	if d.values++; d.values > maxValues || d.depth > maxDepth {
		return nil, ErrFormat
	}
	typ, size, err := d.control()
	if err != nil {
		return nil, err
	}
	switch typ {
	case typePointer:
		back := d.at
		d.depth++
		v, err := d.value(int64(size))
		d.depth--
		d.at = back
		return v, err
	case typeMap:
		return d.mapping(size)
	case typeArray:
		return d.list(size)
	case typeBool:
		return nil, nil // the size is the value
	case typeString:
		if size > maxString {
			return nil, ErrFormat
		}
		b, err := d.bytes(size)
		return string(b), err
	}
	if most, ok := numberSize[typ]; ok {
		if size > most {
			return nil, ErrFormat
		}
		b, err := d.bytes(size)
		var n uint64
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return n, err
	}
	d.at += int64(size) // doubles, bytes, negative and very large numbers
	return nil, nil
}

// control reads what a value begins with: its type and its size, for a pointer where it leads.
func (d *decoder) control() (typ, size int, err error) {
	b, err := d.bytes(1)
	if err != nil {
		return 0, 0, err
	}
	c := int(b[0])
	if typ = c >> 5; typ == typePointer {
		more := c >> 3 & 3
		if b, err = d.bytes(more + 1); err != nil {
			return 0, 0, err
		}
		for _, x := range b {
			size = size<<8 | int(x)
		}
		if more < 3 {
			size |= (c & 7) << (8 * (more + 1))
			size += [...]int{0, 2048, 526336}[more]
		}
		return typ, size, nil
	}
	if typ == 0 {
		if b, err = d.bytes(1); err != nil {
			return 0, 0, err
		}
		typ = int(b[0]) + 7
	}
	if size = c & 31; size >= 29 {
		more := size - 28
		if b, err = d.bytes(more); err != nil {
			return 0, 0, err
		}
		size = 0
		for _, x := range b {
			size = size<<8 | int(x)
		}
		size += [...]int{29, 285, 65821}[more-1]
	}
	return typ, size, nil
}

func (d *decoder) mapping(size int) (any, error) {
	m := map[string]any{}
	d.depth++
	defer func() { d.depth-- }()
	for range size {
		key, err := d.next()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, ErrFormat
		}
		if m[name], err = d.next(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (d *decoder) list(size int) (any, error) {
	var l []any
	d.depth++
	defer func() { d.depth-- }()
	for range size {
		v, err := d.next()
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, nil
}

// bytes reads the next n bytes.
func (d *decoder) bytes(n int) ([]byte, error) {
	if d.at < 0 || d.base+d.at+int64(n) > d.end {
		return nil, ErrFormat
	}
	b := make([]byte, n)
	if got, err := d.r.ReadAt(b, d.base+d.at); got < n {
		return nil, errors.Join(ErrFormat, err)
	}
	d.at += int64(n)
	return b, nil
}

// at follows the path of keys into maps; nil where it ends.
func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}

func number(v any, path ...string) uint64 {
	n, _ := at(v, path...).(uint64)
	return n
}
