package ipfix

import (
	"encoding/binary"

	"ctview/model"
)

var be = binary.BigEndian

const (
	headerSize   = 16
	setHeader    = 4
	setTemplates = 2
	setOptions   = 3
	version      = 10
	maxString    = 254 // longer ones would need another form of length, which nothing here does
)

// A Reason says why a record was written (flowEndReason).
type Reason uint8

// The reasons, with IANA's numbers.
const (
	IdleTimeout   Reason = 1 // the kernel's timer ran out
	ActiveTimeout Reason = 2 // the flow goes on
	EndOfFlow     Reason = 3 // the protocol was closed
	ForcedEnd     Reason = 4 // somebody deleted it, or the kernel did before its time
	// LackOfResources: no end of the flow was heard, it was found gone; events were lost, or it began before anybody listened.
	LackOfResources Reason = 5
)

// A Record is what is told of a flow.
type Record struct {
	Flow           *model.Flow
	Start, End     int64 // Unix nanoseconds: of what the counters count; Start 0: not known
	Reason         Reason
	Bytes, Packets [2]uint64 // since the record before, both directions; told where the flow has KnownCounters
}

// facts returns what is known of the flow.
func (r *Record) facts() (f facts) {
	flow := r.Flow
	if flow.Family == model.IPv6 {
		f |= factIPv6
	}
	switch {
	case flow.Proto.IsICMP():
		f |= factICMP
	case flow.Proto.HasPorts():
		f |= factPorts
	}
	if r.Start > 0 {
		f |= factStart
	}
	if flow.Known&model.KnownCounters != 0 {
		f |= factCounters
	}
	if flow.SNAT() || flow.DNAT() {
		f |= factNAT
		if flow.Family == model.IPv4 && r.Reason != ActiveTimeout { // RFC 8158 has no event for NAT66
			f |= factNATEvent
		}
	}
	if flow.Known&model.KnownState != 0 {
		f |= factState
	}
	if flow.ZoneDir != model.ZoneBoth {
		f |= factZoneDir
	}
	if flow.Helper != 0 {
		f |= factHelper
	}
	return f
}

// Loss is what did not reach the collector, in totals since the begin.
type Loss struct {
	Flows, Packets, Bytes uint64 // of records that were thrown away because the collector did not take them
	Exported              uint64 // records of flows that were sent
	Events                uint64 // events that the kernel dropped
	Unheard               uint64 // flows of which no end was heard
}

// An Encoder writes messages of one observation domain. Not safe for concurrent use. After the first records of their kind Append
// allocates nothing.
type Encoder struct {
	domain, enterprise uint32
	max                int
	buf                []byte
	set                int    // where the open data set begins; 0 none
	template           uint16 // of the open set
	records            uint32 // in the message
	sequence           uint32 // records in the messages before
	told               [templateFlow + allFacts + 1]bool
	kinds              [allFacts + 1]kind
}

// A kind is a template of flows as it goes out.
type kind struct {
	template []byte // the set with it; nil before its first use
	size     int
}

// NewEncoder returns an Encoder whose messages are at most max bytes (1024 to 65535); enterprise is the number of the elements
// that are ctview's own. Templates is to be called first.
func NewEncoder(domain, enterprise uint32, max int) *Encoder {
	e := &Encoder{domain: domain, enterprise: enterprise, max: max, buf: make([]byte, headerSize, max)}
	e.told[templateDomain], e.told[templateLoss] = true, true // by Templates, with which a session begins
	return e
}

// Records returns how many records are in the message that is being written.
func (e *Encoder) Records() int { return int(e.records) }

// Sequence returns the sequence number of the message that is being written.
func (e *Encoder) Sequence() uint32 { return e.sequence }

// Append adds a record, and its template where the collector lacks it. It returns false where there is no room: Message is
// to be sent, then Next called.
func (e *Encoder) Append(r *Record) bool {
	f := r.facts()
	k := &e.kinds[f]
	if k.template == nil {
		es := f.elements()
		k.template, k.size = appendTemplate(nil, templateFlow|uint16(f), 0, es, e.enterprise), sizeOf(es)
	}
	helper := ""
	size := k.size
	if f&factHelper != 0 {
		helper = text(r.Flow.Helper.String())
		size += 1 + len(helper)
	}
	if !e.open(templateFlow|uint16(f), k.template, size) {
		return false
	}
	e.buf = r.values(e.buf, f, helper)
	return true
}

// text returns s, cut to what a string of one byte of length can hold.
func text(s string) string { return s[:min(len(s), maxString)] }

// open makes room for a record of size bytes: it tells the template if need be and begins a set for it.
func (e *Encoder) open(id uint16, template []byte, size int) bool {
	need := size
	if !e.told[id] {
		need += len(template)
	}
	if e.set == 0 || e.template != id {
		need += setHeader
	}
	if len(e.buf)+need > e.max {
		return false
	}
	if !e.told[id] {
		e.close()
		e.buf = append(e.buf, template...)
		e.told[id] = true
	}
	if e.set == 0 || e.template != id {
		e.close()
		e.set, e.template = len(e.buf), id
		e.buf = be.AppendUint16(e.buf, id)
		e.buf = be.AppendUint16(e.buf, 0)
	}
	e.records++
	return true
}

// close ends the open set.
func (e *Encoder) close() {
	if e.set != 0 {
		be.PutUint16(e.buf[e.set+2:], uint16(len(e.buf)-e.set))
	}
	e.set = 0
}

