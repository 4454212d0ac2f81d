package filter

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// Every filter in the first column of the example tables of docs/filter.md parses, and means what the slow
// evaluation says. cmd/ctview holds them to flows of the kernel.
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
	r := rand.New(rand.NewPCG(5, 6))
	for _, text := range examples {
		checkAgainstReference(t, checkFixedPoint(t, mustParse(t, text)), r, 100)
	}
}
