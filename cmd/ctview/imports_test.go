package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The direction of imports is the architecture. Each rule: what the packages below path may import beside themselves
// and the standard library, and why.
var importRules = []struct {
	path    string
	allowed []string
	why     string
}{
	{"ctview/model", []string{"ctview/model"}, "the state model is pure: standard library only"},
	{"ctview/ctnl", []string{"ctview/model", "ctview/ctnl",
		"github.com/ti-mo/", "github.com/mdlayher/", "github.com/google/nftables", "github.com/vishvananda/",
		"github.com/gopacket/", "golang.org/x/sys", "golang.org/x/sync"},
		"ctnl speaks netlink and fills model values; it draws nothing"},
	{"ctview/tui", []string{"ctview/model", "ctview/tui",
		"charm.land/", "github.com/charmbracelet/", "github.com/xo/terminfo", "golang.org/x/sys"},
		"the screen sees the model only; commands reach the kernel through interfaces that cmd fills"},
}

// importWalls are rooms inside a folder: what the packages at path must not import.
var importWalls = []struct {
	path      string
	forbidden []string
	why       string
}{
	{"ctview/model/filter", []string{"ctview/model/table", "ctview/model/format"}, "the language knows facts, not who keeps or prints them"},
	{"ctview/model/table", []string{"ctview/model/format"}, "the table keeps, others print"},
	{"ctview/model/finding", []string{"ctview/model/format"}, "the findings judge, others print"},
	{"ctview/tui/draw", []string{"ctview/tui", "charm.land/bubbletea"}, "drawing cells knows no screens"},
	{"ctview/ctnl/notrack/dryrun", []string{"ctview/ctnl/notrack"}, "the walk through a ruleset judges, the installer decides"},
	{"ctview/ctnl/notrack/ruleset", []string{"ctview/ctnl/notrack", "ctview/ctnl/notrack/dryrun"}, "reading rules knows neither who installs nor who judges"},
}

// topLevel are the only folders that may hold packages of this module.
var topLevel = []string{"ctview/cmd/ctview", "ctview/model", "ctview/ctnl", "ctview/tui"}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "ctview/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		if !slices.ContainsFunc(topLevel, func(top string) bool { return within(p.ImportPath, top) }) {
			t.Errorf("%s: packages live below %s", p.ImportPath, strings.Join(topLevel, ", "))
		}
		for _, rule := range importRules {
			if !within(p.ImportPath, rule.path) {
				continue
			}
			for _, imp := range p.Imports {
				if standard(imp) || slices.ContainsFunc(rule.allowed, func(a string) bool { return within(imp, a) }) {
					continue
				}
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, rule.why)
			}
		}
		for _, imp := range p.Imports {
			if within(imp, "github.com/vishvananda/netlink") {
				t.Errorf("%s imports %s: it is for tests, 0.45 MB of the router's binary; the lab asks rtnetlink itself", p.ImportPath, imp)
			}
		}
		for _, wall := range importWalls {
			if p.ImportPath != wall.path {
				continue
			}
			for _, imp := range p.Imports {
				if slices.Contains(wall.forbidden, imp) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, wall.why)
				}
			}
		}
	}
	if seen < len(topLevel) {
		t.Errorf("go list named %d packages", seen)
	}
}

// foundations are the libraries that ctview was asked to stand on: each is at work in what ships, not in its tests alone.
var foundations = []string{"github.com/ti-mo/conntrack", "github.com/ti-mo/netfilter", "charm.land/bubbletea/v2"}

func TestImportsFoundations(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "ctview/cmd/ctview").Output() // without -test: what the program holds
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	for _, path := range foundations {
		if !slices.Contains(deps, path) {
			t.Errorf("the program does not contain %s", path)
		}
	}
}

// TestImportsExporter: what serves Prometheus is in a program of its own, and no router's ctview carries it.
func TestImportsExporter(t *testing.T) {
	forbidden := []string{"net/http", "crypto/tls", "google.golang.org/protobuf", "github.com/prometheus", "github.com/vmware"}
	for _, tags := range []string{"", "small"} {
		out, err := exec.Command("go", "list", "-deps", "-tags", tags, "ctview/cmd/ctview").Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, p := range strings.Fields(string(out)) {
			if slices.ContainsFunc(forbidden, func(f string) bool { return within(p, f) }) {
				t.Errorf("the program (tags %q) contains %s: it belongs to ctview-exporter", tags, p)
			}
		}
	}
	out, err := exec.Command("go", "list", "-deps", "ctview/cmd/ctview/exporter").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "net/http") {
		t.Error("ctview-exporter does not contain net/http: what is looked for has another name")
	}
	for _, p := range deps {
		if within(p, "ctview/tui") || within(p, "charm.land") || p == "ctview/ctnl/lab" {
			t.Errorf("ctview-exporter contains %s: it has no screen and no lab", p)
		}
	}
}

// within reports whether import path p is prefix itself or lies below it.
func within(p, prefix string) bool {
	return p == prefix || strings.HasPrefix(p, strings.TrimSuffix(prefix, "/")+"/")
}

// standard reports whether p belongs to the standard library: its first element has no dot and is not this module.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return first != "ctview" && !strings.Contains(first, ".")
}