// values appends what is known, in the order of facts.elements.
func (r *Record) values(b []byte, f facts, helper string) []byte {
	flow := r.Flow
	addr := func(b []byte, a *[16]byte) []byte {
		if f&factIPv6 != 0 {
			return append(b, a[:]...)
		}
		return append(b, a[12:]...)
	}
	if f&factStart != 0 {
		b = be.AppendUint64(b, milliseconds(r.Start))
	}
	b = be.AppendUint64(b, milliseconds(r.End))
	b = addr(b, &flow.Src)
	b = addr(b, &flow.Dst)
	b = append(b, byte(flow.Proto), byte(r.Reason))
	if f&(factPorts|factICMP) != 0 {
		b = be.AppendUint16(b, flow.Sport)
		b = be.AppendUint16(b, flow.Dport)
	}
	b = be.AppendUint32(b, uint32(flow.Zone))
	b = be.AppendUint32(b, flow.ID)
	if f&factCounters != 0 {
		for i := range 2 {
			b = be.AppendUint64(b, r.Bytes[i])
			b = be.AppendUint64(b, r.Packets[i])
		}
	}
	if f&factNAT != 0 {
		b = addr(b, &flow.ReplyDst)
		b = addr(b, &flow.ReplySrc)
		switch {
		case f&factPorts != 0:
			b = be.AppendUint16(b, flow.ReplyDport)
			b = be.AppendUint16(b, flow.ReplySport)
		case f&factICMP != 0:
			b = be.AppendUint16(b, flow.ReplySport) // the identifier, see model.Key
		}
	}
	if f&factNATEvent != 0 {
		b = be.AppendUint64(b, milliseconds(r.End))
		b = append(b, natSessionDelete)
	}
	b = be.AppendUint32(b, uint32(flow.Status))
	b = be.AppendUint32(b, flow.Mark)
	if f&factState != 0 {
		b = append(b, byte(flow.State))
	}
	if f&factZoneDir != 0 {
		b = append(b, byte(flow.ZoneDir))
	}
	if f&factHelper != 0 {
		b = append(b, byte(len(helper)))
		b = append(b, helper...)
	}
	return b
}

// natSessionDelete is the natEvent "NAT44 session delete" (RFC 8158 section 4.3).
const natSessionDelete = 5

func milliseconds(nano int64) uint64 { return uint64(max(nano, 0)) / 1e6 }

// AppendOptions adds what holds for the whole domain: its name, that nothing is sampled, and what was lost. It returns false where
// there is no room, see Append; part of it may have gone in, which does no harm.
func (e *Encoder) AppendOptions(name string, l *Loss) bool {
	name = text(name)
	if !e.open(templateDomain, appendTemplate(nil, templateDomain, 1, elementsDomain, e.enterprise), sizeOf(elementsDomain)+1+len(name)) {
		return false
	}
	b := be.AppendUint32(e.buf, e.domain)
	b = be.AppendUint16(b, 1) // systematic, by count: of 1 packet 1 …
	b = be.AppendUint32(b, 1)
	b = be.AppendUint32(b, 0) // … with none left out
	b = append(b, byte(len(name)))
	e.buf = append(b, name...)
	if !e.open(templateLoss, appendTemplate(nil, templateLoss, 1, elementsLoss, e.enterprise), sizeOf(elementsLoss)) {
		return false
	}
	b = be.AppendUint32(e.buf, e.domain)
	for _, n := range []uint64{l.Flows, l.Packets, l.Bytes, l.Exported, l.Events, l.Unheard} {
		b = be.AppendUint64(b, n)
	}
	e.buf = b
	return true
}

// Message ends the message and returns it, to be sent at now (Unix nanoseconds); nil where nothing is in it. It is the Encoder's
// until Next; asked again it is the same with another time. Records may not be added before Next.
func (e *Encoder) Message(now int64) []byte {
	e.close()
	if len(e.buf) == headerSize {
		return nil
	}
	e.header(e.buf, now)
	return e.buf
}

func (e *Encoder) header(b []byte, now int64) {
	be.PutUint16(b, version)
	be.PutUint16(b[2:], uint16(len(b)))
	be.PutUint32(b[4:], uint32(now/1e9))
	be.PutUint32(b[8:], e.sequence)
	be.PutUint32(b[12:], e.domain)
}

// Next begins another message; the one before was sent.
func (e *Encoder) Next() {
	e.sequence += e.records
	e.buf, e.set, e.records = e.buf[:headerSize], 0, 0
}

// Restart says that another transport session begins, over TCP: sequence numbers start at 0, and the collector has no template
// before Templates.
func (e *Encoder) Restart() { e.sequence = 0 }

// Templates gives every template that was told so far to send, in messages that it owns; they hold no records, and so do not
// change the sequence number. It stops at the first error and returns it.
func (e *Encoder) Templates(now int64, send func([]byte) error) error {
	b := make([]byte, headerSize, e.max)
	flush := func() error {
		if len(b) == headerSize {
			return nil
		}
		e.header(b, now)
		err := send(b)
		b = b[:headerSize]
		return err
	}
	for id, told := range e.told {
		if !told {
			continue
		}
		t := e.templateSet(uint16(id))
		if len(b)+len(t) > e.max {
			if err := flush(); err != nil {
				return err
			}
		}
		b = append(b, t...)
	}
	return flush()
}

func (e *Encoder) templateSet(id uint16) []byte {
	switch id {
	case templateDomain:
		return appendTemplate(nil, id, 1, elementsDomain, e.enterprise)
	case templateLoss:
		return appendTemplate(nil, id, 1, elementsLoss, e.enterprise)
	}
	return e.kinds[id-templateFlow].template
}
