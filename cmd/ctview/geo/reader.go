//go:build !small

// Package geo tells country, city and autonomous system of an address from MaxMind DB files (GeoLite2, DB-IP, …) that
// the user has. It reads the few bytes that a question needs and keeps none: a city file of 60 MB would cost more memory
// than the rest of ctview, and mapping it would crash a program whose file is cut short meanwhile.
//
// The format is that of https://maxmind.github.io/MaxMind-DB/, version 2. The reader is ctview's own: what it needs is
// small, and a library with its reflection would cost the binary more than this folder.
package geo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
)

// ErrFormat says that a file is no MaxMind DB, or a broken one.
var ErrFormat = errors.New("not a MaxMind DB file, or a broken one")

// A DB is an open file. Safe for concurrent use.
type DB struct {
	r         io.ReaderAt
	closer    io.Closer
	kind      string // such as "GeoLite2-ASN"
	nodes     uint32
	bits      uint   // of a record: 24, 28 or 32
	v4        uint32 // the node where the addresses of IPv4 begin
	v6        bool
	data, end int64 // where the data section begins, and the file ends
}

const (
	metaMarker = "\xab\xcd\xefMaxMind.com"
	metaSearch = 128 << 10 // the metadata stand in the last so many bytes
	dataGap    = 16        // zero bytes between tree and data
)

// Open opens a file; anything but a regular file is refused.
func Open(path string) (*DB, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = ErrFormat
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db, err := Read(f, fi.Size())
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db.closer = f
	return db, nil
}

// Read takes a file of that size from r.
func Read(r io.ReaderAt, size int64) (*DB, error) {
	tail := make([]byte, min(size, metaSearch))
	if n, err := r.ReadAt(tail, size-int64(len(tail))); n < len(tail) {
		return nil, errors.Join(ErrFormat, err)
	}
	at := bytes.LastIndex(tail, []byte(metaMarker))
	if at < 0 {
		return nil, ErrFormat
	}
	begin := size - int64(len(tail)) + int64(at+len(metaMarker))
	meta, err := (&decoder{r: r, base: begin, end: size}).value(0)
	if err != nil {
		return nil, err
	}
	nodes, bits, version := number(meta, "node_count"), number(meta, "record_size"), number(meta, "ip_version")
	if bits != 24 && bits != 28 && bits != 32 || version != 4 && version != 6 || nodes == 0 || nodes >= 1<<32 {
		return nil, ErrFormat
	}
	db := &DB{r: r, kind: text(meta, "database_type"), nodes: uint32(nodes), bits: uint(bits), v6: version == 6,
		data: int64(nodes)*int64(bits)/4 + dataGap, end: size}
	if db.data > begin {
		return nil, ErrFormat
	}
	return db, db.findIPv4()
}

// Kind returns what the file calls itself, such as "GeoLite2-City"; unescaped.
func (db *DB) Kind() string { return db.kind }

// Close closes the file.
func (db *DB) Close() error {
	if db.closer == nil {
		return nil
	}
	return db.closer.Close()
}

// findIPv4 walks the 96 zero bits that IPv4 addresses begin with in a tree of IPv6.
func (db *DB) findIPv4() error {
	for i := 0; db.v6 && i < 96 && db.v4 < db.nodes; i++ {
		next, err := db.child(db.v4, 0)
		if err != nil {
			return err
		}
		db.v4 = next
	}
	return nil
}

// child reads the left (0) or right (1) record of a node.
func (db *DB) child(node uint32, side byte) (uint32, error) {
	size := int64(db.bits / 4) // of a node, both records
	var buf [8]byte
	b := buf[:size]
	if n, err := db.r.ReadAt(b, int64(node)*size); n < len(b) {
		return 0, errors.Join(ErrFormat, err)
	}
	switch half := b[:size/2]; {
	case db.bits == 28 && side == 0: // the high bits of both records share the byte in the middle
		return uint32(b[3]>>4)<<24 | uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), nil
	case db.bits == 28:
		return uint32(b[3]&15)<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6]), nil
	default:
		if side == 1 {
			half = b[size/2:]
		}
		if db.bits == 24 {
			return uint32(half[0])<<16 | uint32(half[1])<<8 | uint32(half[2]), nil
		}
		return binary.BigEndian.Uint32(half), nil
	}
}

// find returns what the file holds for addr; nil if nothing.
func (db *DB) find(addr netip.Addr) (any, error) {
	addr = addr.Unmap().WithZone("")
	node, key := uint32(0), addr.AsSlice()
	switch {
	case addr.Is4():
		node = db.v4
	case !db.v6 || !addr.IsValid():
		return nil, nil
	}
	for i := 0; i < len(key)*8 && node < db.nodes; i++ {
		var err error
		if node, err = db.child(node, key[i/8]>>(7-i%8)&1); err != nil {
			return nil, err
		}
	}
	if node <= db.nodes {
		return nil, nil
	}
	d := decoder{r: db.r, base: db.data, end: db.end}
	return d.value(int64(node-db.nodes) - dataGap)
}
