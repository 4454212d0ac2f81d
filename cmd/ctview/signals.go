package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// The signals that end ctview in good order.
const (
	sigHangup    = syscall.SIGHUP
	sigInterrupt = syscall.SIGINT
	sigTerminate = syscall.SIGTERM
)

// A signalError is the cause of a context that a signal ended.
type signalError struct{ sig syscall.Signal }

func (e signalError) Error() string { return e.sig.String() }

// withSignals returns a context that the first of the signals ends whose default is death and that operators and
// supervisors send; the signal is its cause. Left to Go, SIGQUIT would print stacks, and SIGUSR1, SIGUSR2 and SIGALRM do
// nothing. SIGABRT still prints stacks: who sends it wants to know where a program hangs. A second signal does what it
// does without ctview. What was ignored at the start stays ignored: nohup and the & of a shell without job control count on it.
func withSignals(parent context.Context) (context.Context, func()) {
	var caught []os.Signal
	for _, s := range []os.Signal{sigInterrupt, sigTerminate, sigHangup, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM} {
		if !signal.Ignored(s) {
			caught = append(caught, s)
		}
	}
	if quitIgnored() {
		signal.Ignore(syscall.SIGQUIT)
	} else {
		caught = append(caught, syscall.SIGQUIT)
	}
	return catch(context.WithValue(parent, processKey{}, true), caught)
}

type processKey struct{}

// ownProcess reports whether ctx is withSignals': the process, and what signals do to it, is ctview's own, not a test's.
func ownProcess(ctx context.Context) bool { return ctx.Value(processKey{}) != nil }

// catch returns a context that the first of sigs ends.
func catch(parent context.Context, sigs []os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 1)
	if len(sigs) > 0 { // Notify takes none for all
		signal.Notify(c, sigs...)
	}
	go func() {
		defer crash.Guard()
		select {
		case s := <-c:
			signal.Stop(c) // not Reset: the screen's own channel is to get a second one
			cancel(signalError{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(c); cancel(nil) }
}

// signalOf returns the signal that ended ctx, or 0.
func signalOf(ctx context.Context) syscall.Signal {
	var s signalError
	if errors.As(context.Cause(ctx), &s) {
		return s.sig
	}
	return 0
}

// A command ends within endTime of a signal: it returns by itself, or in the last tidyTime of it puts back what it can, and is
// ended. What is not done by then undoes itself: rules expire, tables go with their sockets, a later ctview restores settings.
const (
	endTime  = time.Second
	tidyTime = 300 * time.Millisecond
)

// onExit has fn called when the command is ended by force after a signal. fn puts back what the command changed in the kernel;
// the command may do the same at that moment.
func (g *globals) onExit(fn func()) {
	g.tidyMu.Lock()
	defer g.tidyMu.Unlock()
	g.tidies = append(g.tidies, fn)
}

// tidy calls what onExit was given.
func (g *globals) tidy() {
	g.tidyMu.Lock()
	defer g.tidyMu.Unlock()
	for _, fn := range g.tidies {
		fn()
	}
}

// exitIfStuck ends the process if a signal came and the command has not returned in time: a question that nobody answers,
// a file that never opens, a lock that another holds, or a reader that holds our pipe open without reading would otherwise keep us.
// The screen has signals of its own and is left alone while it stands. The returned function disarms it.
func (g *globals) exitIfStuck(ctx context.Context) func() {
	returned := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer crash.Guard()
		sig := signalOf(ctx)
		if sig == 0 || g.screen.Load() {
			return
		}
		select {
		case <-returned:
			return
		case <-time.After(endTime - tidyTime):
		}
		if g.screen.Load() {
			return
		}
		tidied := make(chan struct{})
		go func() {
			defer crash.Guard()
			g.tidy()
			close(tidied)
		}()
		select {
		case <-tidied:
		case <-time.After(tidyTime):
		}
		os.Exit(exitSignalOffset + int(sig))
	})
	return func() { close(returned) }
}

// quitIgnored reports whether SIGQUIT was ignored at the start. Go's runtime keeps that of SIGHUP and SIGINT alone; a
// shell that ignores SIGINT for a command in the background ignores SIGQUIT with it (POSIX, 2.11).
func quitIgnored() bool { return signal.Ignored(sigInterrupt) }

// asInC gives the signals that end a C program back the action that they have there: Go's runtime ignores some and
// prints its stacks for others. Left to the runtime are those that it uses itself, for faults and for preemption, and
// those whose default is not death. It returns a function that catches SIGINT and SIGTERM as conntrack -E does, whether
// they were ignored or not.
func asInC() (follow func(context.Context) (context.Context, func())) {
	both := []os.Signal{sigInterrupt, sigTerminate}
	before := map[os.Signal]sigaction{}
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT, syscall.SIGCHLD,
			syscall.SIGWINCH, syscall.SIGURG, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, 32, 33: // 32, 33: threads
			continue
		case syscall.SIGQUIT:
			if quitIgnored() {
				continue
			}
		}
		if !signal.Ignored(s) {
			before[s] = setAction(s, sigaction{})
		}
	}
	return func(ctx context.Context) (context.Context, func()) {
		for _, s := range both {
			if a, ok := before[s]; ok {
				setAction(s.(syscall.Signal), a)
			}
		}
		return catch(ctx, both)
	}
}

const lastSignal = 64

// A sigaction holds the kernel's struct sigaction, whose order and size are each architecture's own. All zero it is
// SIG_DFL on each of them.
type sigaction [8]uint64

// setAction sets what a signal does and returns what it did. A signal that the kernel does not know is left alone.
func setAction(s syscall.Signal, a sigaction) (was sigaction) {
	for _, size := range []uintptr{8, 16} { // of the signal mask; 16 on MIPS
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&was)), size, 0, 0)
		if errno == 0 {
			break
		}
	}
	return was
}
