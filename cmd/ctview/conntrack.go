package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"ctview/cmd/ctview/ctcompat"
	"ctview/model"

	"github.com/spf13/cobra"
)

// conntrackName is the name that makes ctview conntrack(8) when it is called by it.
const conntrackName = "conntrack"

func conntrackCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "conntrack ARGS…",
		Short: "conntrack(8), option for option; the same when called by the name conntrack",
		Long: `Everything after "conntrack" is read as conntrack(8) reads it; "ctview conntrack -h" lists it. Before it, --netns NAME
chooses the namespace. docs/conntrack-compat.md tells where ctview does not follow conntrack, and why.`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := g.takeNetns(args)
			if err != nil {
				return err
			}
			code, err := g.conntrack(cmd.Context(), args, g.in, "ctview conntrack")
			if err != nil {
				return err
			}
			return exitWith(code)
		},
	}
}

// takeNetns takes --netns from the front of args: flags of ctview itself come first, as the shell hands them over.
func (g *globals) takeNetns(args []string) ([]string, error) {
	for len(args) > 0 {
		v, ok := strings.CutPrefix(args[0], "--netns=")
		switch {
		case ok:
			g.netns, args = v, args[1:]
		case args[0] == "--netns" && len(args) > 1:
			g.netns, args = args[1], args[2:]
		case args[0] == "--netns":
			return nil, usageError{"--netns: the name is missing", "NAME, PID or PATH"}
		default:
			return args, nil
		}
		if g.netns == "" {
			return nil, usageError{"--netns: the value is empty", "leave --netns out if it is not meant; an unset variable in a script?"}
		}
	}
	return args, nil
}

// conntrack runs a command line of conntrack(8) in g.netns and returns its exit code.
func (g *globals) conntrack(ctx context.Context, args []string, in io.Reader, program string) (int, error) {
	g.putBack()
	g.sweepRules(ctx)
	env := ctcompat.Env{Stdin: in, Stdout: g.out, Stderr: g.err, Context: ctx, Version: version(), Program: program}
	if program != addProgram && ownProcess(ctx) {
		env.Follow = asInC()
	}
	if g.netns != "" {
		ns, err := g.openNetns()
		if err != nil {
			return 0, err
		}
		defer ns.Close()
		env.Netns = ns
	}
	g.opened()
	return ctcompat.Main(args, env), nil
}

// addProgram is what "add --file" is called in usage lines; its signals are ctview's, not conntrack's.
const addProgram = "ctview add"

// runAddFile makes the flows that the lines of -o save in file describe. Only lines that add are taken: a file of
// conntrack commands can also delete and flush, which "ctview conntrack -R" does.
func runAddFile(ctx context.Context, g *globals, file string, c change) error {
	if err := g.allowed("add"); err != nil && !c.dryRun {
		return err
	}
	in := g.in
	if file != "-" {
		f, err := openRegular(file, os.O_RDONLY)
		if err != nil {
			return fileError("--file: ", err, "- is standard input")
		}
		defer f.Close()
		in = f
	}
	text, n, err := addLines(file, in)
	if err != nil {
		return err
	}
	if c.dryRun {
		g.summary("%s would be made", model.Plural(n, "flow"))
		return nil
	}
	code, err := g.conntrack(ctx, []string{"-R", "-"}, bytes.NewReader(text), addProgram)
	switch {
	case err != nil:
		return err
	case code != 0:
		return exitWith(code)
	}
	g.summary("%s made", model.Plural(n, "flow"))
	return nil
}

// addLines reads the lines of a save file and counts those that add.
func addLines(file string, in io.Reader) (text []byte, n int, err error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 1<<20)
	for line := 1; sc.Scan(); line++ {
		s := strings.TrimLeft(sc.Text(), " \t")
		switch {
		case s == "" || s[0] == '#':
		case strings.HasPrefix(s, "-A ") || strings.HasPrefix(s, "-I "):
			n++
		default:
			return nil, 0, usageError{fmt.Sprintf("--file: %s:%d: not a line that adds a flow", file, line),
				`lines of "ctview list -o save" begin with -A; "ctview conntrack -R" runs others`}
		}
		text = append(append(text, s...), '\n')
	}
	if err := sc.Err(); err != nil {
		return nil, 0, failure{fmt.Errorf("--file: %w", err)}
	}
	return text, n, nil
}
