package ipfix

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"ctview/cmd/ctview/exporter/ipfix/oracle"
	"ctview/model"
)

// ourNumber is the enterprise number in these tests.
const ourNumber = 4711

// value is how a test says what an element must be.
func value(n uint64, size int) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return b[8-size:]
}

// expected is what a record must say, told from the flow alone.
func expected(r *Record) map[oracle.Key][]byte {
	f := r.Flow
	m := map[oracle.Key][]byte{}
	iana := func(id uint16, b []byte) { m[oracle.Key{0, uint32(id)}] = b }
	addrs := func(v4, v6 uint16, a [16]byte) {
		if f.Family == model.IPv6 {
			iana(v6, a[:])
		} else {
			iana(v4, a[12:])
		}
	}
	if r.Start > 0 {
		iana(152, value(uint64(r.Start/1e6), 8))
	}
	iana(153, value(uint64(max(r.End, 0)/1e6), 8))
	addrs(8, 27, f.Src)
	addrs(12, 28, f.Dst)
	iana(4, []byte{byte(f.Proto)})
	iana(136, []byte{byte(r.Reason)})
	iana(234, value(uint64(f.Zone), 4))
	iana(148, value(uint64(f.ID), 4))
	if f.Proto.HasPorts() || f.Proto.IsICMP() {
		iana(7, value(uint64(f.Sport), 2))
	}
	if f.Proto.HasPorts() {
		iana(11, value(uint64(f.Dport), 2))
	}
	if f.Proto.IsICMP() {
		iana(map[model.Family]uint16{model.IPv4: 32, model.IPv6: 139}[f.Family], value(uint64(f.Dport), 2))
	}
	if f.Known&model.KnownCounters != 0 {
		iana(1, value(r.Bytes[0], 8))
		iana(2, value(r.Packets[0], 8))
		m[oracle.Key{29305, 1}], m[oracle.Key{29305, 2}] = value(r.Bytes[1], 8), value(r.Packets[1], 8)
	}
	if f.SNAT() || f.DNAT() {
		addrs(225, 281, f.ReplyDst)
		addrs(226, 282, f.ReplySrc)
		if f.Proto.HasPorts() {
			iana(227, value(uint64(f.ReplyDport), 2))
			iana(228, value(uint64(f.ReplySport), 2))
		}
		if f.Proto.IsICMP() {
			iana(227, value(uint64(f.ReplySport), 2))
		}
		if f.Family == model.IPv4 && r.Reason != ActiveTimeout {
			iana(230, []byte{5})
			iana(323, value(uint64(max(r.End, 0)/1e6), 8))
		}
	}
	m[oracle.Key{ourNumber, 1}] = value(uint64(f.Status), 4)
	m[oracle.Key{21373, 4}] = value(uint64(f.Mark), 4)
	if f.Known&model.KnownState != 0 {
		m[oracle.Key{ourNumber, 2}] = []byte{byte(f.State)}
	}
	if f.ZoneDir != 0 {
		m[oracle.Key{ourNumber, 3}] = []byte{byte(f.ZoneDir)}
	}
	if f.Helper != 0 {
		iana(96, []byte(f.Helper.String()))
	}
	return m
}

// A dice makes flows of bytes; where they end, of zeros.
type dice struct{ b []byte }

func (d *dice) n(size int) (v uint64) {
	for range size {
		v <<= 8
		if len(d.b) > 0 {
			v, d.b = v|uint64(d.b[0]), d.b[1:]
		}
	}
	return v
}

// record makes a flow: of every protocol and family, translated or not, with whatever facts.
func (d *dice) record() Record {
	f := &model.Flow{}
	f.Family = model.IPv4
	c := d.n(1)
	if c&1 != 0 {
		f.Family = model.IPv6
	}
	f.Proto = model.Proto(d.n(1))
	if c&2 != 0 {
		f.Proto = []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoICMP, model.ProtoICMPv6}[d.n(1)%4]
	}
	for i := range 16 {
		f.Src[i], f.Dst[i] = byte(d.n(1)), byte(d.n(1))
	}
	f.Sport, f.Dport = uint16(d.n(2)), uint16(d.n(2))
	f.Zone, f.ZoneDir = uint16(d.n(2)), model.ZoneDir(d.n(1)%3)
	f.Known, f.State = model.Known(d.n(1)), model.State(d.n(1))
	f.ID, f.Mark, f.Status = uint32(d.n(4)), uint32(d.n(4)), model.Status(d.n(4))&^model.StatusNATMask
	r := f.Orig().Invert()
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = r.Src, r.Dst, r.Sport, r.Dport
	if c&4 != 0 {
		f.Status |= model.StatusSrcNAT
		f.ReplyDst[15]++
		f.ReplyDport, f.ReplySport = uint16(d.n(2)), uint16(d.n(2))
	}
	if c&8 != 0 {
		f.Helper = model.HelperFor([]byte([]string{"ftp", "sip-5060", "Q.931", strings.Repeat("x", 16)}[d.n(1)%4]))
	}
	return Record{Flow: f, Start: int64(d.n(8)), End: int64(d.n(8)), Reason: Reason(d.n(1)%5 + 1), Bytes: [2]uint64{d.n(8), d.n(8)}, Packets: [2]uint64{d.n(8), d.n(8)}}
}

