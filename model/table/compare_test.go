package table

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"ctview/model"
)

// TestSortKeysAgreeWithView holds the keys of rows outside a table to the order that a table puts them in.
func TestSortKeysAgreeWithView(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tab := New()
	for i := range 400 {
		e := model.Event{Kind: model.New, Has: model.HasStart | model.HasID, Start: at0 + int64(rng.IntN(50))*second}
		f := &e.Flow
		f.Family, f.Proto, f.Sport, f.Dport = model.IPv4, model.ProtoTCP, uint16(i), uint16(rng.IntN(4))
		f.Src[10], f.Src[11], f.Src[15] = 0xff, 0xff, byte(rng.IntN(9))
		if i%3 == 0 {
			f.Family = model.IPv6
			f.Src[0], f.Src[7] = byte(rng.IntN(256)), byte(rng.IntN(256))
		}
		f.ReplyDst, f.ReplySrc, f.ID, f.First = f.Src, f.Dst, uint32(i), e.Start
		f.Known = model.KnownStart | model.KnownWhole
		if i%2 == 0 {
			e.Has |= model.HasCountersOrig | model.HasCountersReply
			f.Known |= model.KnownCounters
			f.Bytes, f.Packets = [2]uint64{uint64(rng.IntN(1000)), rng.Uint64() >> uint(rng.IntN(64))}, [2]uint64{uint64(rng.IntN(9)), 3}
		}
		tab.Apply(at0+60*second, []model.Event{e})
	}
	for c := range model.NumColumns {
		for _, desc := range []bool{false, true} {
			t.Run(fmt.Sprint(c, desc), func(t *testing.T) {
				var v View
				tab.View(&Query{Sort: c, Desc: desc, Limit: 1000, Now: at0 + 60*second}, &v)
				if len(v.Rows) != 400 {
					t.Fatalf("%d rows of 400", len(v.Rows))
				}
				var last []byte
				for i := range v.Rows {
					k := AppendSortKey(nil, c, desc, &v.Rows[i].Flow, &v.Rows[i].Extra)
					if bytes.Compare(last, k) > 0 {
						t.Fatalf("row %d: key %x behind %x", i, k, last)
					}
					last = k
				}
			})
		}
	}
}
