package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThemeFiles(t *testing.T) {
	for _, tt := range []struct {
		name, file, config, want string
	}{
		{"good", "title = \"bold\"\nopen = \"bright-green on 17\"\n", "theme = \"mine\"\n", ""},
		{"unknown role", "opn = \"red\"\n", "theme = \"mine\"\n", `mine.toml: unknown role "opn": did you mean open?`},
		{"unknown colour", "open = \"pink\"\n", "", `mine.toml: open: unknown colour or attribute "pink"`},
		{"syntax", "open = \n", "", "mine.toml:1"},
		{"not there", "open = \"red\"\n", "theme = \"yours\"\n", `unknown theme "yours": the themes are auto, none, ansi, 256, light256, mine, or a file`},
		{"unknown action", "", "[keys]\ndelte = [\"D\"]\n", "keys.delte: there is no such action"},
		{"action without key", "", "[keys]\ndelete = []\n", "keys.delete: no key"},
		{"keys", "", "[keys]\ndelete = [\"X\"]\nquit = [\"Q\"]\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "themes"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"themes/mine.toml": tt.file, "themes/README": "no theme", "config.toml": tt.config} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			g := &globals{config: filepath.Join(dir, "config.toml")}
			c, err := g.loadConfig()
			got := ""
			if err != nil {
				got = err.Error()
			}
			if tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Fatalf("error %q, want %q", got, tt.want)
			}
			if tt.name == "good" && c.custom["mine"]["open"] != "bright-green on 17" {
				t.Errorf("themes %v", c.custom)
			}
		})
	}
}

// FuzzTheme: a theme file is read or refused with its name as a usage error.
func FuzzTheme(f *testing.F) {
	f.Add([]byte("title = \"bold\"\nopen = \"bright-green on 17\"\n"))
	f.Add([]byte("open = \"#12345\"\n[open]\n"))
	f.Add([]byte("title = 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseTheme("mine.toml", b); err != nil && (diagnoseCode(err) != exitUsage || !strings.Contains(err.Error(), "mine.toml")) {
			t.Fatalf("error %v is not a usage error that names the file", err)
		}
	})
}
