package format

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

// TestJSONFields holds the names of fields to the schema's, in its order.
func TestJSONFields(t *testing.T) {
	text, err := os.ReadFile("../../docs/flow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Defs map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	var want []string
	for name := range s.Defs["flow"].Properties {
		want = append(want, name)
	}
	for name := range s.Defs["side"].Properties {
		want = append(want, "orig."+name, "reply."+name)
	}
	for name := range s.Defs["way"].Properties {
		want = append(want, "derived."+name)
	}
	got := JSONFields()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected names (-schema +JSONFields):\n%s", diff)
	}
	for _, c := range model.Columns() {
		for _, f := range ColumnFields(c) {
			if !slices.Contains(got, f) {
				t.Errorf("column %v is field %s, which there is not", c, f)
			}
		}
	}
}

// FuzzPick compares the choice of fields with encoding/json's.
func FuzzPick(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		e, r := randomEvent(seed), rand.New(rand.NewPCG(seed, 2))
		e.Flow.Known = model.Known(seed)
		obj := AppendJSON(nil, e, randomOptions(seed))
		if got := AppendPicked(nil, obj, Pick{}); !bytes.Equal(got, obj) {
			t.Fatalf("the zero Pick makes %s of %s", got, obj)
		}
		all := JSONFields()
		names := make([]string, 1+r.IntN(6))
		for i := range names {
			names[i] = all[r.IntN(len(all))]
		}
		got := AppendPicked([]byte("x"), obj, NewPick(names))
		var is, want map[string]any
		if err := json.Unmarshal(got[1:], &is); err != nil || got[0] != 'x' {
			t.Fatalf("%q of %s: %s: %v", names, obj, got, err)
		}
		if err := json.Unmarshal(obj, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slowPick(want, names), is); diff != "" {
			t.Fatalf("%q of %s (-want +got):\n%s", names, obj, diff)
		}
	})
}

// slowPick is what a Pick chooses.
func slowPick(obj map[string]any, names []string) map[string]any {
	out := map[string]any{}
	for name, value := range obj {
		if name == "event" || name == "time" || slices.Contains(names, name) {
			out[name] = value
			continue
		}
		side := map[string]any{}
		for _, n := range names {
			if of, field, ok := strings.Cut(n, "."); ok && of == name {
				if v, has := value.(map[string]any)[field]; has {
					side[field] = v
				}
			}
		}
		if len(side) > 0 {
			out[name] = side
		}
	}
	return out
}
