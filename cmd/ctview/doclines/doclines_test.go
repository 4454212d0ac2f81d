package doclines

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	const sh, fence = "```sh\n", "\n```\n"
	tests := []struct{ name, text, want string }{
		{"each line of a sh block", sh + "ctview list  # all\n\n# said before\nls -l" + fence, "ctview list # all|ls -l # "},
		{"a line that goes on", sh + "ctview list \\\n  --limit 3" + fence, "ctview list --limit 3 # "},
		{"behind prompts, not what they print", "```text\n$ ctview count\nctview 5" + fence, "ctview count # "},
		{"in a block of something else by its program", "```text\n  flows 5\n  ctview count" + fence, "ctview count # "},
		{"in an indented block", "Text\n\n    sudo ctview\n    other\n", "sudo ctview # "},
		{"in running text, over two lines", "Say `ctview\nlist` or `ctview`.", "ctview list # "},
		{"a table's pipe", "| `ctview list \\| head` |", "ctview list | head # "},
		{"a fence in a list", "* text\n\n  ```sh\n  ctview stats\n  ```\n", "ctview stats # "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for i, l := range Parse("F", tt.text) {
				if i > 0 {
					got += "|"
				}
				got += l.Text + " # " + l.Comment
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if l := Parse("F", "one\n\ntwo `ctview\nlist`"); !slices.Equal(l, []Line{{"F:3", "ctview list", ""}}) {
		t.Errorf("%+v, want it in line 3", l)
	}
}
