package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
)

// randomEvent sets each part of an event to something or to nothing, so that runs of both have every length.
func randomEvent(rng *rand.Rand) (ev model.Event) {
	density := rng.Float64()
	var set func(v reflect.Value)
	set = func(v reflect.Value) {
		if v.Type() == reflect.TypeFor[model.Owner]() || v.Type() == reflect.TypeFor[model.Route]() {
			return // it is looked up when a row is printed, and in no event
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				set(v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				set(v.Index(i))
			}
		case reflect.String:
			if rng.Float64() < density {
				v.SetString(fmt.Sprintf("%*d", rng.IntN(300), rng.IntN(99)))
			}
		default:
			if rng.Float64() >= density {
				return
			}
			n := rng.Uint64() >> rng.IntN(64)
			switch {
			case v.Kind() == reflect.Bool:
				v.SetBool(true)
			case v.CanUint():
				v.SetUint(n)
			case v.CanInt():
				v.SetInt(int64(n))
			case v.CanFloat():
				v.SetFloat(float64(n))
			default:
				panic(v.Kind().String() + " in an event: appendEvent does not know it")
			}
		}
	}
	set(reflect.ValueOf(&ev).Elem())
	return ev
}

// TestPackedEvent holds that nothing of an event is lost.
func TestPackedEvent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		want := randomEvent(rng)
		got := randomEvent(rng) // readEvent clears it
		readEvent(appendEvent(nil, &want), &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

// TestPackedOrder compares with the slow obvious way: all keys in a slice, sorted stably.
func TestPackedOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 500, 20000} {
		var p packed
		type row struct {
			key []byte
			id  uint32
		}
		var want []row
		for i := range n {
			key := make([]byte, rng.IntN(24))
			for j := range key {
				key[j] = byte(rng.IntN(3)) // many are equal, or the beginning of others
			}
			ev := randomEvent(rng)
			ev.Flow.ID = uint32(i)
			p.add(key, &ev)
			want = append(want, row{key, uint32(i)})
		}
		slices.SortStableFunc(want, func(a, b row) int { return bytes.Compare(a.key, b.key) })
		for _, limit := range []int{n, n / 3, 7} {
			q := p
			if limit < n {
				q = p.first(limit)
			}
			rows := q.sorted()
			if len(rows) != min(limit, n) {
				t.Fatalf("%d rows of %d, want %d", len(rows), n, limit)
			}
			for i := range rows {
				var ev model.Event
				q.event(rows[i], &ev)
				if ev.Flow.ID != want[i].id {
					t.Fatalf("row %d of %d is %d, want %d", i, n, ev.Flow.ID, want[i].id)
				}
			}
		}
	}
}

// TestGroupPages walks more groups than fit a page, twice, with limits around the pages: each comes once, in order.
func TestGroupPages(t *testing.T) {
	tab := table.New()
	const n = 2*groupPage + 5
	evs := make([]model.Event, 1)
	for i := range n {
		e := &evs[0]
		*e = model.Event{Kind: model.Dump, Has: model.HasOrig}
		e.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoUDP, Sport: uint16(i), Zone: uint16(i >> 16)}
		tab.Apply(1, evs)
	}
	keys, err := table.ParseGroupKeys("sport,zone")
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{0, 1, groupPage - 1, groupPage, groupPage + 1, 2 * groupPage, n, n + 1} {
		var v table.GroupView
		all := pages(tab, table.GroupQuery{Keys: keys, Sort: table.GroupValue, Limit: limit, Now: 1}, &v)
		want := min(limit, n)
		if limit == 0 {
			want = n
		}
		for pass := range 2 {
			seen, last := 0, -1
			for r := range all.rows {
				var sport, zone int
				fmt.Sscan(r.Values[0], &sport)
				fmt.Sscan(r.Values[1], &zone)
				if at := sport<<16 | zone; at <= last {
					t.Fatalf("limit %d, pass %d: %v behind %d", limit, pass, r.Values, last)
				} else {
					last = at
				}
				seen++
			}
			if seen != want || all.matched != n {
				t.Errorf("limit %d, pass %d: %d groups of %d flows, want %d of %d", limit, pass, seen, all.matched, want, n)
			}
		}
	}
}

// TestMaxMemory: what is sorted and grouped ends with an error that tells the cure; what fits, or streams, does not.
func TestMaxMemory(t *testing.T) {
	ns, f := trackedNS(t)
	const n = 60000
	if err := f.Create(t.Context(), 0, n); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		fits bool
	}{
		{"list --sort bytes:desc -o json", false},
		{"list --group-by src", false},
		{"list --sort src --limit 1000", true},
		{"list", true},
		{"list --sort src tcp and zone 9", true},
	} {
		args := append(strings.Fields(tt.args), "--netns", ns.Path(), "--max-memory", "5M")
		var diag bytes.Buffer
		cmd := ctview(t, args...)
		cmd.Stderr = &diag
		out, err := cmd.Output()
		switch {
		case tt.fits && (err != nil || len(out) == 0):
			t.Errorf("%s: %v %s", tt.args, err, &diag)
		case !tt.fits && (cmd.ProcessState.ExitCode() != exitFailed || len(out) > 0 || !strings.Contains(diag.String(), "memory that flows may take here, 5.0M, is used up after") ||
			!strings.Contains(diag.String(), "--max-memory")):
			t.Errorf("%s: %v, %d bytes, %s", tt.args, err, len(out), &diag)
		}
	}
}
