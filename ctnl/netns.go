package ctnl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ctview/ctnl/confine"
	"ctview/model/crash"
)

// netnsDir is where ip netns keeps the names.
const netnsDir = "/run/netns"

// ownNetns leads to the namespace of the calling thread.
const ownNetns = "/proc/thread-self/ns/net"

// netnsPoll is how often the name of a namespace is looked up again.
const netnsPoll = 500 * time.Millisecond

// A Netns is a network namespace, held open: it lives at least until Close. Safe for concurrent use, but for Close.
type Netns struct {
	spec string
	path string   // what leads to it; "" for ctview's own
	file *os.File // nil: wherever the caller is
	id   nsID
	pin  *pin // nil: every Do enters anew
}

// A pin is a thread that stays in a namespace and runs what it is given.
type pin struct {
	jobs chan func()
	done chan struct{} // closed by Close
	once sync.Once
}

// Spec returns what OpenNetns was asked for.
func (n *Netns) Spec() string { return n.spec }

// An nsID identifies a namespace for as long as somebody holds it.
type nsID struct{ dev, ino uint64 }

// OpenNetns opens a network namespace: a NAME of ip netns, the PID of a process in it, or a PATH (with a slash). ""
// is the one of the calling thread. A name made of digits is taken for a name where one exists. Errors wrap ErrNoNetns
// or ErrPermission.
func OpenNetns(spec string) (*Netns, error) {
	n := &Netns{spec: spec}
	path := ownNetns
	if spec != "" {
		var err error
		if path, err = netnsPath(spec); err != nil {
			return nil, err
		}
		n.path = path
	}
	var f *os.File
	err := confine.With(confine.Processes, func() (err error) {
		f, err = os.Open(path)
		return err
	})
	if err != nil && spec == "" {
		return n, nil // no /proc: where the caller is will do
	}
	if err != nil {
		return nil, openError(spec, path, err)
	}
	n.file = f
	if n.id, err = fileID(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("ctnl: netns: %s: %w", path, err)
	}
	if spec != "" && !isNetns(f) {
		_ = f.Close()
		return nil, fmt.Errorf("ctnl: netns: %w: %s is not one", ErrNoNetns, path)
	}
	return n, nil
}

// netnsPath returns the file that spec means.
func netnsPath(spec string) (string, error) {
	if strings.Contains(spec, "/") {
		return spec, nil
	}
	path := filepath.Join(netnsDir, spec)
	if _, err := os.Stat(path); err == nil || spec == "." || spec == ".." {
		return path, nil
	}
	if _, err := strconv.ParseUint(spec, 10, 31); err == nil {
		return "/proc/" + spec + "/ns/net", nil
	}
	return path, nil
}

// openError says what is missing and how to find what is there.
func openError(spec, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "/proc/") && !strings.Contains(spec, "/"):
		return fmt.Errorf("ctnl: netns: %w: no process %s and no name %s in %s", ErrNoNetns, spec, spec, netnsDir)
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, netnsDir+"/"):
		return fmt.Errorf("ctnl: netns: %w: %s (ip netns lists the names)", ErrNoNetns, spec)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("ctnl: netns: %w: %s", ErrNoNetns, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ctnl: netns: open %s: %w", path, ErrPermission)
	}
	return fmt.Errorf("ctnl: netns: %w", err)
}

// isNetns reports whether f is a namespace of type network (NS_GET_NSTYPE; kernels without it are believed).
func isNetns(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil || st.Type != unix.NSFS_MAGIC {
		return false
	}
	typ, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	return err != nil || typ == unix.CLONE_NEWNET
}

func fileID(f *os.File) (nsID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nsID{}, err
	}
	return nsID{uint64(st.Dev), st.Ino}, nil
}

// pathID is fileID of what path leads to now.
func pathID(path string) (nsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nsID{}, err
	}
	return nsID{uint64(st.Dev), st.Ino}, nil
}

// Name returns what OpenNetns was asked for.
func (n *Netns) Name() string { return n.spec }