// through encodes records, has the decoder read every message, and compares.
func through(t *testing.T, most int, records []Record) *oracle.Decoder {
	t.Helper()
	e, d := NewEncoder(7, ourNumber, most), oracle.New(7)
	send := func(b []byte) error {
		if len(b) > most {
			t.Fatalf("a message of %d bytes, at most %d", len(b), most)
		}
		return d.Message(b)
	}
	flush := func() {
		if b := e.Message(1e9); b != nil {
			if err := send(b); err != nil {
				t.Fatalf("message %d: %v", d.Messages, err)
			}
		}
		e.Next()
	}
	for i := range records {
		if i%7 == 3 { // templates again, between records of a message that is not sent yet
			if err := e.Templates(1e9, send); err != nil {
				t.Fatalf("templates again: %v", err)
			}
		}
		if !e.Append(&records[i]) {
			flush()
			if !e.Append(&records[i]) {
				t.Fatalf("record %d has no room in an empty message", i)
			}
		}
	}
	flush()
	if len(d.Records) != len(records) {
		t.Fatalf("%d records, want %d", len(d.Records), len(records))
	}
	for i := range records {
		if want, got := expected(&records[i]), d.Records[i].Values; !maps.EqualFunc(want, got, bytes.Equal) {
			t.Fatalf("record %d of %+v:\ngot  %v\nwant %v", i, *records[i].Flow, got, want)
		}
	}
	return d
}

