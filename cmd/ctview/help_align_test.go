package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFlagsAreAligned: in the help of every command all flags of a block are explained from the same cell on, and each value has a
// name that says what it is.
func TestFlagsAreAligned(t *testing.T) {
	flag := regexp.MustCompile(`^ +(?:-\w, )?--[\w-]+( \S+)? {2,}`)
	typeName := regexp.MustCompile(` (string|strings|int|uint|uint16|uint32|float|duration|count)$`)
	for _, c := range everyCommand() {
		for _, usages := range []string{c.LocalFlags().FlagUsages(), c.InheritedFlags().FlagUsages()} {
			at := 0
			for line := range strings.Lines(usages) {
				head := flag.FindString(line)
				if head == "" {
					t.Errorf("%s: not a line of a flag: %q", c.CommandPath(), line)
					continue
				}
				if n := utf8.RuneCountInString(head); at == 0 {
					at = n
				} else if n != at {
					t.Errorf("%s: explained from cell %d on, others from %d:\n%s", c.CommandPath(), n, at, line)
				}
				if name := strings.TrimSpace(head); typeName.MatchString(name) {
					t.Errorf("%s: %s names a type of Go", c.CommandPath(), name)
				}
			}
		}
	}
}
