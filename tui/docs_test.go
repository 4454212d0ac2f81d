package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs holds docs/screens.md to the golden screens: what is printed there is what the tests see.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The screens\n\nAs the tests see them: ASCII marks, an emulated terminal, made-up flows. In a UTF-8 terminal `>` `*` `~` `v` `#` are\n" +
		"`▶` `●` `…` `▼` `█`, and graphs are drawn with blocks. Written by `go test ./tui -run TestDocs -update`.\n")
	for _, s := range []struct{ head, name string }{
		{"1 Flows", "flows"}, {"The filter bar: completion", "bar-preview"}, {"The filter bar: an error", "bar-error"},
		{"Filter by a value of the row (`f`)", "values"}, {"One flow (Enter)", "detail"}, {"2 Groups", "groups"}, {"2 Groups: ports of NAT (`P`)", "groups-nat"}, {"3 Events", "events"},
		{"4 Stats", "stats"}, {"5 Expect", "expect"}, {"6 Notrack", "notrack"}, {"7 Recent", "recent"}, {"7 Recent: groups (`b`)", "recent-groups"}, {"A NOTRACK rule is asked for", "notrack-add"},
		{"Deletion is asked for", "confirm-many"}, {"Something is wrong", "alarm"}, {"What is wrong (`!`)", "findings"},
		{"Packets of a flow on their way through the rules (`t`)", "trace"}, {"Help", "help"},
	} {
		b.WriteString("\n## " + s.head + "\n")
		for _, size := range []string{"120x35", "80x24", "40x10"} {
			text, err := os.ReadFile(filepath.Join("testdata", s.name+"-"+size+".golden"))
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("\n" + size + "\n\n```text\n" + string(text) + "```\n")
		}
	}
	file := filepath.Join("..", "docs", "screens.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the golden screens are; write it again with -update", file)
	}
}
