package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
	"ctview/model/finding"
)

func TestAppendJSON(t *testing.T) {
	all := testFlow()
	all.Has |= model.HasMark | model.HasTCPInfo | model.HasMaster | model.HasLabels
	all.TCP = model.TCPInfo{WScale: [2]uint8{7, 9}, Flags: [2]uint8{0x23, 0x0b}}
	all.Extra.Master = all.Flow.Orig()
	all.Extra.Labels.Set(1)
	all.Extra.Labels.Set(2)
	icmp := flow(model.ProtoICMP, "10.0.0.1 10.0.0.2", 4711, 8<<8, "10.0.0.2 10.0.0.1", 4711, 0)
	icmp.Kind, icmp.Time, icmp.PortID = model.Destroy, 1_700_000_000_000_000_001, 9
	icmp.Has |= model.HasTime
	icmp.Flow.Status = model.StatusExpected | 1<<20
	dccp := flow(model.ProtoDCCP, "::1 ::2", 0, 0, "::2 ::1", 0, 0)
	gre := flow(model.ProtoGRE, "10.0.0.1 10.0.0.2", 0, 4660, "10.0.0.2 10.0.0.1", 4660, 0)
	gre.Flow.Zone, gre.Flow.ZoneDir = 3, model.ZoneReply
	for _, tt := range []struct {
		name string
		e    model.Event
		want string
	}{
		{"row", all, `{"family":"ipv4","proto":"tcp","proto_num":6,"state":"ESTABLISHED","ctstate":"established","status":["SEEN_REPLY","ASSURED","CONFIRMED"],` +
			`"orig":{"src":"10.141.10.2","dst":"192.168.10.2","sport":40224,"dport":12345,"packets":12,"bytes":3400},` +
			`"reply":{"src":"192.168.10.2","dst":"10.141.10.2","sport":12345,"dport":40224,"packets":9,"bytes":9999},` +
			`"zone":7,"mark":0,"id":777,"use":2,"timeout":431999,"helper":"ftp","secctx":"system_u:object_r:http_packet_t:s0","labels":["web",2],` +
			`"start":"2023-11-14T22:13:20.000000000Z","stop":"2023-11-14T22:14:02.000000000Z",` +
			`"master":{"src":"10.141.10.2","dst":"192.168.10.2","sport":40224,"dport":12345},` +
			`"tcp":{"wscale_orig":7,"wscale_reply":9,"flags_orig":35,"flags_reply":11}}`},
		{"event", icmp, `{"event":"destroy","time":"2023-11-14T22:13:20.000000001Z","family":"ipv4","proto":"icmp","proto_num":1,"ctstate":"related","status":["EXPECTED","bit20"],` +
			`"orig":{"src":"10.0.0.1","dst":"10.0.0.2","icmp_type":8,"icmp_code":0,"icmp_id":4711},"reply":{"src":"10.0.0.2","dst":"10.0.0.1","icmp_type":0,"icmp_code":0,"icmp_id":4711},"portid":9}`},
		{"dccp without ports", dccp, `{"family":"ipv6","proto":"dccp","proto_num":33,"ctstate":"new","status":[],"orig":{"src":"::1","dst":"::2"},"reply":{"src":"::2","dst":"::1"}}`},
		{"gre in a zone", gre, `{"family":"ipv4","proto":"gre","proto_num":47,"ctstate":"new","status":[],"orig":{"src":"10.0.0.1","dst":"10.0.0.2","srckey":0,"dstkey":4660},"reply":{"src":"10.0.0.2","dst":"10.0.0.1","srckey":4660,"dstkey":0,"zone":3}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(AppendJSON(nil, &tt.e, Options{Now: testNow, Labels: LabelNames{1: "web"}}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("unexpected object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendJSONString(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"ftp", `"ftp"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"\x00\x1b\n\x7f", `"\u0000\u001b\u000a\u007f"`},
		{"ü\u009b\u2028\u202e日", `"ü\u009b\u2028\u202e日"`},
		{"\xffx\xc3", `"\ufffdx\ufffd"`},
		{"\ufffd", "\"\ufffd\""},
		{"\U0001f600", "\"\U0001f600\""},
	} {
		if got := string(AppendJSONString(nil, tt.in)); got != tt.want {
			t.Errorf("AppendJSONString(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendJSONString(nil, s)
		checkText(t, b)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
		if want := string([]rune(s)); back != want { // the conversion makes each bad byte U+FFFD
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

// checkText fails where text holds what a terminal obeys.
func checkText(t *testing.T, b []byte) {
	t.Helper()
	if !utf8.Valid(b) {
		t.Fatalf("%q is not UTF-8", b)
	}
	if i := bytes.IndexFunc(b, func(r rune) bool { return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
		t.Fatalf("%q has a control character at %d", b, i)
	}
}

// A schema is as much of JSON Schema as the files in docs use.
type schema struct {
	Ref        string             `json:"$ref"`
	OneOf      []*schema          `json:"oneOf"`
	Type       any                `json:"type"`
	Enum       []string           `json:"enum"`
	Pattern    string             `json:"pattern"`
	Minimum    *big.Int           `json:"minimum"`
	Maximum    *big.Int           `json:"maximum"`
	Required   []string           `json:"required"`
	Additional *bool              `json:"additionalProperties"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Defs       map[string]*schema `json:"$defs"`
}

func readSchema(t testing.TB, name string) *schema {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// check returns what is wrong with v, "" if nothing. v was decoded with UseNumber.
func (s *schema) check(root *schema, path string, v any) string {
	if s.Ref != "" {
		def := root.Defs[s.Ref[len("#/$defs/"):]]
		if def == nil {
			return path + ": no definition " + s.Ref
		}
		return def.check(root, path, v)
	}
	if s.OneOf != nil {
		return s.checkOneOf(root, path, v)
	}
	kind := ""
	switch v := v.(type) {
	case string:
		kind = "string"
		if s.Enum != nil && !slices.Contains(s.Enum, v) {
			return fmt.Sprintf("%s: %q is none of %q", path, v, s.Enum)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Sprintf("%s: %q does not match", path, v)
		}
	case json.Number:
		kind = "integer"
		n, ok := new(big.Int).SetString(v.String(), 10)
		if !ok || s.Minimum != nil && n.Cmp(s.Minimum) < 0 || s.Maximum != nil && n.Cmp(s.Maximum) > 0 {
			return fmt.Sprintf("%s: %s is out of range", path, v)
		}
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
		for i, item := range v {
			if bad := s.Items.check(root, fmt.Sprintf("%s[%d]", path, i), item); bad != "" {
				return bad
			}
		}
	case map[string]any:
		kind = "object"
		if bad := s.checkObject(root, path, v); bad != "" {
			return bad
		}
	}
	if types, ok := s.Type.([]any); ok && slices.Contains(types, any(kind)) || s.Type == nil || s.Type == any(kind) {
		return ""
	}
	return fmt.Sprintf("%s: a %s, not %v", path, kind, s.Type)
}

func (s *schema) checkOneOf(root *schema, path string, v any) string {
	var bad []string
	for _, option := range s.OneOf {
		if b := option.check(root, path, v); b != "" {
			bad = append(bad, b)
		}
	}
	if len(bad) == len(s.OneOf)-1 {
		return ""
	}
	return fmt.Sprintf("%s: not one of: %q", path, bad)
}

func (s *schema) checkObject(root *schema, path string, v map[string]any) string {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return path + ": no " + name
		}
	}
	if s.Additional == nil || *s.Additional {
		return path + ": the schema allows anything"
	}
	for name, item := range v {
		prop := s.Properties[name]
		if prop == nil {
			return path + ": " + name + " is not in the schema"
		}
		if bad := prop.check(root, path+"."+name, item); bad != "" {
			return bad
		}
	}
	return ""
}

// checkJSON fails unless b is one valid, harmless object of the schema with each name once. It returns the names.
func checkJSON(t *testing.T, s *schema, b []byte) []string {
	t.Helper()
	checkText(t, b)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		t.Fatalf("%s: %v", b, err)
	}
	if bad := s.check(s, "", v); bad != "" {
		t.Fatalf("%s\n%s", b, bad)
	}
	names := objectNames(t, b)
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Fatalf("%s: a name twice", b)
	}
	return names
}

func FuzzAppendJSON(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	flows, expects := readSchema(f, "flow.schema.json"), readSchema(f, "expect.schema.json")
	f.Fuzz(func(t *testing.T, seed uint64) {
		o := randomOptions(seed)
		checkJSON(t, flows, AppendJSON(nil, randomEvent(seed), o))
		checkJSON(t, expects, AppendExpectJSON(nil, randomExpect(seed), o))
	})
}

// TestSchemaIsMet looks whether every property of the schemas is ever written, and in the files' order.
func TestSchemaIsMet(t *testing.T) {
	for _, tt := range []struct {
		file, def string
		make      func(seed uint64) []byte
	}{
		{"flow.schema.json", "flow", func(s uint64) []byte { return AppendJSON(nil, randomEvent(s), Options{}) }},
		{"flow.schema.json", "lost", func(s uint64) []byte { return AppendLostJSON(nil, testNow, s) }},
		{"expect.schema.json", "", func(s uint64) []byte { return AppendExpectJSON(nil, randomExpect(s), Options{}) }},
		{"finding.schema.json", "", func(s uint64) []byte {
			return bytes.TrimSuffix(AppendFindingJSON(nil, randomFinding(s), testNow, s%2 == 1), []byte("\n"))
		}},
	} {
		s, order := readSchema(t, tt.file), propertyOrder(t, tt.file, tt.def)
		missing := map[string]bool{}
		for _, name := range order {
			missing[name] = true
		}
		for seed := range uint64(300) {
			names := checkJSON(t, s, tt.make(seed))
			for _, name := range names {
				delete(missing, name)
			}
			byOrder := func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }
			if !slices.IsSortedFunc(names, byOrder) {
				t.Fatalf("%s: order %q", tt.file, names)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s has properties that are never written: %v", tt.file, missing)
		}
	}
}

// propertyOrder returns the names of the properties of a definition, "" for the schema itself, as the file has them.
func propertyOrder(t *testing.T, file, def string) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties json.RawMessage            `json:"properties"`
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	var top object
	if err := json.Unmarshal(b, &top); err != nil {
		t.Fatal(err)
	}
	if def != "" {
		if err := json.Unmarshal(top.Defs[def], &top); err != nil {
			t.Fatal(err)
		}
	}
	return objectNames(t, top.Properties)
}

// objectNames returns the names of a JSON object in their order.
func objectNames(t *testing.T, b []byte) (names []string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tok.(string))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func randomFinding(seed uint64) *finding.Finding {
	r := rand.New(rand.NewPCG(seed, 9))
	word := func() string {
		if r.IntN(3) == 0 {
			return ""
		}
		return hostile[r.IntN(len(hostile))]
	}
	f := &finding.Finding{Name: "syn-flood-source", Subject: word(), Text: word(), Filter: word(), Severity: finding.Severity(r.IntN(3)),
		Since: testNow - r.Int64N(1e12), Amount: r.Int64N(1e9)}
	for range r.IntN(3) {
		f.Cures = append(f.Cures, finding.Cure{What: word(), Command: word()})
	}
	return f
}
