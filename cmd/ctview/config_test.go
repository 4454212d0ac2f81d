package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"full", "theme = \"256\"\nrefresh = \"5s\"\nsort = \"bytes:desc\"\ncolumns = [\"proto\", \"src\"]\n[filters]\nweb = \"tcp and dport 443\"\n[views.v]\nfilter = \"@web\"\n", ""},
		{"unknown key", "theme = \"ansi\"\n\nrefrehs = \"1s\"\n", `config: c.toml:3: unknown key "refrehs"`},
		{"unknown key in a view", "[views.web]\nfliter = \"tcp\"\n", `config: c.toml:2: unknown key "views.web.fliter"`},
		{"syntax", "theme = \n", `config: c.toml:1:`},
		{"number for text", "theme = 5", `config: c.toml:1:9: theme is a whole number; it wants text in quotes`},
		{"text for a switch", `mouse = "x"`, `mouse is text in quotes; it wants true or false`},
		{"text for a list", "[keys]\ndelete = \"D\"", `c.toml:2:10: keys.delete is text in quotes; it wants a list`},
		{"number for a section", "[views]\nx = 3", `views.x is a whole number; it wants a section`},
		{"twice", "theme = \"ansi\"\ntheme = \"256\"", `c.toml:2:1: key theme is already defined`},
		{"theme", `theme = "pink"`, `unknown theme "pink"`},
		{"refresh", `refresh = "soon"`, `refresh: "soon" is not a duration`},
		{"column", `columns = ["zoen"]`, `columns: unknown column "zoen"`},
		{"sort", `sort = "bytes:down"`, `sort: --sort: unknown direction`},
		{"filter", "[filters]\nx = \"zone 70000\"", "filters.x: "},
		{"budget", "budget = 101.0", "budget: 101 is not between"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig("c.toml", anybody, []byte(tt.in))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var u usageError
			if !errors.As(err, &u) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want a usage error with %q", err, tt.want)
			}
		})
	}
}

// TestDefaultConfig holds the printed defaults to the truth: with the comment signs taken away it is a configuration
// that ctview reads, and it names every key.
func TestDefaultConfig(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# (\w+ =|\[)`).ReplaceAllString(defaultConfig, "$1")
	c, err := parseConfig("default", anybody, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Theme != "auto" || len(c.Columns) == 0 || c.Filters["noisy"] == "" || c.Views["web"].Sort == "" || len(c.Keys) == 0 {
		t.Errorf("the default configuration lacks keys: %+v", c)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(defaultConfig))
	f.Add([]byte("theme = \"256\"\n[views.x]\nfilter = \"tcp\""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseConfig("c", anybody, b); err != nil && diagnoseCode(err) != exitUsage {
			t.Fatalf("error %v is not a usage error", err)
		}
	})
}

func diagnoseCode(err error) int {
	code, _ := diagnose(err)
	return code
}
