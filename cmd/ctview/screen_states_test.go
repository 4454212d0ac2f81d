package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model/table"
)

// TestScreenStatesTellsReader: what ends the reader of samples is told with the counts, until it is started again.
func TestScreenStatesTellsReader(t *testing.T) {
	tb := newTable(t)
	ns, err := ctnl.OpenNetns(tb.ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	s := newScreenStates(ns, table.New(), false)
	defer s.close()
	ctx := context.Background()
	if err := s.Watch(ctx, true, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Counts(ctx); err != nil {
		t.Fatalf("Counts: %v", err)
	}
	if err := s.w.Close(); err != nil { // under the reader
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err = s.Counts(ctx); err != nil && strings.Contains(err.Error(), "no more samples: ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Counts: %v, want why there are no more samples", err)
		}
	}
	_ = s.Watch(ctx, false, false)
	if err := s.Watch(ctx, true, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Counts(ctx); err != nil {
		t.Errorf("Counts, started again: %v", err)
	}
}
