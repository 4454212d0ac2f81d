package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestOneCommand: a command that is made without the others is the same: its help, what a shell may complete, its errors.
func TestOneCommand(t *testing.T) {
	run := func(root *cobra.Command, args ...string) string {
		var out bytes.Buffer
		root.SetArgs(args)
		root.SetOut(&out)
		root.SetErr(&out)
		err := root.Execute()
		if err != nil {
			out.WriteString("error: " + err.Error())
		}
		return out.String()
	}
	quiet := func() *globals { return &globals{in: strings.NewReader(""), out: io.Discard, err: io.Discard} }
	var names []string
	for _, c := range newRoot(quiet(), "").Commands() {
		if !c.Hidden { // what a shell calls has no help
			names = append(names, c.Name())
		}
	}
	if len(names) < 20 {
		t.Fatalf("%d commands: %q", len(names), names)
	}
	for _, name := range names {
		alone := newRoot(quiet(), name)
		if c, _, err := alone.Find([]string{name}); err != nil || c.Name() != name {
			t.Errorf("%s: asked for by its name, it is not made: %v", name, err)
		}
		for _, args := range [][]string{{name, "--help"}, {name, "--no-such-flag"}, {"--quiet", name, "--help"}, {name, "no-such-word", "--help"}} {
			if got, want := run(newRoot(quiet(), args[0]), args...), run(newRoot(quiet(), ""), args...); got != want || want == "" {
				t.Errorf("%q: alone\n%s\namong all\n%s", args, got, want)
			}
		}
	}
	alone := newRoot(quiet(), "list").Commands()
	if slices.ContainsFunc(alone, func(c *cobra.Command) bool { return c.Name() == "events" }) {
		t.Error("the others are made, too: no test")
	}
}
