package model

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestPlural(t *testing.T) {
	for _, tt := range []struct {
		n     int
		thing string
		want  string
	}{
		{0, "flow", "0 flows"}, {1, "flow", "1 flow"}, {2, "flow", "2 flows"}, {1, "entry", "1 entry"}, {2, "deleted entry", "2 deleted entries"},
		{0, "process", "0 processes"}, {2, "match", "2 matches"},
	} {
		if got := Plural(tt.n, tt.thing); got != tt.want {
			t.Errorf("Plural(%d, %q) = %q, want %q", tt.n, tt.thing, got, tt.want)
		}
	}
}

// counted finds a number with a plural behind it that Plural did not write: "%d flows", `Itoa(n) + " rules"`.
var counted = regexp.MustCompile(`%d(?: or more| new| other| broken)? [a-z]{2,}s\b`)

// alwaysMany are texts of which the number is never 1, or that are not about how many there are, each with why.
var alwaysMany = map[string]string{
	"all %d flows are":          "more than one: the line before asks",
	"1 of the %d flows is":      "more than one: the line before asks",
	"%d of the %d flows are":    "more than one: the line before asks",
	"these %d connections":      "more than one: the line before asks",
	"%d rules wait: say which":  "more than one: the line before asks",
	"%d expectations have been": "conntrack's words",
	"%d keys to group by":       "more than two",
	"larger than %d bytes":      "a constant",
	"more than %d flows match":  "a constant",
	"ctview draws on %dx%d of":  "sizes of a huge terminal",
	"set to %d bytes":           "conntrack's words",
	"synproxy isn %d its":       "no plural",
	"uid %d has":                "no plural",
	"a packet of %d bytes":      "of a broken capture, never 1 by its bounds",
	"attribute %d of %d bytes":  "a reproducer's text",
	"%d bytes behind the last":  "less than the four of a head; told to a developer",
	"%d numbers under %d names": "a line of /proc; told to a developer",
	"%d of %d entries":          "a table that is full",
	"burst %d packets":          "nft's own words",
	"%d messages broken":        "told to a developer",
}

// TestNobodyWritesOneFlows reads every text of the program: how many there are of something is written by Plural, or says here why not.
func TestNobodyWritesOneFlows(t *testing.T) {
	used := map[string]bool{}
	check := func(at token.Position, text string) {
		if !counted.MatchString(text) {
			return
		}
		for k := range alwaysMany {
			if strings.Contains(text, k) {
				used[k] = true
				return
			}
		}
		t.Errorf("%s: %q says \"1 …s\" for one: use model.Plural", at, text)
	}
	for _, root := range []string{"../cmd", "../tui", "../ctnl", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "bench" || d.Name() == "lab" || d.Name() == "testdata"):
				return fs.SkipDir // not the operator's
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
						check(set.Position(n.Pos()), s)
					}
				case *ast.BinaryExpr: // Itoa(n) + " rules"
					call, ok := n.X.(*ast.CallExpr)
					if b, isBin := n.X.(*ast.BinaryExpr); isBin {
						call, ok = b.Y.(*ast.CallExpr)
					}
					lit, isLit := n.Y.(*ast.BasicLit)
					if !ok || !isLit || n.Op != token.ADD {
						return true
					}
					name := fmt.Sprint(call.Fun)
					if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
						name = sel.Sel.Name
					}
					if s, err := strconv.Unquote(lit.Value); err == nil && (name == "Itoa" || strings.EqualFold(name, "count") || strings.HasPrefix(name, "Format")) {
						check(set.Position(n.Pos()), "%d"+s)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for k := range alwaysMany {
		if !used[k] {
			t.Errorf("%q is in no text any more", k)
		}
	}
}
