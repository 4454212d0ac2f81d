package table

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"ctview/model"
	"ctview/model/filter"
)

// benchEvent makes the i-th of many flows: TCP over IPv4 from 65,000 sources, as a busy router has them.
func benchEvent(i int, kind model.Kind) model.Event {
	e := model.Event{Kind: kind, Has: model.HasID | model.HasReply | model.HasStatus | model.HasProtoinfo | model.HasTimeout | model.HasCountersOrig}
	f := &e.Flow
	f.Proto, f.Family = model.ProtoTCP, model.IPv4
	f.Src, f.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 10}, [16]byte{10: 0xff, 11: 0xff, 12: 203, 14: 113}
	mix := uint64(i) * 0x9e3779b97f4a7c15
	binary.BigEndian.PutUint16(f.Src[14:], uint16(mix>>32))
	f.Dst[15] = byte(mix >> 24)
	f.Sport, f.Dport = uint16(i), []uint16{443, 80, 22, 53}[mix>>60&3]
	f.Src[13] = byte(i >> 16)
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	f.State, f.ID = model.State(1+mix>>50%7), uint32(mix)
	f.Status = model.StatusConfirmed | model.Status(mix>>40&6)
	f.Zone = uint16(mix >> 56 & 3)
	f.Expires, f.CountersAt = 1e18+int64(mix>>40), 1e18
	f.Bytes = [2]uint64{mix >> 44, mix >> 34}
	f.Packets = [2]uint64{mix >> 54, mix >> 44}
	f.Known = model.KnownState | model.KnownTimeout | model.KnownCounters
	return e
}

var benchTables = map[int]*Table{}

// benchTable returns a table of n flows with counters and rates; it is made once.
func benchTable(b testing.TB, n int) *Table {
	if t := benchTables[n]; t != nil {
		return t
	}
	clear(benchTables)
	runtime.GC()
	t := New()
	fillBench(t, n)
	benchTables[n] = t
	if got := t.Stats().Flows; got != n {
		b.Fatalf("%d flows, want %d", got, n)
	}
	return t
}

func fillBench(t *Table, n int) {
	evs := make([]model.Event, 0, batch)
	for _, at := range []int64{0, second} {
		for i := range n {
			e := benchEvent(i, model.Dump)
			e.Flow.CountersAt += at
			e.Flow.Bytes[0] += uint64(at / second * int64(i) % 5000)
			if evs = append(evs, e); len(evs) == cap(evs) || i == n-1 {
				t.Apply(1e18+at, evs)
				evs = evs[:0]
			}
		}
	}
}

var benchSizes = []int{1_000, 100_000, 1_000_000}

func BenchmarkApplyUpdate(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := benchTable(b, n)
			b.ResetTimer()
			evs := make([]model.Event, 4096)
			for i := range evs {
				evs[i] = benchEvent(rand.IntN(n), model.Update)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				at := i % 4096
				t.Apply(1e18, evs[at:at+batch])
			}
		})
	}
}

// BenchmarkApplyChurn ends the oldest flow and begins a new one.
func BenchmarkApplyChurn(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := New()
			fillBench(t, n)
			evs := make([]model.Event, 2)
			b.ResetTimer()
			for i := range b.N {
				evs[0], evs[1] = benchEvent(i, model.Destroy), benchEvent(i+n, model.New)
				t.Apply(1e18+int64(i)*1000, evs)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for range b.N {
		t := New()
		t.BeginDump(1)
		evs := make([]model.Event, 0, batch)
		for i := range 1_000_000 {
			if evs = append(evs, benchEvent(i, model.Dump)); len(evs) == cap(evs) {
				t.Apply(1e18, evs)
				evs = evs[:0]
			}
		}
		t.EndDump(2, true)
	}
}

func BenchmarkView(b *testing.B) {
	for _, n := range benchSizes {
		for _, q := range []struct {
			name string
			Query
		}{
			{"rate-top", Query{Sort: model.ColRate, Desc: true}},
			{"bytes-middle", Query{Sort: model.ColBytes, Desc: true, Offset: n / 2}},
			{"src-top", Query{Sort: model.ColSrc}},
			{"src-deep", Query{Sort: model.ColSrc, Offset: n * 9 / 10}},
			{"zone-middle", Query{Sort: model.ColZone, Offset: n / 2}},
			{"none", Query{}},
			{"follow", Query{Sort: model.ColBytes, HasAnchor: true, Follow: true, Anchor: benchEvent(n/3, model.Dump).Flow.Key}},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, q.name), func(b *testing.B) {
				t := benchTable(b, n)
				b.ResetTimer()
				q.Limit = 150
				var v View
				for range b.N {
					t.Refuse(1, 0) // so that nothing is used again
					t.View(&q.Query, &v)
				}
			})
		}
	}
}

func BenchmarkViewUnchanged(b *testing.B) {
	t := benchTable(b, 1_000_000)
	b.ResetTimer()
	q := &Query{Sort: model.ColRate, Desc: true, Limit: 150}
	var v View
	for range b.N {
		t.View(q, &v)
	}
}

func BenchmarkOverdue(b *testing.B) {
	t := benchTable(b, 1_000_000)
	b.ResetTimer()
	var keys [256]model.Key
	for range b.N {
		t.Overdue(1e18, keys[:])
	}
}

func BenchmarkGroup(b *testing.B) {
	for _, n := range benchSizes {
		for _, by := range []string{"src", "src,dport", "proto", "src/24", "nat"} {
			b.Run(fmt.Sprintf("%d/%s", n, by), func(b *testing.B) {
				t := benchTable(b, n)
				keys, err := ParseGroupKeys(by)
				if err != nil {
					b.Fatal(err)
				}
				q := &GroupQuery{Keys: keys, Desc: true, Limit: 100, Now: 1e18 + 60*second}
				var v GroupView
				t.Group(q, &v)
				b.ResetTimer()
				for range b.N {
					t.Refuse(1, 0)
					t.Group(q, &v)
				}
				b.ReportMetric(float64(v.Groups), "groups")
			})
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, text := range []string{"tcp", "src 10.0.0.0/8 and dport 443", "state {syn_sent, syn_recv} and zone 1", "bytes > 1M and not dport 22"} {
		b.Run(text, func(b *testing.B) {
			t := benchTable(b, 1_000_000)
			f, err := filter.Parse(text, filter.Options{})
			if err != nil {
				b.Fatal(err)
			}
			q := &Query{Filter: f, Sort: model.ColBytes, Desc: true, Limit: 150, Now: 1e18}
			var v View
			t.View(q, &v)
			b.ResetTimer()
			for range b.N {
				t.Refuse(1, 0)
				t.View(q, &v)
			}
		})
	}
}
