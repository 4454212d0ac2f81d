package ctcompat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"ctview/ctnl"
)

// An Env is what a command runs in. The zero value but for the streams is a command of its own process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Context ends -E as SIGINT and SIGTERM end conntrack's: with the summary and exit code 0. nil: never.
	Context context.Context
	// Follow, if not nil, makes of Context the one that -E runs in: the place to catch signals, which end other commands
	// at once. What it returns too ends that.
	Follow func(context.Context) (context.Context, func())
	// Netns is the network namespace; nil is the calling thread's.
	Netns *ctnl.Netns
	// Version is ctview's, for -V.
	Version string
	// Program is how the program was called, for the usage line; "" is conntrack.
	Program string
	// Labels is where the names of connection labels are read; "" is /etc/xtables/connlabel.conf.
	Labels string
}

// A run is one call of Main.
type run struct {
	Env
	ctx    context.Context
	ns     *ctnl.Netns
	kernel *ctnl.Kernel
	out    *stdio
	shown  int // entries shown, deleted, …: the number in the summary
}

// outBuffer is how much output is collected before it is written.
const outBuffer = 64 << 10

// Main runs conntrack(8)'s command line args, without the program's name, and returns its exit code.
func Main(args []string, env Env) int {
	r := &run{Env: env, ctx: env.Context, ns: env.Netns, out: newStdio(env.Stdout)}
	r.Stderr = stderr{r.out, env.Stderr}
	if r.ctx == nil {
		r.ctx = context.Background()
	}
	if r.Program == "" {
		r.Program = "conntrack"
	}
	if r.Labels == "" {
		r.Labels = connlabelConf
	}
	code, err := r.main(args)
	if r.kernel != nil {
		_ = r.kernel.Close()
	}
	if r.ns != nil && env.Netns == nil {
		_ = r.ns.Close()
	}
	interrupted := err != nil && r.ctx.Err() != nil && errors.Is(err, r.ctx.Err())
	if err != nil && !interrupted {
		code = report(r.Stderr, err)
	}
	ferr := r.out.Flush() // last, as exit(3) does
	switch {
	case interrupted:
		return exitInterrupted
	case ferr != nil && err == nil && !errors.Is(ferr, syscall.EPIPE):
		return report(r.Stderr, failf("write: %s", errorText(ferr)))
	}
	return code
}

func (r *run) main(args []string) (int, error) {
	if len(args) >= 2 && (args[0] == "-R" || args[0] == "--load-file") {
		return exitOK, r.restore(args[1])
	}
	c, err := r.parser(r.Stderr).parse(append([]string{r.Program}, args...))
	if err != nil {
		return 0, err
	}
	if err := r.do(c); err != nil {
		return 0, err
	}
	return r.summary(c), nil
}

func (r *run) parser(warn io.Writer) *parser {
	_, posix := os.LookupEnv("POSIXLY_CORRECT")
	return newParser(posix, r.Labels, warn)
}

// summary prints the line that ends most commands and returns the exit code.
func (r *run) summary(c *command) int {
	line, ok := summaries[c.op]
	if !ok {
		return exitOK
	}
	fmt.Fprintf(r.Stderr, prefix+line, r.shown)
	if r.shown == 0 && c.op != opList && c.op != expList && c.op != opAdd {
		return exitFailed
	}
	return exitOK
}

// do carries out a command.
func (r *run) do(c *command) error {
	switch c.op {
	case opVersion:
		printVersion(r.out, r.Version)
		return nil
	case opHelp, opNone:
		printUsage(r.out, r.Program, c)
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	switch c.op {
	case opList:
		return r.list(c)
	case opGet:
		return r.get(c)
	case opCreate, opAdd:
		return r.create(c)
	case opUpdate:
		return r.update(c)
	case opDelete:
		return r.delete(c)
	case opFlush:
		return r.flush(c)
	case opEvent, expEvent:
		return r.events(c)
	case opCount:
		return r.count(c)
	case opStats, expStats:
		return r.stats(c)
	case expList, expCount:
		return r.expects(c)
	case expCreate, expGet, expDelete, expFlush:
		return r.changeExpect(c)
	}
	return nil
}

// open opens the namespace, once.
func (r *run) open() error {
	if r.kernel != nil {
		return nil
	}
	if r.ns == nil {
		ns, err := ctnl.OpenNetns("")
		if err != nil {
			return failf("Can't open handler: %s", errorText(err))
		}
		r.ns = ns
	}
	r.kernel = ctnl.NewKernel(r.ns)
	return nil
}

// failed says that c did not work, as conntrack does.
func failed(c *command, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return failf("Operation failed: %s", failure(c.op, errno))
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return failf("Operation failed: %s", err)
}
