package main

import (
	"strings"
	"testing"

	"ctview/model"
)

// TestColumnsHaveMeanings: help columns says of each column what it shows, under each other.
func TestColumnsHaveMeanings(t *testing.T) {
	lines := strings.Split(columnsTopic(), "\n")
	for i, c := range model.Columns() {
		if columnMeanings[c] == "" {
			t.Errorf("%v has no meaning", c)
		}
		if l := lines[i+2]; !strings.HasPrefix(l, "  "+c.String()+" ") || strings.Index(l, columnMeanings[c]) != 17 {
			t.Errorf("%v: %q", c, l)
		}
	}
}

// TestTopIsTheScreen: what other programs call their screen is answered with ours.
func TestTopIsTheScreen(t *testing.T) {
	cmd := ctview(t, "top")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "live screen") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
