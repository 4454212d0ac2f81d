package format

import (
	"testing"

	"ctview/model"
)

// dst is what benchmarks and allocation tests append to.
var dst = make([]byte, 0, 4096)

// textForms are the forms that are written once a flow.
func textForms() map[string]func(e *model.Event, o Options) {
	cols, tab := CSVColumns(), NewTable(nil, false)
	return map[string]func(e *model.Event, o Options){
		"conntrack": func(e *model.Event, o Options) { dst = AppendConntrack(dst[:0], e, o) },
		"json":      func(e *model.Event, o Options) { dst = AppendJSON(dst[:0], e, o) },
		"xml":       func(e *model.Event, o Options) { o.Fix = FixAll; dst = AppendXML(dst[:0], e, o) },
		"csv":       func(e *model.Event, o Options) { dst = AppendCSVEvent(dst[:0], cols, e, o) },
		"table":     func(e *model.Event, o Options) { dst = tab.AppendEvent(dst[:0], e, o) },
		"save":      func(e *model.Event, o Options) { dst = AppendSave(dst[:0], e, o) },
		"fullsave":  func(e *model.Event, o Options) { dst = AppendFullSave(dst[:0], e, o) },
	}
}

// benchEvents are the message that tables are full of and one with everything.
func benchEvents() map[string]model.Event {
	plain := flow(model.ProtoTCP, "192.168.1.44 203.0.113.21", 39880, 443, "203.0.113.21 198.51.100.2", 443, 39880)
	plain.Has |= model.HasTimeout | model.HasProtoinfo | model.HasMark | model.HasUse | model.HasID | model.HasCountersOrig |
		model.HasCountersReply
	plain.Flow.State, plain.Flow.Status = model.TCPEstablished, model.StatusSeenReply|model.StatusAssured|model.StatusConfirmed
	plain.Timeout, plain.Use, plain.Flow.ID = 431999, 1, 3409467955
	plain.Flow.Packets, plain.Flow.Bytes = [2]uint64{18204, 31877}, [2]uint64{1310000, 20100000}
	v6 := plain
	e := flow(model.ProtoTCP, "2001:db8:4:1::17 2001:db8:9::53", 60511, 443, "2001:db8:9::53 2001:db8:4:1::17", 443, 60511)
	v6.Flow.Key, v6.Flow.ReplySrc, v6.Flow.ReplyDst = e.Flow.Key, e.Flow.ReplySrc, e.Flow.ReplyDst
	return map[string]model.Event{"v4": plain, "v6": v6, "full": testFlow()}
}

func TestAllocs(t *testing.T) {
	o := randomOptions(31)
	o.Location = nil
	for name, form := range textForms() {
		for seed := range uint64(50) {
			e := randomEvent(seed)
			if n := testing.AllocsPerRun(20, func() { form(e, o) }); n != 0 {
				t.Errorf("%s allocates %v times for event %d", name, n, seed)
				break
			}
		}
	}
	for seed := range uint64(20) {
		x := randomExpect(seed)
		if n := testing.AllocsPerRun(20, func() { dst = AppendExpectXML(AppendExpectJSON(AppendExpect(dst[:0], x, o), x, o), x, o) }); n != 0 {
			t.Errorf("expectations allocate %v times", n)
			break
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	for name, form := range textForms() {
		for kind, e := range benchEvents() {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					form(&e, Options{Now: testNow})
				}
				b.SetBytes(int64(len(dst)))
			})
		}
	}
}
