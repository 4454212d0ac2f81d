package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctview/model/table"
)

// TestGroupsAreNoFormulas prints groups whose values came from the network as CSV: no field begins as a formula.
func TestGroupsAreNoFormulas(t *testing.T) {
	var out bytes.Buffer
	v := table.GroupView{Rows: []table.GroupRow{
		{Values: []string{"=1+1"}, GroupSum: table.GroupSum{Flows: 2}}, {Values: []string{"@sum(a1),b"}, GroupSum: table.GroupSum{Flows: 1}}, {Values: []string{"a\x1b[31m\u200b"}, GroupSum: table.GroupSum{Flows: 1}},
	}}
	if err := groupCSV(&globals{out: &out}, listOptions{}, []string{"helper"}, &v); err != nil {
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