// TestRoundTrip: what the obvious decoder reads is what the flows are, for flows of every kind.
func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{1024, 1400, 16 << 10, 65535} {
		d := dice{make([]byte, 140_000)}
		for i := range d.b {
			d.b[i] = byte(rnd.Uint32())
		}
		var all []Record
		for range 1000 {
			all = append(all, d.record())
		}
		if got := through(t, most, all); len(got.Templates) < 100 {
			t.Errorf("%d templates: the flows are of too few kinds", len(got.Templates))
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add([]byte("\x0f\x06abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, room uint16) {
		d := dice{b}
		var all []Record
		for len(d.b) > 0 && len(all) < 200 {
			all = append(all, d.record())
		}
		through(t, 1024+int(room)%(math.MaxUint16-1024+1), all)
	})
}

// TestLargest: the largest record there can be, with its template, fits an empty message of the smallest size.
func TestLargest(t *testing.T) {
	for f := range facts(allFacts + 1) {
		es := f.elements()
		if n := headerSize + len(appendTemplate(nil, 1, 0, es, 1)) + setHeader + sizeOf(es) + 1 + maxString; n > 1024 {
			t.Errorf("facts %b: %d bytes", f, n)
		}
	}
}

// TestOptions: what holds for the domain is told with what was lost, and counts as records.
func TestOptions(t *testing.T) {
	e, d := NewEncoder(3, ourNumber, 1400), oracle.New(3)
	name := strings.Repeat("n", 300)
	if err := e.Templates(1e9, d.Message); err != nil || d.Messages != 1 {
		t.Fatalf("the first templates: %v, %d messages", err, d.Messages)
	}
	if !e.AppendOptions(name, &Loss{1, 2, 3, 4, 5, math.MaxUint64}) {
		t.Fatal("no room")
	}
	if err := d.Message(e.Message(5e9)); err != nil {
		t.Fatal(err)
	}
	e.Next()
	if len(d.Records) != 2 || d.Templates[templateDomain] != 1 || d.Templates[templateLoss] != 1 {
		t.Fatalf("%d records, scopes %v", len(d.Records), d.Templates)
	}
	want := []map[oracle.Key][]byte{
		{{0, 149}: value(3, 4), {0, 304}: value(1, 2), {0, 305}: value(1, 4), {0, 306}: value(0, 4), {0, 300}: []byte(name[:254])},
		{{0, 144}: value(3, 4), {0, 166}: value(1, 8), {0, 167}: value(2, 8), {0, 168}: value(3, 8), {0, 42}: value(4, 8),
			{ourNumber, 4}: value(5, 8), {ourNumber, 5}: value(math.MaxUint64, 8)},
	}
	for i := range want {
		if got := d.Records[i].Values; !maps.EqualFunc(got, want[i], bytes.Equal) {
			t.Errorf("options record %d:\ngot  %v\nwant %v", i, got, want[i])
		}
	}
	// Without room for both, it says so; the message before is sent, and both are there.
	for e.Append(&Record{Flow: &model.Flow{Key: model.Key{Family: model.IPv4}}}) {
	}
	if e.AppendOptions("x", &Loss{}) {
		t.Fatal("there was room in a full message")
	}
	if err := d.Message(e.Message(5e9)); err != nil {
		t.Fatal(err)
	}
}

// TestNewSession: over TCP a new connection begins at sequence number 0, with every template that the message that was not
// sent yet needs, and nothing of that message is lost.
func TestNewSession(t *testing.T) {
	e := NewEncoder(1, ourNumber, 1400)
	r := Record{Flow: &model.Flow{Key: model.Key{Family: model.IPv4, Proto: model.ProtoTCP}}, Reason: EndOfFlow}
	for e.Append(&r) {
	}
	first := oracle.New(1)
	if err := first.Message(e.Message(1)); err != nil {
		t.Fatal(err)
	}
	e.Next()
	e.Append(&r)
	if b := e.Message(1); b == nil || oracle.New(1).Message(b) == nil {
		t.Fatal("a second message that says a template again: the test shows nothing")
	}
	e.Restart()
	second := oracle.New(1)
	if err := e.Templates(1, second.Message); err != nil {
		t.Fatal(err)
	}
	if err := second.Message(e.Message(1)); err != nil || len(second.Records) != 1 {
		t.Fatalf("%d records, %v", len(second.Records), err)
	}
	e.Next()
	if e.sequence != 1 {
		t.Errorf("sequence number %d behind the first record", e.sequence)
	}
}

// TestTemplatesStop: what cannot be sent ends the telling.
func TestTemplatesStop(t *testing.T) {
	e := NewEncoder(1, ourNumber, 1024)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		d := dice{value(rnd.Uint64(), 8)}
		if r := d.record(); !e.Append(&r) {
			e.Message(1)
			e.Next()
		}
	}
	n := 0
	broken := errors.New("broken")
	if err := e.Templates(1, func([]byte) error { n++; return broken }); err != broken || n != 1 {
		t.Errorf("%v after %d messages", err, n)
	}
	n = 0
	if err := e.Templates(1, func([]byte) error { n++; return nil }); err != nil || n < 2 {
		t.Errorf("%v, %d messages", err, n)
	}
}

// sample is a translated TCP flow over IPv4 as a NAT router has most of.
func sample() Record {
	f := &model.Flow{Key: model.Key{Family: model.IPv4, Proto: model.ProtoTCP, Sport: 40000, Dport: 443}, ReplySport: 443, ReplyDport: 50000,
		Known: model.KnownCounters | model.KnownState | model.KnownStart, Status: model.StatusSrcNAT, State: model.TCPTimeWait}
	return Record{Flow: f, Start: 1e18, End: 2e18, Reason: EndOfFlow, Bytes: [2]uint64{1, 2}, Packets: [2]uint64{3, 4}}
}

// TestAllocations: a record costs no allocation once its kind is known.
func TestAllocations(t *testing.T) {
	e, r := NewEncoder(1, ourNumber, 1400), sample()
	r.Flow.Helper = model.HelperFor([]byte("ftp"))
	e.Append(&r)
	if n := testing.AllocsPerRun(1000, func() {
		if !e.Append(&r) {
			e.Message(1)
			e.Next()
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	e, r := NewEncoder(1, ourNumber, 1400), sample()
	bytes, messages := 0, 0
	for b.Loop() {
		if !e.Append(&r) {
			bytes, messages = bytes+len(e.Message(1)), messages+1
			e.Next()
			e.Append(&r)
		}
	}
	if messages > 0 {
		b.ReportMetric(float64(bytes)/float64(e.sequence), "bytes/record")
	}
}
