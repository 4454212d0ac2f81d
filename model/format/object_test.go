package format

import (
	"encoding/json"
	"testing"
)

type objectMark uint8

func (m objectMark) MarshalText() ([]byte, error) { return []byte{'m', '0' + byte(m)}, nil }

type objectSample struct {
	Text  string            `json:"text"`
	Empty string            `json:"empty,omitempty"`
	Flag  bool              `json:"flag"`
	Off   bool              `json:"off,omitempty"`
	Int   int               `json:"int"`
	Long  int64             `json:"long,omitempty"`
	Mark  objectMark        `json:"mark"`
	Port  *uint16           `json:"port,omitempty"`
	Count *uint64           `json:"count,omitempty"`
	Rate  *float64          `json:"rate,omitempty"`
	Mask  uint32            `json:"mask"`
	Words []string          `json:"words,omitempty"`
	Steps []objectStep      `json:"steps"`
	Group map[string]string `json:"group,omitempty"`
}

type objectStep struct {
	Name string `json:"name"`
	At   *int   `json:"at,omitempty"`
}

// TestObjectsAsEncodingJSON: of everything that ctview's objects are made of, the text is that of encoding/json.
func TestObjectsAsEncodingJSON(t *testing.T) {
	port, count, rate, none, at, small := uint16(443), uint64(1<<63+1), 1234.5, 0.0, 0, 1e-5
	for name, v := range map[string]any{
		"nothing known": objectSample{Steps: []objectStep{}},
		"all of it": &objectSample{Text: `a "b" \ <c> & d`, Empty: "é日", Flag: true, Off: true, Int: -7, Long: 1 << 62, Mark: 3, Port: &port,
			Count: &count, Rate: &rate, Mask: 1<<32 - 1, Words: []string{"x", ""}, Steps: []objectStep{{"one", &at}, {"two", nil}},
			Group: map[string]string{"src": "10.0.0.1", "dport": "443", "a": ""}},
		"known to be zero": objectSample{Rate: &none, Count: new(uint64), Words: []string{}, Steps: []objectStep{{}}, Group: map[string]string{}},
		"a small number":   &small,
		"a map alone":      map[string]string{"b": "1", "a": "2"},
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		got := AppendJSONLine(nil, v)
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%s: %v: %s", name, err, got)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		again, _ := json.Marshal(a) // one order of fields and one way to write "<" and numbers
		if other, _ := json.Marshal(b); string(again) != string(other) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
