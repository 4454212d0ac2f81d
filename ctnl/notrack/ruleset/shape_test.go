package ruleset

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// TestBrokenMessageIsTold: a length that cannot be is an error wherever it stands, not the end of the list.
func TestBrokenMessageIsTold(t *testing.T) {
	attr := func(typ uint16, v ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
		b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	expr := func(data []byte) []byte {
		return attr(1, append(attr(unix.NFTA_EXPR_NAME, []byte("cmp\x00")...), attr(unix.NFTA_EXPR_DATA, data...)...)...)
	}
	rule := func(data []byte) []byte {
		return append(attr(unix.NFTA_RULE_TABLE, []byte("t\x00")...), attr(unix.NFTA_RULE_EXPRESSIONS, append(expr(attr(1, 0, 0, 0, 1)), expr(data)...)...)...)
	}
	long, short := []byte{9, 0, 1, 0, 0, 0, 0, 0}, []byte{3, 0, 1, 0}
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		long, short = []byte{0, 9, 0, 1, 0, 0, 0, 0}, []byte{0, 3, 0, 1}
	}
	for _, tt := range []struct {
		name string
		msg  uint8
		b    []byte
		ok   bool
	}{
		{"nothing", unix.NFT_MSG_NEWTABLE, nil, true},
		{"a rule", unix.NFT_MSG_NEWRULE, rule(attr(1, 0, 0, 0, 1)), true},
		{"too long", unix.NFT_MSG_NEWTABLE, append(attr(1, 'x', 0), long...), false},
		{"too short", unix.NFT_MSG_NEWTABLE, append(attr(1, 'x', 0), short...), false},
		{"half a header", unix.NFT_MSG_NEWGEN, append(attr(1, 0, 0, 0, 1), 8, 0), false},
		{"in the data of an expression", unix.NFT_MSG_NEWRULE, rule(long), false},
		{"in a hook", unix.NFT_MSG_NEWCHAIN, attr(unix.NFTA_CHAIN_HOOK, short...), false},
		{"in an element", unix.NFT_MSG_NEWSETELEM, attr(unix.NFTA_SET_ELEM_LIST_ELEMENTS, attr(1, attr(unix.NFTA_SET_ELEM_KEY, long...)...)...), false},
		{"in the counter of an element", unix.NFT_MSG_NEWSETELEM,
			attr(unix.NFTA_SET_ELEM_LIST_ELEMENTS, attr(1, attr(unix.NFTA_SET_ELEM_EXPR, attr(unix.NFTA_EXPR_DATA, short...)...)...)...), false},
		{"in the lengths of a key", unix.NFT_MSG_NEWSET, attr(unix.NFTA_SET_DESC, attr(nftaSetDescConcat, attr(1, long...)...)...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := shapes[tt.msg].whole(tt.b); (err == nil) != tt.ok || err != nil && !errors.Is(err, ctnl.ErrMalformed) {
				t.Errorf("%v, want an error: %v", err, !tt.ok)
			}
		})
	}
}
