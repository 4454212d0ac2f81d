package main

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ctview/ctnl/lab/fill"
	"ctview/model"
)

// BenchmarkScrape is a whole scrape of an exporter that runs, over HTTP, with as many flows as kernel and exporter have. A size that
// nf_conntrack_max does not allow raises it, for the whole host: choose with -bench Scrape/200000.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1000, 100_000, 200_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			restore, err := fill.RaiseMax(n + 1000)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = restore() }()
			ns, web := newNS(b), newNS(b)
			fillNS(b, ns, n)
			r := begin(b, web, "--netns", path(ns))
			slowest := time.Duration(0)
			for b.Loop() {
				start := time.Now()
				if body, code, err := r.get("/metrics"); err != nil || code != http.StatusOK || len(body) < 10_000 {
					b.Fatalf("%d bytes, code %d, %v", len(body), code, err)
				}
				slowest = max(slowest, time.Since(start))
			}
			b.ReportMetric(float64(slowest.Microseconds())/1000, "ms-slowest")
		})
	}
}

// BenchmarkScrapeTable is a scrape, without its way over a socket, of an exporter whose table has a million flows, in as many zones,
// protocols and states as they may be in, while the kernel has none: what grows with the flows is in the table alone.
func BenchmarkScrapeTable(b *testing.B) {
	const flows = 1_000_000
	ns := newNS(b)
	n := newNamespace(path(ns), newLog(b.Output()))
	w, err := n.open()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = w.close() }()
	n.begin(w)
	w.table.BeginDump(1e18)
	evs := make([]model.Event, 0, 256)
	for i := range flows {
		e := model.Event{Kind: model.New, Has: model.HasID | model.HasStatus | model.HasProtoinfo}
		e.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoTCP, Sport: 1, Dport: uint16(i), Zone: uint16(i % 5000)}
		binary.BigEndian.PutUint32(e.Flow.Src[12:], uint32(i))
		e.Flow.State, e.Flow.Known, e.Flow.Helper = model.State(i%10), model.KnownState, model.HelperFor([]byte(fmt.Sprint("h", i%50)))
		if i%2 == 0 {
			e.Flow.Proto, e.Flow.Known = model.Proto(i%256), 0
		}
		if evs = append(evs, e); len(evs) == cap(evs) || i == flows-1 {
			w.table.Apply(1e18, evs)
			evs = evs[:0]
		}
	}
	w.table.EndDump(1e18, true)
	if s := w.table.Stats(); s.Flows != flows || !s.Loaded {
		b.Fatalf("%d flows, loaded %v", s.Flows, s.Loaded)
	}
	c := newCollector(20)
	c.namespaces = []*namespace{n}
	routes := (&server{log: n.log}).routes(c)
	for b.Loop() {
		rec := httptest.NewRecorder()
		routes.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if rec.Code != http.StatusOK || rec.Body.Len() < 10_000 {
			b.Fatalf("%d bytes, code %d", rec.Body.Len(), rec.Code)
		}
	}
}

// BenchmarkActive is what records of flows that go on cost the exporter, all in all: 200,000 flows, each told every ten seconds, 20,000
// a second.
func BenchmarkActive(b *testing.B) {
	ns, web := newNS(b), newNS(b)
	fillNS(b, ns, 200_000)
	p, err := web.ListenPacket("udp", collectorAddr)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, _, err := p.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	r := begin(b, web, "--listen", defaultListen, "--netns", path(ns), "--ipfix", collectorAddr, "--active", "10s")
	const name = "ctview_ipfix_active_records_total"
	k := "{" + netns(path(ns)) + "}"
	until(b, "the first are told", func() bool { return r.must(b)[name+k] > 0 })
	from, start := r.must(b), time.Now()
	for b.Loop() {
		time.Sleep(time.Second) // the exporter works
	}
	to, took := r.must(b), time.Since(start).Seconds()
	records := to[name+k] - from[name+k]
	cpu := to["process_cpu_seconds_total"] - from["process_cpu_seconds_total"]
	b.ReportMetric(records/took, "records/s")
	b.ReportMetric(cpu*1e6/records, "µs-CPU/record")
	b.ReportMetric(to["ctview_events_lost_total"+k], "lost")
}
