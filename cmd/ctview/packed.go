package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unsafe"

	"ctview/model"
)

// A packed holds flows with what they are sorted by in little memory, some 140 bytes each: an Event is mostly zeros. Nothing in
// it is a pointer, and nothing is copied as it grows. The zero value is empty; not safe for concurrent use.
type packed struct {
	chunks [][]byte
	n      int
	size   int // bytes of all chunks
}

const packedChunk = 1 << 20

// A packedRow is the place of a row with the beginning of its key, which mostly tells it from others.
type packedRow struct {
	prefix uint64
	at     uint64 // chunk and offset in it; rows that were added later are at greater places
}

// rowHead is the length of a row's key and of what follows the key.
const rowHead = 4

// memory is how many bytes all of it takes once it is sorted.
func (p *packed) memory() int { return p.size + p.n*int(unsafe.Sizeof(packedRow{})) }

// add keeps ev behind everything that was added before.
func (p *packed) add(key []byte, ev *model.Event) {
	var room [1024]byte
	p.put(key, appendEvent(room[:0], ev))
}

func (p *packed) put(key, rest []byte) {
	need := rowHead + len(key) + len(rest)
	last := len(p.chunks) - 1
	if last < 0 || cap(p.chunks[last])-len(p.chunks[last]) < need {
		p.chunks = append(p.chunks, make([]byte, 0, max(packedChunk, need)))
		last++
		p.size += cap(p.chunks[last])
	}
	b := p.chunks[last]
	b = binary.NativeEndian.AppendUint16(b, uint16(len(key)))
	b = binary.NativeEndian.AppendUint16(b, uint16(len(rest)))
	p.chunks[last] = append(append(b, key...), rest...)
	p.n++
}

// row returns the key and the rest of the row at a place, and the offset behind it.
func (p *packed) row(at uint64) (key, rest []byte, end int) {
	b, from := p.chunks[at>>32], int(uint32(at))
	k := from + rowHead
	r := k + int(binary.NativeEndian.Uint16(b[from:]))
	end = r + int(binary.NativeEndian.Uint16(b[from+2:]))
	return b[k:r], b[r:end], end
}

// sorted returns the rows by their keys, those with the same key in the order in which they were added.
func (p *packed) sorted() []packedRow {
	rows := make([]packedRow, 0, p.n)
	for c := range p.chunks {
		for off := 0; off < len(p.chunks[c]); {
			at := uint64(c)<<32 | uint64(off)
			var prefix [8]byte
			key, _, end := p.row(at)
			copy(prefix[:], key)
			rows = append(rows, packedRow{binary.BigEndian.Uint64(prefix[:]), at})
			off = end
		}
	}
	slices.SortFunc(rows, func(a, b packedRow) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		ka, _, _ := p.row(a.at)
		kb, _, _ := p.row(b.at)
		return cmp.Or(bytes.Compare(ka, kb), cmp.Compare(a.at, b.at))
	})
	return rows
}

// first returns the first n rows in the order of their keys, in memory of their own.
func (p *packed) first(n int) packed {
	var q packed
	for _, r := range p.sorted()[:min(n, p.n)] {
		key, rest, _ := p.row(r.at)
		q.put(key, rest)
	}
	return q
}

// event unpacks a row into ev.
func (p *packed) event(r packedRow, ev *model.Event) {
	_, rest, _ := p.row(r.at)
	readEvent(rest, ev)
}

// eventBytes is the memory of an event. The strings in it are the only pointers, and are written apart.
func eventBytes(ev *model.Event) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(ev)), unsafe.Sizeof(*ev))
}

// appendEvent packs an event, but for its owner and its route: its strings behind their lengths, then pairs of a run of zeros and a run of other bytes, each
// behind its length.
func appendEvent(dst []byte, ev *model.Event) []byte {
	plain := *ev
	plain.Extra.Owner, plain.Extra.Route = model.Owner{}, model.Route{} // looked up again
	for _, s := range []*string{&plain.Extra.Secctx, &plain.HelperInfo} {
		text := (*s)[:min(len(*s), 1<<14)] // the kernel's are shorter (NLA, SECCTX)
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
		*s = ""
	}
	b := eventBytes(&plain)
	for i := 0; i < len(b); {
		from := i
		for i < len(b) && b[i] == 0 && i-from < 255 {
			i++
		}
		if i == len(b) {
			break
		}
		zeros, from := i-from, i
		for i < len(b) && i-from < 255 && (b[i] != 0 || i+2 < len(b) && b[i+1]|b[i+2] != 0) { // a new pair takes two bytes
			i++
		}
		dst = append(append(dst, byte(zeros), byte(i-from)), b[from:i]...)
	}
	return dst
}

// readEvent is the inverse of appendEvent.
func readEvent(src []byte, ev *model.Event) {
	*ev = model.Event{}
	var texts [2]string
	for i := range texts {
		n, size := binary.Uvarint(src)
		texts[i], src = string(src[size:size+int(n)]), src[size+int(n):]
	}
	b := eventBytes(ev)
	for len(src) > 0 {
		b = b[src[0]:]
		n := copy(b, src[2:2+int(src[1])])
		b, src = b[n:], src[2+n:]
	}
	ev.Extra.Secctx, ev.HelperInfo = texts[0], texts[1]
}
