package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" && filepath.Base(os.Args[0]) != conntrackName {
		// Nothing is opened, asked or waited for: what is set up for that takes as long as the rest.
		g := &globals{out: os.Stdout, err: os.Stderr}
		os.Exit(g.report(printVersion(g)))
	}
	if err := startPoller(); err != nil {
		os.Exit((&globals{err: os.Stderr}).report(err))
	}
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: args[0] is the name that ctview was called by. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	g := &globals{in: in, out: out, err: errOut}
	defer g.exitIfStuck(ctx)()
	g.atStart(ctx)
	if filepath.Base(args[0]) == conntrackName {
		g.quiet = true // scripts compare what it prints
		g.beginConntrack(ctx)
		code, _ := g.conntrack(ctx, args[1:], in, args[0])
		return code
	}
	only := ""
	if len(args) > 1 {
		only = args[1]
	}
	cmd := newRoot(g, only)
	cmd.SetArgs(args[1:])
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	err := cmd.ExecuteContext(ctx)
	if sig := signalOf(ctx); sig != 0 && (err == nil || errors.Is(err, context.Canceled)) {
		return exitSignalOffset + int(sig)
	}
	var sig signalError
	if errors.As(err, &sig) {
		return exitSignalOffset + int(sig.sig)
	}
	if err == nil {
		err = g.damage.err()
	}
	return g.report(err)
}
