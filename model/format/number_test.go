package format

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"testing"

	"ctview/model"
)

func TestAppendUint(t *testing.T) {
	check := func(v uint64) {
		if got, want := string(appendUint([]byte("x"), v)), "x"+strconv.FormatUint(v, 10); got != want {
			t.Errorf("appendUint(%d) = %q, want %q", v, got, want)
		}
	}
	for v := uint64(0); v < 20000; v++ {
		check(v)
	}
	for p := uint64(1); p < 1e19; p *= 10 {
		check(p - 1)
		check(p)
		check(p + 1)
	}
	check(1e19)
	check(1<<64 - 1)
}

func TestAppendPadded(t *testing.T) {
	for _, tt := range []struct {
		v     uint64
		width int
		want  string
	}{{0, 6, "000000"}, {7, 6, "000007"}, {99999, 6, "099999"}, {123456, 6, "123456"}, {1234567, 6, "1234567"}, {5, 2, "05"}, {10, 2, "10"}, {3, 1, "3"}} {
		if got := string(appendPadded(nil, tt.v, tt.width)); got != tt.want {
			t.Errorf("appendPadded(%d, %d) = %q, want %q", tt.v, tt.width, got, tt.want)
		}
	}
}

// The expected texts are glibc's inet_ntop's.
func TestAppendAddr(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"0.0.0.0", "0.0.0.0"},
		{"10.99.0.1", "10.99.0.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"fd00:99::1", "fd00:99::1"},
		{"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:0:0:1::1", "2001:0:0:1::1"},
		{"1:0:0:2:0:0:3:4", "1::2:0:0:3:4"},
		{"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"},
		{"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
		{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
		{"1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
		{"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
		{"::ffff:0:0", "::ffff:0.0.0.0"},
		{"::1.2.3.4", "::1.2.3.4"},
		{"::1:0", "::0.1.0.0"},
		{"::2:1.2.3.4", "::2:102:304"},
		{"0:0:0:0:1:ffff:1:2", "::1:ffff:1:2"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"abc:d:10:100::f", "abc:d:10:100::f"},
	} {
		a := netip.MustParseAddr(tt.in)
		fam := model.IPv6
		if a.Is4() {
			fam = model.IPv4
		}
		if got := string(AppendAddr(nil, fam, a.As16())); got != tt.want {
			t.Errorf("AppendAddr(%s) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzAppendAddr holds AppendAddr against netip, which differs from inet_ntop only where the last part is dotted.
func FuzzAppendAddr(f *testing.F) {
	f.Add(uint64(0), uint64(1), uint8(0))
	f.Add(uint64(0xfd00009900000000), uint64(1), uint8(0x18))
	f.Fuzz(func(t *testing.T, hi, lo uint64, zero uint8) {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], hi)
		binary.BigEndian.PutUint64(a[8:], lo)
		for i := range 8 { // make runs of zeros likely
			if zero&(1<<i) != 0 {
				a[2*i], a[2*i+1] = 0, 0
			}
		}
		got := string(AppendAddr(nil, model.IPv6, a))
		if back, err := netip.ParseAddr(got); err != nil || back.As16() != a {
			t.Fatalf("%x became %q (%v)", a, got, err)
		}
		want := netip.AddrFrom16(a)
		if !want.Is4In6() && want.As16() == a && !dotted(a) && got != want.String() {
			t.Fatalf("AppendAddr(%x) = %q, want %q", a, got, want)
		}
		if v4 := netip.AddrFrom4([4]byte(a[12:])).String(); string(AppendAddr(nil, model.IPv4, a)) != v4 {
			t.Fatalf("AppendAddr(%x) is not %q", a[12:], v4)
		}
	})
}

// dotted reports whether inet_ntop writes a as ::1.2.3.4.
func dotted(a [16]byte) bool {
	return [12]byte(a[:12]) == [12]byte{} && (a[12] != 0 || a[13] != 0)
}
