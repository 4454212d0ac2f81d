package ctnl_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

// a writes an attribute with the values behind each other, padded.
func a(typ uint16, values ...[]byte) []byte {
	var v []byte
	for _, x := range values {
		v = append(v, x...)
	}
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func b16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func b32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func b64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// craftedTuple is 192.0.2.1:1000 > 192.0.2.2:80 of p with what else is given inside.
func craftedTuple(typ uint16, p byte, more ...[]byte) []byte {
	inside := append([][]byte{a(1, a(1, []byte{192, 0, 2, 1}), a(2, []byte{192, 0, 2, 2})),
		a(2, a(1, []byte{p}), a(2, b16(1000)), a(3, b16(80)))}, more...)
	return a(typ, inside...)
}

// expectTuple is craftedTuple with NLA_F_NESTED on what holds others, as the kernel sets it.
func expectTuple(typ uint16, p byte, more ...[]byte) []byte {
	inside := append([][]byte{nested(a(1, a(1, []byte{192, 0, 2, 1}), a(2, []byte{192, 0, 2, 2}))),
		nested(a(2, a(1, []byte{p}), a(2, b16(1000)), a(3, b16(80))))}, more...)
	return nested(a(typ, inside...))
}

func decode(attrs ...[]byte) (e model.Event, err error) {
	b := []byte{2, 0, 0, 0}
	for _, x := range attrs {
		b = append(b, x...)
	}
	err = ctnl.NewDecoder().Message(1e9, 0x100, 0, 0, b, &e)
	return e, err
}

// TestDecodeCrafted has what this kernel does not send: attributes of other kernels, of other protocols, of tomorrow.
func TestDecodeCrafted(t *testing.T) {
	orig := craftedTuple(1, 6)
	for _, tt := range []struct {
		name string
		msg  [][]byte
		ok   func(e *model.Event) bool
	}{
		{"unknown attributes at every level", [][]byte{
			a(99, b32(1)),
			craftedTuple(1, 6, a(77, b32(1))),
			a(2, a(1, a(1, []byte{192, 0, 2, 2}), a(9, b32(1)), a(2, []byte{192, 0, 2, 1})), a(2, a(1, []byte{6}), a(60, b64(1)))),
			a(4, a(9, b32(1)), a(1, a(9, b64(1)), a(1, []byte{3}))),
			a(5, a(9), a(1, []byte("ftp\x00"))),
			a(9, a(9, b32(1)), a(1, b64(3)), a(2, b64(4))),
			a(20, a(9, b32(1)), a(1, b64(5))),
			a(15, a(9)), a(19, a(9)), a(24, a(9)),
		}, func(e *model.Event) bool {
			return e.Flow.Dport == 80 && e.Flow.ReplySrc == e.Flow.Dst && e.Flow.State == 3 && e.Flow.Helper.String() == "ftp" &&
				e.Flow.Packets[0] == 3 && e.Flow.Bytes[0] == 4 && e.Start == 5
		}},
		{"nothing but the tuple", [][]byte{orig}, func(e *model.Event) bool { return e.Has == model.HasOrig && e.Flow.Known == 0 }},
		{"32-bit counters", [][]byte{orig, a(9, a(3, b32(7)), a(4, b32(8))), a(10, a(3, b32(1<<32-1)), a(4, b32(9)))},
			func(e *model.Event) bool {
				return e.Flow.Packets == [2]uint64{7, 1<<32 - 1} && e.Flow.Bytes == [2]uint64{8, 9} && e.Flow.CountersAt == 1e9
			}},
		{"padding in counters and timestamps", [][]byte{orig, a(9, a(5), a(1, b64(1)), a(5), a(2, b64(2))),
			a(20, a(3), a(1, b64(10)), a(3), a(2, b64(20)))},
			func(e *model.Event) bool {
				return e.Flow.Packets[0] == 1 && e.Start == 10 && e.Stop == 20 && e.Flow.First == 10 && e.Flow.Known&model.KnownStart != 0
			}},
		{"DCCP", [][]byte{craftedTuple(1, 33), a(4, a(2, a(1, []byte{4}), a(2, []byte{1}), a(3, b64(1<<40)), a(4, nil)))},
			func(e *model.Event) bool {
				return e.Flow.State == 4 && e.DCCP == model.DCCPInfo{Role: 1, HandshakeSeq: 1 << 40} && e.Has.Has(model.HasDCCPInfo|model.HasProtoinfo)
			}},
		{"security context, secmark, event time", [][]byte{orig, a(19, a(1, []byte("system_u:object_r:x_t\x00"))), a(17, b32(6)), a(27, b64(99))},
			func(e *model.Event) bool {
				return e.Extra.Secctx == "system_u:object_r:x_t" && e.Secmark == 6 && e.Time == 99 && e.Has.Has(model.HasTime|model.HasSecmark)
			}},
		{"master in a zone", [][]byte{orig, craftedTuple(14, 6, a(3, b16(5)))},
			func(e *model.Event) bool {
				return e.Extra.Master.Dport == 80 && e.Extra.MasterZone == 5 && e.Flow.Zone == 0
			}},
		{"short and long labels", [][]byte{orig, a(22, []byte{1, 2, 3, 4})},
			func(e *model.Event) bool { return e.Extra.Labels == model.Labels{1, 2, 3, 4} }},
		{"timeout", [][]byte{orig, a(7, b32(60))},
			func(e *model.Event) bool { return e.Flow.Expires == 61e9 && e.Flow.Known == model.KnownTimeout }},
		{"hardware offload", [][]byte{orig, a(3, b32(1<<15|1<<14))}, func(e *model.Event) bool { return e.Flow.Status == 0xc000 }},
		{"order of proto attributes", [][]byte{a(1, a(2, a(5, []byte{8}), a(4, b16(7)), a(6, []byte{3}), a(1, []byte{1})),
			a(1, a(2, []byte{192, 0, 2, 2}), a(1, []byte{192, 0, 2, 1})))},
			func(e *model.Event) bool { return e.Flow.Sport == 7 && e.Flow.Dport == 8<<8|3 }},
	} {
		e, err := decode(tt.msg...)
		if err != nil || !tt.ok(&e) {
			t.Errorf("%s: %v, %+v", tt.name, err, e)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	orig := craftedTuple(1, 6)
	for name, msg := range map[string][][]byte{
		"no tuple":          {a(8, b32(1))},
		"tuple without IP":  {a(1, a(2, a(1, []byte{6})))},
		"length 0":          {orig, {0, 0, 8, 0}},
		"length 3":          {orig, {3, 0, 8, 0}},
		"length past end":   {orig, {200, 0, 8, 0}},
		"trailing byte":     {orig, {1}},
		"mark of 2 bytes":   {orig, a(8, b16(1))},
		"zone of 4 bytes":   {orig, a(18, b32(1))},
		"short counter":     {orig, a(9, a(1, b32(1)))},
		"long 32-bit":       {orig, a(9, a(3, b64(1)))},
		"state of 2 bytes":  {orig, a(4, a(1, a(1, b16(1))))},
		"flags of 1 byte":   {orig, a(4, a(1, a(4, []byte{1})))},
		"start of 4 bytes":  {orig, a(20, a(1, b32(1)))},
		"IPv4 of 16 bytes":  {a(1, a(1, a(1, make([]byte, 16))))},
		"IPv6 of 4 bytes":   {a(1, a(1, a(3, make([]byte, 4))))},
		"two families":      {a(1, a(1, a(1, make([]byte, 4)), a(4, make([]byte, 16))))},
		"broken in a nest":  {orig, a(4, []byte{9, 0, 1, 0})},
		"broken in 3 nests": {a(1, a(2, []byte{2, 0, 1, 0}))},
		"vtag of 2 bytes":   {orig, a(4, a(3, a(2, b16(1))))},
		"seqadj":            {orig, a(15, a(1, b16(1)))},
		"synproxy":          {orig, a(24, a(1, b16(1)))},
		"event time":        {orig, a(27, b32(1))},
	} {
		if e, err := decode(msg...); !errors.Is(err, ctnl.ErrMalformed) {
			t.Errorf("%s: %v, %+v", name, err, e)
		}
	}
	d := ctnl.NewDecoder()
	var e model.Event
	for name, m := range map[string]message{
		"short":           {typ: 0x100, payload: []byte{2, 0, 0}},
		"other subsystem": {typ: 0x200, payload: append([]byte{2, 0, 0, 0}, orig...)},
		"statistics":      {typ: 0x105, payload: append([]byte{2, 0, 0, 0}, orig...)},
	} {
		if err := d.Message(0, m.typ, 0, 0, m.payload, &e); !errors.Is(err, ctnl.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEventIsDelta: what a message does not have is left out of the event, whatever the event held before.
func TestEventIsDelta(t *testing.T) {
	d := ctnl.NewDecoder()
	var e model.Event
	full := captured(t)["tcp4-dump"]
	if err := d.Message(0, full.typ, full.flags, 0, full.payload, &e); err != nil {
		t.Fatal(err)
	}
	if err := d.Message(0, 0x100, 0, 0, append([]byte{2, 0, 0, 0}, craftedTuple(1, 6)...), &e); err != nil {
		t.Fatal(err)
	}
	want, _ := decode(craftedTuple(1, 6))
	if e != want {
		t.Errorf("something of the last event is left: %+v", e)
	}
}

// TestExpectCrafted has an expectation with NAT, a class, flags and what is unknown.
func TestExpectCrafted(t *testing.T) {
	msg := []byte{2, 0, 0, 0}
	for _, x := range [][]byte{expectTuple(1, 6), expectTuple(2, 6), expectTuple(3, 6), a(4, b32(30)), a(5, b32(9)),
		a(6, []byte("sip\x00")), a(7, b16(5)), a(8, b32(2)), a(9, b32(3)),
		nested(a(10, a(1, b32(1)), expectTuple(2, 17))), a(11, []byte("nat-follow-master\x00")), a(99)} {
		msg = append(msg, x...)
	}
	want := model.Expect{Kind: model.Update, PortID: 7, Zone: 5, ID: 9, Timeout: 30, Class: 3, Flags: model.ExpectInactive,
		Helper: "sip", Fn: "nat-follow-master", NATDir: 1, HasTimeout: true, HasZone: true, HasClass: true, HasFlags: true}
	e, err := decode(craftedTuple(1, 6))
	if err != nil {
		t.Fatal(err)
	}
	want.Tuple = e.Flow.OrigTuple()
	want.Master, want.Mask, want.NAT = want.Tuple, want.Tuple, want.Tuple
	want.NAT.Proto = model.ProtoUDP
	var x model.Expect
	d := ctnl.NewDecoder()
	if err := d.Expect(0x200, 0, 7, msg, &x); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, m := range map[string]message{
		"short":           {typ: 0x200, payload: []byte{2}},
		"flows":           {typ: 0x100, payload: msg},
		"statistics":      {typ: 0x203, payload: msg},
		"no tuple":        {typ: 0x200, payload: msg[:4]},
		"unknown inside":  {typ: 0x200, payload: append([]byte{2, 0, 0, 0}, expectTuple(2, 6, a(9))...)},
		"two families":    {typ: 0x200, payload: append([]byte{2, 0, 0, 0}, nested(a(2, nested(a(1, a(1, b32(1)), a(4, make([]byte, 16)))), nested(a(2, a(1, []byte{6})))))...)},
		"cut":             {typ: 0x200, payload: msg[:len(msg)-12]},
		"timeout of 2":    {typ: 0x200, payload: append(append([]byte{2, 0, 0, 0}, expectTuple(2, 6)...), a(4, b16(1))...)},
		"NAT direction 2": {typ: 0x200, payload: append(append([]byte{2, 0, 0, 0}, expectTuple(2, 6)...), nested(a(10, a(1, b16(1))))...)},
	} {
		if err := d.Expect(m.typ, m.flags, 0, m.payload, &x); !errors.Is(err, ctnl.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
