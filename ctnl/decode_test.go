package ctnl_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
)

var update = flag.Bool("update", false, "capture testdata/*.hex from the kernel again and write what they decode to")

// A message is a netlink message cut into what Decoder takes.
type message struct {
	typ, flags uint16
	portid     uint32
	payload    []byte
}

// parse cuts a message of which b holds exactly one.
func parse(t testing.TB, b []byte) message {
	t.Helper()
	if len(b) < 20 || int(binary.NativeEndian.Uint32(b)) != len(b) {
		t.Fatalf("not one message: %x", b)
	}
	return message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[12:]), b[16:]}
}

// captured returns the messages that the kernel sent, by name.
func captured(t testing.TB) map[string]message {
	t.Helper()
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	all := map[string]message{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if binary.NativeEndian.Uint16(b) != binary.LittleEndian.Uint16(b) {
			ctnl.SwapDatagram(b) // the captures are a little-endian kernel's
		}
		all[strings.TrimSuffix(filepath.Base(f), ".hex")] = parse(t, b)
	}
	return all
}

// TestCaptured holds what the captures decode to against testdata/captured.golden and against ti-mo/conntrack.
func TestCaptured(t *testing.T) {
	if *update {
		capture(t)
	}
	var got bytes.Buffer
	d := ctnl.NewDecoder()
	all := captured(t)
	for _, name := range sorted(all) {
		m := all[name]
		got.WriteString(name + ": ")
		if m.typ>>8 == 2 {
			var x model.Expect
			if err := d.Expect(m.typ, m.flags, m.portid, m.payload, &x); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got.WriteString(describeExpect(&x) + "\n")
		} else {
			var e model.Event
			if err := d.Message(0, m.typ, m.flags, m.portid, m.payload, &e); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got.WriteString(describe(&e) + "\n")
		}
		if !compare(t, d, m) {
			t.Errorf("%s: ti-mo/conntrack does not decode it", name)
		}
	}
	const golden = "testdata/captured.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("decoded otherwise (-want +got):\n%s", diff)
	}
}

// compare holds our decoder to ti-mo/conntrack's wherever that one succeeds; it reports whether it did. Expectations are
// decoded by the library: of them no more is asked than that an error is ErrMalformed.
func compare(t *testing.T, d *ctnl.Decoder, m message) bool {
	t.Helper()
	var e model.Event
	var x model.Expect
	var err error
	expect := m.typ>>8 == 2
	if expect {
		err = d.Expect(m.typ, m.flags, m.portid, m.payload, &x)
	} else {
		err = d.Message(0, m.typ, m.flags, m.portid, m.payload, &e)
	}
	if err != nil && !errors.Is(err, ctnl.ErrMalformed) {
		t.Fatalf("error %v is not ErrMalformed", err)
	}
	var their conntrack.Event
	if expect || theirs(&their, m) != nil {
		return err == nil
	}
	zones := 0
	if unlikeKernel(m.payload[4:], flowNests, "", &zones) != "" {
		return true
	}
	if err != nil {
		if their.Flow.TupleOrig.IP.SourceAddress.IsValid() {
			t.Fatalf("refused (%v) what ti-mo/conntrack takes: %+v", err, their.Flow)
		}
		return true
	}
	if diff := sameFlow(their.Flow, &e); diff != "" {
		t.Fatal(diff)
	}
	if !sameKind(their, e.Kind, m.flags) {
		t.Fatalf("kind: ti-mo/conntrack %v, ours %v, flags %#x", their.Type, e.Kind, m.flags)
	}
	return true
}

// theirs decodes m with ti-mo/conntrack.
func theirs(e *conntrack.Event, m message) error {
	return e.Unmarshal(netlink.Message{Header: netlink.Header{Length: uint32(16 + len(m.payload)),
		Type: netlink.HeaderType(m.typ), Flags: netlink.HeaderFlags(m.flags), PID: m.portid}, Data: m.payload})
}

func FuzzDecode(f *testing.F) {
	for _, m := range captured(f) {
		f.Add(m.typ, m.flags, m.payload)
	}
	f.Add(uint16(0x100), uint16(0), []byte{2, 0, 0, 0, 4, 0, 1, 0x80})
	d := ctnl.NewDecoder()
	f.Fuzz(func(t *testing.T, typ, flags uint16, payload []byte) {
		compare(t, d, message{typ, flags, 0, payload})
	})
}

// FuzzBatch walks datagrams of any content; the walk must end and stay within the buffer.
func FuzzBatch(f *testing.F) {
	for _, m := range captured(f) {
		b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(m.payload)))
		b = binary.NativeEndian.AppendUint16(b, m.typ)
		b = binary.NativeEndian.AppendUint16(b, m.flags)
		b = append(append(b, make([]byte, 8)...), m.payload...)
		f.Add(append(bytes.Clone(b), b...))
	}
	d := ctnl.NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		evs := make([]model.Event, 0, 2)
		w := ctnl.Walk{Rest: b}
		for n := 0; len(w.Rest) > 0 && !w.Done; n++ {
			if n > len(b) {
				t.Fatal("the walk does not end")
			}
			evs = d.Batch(0, evs[:0], &w)
		}
	})
}

func TestDecodeAllocs(t *testing.T) {
	d := ctnl.NewDecoder()
	for name, m := range captured(t) {
		if m.typ>>8 != 1 {
			continue
		}
		var e model.Event
		n := testing.AllocsPerRun(100, func() { _ = d.Message(0, m.typ, m.flags, m.portid, m.payload, &e) })
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	d := ctnl.NewDecoder()
	all := captured(b)
	for _, name := range []string{"tcp4-dump", "tcp4-update", "tcp6-dump", "udp4-new"} {
		m := all[name]
		b.Run(name, func(b *testing.B) {
			var e model.Event
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Message(0, m.typ, m.flags, m.portid, m.payload, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
