package filter

import (
	"math/rand/v2"
	"testing"

	"ctview/model"
)

var benchFilters = []struct{ name, text string }{
	{"proto", "tcp"}, {"status", "unreplied"}, {"zone", "zone 5"}, {"state", "state established"}, {"dport", "dport 443"},
	{"port", "port 443"}, {"prefix4", "src 10.0.0.0/8"}, {"prefix6", "src 2001:db8::/32"}, {"host", "host 203.0.113.7"},
	{"bytes", "bytes > 10M"}, {"age", "age > 30s"}, {"mark", "mark 0x10/0xf0"}, {"helper", "helper ftp"}, {"snat", "snat"},
	{"set", "tcp and dport {22, 80, 443, 8000-8999}"}, {"and3", "state established and zone 5 and helper ftp"},
	{"or", "(src 192.168.1.0/24 or src 192.168.2.0/24) and dport 53"}, {"text", `"192.168.1."`},
}

func TestMatchDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	type row struct {
		f *model.Flow
		x *model.Extra
	}
	var rows []row
	for range 50 {
		f, x := randomFlow(r)
		rows = append(rows, row{f, x})
	}
	for _, tt := range accepted {
		f := mustParse(t, tt.text)
		n := testing.AllocsPerRun(5, func() {
			for _, row := range rows {
				f.Match(row.f, row.x, testNow)
				f.MatchKnown(row.f, row.x, testNow)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", tt.text, n)
		}
	}
}

// BenchmarkMatch is the time of one Match over flows that fit the cache.
func BenchmarkMatch(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	flows := make([]model.Flow, 1024)
	for i := range flows {
		f, _ := randomFlow(r)
		flows[i] = *f
	}
	for _, tt := range benchFilters {
		f, err := Parse(tt.text, testOptions)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				if f.Match(&flows[i&1023], nil, testNow) {
					n++
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("tcp and (dport {22, 80, 443} or src 10.0.0.0/8) and not state time_wait", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
