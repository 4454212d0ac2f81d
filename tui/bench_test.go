package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"
)

// BenchmarkFrame is the cost of drawing one frame of each screen, without Bubble Tea's renderer and without the question
// to the store.
func BenchmarkFrame(b *testing.B) {
	for _, s := range []struct{ name, key string }{{"flows", "1"}, {"groups", "2"}, {"events", "3"}, {"stats", "4"}, {"detail", "enter"}} {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 200, 60, manyFlows(2000), nil)
			withEvents(g)
			withFlood(g)
			g.keys(s.key)
			g.tick(2 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				g.a.dirty = true
				_ = g.a.View()
			}
		})
	}
}

// bigTable returns a table of n flows of 65,000 sources.
func bigTable(n int) *table.Table {
	t := table.New()
	evs := make([]model.Event, 0, 256)
	now := start.UnixNano()
	for i := range n {
		var k model.Key
		k.Family, k.Proto = model.IPv4, model.ProtoTCP
		k.Src = [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 1, 14: byte(i >> 8), 15: byte(i)}
		k.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: byte(i >> 16)}
		k.Sport, k.Dport = uint16(1024+i>>4), uint16(80+i%7)
		f := model.Flow{Key: k, ReplySrc: k.Dst, ReplyDst: k.Src, ReplySport: k.Dport, ReplyDport: k.Sport, ID: uint32(i),
			State: model.TCPEstablished, Known: model.KnownState | model.KnownTimeout | model.KnownCounters,
			Status: model.StatusConfirmed | model.StatusSeenReply | model.StatusAssured, Expires: now + int64(i)*1e6,
			Bytes: [2]uint64{uint64(i) * 2654435761 % 1e9, 7}, CountersAt: now}
		evs = append(evs, model.Event{Kind: model.New, Flow: f, Timeout: 3600, Has: model.HasOrig | model.HasReply | model.HasStatus |
			model.HasProtoinfo | model.HasTimeout | model.HasCountersOrig | model.HasCountersReply | model.HasID})
		if len(evs) == cap(evs) || i == n-1 {
			t.Apply(now, evs)
			evs = evs[:0]
		}
	}
	return t
}

// BenchmarkKeyToFrame is what a key costs on a table of a million flows: question, answer and drawing; Bubble Tea writes
// the frame within 1/30 s of that. Before each key an event changes the table, so that no answer is used again.
func BenchmarkKeyToFrame(b *testing.B) {
	t := bigTable(1_000_000)
	for _, s := range []struct {
		name string
		to   []string
		key  []string
	}{
		{"sort", nil, []string{"S"}}, {"page", nil, []string{"pgdown"}}, {"filter", nil, []string{":", "filter dport 81", "enter"}},
		{"groups", []string{"2"}, []string{"b"}}, {"events", []string{"3"}, []string{"F"}}, {"stats", []string{"4"}, []string{"1", "4"}},
		{"detail", []string{"enter"}, []string{"j"}},
	} {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 200, 60, nil, func(o *Options) { o.Store = t; o.Sort = "bytes" })
			g.keys(s.to...)
			var e model.Event
			if r := g.a.flows.items; len(r) > 0 {
				format.FillEvent(&e, &r[0].row.Flow, nil, start.UnixNano())
				e.Kind = model.Update
			}
			for b.Loop() {
				t.Apply(g.now.UnixNano(), []model.Event{e})
				g.keys(s.key...)
				_ = g.a.View()
			}
		})
	}
}

// TestFrameAllocs: a frame of flows is drawn into memory that is reused; what is left is the text itself and a few
// strings of the title.
func TestFrameAllocs(t *testing.T) {
	g := newRig(t, 120, 35, manyFlows(2000), nil)
	n := testing.AllocsPerRun(50, func() {
		g.a.dirty = true
		_ = g.a.View()
	})
	if n > 140 {
		t.Errorf("%.0f allocations a frame, want at most 140", n)
	}
	quiet := testing.AllocsPerRun(50, func() { _, _ = g.a.Update(tea.FocusMsg{}); _ = g.a.View() })
	if quiet > 1 {
		t.Errorf("%.0f allocations for a message that changes nothing", quiet)
	}
}
