package ctcompat

import (
	"io"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	words := append([]string{"conntrack"}, split("-A -t 1000 -u SEEN_REPLY,ASSURED -m 5 -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -n 192.0.2.7 -p tcp"+
		" --sport 1 --dport 80 --reply-port-src 80 --reply-port-dst 1 --state ESTABLISHED")...)
	p := newParser(false, "", io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.parse(words); err != nil {
			b.Fatal(err)
		}
	}
}
