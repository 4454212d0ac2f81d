// Package oracle reads IPFIX messages (RFC 7011), for tests alone: what a collector would make of them. It shares no code with what writes
// them, is slow and obvious, and ends at the first thing that is not as it must be.
package oracle

import (
	"encoding/binary"
	"fmt"
)

// A Decoder reads the messages of one observation domain in one transport session. It knows what it was told, nothing else.
type Decoder struct {
	Templates map[uint16]int // that were told, with the number of their scopes
	Records   []Record       // all, in their order
	Messages  int

	templates map[uint16][]field
	sequence  uint32 // expected next
	joins     bool   // whatever the first one is
	domain    uint32
}

type field struct {
	id         uint16
	enterprise uint32
	size       uint16
}

// A Key names an element: whose number it is, 0 for IANA, and which.
type Key [2]uint32

// A Record is one of flows or of options.
type Record struct {
	Template uint16
	Values   map[Key][]byte
}

// Uint returns the value of an unsigned element, 0 where the record has none.
func (r *Record) Uint(enterprise, id uint32) (n uint64) {
	for _, b := range r.Values[Key{enterprise, id}] {
		n = n<<8 | uint64(b)
	}
	return n
}

// New returns a Decoder of a domain.
func New(domain uint32) *Decoder {
	return &Decoder{Templates: map[uint16]int{}, templates: map[uint16][]field{}, domain: domain}
}

// Join returns a Decoder of a domain in whose session messages were sent before, over UDP.
func Join(domain uint32) *Decoder {
	d := New(domain)
	d.joins = true
	return d
}

// Message reads one message.
func (d *Decoder) Message(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("no message: length %d", len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != 10 {
		return fmt.Errorf("version %d", v)
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n != len(b) {
		return fmt.Errorf("length says %d, is %d", n, len(b))
	}
	if d.joins {
		d.sequence, d.joins = binary.BigEndian.Uint32(b[8:]), false
	}
	if s := binary.BigEndian.Uint32(b[8:]); s != d.sequence {
		return fmt.Errorf("sequence number %d, want %d", s, d.sequence)
	}
	if o := binary.BigEndian.Uint32(b[12:]); o != d.domain {
		return fmt.Errorf("domain %d, want %d", o, d.domain)
	}
	d.Messages++
	before := len(d.Records)
	for b = b[16:]; len(b) > 0; {
		if len(b) < 4 {
			return fmt.Errorf("behind the last set: %x", b)
		}
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 5 || n > len(b) {
			return fmt.Errorf("set %d: length %d, of which there is %d", id, n, len(b))
		}
		if err := d.set(id, b[4:n]); err != nil {
			return fmt.Errorf("set %d: %w", id, err)
		}
		b = b[n:]
	}
	d.sequence += uint32(len(d.Records) - before)
	return nil
}

func (d *Decoder) set(id uint16, b []byte) error {
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
		r := Record{id, map[Key][]byte{}}
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
			k := Key{f.enterprise, uint32(f.id)}
			if _, twice := r.Values[k]; twice {
				return fmt.Errorf("element %v twice", k)
			}
			r.Values[k], b = append([]byte(nil), b[:n]...), b[n:]
		}
		d.Records = append(d.Records, r)
	}
	return nil
}

func (d *Decoder) template(options bool, b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("a template of length %d", len(b))
	}
	id, count, scopes := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:])), 0
	b = b[4:]
	if options {
		scopes = int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if scopes < 1 || scopes > count {
			return fmt.Errorf("options template %d without a scope", id)
		}
	}
	if id < 256 || count == 0 {
		return fmt.Errorf("template %d: count %d", id, count)
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
		return fmt.Errorf("template %d: something behind it: %x", id, b)
	}
	if was, known := d.templates[id]; known && fmt.Sprint(was) != fmt.Sprint(fields) {
		return fmt.Errorf("template %d: not as it was told before", id)
	}
	d.templates[id], d.Templates[id] = fields, scopes
	return nil
}
