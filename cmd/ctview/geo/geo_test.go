//go:build !small

package geo

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func city(name, country string) map[string]any {
	return map[string]any{
		"city":     map[string]any{"names": map[string]any{"de": "x", "en": name}, "geoname_id": uint32(7)},
		"country":  map[string]any{"iso_code": country, "names": map[string]any{"en": strings.Repeat("long ", 80)}},
		"location": map[string]any{"latitude": 1.5, "accuracy_radius": uint16(10)},
		"traits":   map[string]any{"is_anycast": true, "list": []any{"a", uint64(1)}},
	}
}

func system(n uint32, org string) map[string]any {
	return map[string]any{"autonomous_system_number": n, "autonomous_system_organization": org}
}

func open(t testing.TB, b []byte) *DB {
	t.Helper()
	db, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestLookup asks files of every record size, and of both IP versions.
func TestLookup(t *testing.T) {
	cities := []entry{
		{"192.0.2.0/24", city("Berlin", "DE")}, {"192.0.3.0/25", city("ev\x1bil", "US")}, {"198.51.100.7/32", city("One", "FR")},
		{"203.0.113.0/24", map[string]any{"registered_country": map[string]any{"iso_code": "JP"}}},
		{"10.0.0.0/8", ref(0)}, // the first value once more
		{"172.16.0.0/12", map[string]any{"country": "NL", "asn": "AS64500", "as_name": "Info"}},
	}
	six := append([]entry{{"2001:db8::/32", city("Tokyo", "JP")}, {"2001:db9::1/128", city("Rome", "IT")}}, cities...)
	six[6].value = ref(0) // 10/8: now the value of 2001:db8::/32
	for _, bits := range []int{24, 28, 32} {
		four := open(t, write(bits, 4, cities))
		both := open(t, write(bits, 6, six))
		as := open(t, write(bits, 6, []entry{{"192.0.2.128/25", system(64496, "Example")}, {"2001:db8::/48", system(64497, "Six")}}))
		if four.Kind() != "Test" {
			t.Errorf("kind %q", four.Kind())
		}
		for _, tt := range []struct {
			dbs  []*DB
			addr string
			want string
		}{
			{[]*DB{four}, "192.0.2.1", "Berlin, DE"}, {[]*DB{four}, "::ffff:192.0.2.1", "Berlin, DE"},
			{[]*DB{four}, "192.0.3.127", "ev\x1bil, US"}, {[]*DB{four}, "192.0.3.128", ""},
			{[]*DB{four}, "198.51.100.7", "One, FR"}, {[]*DB{four}, "198.51.100.6", ""},
			{[]*DB{four}, "203.0.113.9", "JP"}, {[]*DB{four}, "10.1.2.3", "Berlin, DE"},
			{[]*DB{four}, "172.16.1.1", "NL, AS64500 Info"}, {[]*DB{four}, "2001:db8::1", ""}, {[]*DB{four}, "0.0.0.0", ""},
			{[]*DB{both}, "192.0.2.1", "Berlin, DE"}, {[]*DB{both}, "10.1.2.3", "Tokyo, JP"}, {[]*DB{both}, "2001:db8:1::", "Tokyo, JP"},
			{[]*DB{both}, "2001:db9::1", "Rome, IT"}, {[]*DB{both}, "2001:db9::2", ""}, {[]*DB{both}, "fe80::1%lo", ""},
			{[]*DB{both, as}, "192.0.2.129", "Berlin, DE, AS64496 Example"}, {[]*DB{as, both}, "2001:db8::1", "Tokyo, JP, AS64497 Six"},
			{[]*DB{as}, "192.0.2.129", "AS64496 Example"}, {nil, "192.0.2.1", ""},
		} {
			got := Lookup(tt.dbs, netip.MustParseAddr(tt.addr)).String()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%d bits: %s (-want +got):\n%s", bits, tt.addr, diff)
			}
		}
		if got := Lookup([]*DB{both}, netip.Addr{}); got != (Place{}) {
			t.Errorf("no address: %v", got)
		}
	}
}

// TestPointers reads a value far behind in the data, for which a pointer has more bytes.
func TestPointers(t *testing.T) {
	pad := strings.Repeat("x", 3000)
	db := open(t, write(28, 4, []entry{{"192.0.2.0/24", map[string]any{"pad": pad}}, {"192.0.3.0/24", city("Far", "DE")},
		{"192.0.4.0/24", ref(1 + 4 + 3 + 3000)}}))
	for _, addr := range []string{"192.0.3.1", "192.0.4.1"} {
		if got := Lookup([]*DB{db}, netip.MustParseAddr(addr)).String(); got != "Far, DE" {
			t.Errorf("%s: %q", addr, got)
		}
	}
}

// TestBroken holds that what is no such file is refused, and that a loop of pointers ends.
func TestBroken(t *testing.T) {
	whole := write(24, 4, []entry{{"192.0.2.0/24", city("Berlin", "DE")}})
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "only a marker": []byte(metaMarker), "cut": whole[:len(whole)-20],
		"only metadata": whole[bytes.Index(whole, []byte(metaMarker)):],
	} {
		if _, err := Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	loop := open(t, write(24, 4, []entry{{"192.0.2.0/24", ref(0)}}))
	if _, err := loop.find(netip.MustParseAddr("192.0.2.1")); !errors.Is(err, ErrFormat) {
		t.Errorf("a loop: %v", err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mmdb")
	if err := os.WriteFile(path, write(24, 4, []entry{{"192.0.2.0/24", city("Berlin", "DE")}}), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 10); err != nil { // who replaces the file badly must not crash ctview
		t.Fatal(err)
	}
	if got := Lookup([]*DB{db}, netip.MustParseAddr("192.0.2.1")); got != (Place{}) {
		t.Errorf("of a cut file: %v", got)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range []string{path, "/dev/zero", t.TempDir(), path + "x"} {
		if _, err := Open(p); err == nil {
			t.Errorf("%s was opened", p)
		}
	}
}

var update = flag.Bool("update", false, "write the test file anew")

// TestFile holds that the file that other tests use is what the writer here makes.
func TestFile(t *testing.T) {
	const path = "../testdata/test.mmdb"
	want := write(24, 6, []entry{{"127.0.0.0/8", city("ev\x1bil", "ZZ")}, {"192.0.2.0/24", system(64496, "Example")}})
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what it should be (%v): go test -update writes it", path, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(24, 4, []entry{{"192.0.2.0/24", city("Berlin", "DE")}}), []byte{192, 0, 2, 1})
	f.Add(write(28, 6, []entry{{"2001:db8::/32", city("Tokyo", "JP")}, {"10.0.0.0/8", ref(0)}}), netip.MustParseAddr("2001:db8::1").AsSlice())
	f.Add(write(32, 6, []entry{{"0.0.0.0/1", system(1, "x")}}), []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b, addr []byte) {
		db, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		a, ok := netip.AddrFromSlice(addr)
		if !ok {
			return
		}
		if p := Lookup([]*DB{db}, a); len(p.String()) > 4*maxString+100 {
			t.Errorf("%d bytes", len(p.String()))
		}
	})
}
