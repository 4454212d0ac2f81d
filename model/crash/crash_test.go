package crash

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// unguarded are the goroutines that need no guard, by their file and what they run, or the function that starts them.
var unguarded = map[string]string{
	"tui/signals.go s.p.Send":      "puts a message into Bubble Tea's channel",
	"tui/run.go p.Send":            "the same",
	"tui/signals.go giveBack":      "is what a guard does",
	"tui/term/output.go Reset":     "is what a guard does where the terminal hangs",
	"ctnl/watch.go w.wake":         "sets a deadline",
	"ctnl/lab/traffic.go cancel":   "ends a context",
	"cmd/ctview/bench/repair.go":   "a program of its own, without a screen",
	"cmd/ctview/bench/keys.go":     "the same",
	"cmd/ctview/bench/terminal.go": "the same",
	"cmd/ctview/bench/child.go":    "the same",
	"cmd/ctview/film/main.go":      "the same",
}

// TestEveryGoroutineIsGuarded reads the product's sources: what runs beside the screen (by a go statement, the Go of an
// errgroup or a WaitGroup, an AfterFunc that does more than one call) begins with a guard, or stands above with its reason.
func TestEveryGoroutineIsGuarded(t *testing.T) {
	found, used := 0, map[string]bool{}
	for _, top := range []string{"cmd", "ctnl", "model", "tui"} {
		for _, files := range packages(t, filepath.Join("..", "..", top)) {
			bodies := map[string]*ast.BlockStmt{}
			for _, f := range files {
				for _, d := range f.Decls {
					if fn, ok := d.(*ast.FuncDecl); ok {
						bodies[fn.Name.Name] = fn.Body
					}
				}
			}
			for path, f := range files {
				for _, g := range goroutines(f) {
					found++
					if !guarded(g.runs, bodies) && !excused(path, g, used) {
						t.Errorf("%s: %s starts %s, which does not begin with defer crash.Guard()", path, g.starter, g.name)
					}
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("%d goroutines found: the test has lost its eyes", found)
	}
	for k := range unguarded {
		if !used[k] {
			t.Errorf("unguarded: %s is no longer there", k)
		}
	}
}

// packages parses the sources below root that are no tests, by directory and path from the top.
func packages(t *testing.T, root string) map[string]map[string]*ast.File {
	t.Helper()
	out := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir := filepath.Dir(path)
		if out[dir] == nil {
			out[dir] = map[string]*ast.File{}
		}
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		out[dir][name], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A goroutine is one that a file starts.
type goroutine struct {
	starter string   // the function in which it is
	name    string   // what it runs
	runs    ast.Expr // the function
}

func goroutines(f *ast.File) (out []goroutine) {
	for _, d := range f.Decls {
		starter := "a variable"
		if fn, ok := d.(*ast.FuncDecl); ok {
			starter = fn.Name.Name
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if runs := run(n); runs != nil {
				name := "a function literal"
				if _, ok := runs.(*ast.FuncLit); !ok {
					name = types.ExprString(runs)
				}
				out = append(out, goroutine{starter, name, runs})
			}
			return true
		})
	}
	return out
}

// run returns the function that n runs in a goroutine, nil if n starts none.
func run(n ast.Node) ast.Expr {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call.Fun
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		switch {
		case (sel.Sel.Name == "Go" || sel.Sel.Name == "TryGo") && len(n.Args) == 1:
			return n.Args[0]
		case sel.Sel.Name == "AfterFunc" && len(n.Args) == 2:
			if lit, ok := n.Args[1].(*ast.FuncLit); ok && len(lit.Body.List) <= 1 {
				return nil // closes, wakes
			}
			return n.Args[1]
		}
	}
	return nil
}

// guarded reports whether the function begins with the guard. One with a name is looked for among the package's bodies.
func guarded(runs ast.Expr, bodies map[string]*ast.BlockStmt) bool {
	var body *ast.BlockStmt
	switch f := runs.(type) {
	case *ast.FuncLit:
		body = f.Body
	case *ast.Ident:
		body = bodies[f.Name]
	case *ast.SelectorExpr:
		body = bodies[f.Sel.Name]
	}
	if body == nil || len(body.List) == 0 {
		return false
	}
	d, ok := body.List[0].(*ast.DeferStmt)
	return ok && types.ExprString(d.Call.Fun) == "crash.Guard"
}

func excused(path string, g goroutine, used map[string]bool) bool {
	for _, k := range []string{path, path + " " + g.name, path + " " + g.starter} {
		if unguarded[k] != "" {
			used[k] = true
			return true
		}
	}
	return false
}

// TestGuard: what is to be done before is done, on the panicking goroutine, and the panic goes on.
func TestGuard(t *testing.T) {
	defer Before(nil)
	done := 0
	Before(func() { done++ })
	func() {
		defer Guard()
	}()
	if done != 0 {
		t.Error("a goroutine that ends well had the terminal given back")
	}
	defer func() {
		if r := recover(); r != "boom" || done != 1 {
			t.Errorf("recovered %v after %d calls, want boom after 1", r, done)
		}
	}()
	func() {
		defer Guard()
		panic("boom")
	}()
}
