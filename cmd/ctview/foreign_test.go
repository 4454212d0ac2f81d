package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ctview/cmd/ctview/doctor"
	"ctview/ctnl/notrack"
	"ctview/model"
	"ctview/model/filter"
	findings "ctview/model/finding"
	"ctview/model/format"
	"ctview/model/table"
)

// listOf is what pages makes of one page.
func listOf(v table.GroupView) groupList {
	return groupList{v.Matched, func(yield func(*table.GroupRow) bool) {
		for i := range v.Rows {
			if !yield(&v.Rows[i]) {
				return
			}
		}
	}}
}

// TestGroupsAreNoFormulas prints groups whose values came from the network as CSV: no field begins as a formula.
func TestGroupsAreNoFormulas(t *testing.T) {
	var out bytes.Buffer
	v := listOf(table.GroupView{Rows: []table.GroupRow{
		{Values: []string{"=1+1"}, GroupSum: table.GroupSum{Flows: 2}}, {Values: []string{"@sum(a1),b"}, GroupSum: table.GroupSum{Flows: 1}}, {Values: []string{"a\x1b[31m\u200b"}, GroupSum: table.GroupSum{Flows: 1}},
	}})
	if err := groupCSV(&globals{out: &out}, &listOptions{}, []string{"helper"}, v); err != nil {
		t.Fatal(err)
	}
	want := "helper,flows,unreplied,bytes,uncounted\n'=1+1,2,0,,2\n\"'@sum(a1),b\",1,0,,1\na\\x1b[31m\\u{200b},1,0,,1\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestCompletionIsNotRaw names a namespace with an escape sequence: what the shell prints has none.
func TestCompletionIsNotRaw(t *testing.T) {
	if err := os.MkdirAll(netnsNames, 0o755); err != nil {
		t.Fatal(err)
	}
	evil := filepath.Join(netnsNames, "ctview-test\x1b[31m")
	if err := os.WriteFile(evil, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(evil) })
	var out, diag bytes.Buffer
	if code := run(t.Context(), []string{"ctview", "__complete", "list", "--netns", ""}, strings.NewReader(""), &out, &diag); code != 0 {
		t.Fatalf("exit code %d, %s", code, &diag)
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Errorf("completion prints %q", out.String())
	}
}

// evil is a text that a terminal obeys in every way there is.
const evil = "x\x1b[31m\x1b]0;t\a\u009b2J\r\n\t\x7f\xff\u202e\u200b\ufe0f=1+1 \"'日本"

// raw returns what a terminal obeys of out, from the first such character on; line ends are the printer's own, and only
// as many as lines are allowed.
func raw(out string, lines int) string {
	for i, r := range out {
		if r == '\n' {
			if lines--; lines >= 0 {
				continue
			}
		}
		if r < 0x20 || r >= 0x7f && r < 0xa0 || model.Reorders(r) || r == utf8.RuneError && !strings.HasPrefix(out[i:], "\ufffd") {
			return out[i:]
		}
	}
	return ""
}

