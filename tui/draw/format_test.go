package draw

import (
	"net/netip"
	"testing"

	"ctview/model"
)

// TestAppendEnd: what an end of a flow looks like in a cell too narrow for it, and that IPv6 has brackets before a port.
func TestAppendEnd(t *testing.T) {
	for _, tt := range []struct {
		proto model.Proto
		addr  string
		port  uint16
		room  int
		want  string
	}{
		{model.ProtoTCP, "192.168.101.100", 54321, 21, "192.168.101.100:54321"},
		{model.ProtoTCP, "192.168.1.10", 51022, 13, "~8.1.10:51022"},
		{model.ProtoTCP, "203.0.113.7", 443, 13, "~.0.113.7:443"},
		{model.ProtoTCP, "2001:db8:1::10", 443, 20, "[2001:db8:1::10]:443"},
		{model.ProtoTCP, "2001:db8:1::10", 443, 0, "[2001:db8:1::10]:443"},
		{model.ProtoUDP, "2001:db8:1:2:3:4:5:6", 443, 20, "[2001:db8:~:5:6]:443"},
		{model.ProtoTCP, "2001:db8:1:2:3:4:5:6", 65535, 13, "[200~6]:65535"},
		{model.ProtoTCP, "::ffff:192.0.2.1", 80, 0, "[::ffff:192.0.2.1]:80"},
		{model.ProtoICMP, "192.168.1.14", 10029, 21, "192.168.1.14 id 10029"},
		{model.ProtoICMP, "192.168.101.100", 10029, 21, "192.168.101.100 10029"},
		{model.ProtoICMP, "192.168.101.100", 10029, 18, "192.168.101.100 ~"},
		{model.ProtoICMP, "192.168.101.100", 10029, 13, "~.168.101.100"},
		{model.ProtoICMPv6, "2001:db8:1::14", 10063, 21, "2001:db8:1::14 10063"},
		{model.ProtoICMPv6, "2001:db8:1::14", 10063, 0, "2001:db8:1::14 id 10063"},
	} {
		k := model.Key{Src: model.AddrBytes(netip.MustParseAddr(tt.addr)), Sport: tt.port, Proto: tt.proto, Family: model.IPv6}
		if netip.MustParseAddr(tt.addr).Is4() {
			k.Family = model.IPv4
		}
		tuple := k.OrigTuple()
		if got := string(AppendEnd(nil, &tuple, true, tt.room, "~")); got != tt.want {
			t.Errorf("%v %s %d in %d cells: %q, want %q", tt.proto, tt.addr, tt.port, tt.room, got, tt.want)
		}
	}
}

// TestPairIn: two ends that have no room together keep their ports, and an end that is short gives its room to the other.
func TestPairIn(t *testing.T) {
	for _, tt := range []struct {
		src, dst string
		room     int
		want     string
	}{
		{"192.0.2.1", "203.0.113.7", 30, "~.0.2.1:65535 > 203.0.113.7:21"},
		{"192.0.2.1", "203.0.113.7", 32, "192.0.2.1:65535 > 203.0.113.7:21"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8::1", 42, "[2001:db8:1~:5:6]:65535 > [2001:db8::1]:21"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:7", 40, "[2001:d~5:6]:65535 > [2001:db8:~:5:7]:21"},
	} {
		k := model.Key{Src: model.AddrBytes(netip.MustParseAddr(tt.src)), Dst: model.AddrBytes(netip.MustParseAddr(tt.dst)),
			Sport: 65535, Dport: 21, Proto: model.ProtoTCP, Family: model.IPv6}
		if netip.MustParseAddr(tt.src).Is4() {
			k.Family = model.IPv4
		}
		tuple := k.OrigTuple()
		if got := PairIn(&tuple, tt.room, "~"); got != tt.want || Width(got) > tt.room {
			t.Errorf("in %d cells: %q, %d cells, want %q", tt.room, got, Width(got), tt.want)
		}
	}
}
