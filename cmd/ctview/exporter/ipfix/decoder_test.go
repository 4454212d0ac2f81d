package ipfix

import (
	"encoding/binary"
	"fmt"
)

// A decoder reads messages as RFC 7011 tells, slowly: what a collector would make of them. It knows what it was told, nothing else.
type decoder struct {
	templates map[uint16][]field
	scopes    map[uint16]int
	sequence  uint32 // expected next
	domain    uint32
	records   []record
	messages  int
}

type field struct {
	id         uint16
	enterprise uint32
	size       uint16
}

// A key names an element; enterprise 0 is IANA.
type key struct {
	enterprise uint32
	id         uint16
}

type record struct {
	template uint16
	values   map[key][]byte
}

func newDecoder(domain uint32) *decoder {
	return &decoder{templates: map[uint16][]field{}, scopes: map[uint16]int{}, domain: domain}
}

func (d *decoder) message(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("%d bytes are no message", len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != 10 {
		return fmt.Errorf("version %d", v)
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n != len(b) {
		return fmt.Errorf("length says %d, is %d", n, len(b))
	}
	if s := binary.BigEndian.Uint32(b[8:]); s != d.sequence {
		return fmt.Errorf("sequence number %d, want %d", s, d.sequence)
	}
	if o := binary.BigEndian.Uint32(b[12:]); o != d.domain {
		return fmt.Errorf("domain %d, want %d", o, d.domain)
	}
	d.messages++
	before := len(d.records)
	for b = b[16:]; len(b) > 0; {
		if len(b) < 4 {
			return fmt.Errorf("%d bytes behind the last set", len(b))
		}
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 5 || n > len(b) {
			return fmt.Errorf("set %d of %d bytes, %d are left", id, n, len(b))
		}
		if err := d.set(id, b[4:n]); err != nil {
			return fmt.Errorf("set %d: %w", id, err)
		}
		b = b[n:]
	}
	d.sequence += uint32(len(d.records) - before)
	return nil
}

func (d *decoder) set(id uint16, b []byte) error {
	switch {
	case id == 2 || id == 3:
		return d.template(id == 3, b)
	case id < 256:
		return fmt.Errorf("reserved")
	}
	t, ok := d.templates[id]
	if !ok {
		return fmt.Errorf("unknown template")
	}
	for len(b) > 0 {
		r := record{id, map[key][]byte{}}
		for _, f := range t {
			n := int(f.size)
			if f.size == 65535 {
				if len(b) < 1 {
					return fmt.Errorf("cut short")
				}
				n, b = int(b[0]), b[1:]
				if n == 255 {
					return fmt.Errorf("long form of a length")
				}
			}
			if len(b) < n {
				return fmt.Errorf("cut short in element %d/%d", f.enterprise, f.id)
			}
			k := key{f.enterprise, f.id}
			if _, twice := r.values[k]; twice {
				return fmt.Errorf("element %v twice", k)
			}
			r.values[k], b = append([]byte(nil), b[:n]...), b[n:]
		}
		d.records = append(d.records, r)
	}
	return nil
}

func (d *decoder) template(options bool, b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("template of %d bytes", len(b))
	}
	id, count, scopes := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:])), 0
	b = b[4:]
	if options {
		scopes, b = int(binary.BigEndian.Uint16(b)), b[2:]
		if scopes < 1 {
			return fmt.Errorf("options template %d without a scope", id)
		}
	}
	if id < 256 || count == 0 {
		return fmt.Errorf("template %d of %d elements", id, count)
	}
	var fields []field
	for range count {
		if len(b) < 4 {
			return fmt.Errorf("template %d cut short", id)
		}
		f := field{id: binary.BigEndian.Uint16(b) &^ 0x8000, size: binary.BigEndian.Uint16(b[2:])}
		long := b[0]&0x80 != 0
		b = b[4:]
		if long {
			f.enterprise, b = binary.BigEndian.Uint32(b), b[4:]
			if f.enterprise == 0 {
				return fmt.Errorf("template %d: enterprise 0", id)
			}
		}
		fields = append(fields, f)
	}
	if len(b) > 0 {
		return fmt.Errorf("template %d: %d bytes behind it", id, len(b))
	}
	if was, known := d.templates[id]; known && fmt.Sprint(was) != fmt.Sprint(fields) {
		return fmt.Errorf("template %d means something else now", id)
	}
	d.templates[id], d.scopes[id] = fields, scopes
	return nil
}
