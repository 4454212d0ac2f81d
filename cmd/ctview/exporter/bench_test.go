package main

import (
	"fmt"
	"net/http"
	"testing"

	"ctview/ctnl/lab/fill"
)

// BenchmarkScrape is a whole scrape of an exporter that runs, over HTTP, with as many flows as kernel and exporter have.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			restore, err := fill.RaiseMax(n + 1000)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = restore() }()
			ns, web := newNS(b), newNS(b)
			fillNS(b, ns, n)
			r := begin(b, web, "--netns", path(ns))
			for b.Loop() {
				if body, code, err := r.get("/metrics"); err != nil || code != http.StatusOK || len(body) < 10_000 {
					b.Fatalf("%d bytes, code %d, %v", len(body), code, err)
				}
			}
		})
	}
}
