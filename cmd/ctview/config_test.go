package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		{"no number", "budget = nan", "budget: NaN is not between"},
		{"a number too large", "budget = 1e400", "c.toml:1:10: a number that cannot be read"},
		{"a section for text", "[filters.a]\nb = \"tcp\"", "c.toml:1:2: a section in place of a value"},
		{"a section for a list", "[columns]\nb = \"tcp\"", "a section in place of a value"},
		{"double brackets", "[[views]]\nfilter = \"tcp\"", "c.toml:1:3: a section has single brackets, [name]"},
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

// TestMachineAndUser reads /etc/ctview/config.toml and on top of it the user's: keys of the user win, names add up, and what is
// wrong is told of the file that it is in. --config names the only one.
func TestMachineAndUser(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "user"))
	t.Setenv("SUDO_UID", "")
	machine, user := filepath.Join(dir, "etc", "config.toml"), filepath.Join(dir, "user", "ctview", "config.toml")
	old := systemConfig
	systemConfig = machine
	t.Cleanup(func() { systemConfig = old })
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	load := func(file string) config {
		t.Helper()
		return must((&globals{config: file}).settings())(t)
	}
	write(machine, "read_only = true\nrefresh = \"5s\"\ncolumns = [\"src\"]\n[filters]\na = \"tcp\"\nb = \"udp\"\n[keys]\nquit = [\"q\"]\n")
	if c := load(""); !c.ReadOnly || c.Refresh != "5s" || c.Filters["b"] != "udp" {
		t.Errorf("the machine's alone: %+v", c)
	}
	write(user, "refresh = \"1s\"\ncolumns = [\"dst\"]\n[filters]\nb = \"@a and dport 53\"\nc = \"icmp\"\n[keys]\ndelete = [\"X\"]\n")
	c := load("")
	if !c.ReadOnly || c.Refresh != "1s" || !slices.Equal(c.Columns, []string{"dst"}) || len(c.Keys) != 2 ||
		c.Filters["a"] != "tcp" || c.Filters["b"] != "@a and dport 53" || c.Filters["c"] != "icmp" {
		t.Errorf("both: %+v", c)
	}
	g := globals{}
	if err := g.saveFilter("d", "@a and not @c"); err != nil {
		t.Errorf("saving a filter that names one of the machine's: %v", err)
	}
	if b, _ := os.ReadFile(machine); strings.Contains(string(b), "@a and not") {
		t.Error("saved into the machine's configuration")
	}
	alone := filepath.Join(dir, "alone.toml")
	write(alone, "ascii = true\n")
	if c := load(alone); c.ReadOnly || !c.ASCII || len(c.Filters) > 0 {
		t.Errorf("--config: %+v, want nothing of the machine's and the user's", c)
	}
	write(machine, "raed_only = true\n")
	g = globals{}
	if _, err := g.settings(); err == nil || !strings.Contains(err.Error(), machine+":1: unknown key") {
		t.Errorf("error %v, want it to name %s", err, machine)
	}
}
