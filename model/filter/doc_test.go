package filter

import (
	"os"
	"strings"
	"testing"
)

// Every filter in the first column of the example tables of docs/filter.md parses, and the first 22 are those of the
// test table.
func TestFilterDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/filter.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	table := false
	for line := range strings.Lines(string(doc)) {
		switch {
		case strings.HasPrefix(line, "| filter |"):
			table = true
		case !strings.HasPrefix(line, "|"):
			table = false
		case table && strings.HasPrefix(line, "| `"):
			text, _, _ := strings.Cut(line[len("| `"):], "` |")
			examples = append(examples, text)
		}
	}
	if len(examples) < 28 {
		t.Fatalf("found %d examples only", len(examples))
	}
	for i, text := range examples {
		mustParse(t, text)
		if i < 22 && text != accepted[i].text {
			t.Errorf("example %d is %q, in the test table %q", i+1, text, accepted[i].text)
		}
	}
}