// TestForeignTextOfCommands prints what commands print of others by functions of their own: rules, previews, samples,
// groups, findings, errors, summaries.
func TestForeignTextOfCommands(t *testing.T) {
	rule, err := filter.ParseRule("udp and dport 53")
	if err != nil {
		t.Fatal(err)
	}
	rule.Iface = evil
	rules := []model.NotrackRule{{ID: evil, Rules: []model.Rule{rule}, Backend: "nftables", Table: evil, Hooks: "prerouting", Who: evil}}
	others := []model.ForeignRule{{Place: evil, Hook: "prerouting", Match: evil}}
	preview := model.NotrackPreview{ID: "a1b2c3", Rules: []model.Rule{rule}, Commands: []string{evil}, Session: "ssh",
		Warnings: []model.NotrackWarning{{Text: evil}}}
	sample := model.Sample{State: model.CtInvalid, In: evil, Out: evil, Reason: evil}
	finding := []doctor.Finding{{Check: "kernel", Value: evil, Cure: evil}}
	ill := findings.Finding{Name: "scan", Subject: evil, Text: evil, Filter: evil, Cures: []findings.Cure{{What: evil, Command: evil}}}
	said := func(do func(g *globals)) string {
		var b bytes.Buffer
		do(&globals{out: &b, err: &b, in: strings.NewReader("")})
		return b.String()
	}
	groups := listOf(table.GroupView{Matched: 1, Rows: []table.GroupRow{{Values: []string{evil}, Filter: "helper " + evil, GroupSum: table.GroupSum{Flows: 1}}}})
	grouped := func(output string) string {
		return said(func(g *globals) {
			keys, err := table.ParseGroupKeys("helper")
			if err != nil {
				t.Fatal(err)
			}
			show, err := groupWriter(g, &listOptions{output: output, noHeader: true}, keys)
			if err != nil {
				t.Fatal(err)
			}
			if err := show(groups); err != nil {
				t.Error(err)
			}
		})
	}
	for _, tt := range []struct {
		name, out string
		lines     int
	}{
		{"rules", string(new(globals).appendRules(nil, rules, others)), 5},
		{"rules as JSON", string(appendRulesJSON(nil, rules, others)), 2},
		{"preview", string(appendPreview(nil, &preview, &notrack.Request{}, true)), 10},
		{"sample", string(new(globals).appendSample(nil, &sample, "")), 1},
		{"sample as JSON", string(appendSampleJSON(nil, &sample, "")), 1},
		{"diagnose", string(format.AppendFinding(nil, &ill, 2e9, evil)), 4},
		{"diagnose as JSON", string(format.AppendFindingJSON(nil, &ill, 2, false)), 1},
		{"doctor", string(doctor.AppendTable(nil, finding)), 2},
		{"doctor as JSON", string(doctor.AppendJSON(nil, finding)), 1},
		{"groups", grouped("table"), 1},
		{"groups as JSON", grouped("json"), 1},
		{"groups as CSV", grouped("csv"), 1},
		{"error of a file", said(func(g *globals) { g.report(&fs.PathError{Op: "open", Path: evil, Err: fs.ErrNotExist}) }), 1},
		{"error with a cure", said(func(g *globals) { g.report(usageError{evil, "use " + evil}) }), 2},
		{"two errors", said(func(g *globals) { g.report(errors.Join(errors.New(evil), errors.New(evil))) }), 1},
		{"error of a filter", said(func(g *globals) { _, err := filter.Parse("state "+evil, filter.Options{}); g.report(err) }), 4},
		{"summary", said(func(g *globals) { g.summary("removed %s: %v", evil, errors.New(evil)) }), 1},
	} {
		if r := raw(tt.out, tt.lines); r != "" || tt.out == "" {
			t.Errorf("%s passes on %q of %q", tt.name, r, tt.out)
		}
		if strings.HasSuffix(tt.name, "JSON") {
			for l := range strings.Lines(tt.out) {
				if !json.Valid([]byte(l)) {
					t.Errorf("%s: no JSON: %s", tt.name, l)
				}
			}
		}
	}
}

// TestForeignTextOfFlags gives every flag and every operand of every command a text that a terminal obeys, in a namespace
// that is not there: whatever is said of it can be looked at.
func TestForeignTextOfFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	config := "config.toml"
	if err := os.WriteFile(config, []byte("theme = 'x\u200b\u202e'\n[filters]\n'x\u200b' = 'tcp'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	says := func(args ...string) {
		n++
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		var out, diag bytes.Buffer
		run(ctx, args, strings.NewReader(""), &out, &diag)
		if r := raw(strings.ReplaceAll(out.String()+diag.String(), "\t", ""), 1000); r != "" {
			t.Errorf("%q passes on %.200q", args, r)
		}
	}
	word := strings.ReplaceAll(evil, "\n", "") // line ends cannot be told from the printer's
	eachCommand(newRoot(&globals{}, ""), []string{"ctview"}, func(cmd *cobra.Command, words []string) {
		switch cmd.CommandPath() {
		case "ctview demo", "ctview config path": // builds a lab; prints for $(…), byte by byte
			return
		}
		with := func(args ...string) {
			says(append(append(words[:len(words):len(words)], "--netns", "no-such-namespace"), args...)...)
		}
		with(word)
		with(word, word)
		if cmd.DisableFlagParsing {
			for _, o := range []string{"-L", "-D", "-I", "-G", "-E", "-S"} {
				with(o, word)
				with(o, "-s", word)
				with(o, "-p", word)
				with(o, "-o", word)
				with(o, "--"+word)
			}
			return
		}
		visit := func(f *pflag.Flag) {
			if f.Name != "netns" {
				with("--" + f.Name + "=" + word)
			}
		}
		cmd.InitDefaultHelpFlag()
		cmd.LocalFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
	})
	says("ctview", "list", "--netns", word)
	says("ctview", "list", "--config", config, "--netns", "no-such-namespace", "@nothing")
	says("ctview", "config", "check", "--config", config)
	says("ctview", "__complete", "list", "--config", config, "@")
	if n < 200 {
		t.Errorf("%d command lines tried: the walk through the commands is broken", n)
	}
}