// Close lets go of the namespace. Sockets opened in it keep it alive until they are closed too.
func (n *Netns) Close() error {
	if n.pin != nil {
		n.pin.once.Do(func() { close(n.pin.done) })
	}
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// Do runs fn inside the namespace and returns its error. Where the calling thread is in it already, fn runs there;
// else it runs on a thread of its own, which is thrown away. Either way fn's goroutine is locked to its thread, and
// what fn starts in other goroutines is not in the namespace. /proc/net and /proc/self are those of the process, not of
// the thread: fn uses /proc/thread-self; /proc/sys/net is the thread's.
func (n *Netns) Do(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if id, err := pathID(ownNetns); n.file == nil || err == nil && id == n.id {
		return fn()
	}
	errc := make(chan error, 1)
	if n.pin != nil {
		select {
		case n.pin.jobs <- func() { errc <- fn() }:
		case <-n.pin.done:
			return fmt.Errorf("ctnl: netns: %s: %w", n.place(), os.ErrClosed)
		}
		return <-errc
	}
	go n.enter(fn, errc)
	return <-errc
}

// Pin enters the namespace for good, with a thread that lives until Close and runs every later Do, one after the other: to
// enter takes CAP_SYS_ADMIN, which the process can give up then. Call it before n is used by others. It does nothing where
// the caller is in the namespace.
func (n *Netns) Pin() error {
	runtime.LockOSThread()
	id, err := pathID(ownNetns)
	runtime.UnlockOSThread()
	if n.pin != nil || n.file == nil || err == nil && id == n.id {
		return nil
	}
	p := &pin{jobs: make(chan func()), done: make(chan struct{})}
	in, ended := make(chan struct{}), make(chan error, 1)
	go n.enter(func() error {
		close(in)
		for {
			select {
			case job := <-p.jobs:
				job()
			case <-p.done:
				return nil
			}
		}
	}, ended)
	select {
	case <-in:
		n.pin = p
		return nil
	case err := <-ended:
		return err
	}
}

// enter runs fn in the namespace on a thread that it throws away: going back may not be permitted. It must not be the
// process's first thread, which Go cannot end and would park in the namespace for ever.
func (n *Netns) enter(fn func() error, errc chan<- error) {
	defer crash.Guard()
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		defer runtime.UnlockOSThread()
		other := make(chan error, 1)
		go n.enter(fn, other) // not on this thread while it is locked
		errc <- <-other
		return
	}
	// Never unlocked: the thread ends with the goroutine.
	err := confine.With(confine.SysAdmin, func() error { return unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET) })
	if err != nil {
		errc <- n.enterError(err)
		return
	}
	errc <- fn()
}

func (n *Netns) enterError(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("ctnl: netns: enter %s: %w: needs CAP_SYS_ADMIN", n.place(), ErrPermission)
	}
	return fmt.Errorf("ctnl: netns: enter %s: %w", n.place(), err)
}

// place names the namespace in a message.
func (n *Netns) place() string {
	if n.spec == "" {
		return "own namespace"
	}
	return n.spec
}

// Gone reports whether the name, process or path that led to the namespace no longer does: it was deleted, its process
// ended, or it stands for another one now. Open sockets keep a deleted namespace and its links alive, so whoever holds
// it should let go then. A namespace opened as "" is never gone.
func (n *Netns) Gone() bool {
	if n.path == "" {
		return false
	}
	var id nsID
	err := confine.With(confine.SysPtrace, func() (err error) {
		id, err = pathID(n.path)
		return err
	})
	return err == nil && id != n.id || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// Lasting returns a context that ends when the namespace is gone; then its cause wraps ErrNetnsGone. stop ends it, and what it
// started.
func (n *Netns) Lasting(ctx context.Context) (lasting context.Context, stop func()) {
	lasting, cancel := context.WithCancelCause(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		defer crash.Guard()
		if err := n.waitGone(lasting.Done()); err != nil {
			cancel(err)
		}
	})
	return lasting, func() {
		cancel(nil)
		wait.Wait()
	}
}

// waitGone blocks until the namespace is gone (ErrNetnsGone) or done is closed (nil). It polls: inotify does not see
// /proc, and half a second is soon enough.
func (n *Netns) waitGone(done <-chan struct{}) error {
	if n.path == "" {
		<-done
		return nil
	}
	t := time.NewTicker(netnsPoll)
	defer t.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-t.C:
			if n.Gone() {
				return fmt.Errorf("ctnl: netns: %s: %w", n.spec, ErrNetnsGone)
			}
		}
	}
}
