package model

import (
	"math"
	"testing"
	"time"
)

func TestAppendBytes(t *testing.T) {
	for _, tt := range []struct {
		n    uint64
		want string
	}{
		{0, "0"}, {120, "120"}, {999, "999"}, {1000, "1.0k"}, {5000, "5.0k"}, {9949, "9.9k"}, {9950, "10.0k"},
		{66100, "66.1k"}, {99949, "99.9k"}, {99950, "100k"}, {991000, "991k"}, {999499, "999k"}, {999500, "1.0M"},
		{21_400_000, "21.4M"}, {402_000_000, "402M"}, {1_910_000_000, "1.9G"}, {44_100_000_000, "44.1G"},
		{math.MaxUint64, "18.4E"},
	} {
		if got := string(AppendBytes(nil, tt.n)); got != tt.want {
			t.Errorf("AppendBytes(%d) = %q, want %q", tt.n, got, tt.want)
		}
	}
}

func TestAppendRate(t *testing.T) {
	for _, tt := range []struct {
		v          float64
		rate, pack string
	}{
		{0, "0B/s", "0/s"}, {-1, "0B/s", "0/s"}, {math.NaN(), "0B/s", "0/s"}, {0.3, "0B/s", "0.3/s"},
		{3.14, "3B/s", "3.1/s"}, {9.96, "10B/s", "10/s"}, {310, "310B/s", "310/s"}, {999.4, "999B/s", "999/s"},
		{999.6, "1.0kB/s", "1.0k/s"}, {4000, "4.0kB/s", "4.0k/s"}, {9949, "9.9kB/s", "9.9k/s"},
		{9951, "10kB/s", "10k/s"}, {96_200, "96kB/s", "96k/s"}, {1.2e6, "1.2MB/s", "1.2M/s"},
		{3.9e9, "3.9GB/s", "3.9G/s"}, {math.Inf(1), "1000000000000000000EB/s", "1000000000000000000E/s"},
	} {
		if got := string(AppendRate(nil, tt.v)); got != tt.rate {
			t.Errorf("AppendRate(%v) = %q, want %q", tt.v, got, tt.rate)
		}
		if got := string(AppendPacketRate(nil, tt.v)); got != tt.pack {
			t.Errorf("AppendPacketRate(%v) = %q, want %q", tt.v, got, tt.pack)
		}
	}
}

func TestAppendDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		d               time.Duration
		short, age, big string
	}{
		{-time.Hour, "0s", "0s", "0s"},
		{999 * time.Millisecond, "0s", "0s", "0s"},
		{21 * time.Second, "21s", "21s", "21s"},
		{179 * time.Second, "2m59s", "2m", "2m59s"},
		{12*time.Minute + 33*time.Second, "12m", "12m", "12m33s"},
		{3*time.Hour + 4*time.Minute + 59*time.Second, "3h04m", "3h04m", "3h4m59s"},
		{5*day - time.Second, "4d23h", "4d23h", "4d23h59m"},
		{5 * day, "5d00h", "5d00h", "5d"},
		{5*day + time.Second, "5d00h", "5d00h", "5d"},
		{400 * day, "400d", "400d", "400d"},
	} {
		if got := string(AppendDuration(nil, tt.d)); got != tt.short {
			t.Errorf("AppendDuration(%v) = %q, want %q", tt.d, got, tt.short)
		}
		if got := string(AppendAge(nil, tt.d)); got != tt.age {
			t.Errorf("AppendAge(%v) = %q, want %q", tt.d, got, tt.age)
		}
		if got := string(AppendDurationLong(nil, tt.d)); got != tt.big {
			t.Errorf("AppendDurationLong(%v) = %q, want %q", tt.d, got, tt.big)
		}
	}
}

func TestAppendEndpoint(t *testing.T) {
	v4 := func(a, b, c, d byte) [16]byte { return [16]byte{10: 0xff, 11: 0xff, 12: a, 13: b, 14: c, 15: d} }
	for _, tt := range []struct {
		name     string
		t        Tuple
		src, dst string
	}{
		{"tcp", Tuple{v4(192, 168, 1, 10), v4(203, 0, 113, 7), 51022, 443, ProtoTCP, IPv4},
			"192.168.1.10:51022", "203.0.113.7:443"},
		{"tcp6", Tuple{[16]byte{0x20, 1, 0xd, 0xb8, 15: 1}, [16]byte{15: 1}, 5, 443, ProtoTCP, IPv6},
			"[2001:db8::1]:5", "[::1]:443"},
		{"icmp6", Tuple{[16]byte{0x20, 1, 0xd, 0xb8, 15: 1}, [16]byte{15: 1}, 5, 128 << 8, ProtoICMPv6, IPv6},
			"2001:db8::1 id 5", "::1"},
		{"icmp", Tuple{v4(192, 168, 1, 3), v4(203, 0, 113, 1), 4711, 8 << 8, ProtoICMP, IPv4},
			"192.168.1.3 id 4711", "203.0.113.1"},
		{"gre", Tuple{v4(192, 168, 1, 70), v4(203, 0, 113, 50), 1, 2, ProtoGRE, IPv4}, "192.168.1.70", "203.0.113.50"},
	} {
		if got := string(AppendEndpoint(nil, &tt.t, Source)); got != tt.src {
			t.Errorf("%s: source %q, want %q", tt.name, got, tt.src)
		}
		if got := string(AppendEndpoint(nil, &tt.t, Destination)); got != tt.dst {
			t.Errorf("%s: destination %q, want %q", tt.name, got, tt.dst)
		}
	}
}

func TestAppendFlags(t *testing.T) {
	for _, tt := range []struct {
		f    Flow
		want string
	}{
		{Flow{}, "U"},
		{Flow{Status: StatusSeenReply}, "-"},
		{Flow{Status: StatusSeenReply | StatusAssured | StatusExpected}, "AE"},
		{Flow{Status: StatusSeenReply | StatusAssured | StatusOffload}, "AO"},
		{Flow{Status: StatusSeenReply | StatusAssured, Helper: 1}, "AH"},
	} {
		if got := string(AppendFlags(nil, &tt.f)); got != tt.want {
			t.Errorf("AppendFlags(%v) = %q, want %q", tt.f.Status, got, tt.want)
		}
	}
}

func TestUnitsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	tuple := Tuple{Family: IPv6, Proto: ProtoTCP, Src: [16]byte{0x20, 1}}
	n := testing.AllocsPerRun(100, func() {
		b := AppendBytes(buf, 123456789)
		b = AppendRate(b, 1.5e6)
		b = AppendDuration(b, 3*time.Minute)
		b = AppendEndpoint(b, &tuple, Source)
		AppendFlags(b, &Flow{})
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
