package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSave(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"no file", "", "[filters]\nweb = \"tcp and dport 443\"\n"},
		{"no section", "theme = \"256\" # mine\n", "theme = \"256\" # mine\n\n[filters]\nweb = \"tcp and dport 443\"\n"},
		{"section", "[filters]\n# kept\nx = \"udp\"\n[keys]\nwrite = [\"w\"]\n",
			"[filters]\nweb = \"tcp and dport 443\"\n# kept\nx = \"udp\"\n[keys]\nwrite = [\"w\"]\n"},
		{"again", "[filters]\nweb = \"udp\"\n", "[filters]\nweb = \"tcp and dport 443\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", "config.toml")
			if tt.before != "" {
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(tt.before), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			g := &globals{config: path}
			if err := g.saveFilter("web", "tcp and dport 443"); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, string(got)); diff != "" {
				t.Errorf("unexpected file (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSaveRefuses holds that what would make the configuration wrong is not written.
func TestSaveRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	const before = "theme = \"ansi\"\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &globals{config: path}
	if err := g.saveFilter("a b", "tcp"); err == nil {
		t.Error("a name with a blank was taken")
	}
	if err := g.saveFilter("bad", "zone 70000"); err == nil {
		t.Error("a wrong filter was kept")
	}
	if err := g.saveView("v", view{Columns: []string{"zoen"}}); err == nil {
		t.Error("a wrong column was kept")
	}
	if got, _ := os.ReadFile(path); string(got) != before {
		t.Errorf("the file changed: %q", got)
	}
}
