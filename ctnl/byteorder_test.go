package ctnl_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"ctview/ctnl"
)

// A NEW of 192.0.2.1 to 192.0.2.2 over TCP with mark 7, that a process of port ID 0xabcd caused.
const (
	bigEndianEvent    = "00000040 0100 0600 00000001 0000abcd 02 00 0010 0024 8001 0014 8001 0008 0001 c0000201 0008 0002 c0000202 000c 8002 0005 0001 06000000 0008 0008 00000007"
	littleEndianEvent = "40000000 0001 0006 01000000 cdab0000 02 00 0010 2400 0180 1400 0180 0800 0100 c0000201 0800 0200 c0000202 0c00 0280 0500 0100 06000000 0800 0800 00000007"
)

// TestSwapDatagram: a message as a big-endian kernel writes it, and as a little-endian one does.
func TestSwapDatagram(t *testing.T) {
	for _, tt := range []struct{ name, big, little string }{
		{"an event", bigEndianEvent, littleEndianEvent},
		{"a mark and labels, which are words", `
			00000028 0100 0000 00000000 00000000 02 00 0000 0008 0008 00000005 000c 0016 00000001 80000000
			00000014 0003 0002 00000007 00000000 fffffffc
			`, `
			28000000 0001 0000 00000000 00000000 02 00 0000 0800 0800 00000005 0c00 1600 01000000 00000080
			14000000 0300 0200 07000000 00000000 fcffffff
			`},
		{"a loss", "00000018 0004 0000 00000000 00000000 0000000000000102", "18000000 0400 0000 00000000 00000000 0201000000000000"},
		{"a broken length", "00000018 0004 0000 00000000 00000000", "18000000 0400 0000 00000000 00000000"},
		{"half a header", "0000001800040000", "0000001800040000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, want := unhex(t, tt.big), unhex(t, tt.little)
			if ctnl.OtherOrder() == binary.LittleEndian {
				from, want = want, from
			}
			if ctnl.SwapDatagram(from); !bytes.Equal(from, want) {
				t.Errorf("got  %x\nwant %x", from, want)
			}
		})
	}
}

// TestReplayOtherOrder: what a router of the other byte order recorded is read as if it were this machine's.
func TestReplayOtherOrder(t *testing.T) {
	text := bigEndianEvent
	if ctnl.OtherOrder() == binary.LittleEndian {
		text = littleEndianEvent
	}
	message := unhex(t, text)
	var file bytes.Buffer
	cooked := append(make([]byte, 14), 0, 12) // NETLINK_NETFILTER
	for _, v := range []any{
		[]uint32{0xa1b23c4d, 4<<16 | 2, 0, 0, 1 << 20, 253},
		[]uint32{1, 500, uint32(16 + len(message)), uint32(16 + len(message))}, cooked, message,
	} {
		if err := binary.Write(&file, ctnl.OtherOrder(), v); err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{}
	var at int64
	if err := ctnl.Replay(&file, r, ctnl.ReplayOptions{Pace: func(now int64) error { at = now; return nil }}); err != nil {
		t.Fatal(err)
	}
	if len(r.evs) != 1 || at != 1_000_000_500 || r.evs[0].PortID != 0xabcd || r.evs[0].Flow.Mark != 7 {
		t.Errorf("at %d: %+v", at, r.evs)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
