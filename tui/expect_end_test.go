package tui

import (
	"testing"

	"ctview/model"
)

// TestExpectEnd: what is expected, where the mask leaves an end open, and where a cell has too little room for it.
func TestExpectEnd(t *testing.T) {
	v4, _ := mustTuple(t, "tcp 192.0.2.1:21 > 203.0.113.7:50211")
	v6, _ := mustTuple(t, "tcp [2001:db8:1:2:3:4:5:6]:21 > [2001:db8::1]:50211")
	all := func(x model.Tuple) model.Tuple {
		for i := range x.Src {
			x.Src[i], x.Dst[i] = 0xff, 0xff
		}
		x.Sport, x.Dport = 0xffff, 0xffff
		return x
	}
	open := func(x model.Tuple) model.Tuple {
		return model.Tuple{Dst: all(x).Dst, Dport: 0xffff, Proto: x.Proto, Family: x.Family}
	}
	anyPort := func(x model.Tuple) model.Tuple { x.Sport = 0; return x }
	icmp := v6
	icmp.Proto = model.ProtoICMPv6
	for _, tt := range []struct {
		tuple, mask model.Tuple
		room        int
		src, dst    string
	}{
		{v4, all(v4), 0, "192.0.2.1:21", "203.0.113.7:50211"},
		{v4, open(v4), 0, "*:21", "203.0.113.7:50211"},
		{anyPort(v4), open(v4), 0, "*:*", "203.0.113.7:50211"},
		{v6, all(v6), 0, "[2001:db8:1:2:3:4:5:6]:21", "[2001:db8::1]:50211"},
		{v6, all(v6), 18, "[2001:db8~:5:6]:21", "[2001:d~::1]:50211"},
		{anyPort(v6), open(v6), 0, "*:*", "[2001:db8::1]:50211"},
		{icmp, all(icmp), 0, "2001:db8:1:2:3:4:5:6", "2001:db8::1"},
	} {
		x := model.Expect{Tuple: tt.tuple, Mask: tt.mask}
		if src, dst := expectEnd(&x, true, tt.room, "~"), expectEnd(&x, false, tt.room, "~"); src != tt.src || dst != tt.dst {
			t.Errorf("%v with mask %v in %d cells: %q and %q, want %q and %q", tt.tuple, tt.mask, tt.room, src, dst, tt.src, tt.dst)
		}
	}
}
