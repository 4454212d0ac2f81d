package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	// The table is pointer-free, so a collection costs next to nothing and a small heap goal keeps the resident size
	// near the live size instead of at twice that.
	debug.SetGCPercent(20)
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: args[0] is the name that ctview was called by. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	g := &globals{in: in, out: out, err: errOut}
	defer g.exitIfStuck(ctx)()
	if filepath.Base(args[0]) == conntrackName {
		g.quiet = true // scripts compare what it prints
		code, _ := g.conntrack(ctx, args[1:], in, args[0])
		return code
	}
	cmd := newRoot(g)
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

// The signals that end ctview in good order.
const (
	sigHangup    = syscall.SIGHUP
	sigInterrupt = syscall.SIGINT
	sigTerminate = syscall.SIGTERM
)

// A signalError is the cause of a context that a signal ended.
type signalError struct{ sig syscall.Signal }

func (e signalError) Error() string { return e.sig.String() }

// withSignals returns a context that SIGINT, SIGTERM and SIGHUP end; the signal is its cause. A second one of them
// kills the process as it would without ctview.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 1)
	signal.Notify(c, sigInterrupt, sigTerminate, sigHangup)
	go func() {
		select {
		case s := <-c:
			signal.Stop(c) // not Reset: the screen's own channel is to get a second one
			cancel(signalError{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(c); cancel(nil) }
}

// How long a command may go on after a signal: the others wait for nothing but what stands in their way, these put back
// what they changed in the kernel.
const (
	endTime  = time.Second
	tidyTime = 5 * time.Second
)

// exitIfStuck ends the process if a signal came and the command has not returned in time: a question that nobody answers,
// a file that never opens, or a reader that holds our pipe open without reading would otherwise keep us. The screen has
// signals of its own and is left alone. The returned function disarms it.
func (g *globals) exitIfStuck(ctx context.Context) func() {
	returned := make(chan struct{})
	context.AfterFunc(ctx, func() {
		sig := signalOf(ctx)
		if sig == 0 || g.screen.Load() {
			return
		}
		wait := endTime
		if g.tidies.Load() {
			wait = tidyTime
		}
		select {
		case <-returned:
		case <-time.After(wait):
			if !g.screen.Load() {
				os.Exit(exitSignalOffset + int(sig))
			}
		}
	})
	return func() { close(returned) }
}

// signalOf returns the signal that ended ctx, or 0.
func signalOf(ctx context.Context) syscall.Signal {
	var s signalError
	if errors.As(context.Cause(ctx), &s) {
		return s.sig
	}
	return 0
}
