package notrack

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromises holds the table of docs/notrack.md: every test that it names exists, in these rooms or in the program, and every
// test of these rooms is one of a promise that is written there.
func TestPromises(t *testing.T) {
	doc, err := os.ReadFile("../../docs/notrack.md")
	must(t, err)
	_, table, ok := strings.Cut(string(doc), "## Promises and their tests")
	if !ok {
		t.Fatal("no table")
	}
	named := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 2 || strings.TrimSpace(cells[0]) == "promise" {
			continue
		}
		names := regexp.MustCompile(`(Test|Fuzz)\w+`).FindAllString(cells[1], -1)
		if len(names) == 0 {
			t.Errorf("a promise without a test: %s", cells[0])
		}
		for _, n := range names {
			named[n] = true
		}
	}
	tests := func(globs ...string) map[string]bool {
		there := map[string]bool{}
		for _, glob := range globs {
			files, err := filepath.Glob(glob)
			must(t, err)
			for _, f := range files {
				b, err := os.ReadFile(f)
				must(t, err)
				for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(\w+ \*testing\.[TF]\)`).FindAllStringSubmatch(string(b), -1) {
					there[m[1]] = true
				}
			}
		}
		return there
	}
	there := tests("*_test.go", "*/*_test.go", "../states/*_test.go", "../../cmd/ctview/notrack*_test.go", "../../cmd/ctview/operator/*_test.go")
	program := tests("../*_test.go", "../../cmd/ctview/*_test.go", "../../tui/*_test.go")
	delete(there, "TestPromises")
	for n := range named {
		if !there[n] && !program[n] {
			t.Errorf("the table names %s, which does not exist", n)
		}
	}
	for n := range there {
		if !named[n] {
			t.Errorf("%s is no test of a promise in the table", n)
		}
	}
}
