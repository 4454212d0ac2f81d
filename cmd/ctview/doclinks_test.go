package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentLinks: each link of README, CONTRIBUTING and docs to a file of ours leads to one, and the index of docs has every page.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	indexed := map[string]bool{}
	files := append(documents(t), "../../CONTRIBUTING.md")
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(string(must(os.ReadFile(file))(t)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := filepath.Join(filepath.Dir(file), m[1])
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if file == "../../docs/README.md" {
				indexed[to] = true
			}
		}
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" && !indexed[file] {
			t.Errorf("%s is not in the index, docs/README.md", file)
		}
	}
}
