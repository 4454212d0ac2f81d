package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestJSONOfEveryReader holds what every command prints with -o json, on real traffic, to its schema in docs, line by line.
func TestJSONOfEveryReader(t *testing.T) {
	l, ctx := newLab(t)
	everyProtocol(t, ctx, l)
	must(must(l.FTP(ctx, lab.From{Zone: 5}))(t).Expect())(t)
	ns := l.Router().Path()
	if out, err := ctview(t, "notrack", "add", "--yes", "--verify", "0", "udp [2001:db8:1::10]:4000 [2001:db8:2::7]:5000", "--netns", ns).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := l.Router().Command("iptables", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", "4711", "-j", "NOTRACK").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	go func() {
		for ctx.Err() == nil {
			_ = l.Untracked(ctx, lab.From{})
			_ = l.Invalid(ctx, lab.From{})
			_, _ = l.Ping(ctx, lab.From{}, 3, 50*time.Millisecond)
		}
	}()
	type held struct {
		schema string
		least  int // lines
		args   string
	}
	all := []held{
		{"flow", 20, "list -j"},
		{"flow", 20, "list -j --over 300ms"},
		{"flow", 1, "get tcp " + anyFlow(t, ns) + " -j"},
		{"flow", 5, "events -j --dump --max 30"},
		{"group", 2, "list --group-by src,dport -j"},
		{"group", 2, "list --group-by proto --over 300ms -j"},
		{"expect", 1, "expect list -j"},
		{"count", 1, "count -j"},
		{"count", 1, "count tcp -j"},
		{"count", 1, "count --over 300ms -j pps > 1"},
		{"doctor", 10, "doctor -j"},
		{"stats", 1, "stats -j"},
		{"states", 1, "states -j"},
		{"states", 2, "states --watch --for 1500ms --interval 500ms -j"},
		{"sample", 3, "states --samples --reasons --max 5 --for 20s -j"},
		{"rule", 2, "notrack list -j"},
		{"finding", 0, "diagnose --for 1s -j"},
		{"trace", 1, "trace " + steady(t, ctx, l) + " --yes --for 1s -j"},
	}
	commands := map[string]bool{"ctview expect events": true} // of expectations, as expect list
	for _, tt := range all {
		c, _, err := everyCommand()[0].Find(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		commands[c.CommandPath()] = true
	}
	for _, c := range everyCommand() {
		if c.Flags().Lookup("json") != nil && !commands[c.CommandPath()] {
			t.Errorf("%s -j is held to no schema", c.CommandPath())
		}
		if f := c.Flags().Lookup("output"); f != nil && f.Value.Type() != (&outputForm{}).Type() {
			t.Errorf("%s: -o is not addOutput's", c.CommandPath())
		}
	}
	for _, tt := range all {
		t.Run(tt.args, func(t *testing.T) {
			cmd := ctview(t, append(strings.Fields(tt.args), "--netns", ns)...)
			var diag bytes.Buffer
			cmd.Stderr = &diag
			out, _ := cmd.Output()
			if code := cmd.ProcessState.ExitCode(); code != 0 && tt.schema != "finding" {
				t.Fatalf("exit code %d: %s", code, &diag)
			}
			n := 0
			for line := range bytes.Lines(out) {
				n++
				checkSchema(t, tt.schema, line)
			}
			if strings.HasPrefix(tt.args, "list -j --over") && !bytes.Contains(out, []byte(`,"rate":`)) {
				t.Errorf("no rates:\n%s", out)
			}
			if n < tt.least {
				t.Errorf("%d lines, want %d:\n%s%s", n, tt.least, out, &diag)
			}
		})
	}
	t.Run("stats --watch", func(t *testing.T) {
		r := statsReading{at: time.Unix(2, 0)}
		r.cpus = readCPUs(t, l)
		before := r
		before.at = time.Unix(1, 0)
		line := appendStatsJSON(nil, &r, &before)
		checkSchema(t, "stats", line)
		if !bytes.Contains(line, []byte(`"per_second":{"`)) {
			t.Errorf("no rates in %s", line)
		}
	})
}

// anyFlow returns the two ends of a TCP flow in zone 0 as get takes them.
func anyFlow(t *testing.T, ns string) string {
	t.Helper()
	out := must(ctview(t, "list", "tcp and zone 0 and ip", "--no-header", "--columns", "src,dst", "--limit", "1", "--netns", ns).Output())(t)
	return strings.Join(strings.Fields(string(out)), " ")
}

// steady sends a packet of one flow again and again, and returns the flow as trace takes it.
func steady(t *testing.T, ctx context.Context, l *lab.Lab) string {
	t.Helper()
	const from, to = "192.168.1.10:41002", "203.0.113.202:514" // nobody is there
	c := must(l.Client().Dial(ctx, "udp", from, to))(t)
	go func() {
		defer c.Close()
		for ctx.Err() == nil {
			_, _ = c.Write([]byte("again"))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return "udp " + from + " " + to
}

// schemas are those of docs by name, once read.
var schemas = map[string]*jsonschema.Schema{}

// checkSchema fails unless line is what the schema called name says.
func checkSchema(t *testing.T, name string, line []byte) {
	t.Helper()
	if schemas[name] == nil {
		schemas[name] = must(jsonschema.NewCompiler().Compile("../../docs/" + name + ".schema.json"))(t)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err == nil {
		err = schemas[name].Validate(v)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, line)
	}
}

var updatePromise = flag.Bool("update-promise", false, "promise the fields that are new in the schemas")

// TestJSONPromise holds the schemas to what docs/json.md promises: a field that was there stays, with its type, and one that
// was always there is. What was promised is in testdata/promise.list, to which -update-promise adds; nothing takes away.
func TestJSONPromise(t *testing.T) {
	const file = "testdata/promise.list"
	promised := strings.FieldsFunc(string(must(os.ReadFile(file))(t)), func(r rune) bool { return r == '\n' })
	now := map[string]bool{}
	names := must(filepath.Glob("../../docs/*.schema.json"))(t)
	guide := string(must(os.ReadFile("../../docs/json.md"))(t))
	for _, name := range names {
		var s map[string]any
		if err := json.Unmarshal(must(os.ReadFile(name))(t), &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".schema.json")
		fields(now, s, s, base)
		if !strings.Contains(guide, "("+base+".schema.json)") {
			t.Errorf("docs/json.md does not name %s.schema.json", base)
		}
	}
	for _, p := range promised {
		if !now[p] {
			t.Errorf("promised and not there any more: %s", p)
		}
	}
	if *updatePromise {
		for _, p := range promised {
			now[p] = true
		}
		text := strings.Join(slices.Sorted(maps.Keys(now)), "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if len(now) > len(promised) {
		t.Errorf("%d fields are new in the schemas: -update-promise promises them", len(now)-len(promised))
	}
}

// fields gathers the fields of a schema with their types: "flow.orig.src string always".
func fields(to map[string]bool, root, s map[string]any, path string) {
	if ref, ok := s["$ref"].(string); ok {
		defs := root["$defs"].(map[string]any)
		fields(to, root, defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), path)
		return
	}
	if options, ok := s["oneOf"].([]any); ok {
		for i, o := range options {
			fields(to, root, o.(map[string]any), fmt.Sprintf("%s(%d)", path, i+1))
		}
		return
	}
	what := fmt.Sprint(s["type"])
	if s["type"] == nil {
		what = "enum"
		for _, v := range s["enum"].([]any) {
			to[fmt.Sprintf("%s may be %v", path, v)] = true
		}
	}
	to[path+" "+what] = true
	if items, ok := s["items"].(map[string]any); ok {
		fields(to, root, items, path+"[]")
	}
	props, _ := s["properties"].(map[string]any)
	for name, p := range props {
		fields(to, root, p.(map[string]any), path+"."+name)
	}
	required, _ := s["required"].([]any)
	for _, r := range required {
		to[fmt.Sprintf("%s.%v always", path, r)] = true
	}
}

// readCPUs reads the router's counters.
func readCPUs(t *testing.T, l *lab.Lab) []model.CPUStats {
	t.Helper()
	ns := must(ctnl.OpenNetns(l.Router().Path()))(t)
	defer ns.Close()
	k := ctnl.NewKernel(ns)
	defer k.Close()
	return must(k.CPUStats(t.Context()))(t)
}
