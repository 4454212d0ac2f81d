package confine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Caps is a set of capabilities, bit n for number n of <linux/capability.h>.
type Caps uint64

// The capabilities that something in ctview needs, and for what.
const (
	NetAdmin      Caps = 1 << unix.CAP_NET_ADMIN        // every request of ctnetlink, reading too (nfnetlink_rcv)
	SysAdmin      Caps = 1 << unix.CAP_SYS_ADMIN        // to enter another network namespace (netns_install)
	NetRaw        Caps = 1 << unix.CAP_NET_RAW          // the raw socket of the iptables programs
	SysPtrace     Caps = 1 << unix.CAP_SYS_PTRACE       // what /proc/PID/fd and /proc/PID/ns of others lead to
	DacReadSearch Caps = 1 << unix.CAP_DAC_READ_SEARCH  // to open /proc/PID/fd, and files of the user behind sudo
	DacOverride   Caps = 1 << unix.CAP_DAC_OVERRIDE     // to write in the directories of the user behind sudo
	Chown         Caps = 1 << unix.CAP_CHOWN            // to leave such a file to that user
	NetBind       Caps = 1 << unix.CAP_NET_BIND_SERVICE // servers of the demo's lab
	All           Caps = ^Caps(0)
)

// Processes is what it takes to look into the processes of others.
const Processes = SysPtrace | DacReadSearch

// ErrCgo says that the program was linked with C, so that the threads of the process cannot all be reached.
var ErrCgo = errors.New("built with cgo, which cannot give up privileges: build with CGO_ENABLED=0")

// keeping lets one Keep run at a time.
var keeping sync.Mutex

// Keep gives up, on every thread and for good, all capabilities but keep, and the way to get others by starting a program
// (no_new_privs). Of keep, what is in now is in effect from then on; With adds the rest for one act. What the process did not
// have it does not get. Safe for concurrent use.
func Keep(keep, now Caps) error {
	keeping.Lock()
	defer keeping.Unlock()
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on == 0 {
		if err := everyThread(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
	}
	s, err := get()
	if err != nil {
		return err
	}
	s.permitted &= keep
	s.inheritable &= keep // the ambient set follows
	s.effective = s.permitted & now
	hdr, data := s.raw()
	if err := everyThread(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0])), 0, 0, 0); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// With runs fn on the calling goroutine, locked to its thread, with want in effect too as far as Keep has left it. What fn
// starts in other goroutines has nothing of it. It returns fn's error. Safe for concurrent use.
func With(want Caps, fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := get()
	more := want & s.permitted &^ s.effective
	if err != nil || more == 0 {
		return fn() // the kernel tells what is missing
	}
	s.effective |= more
	if s.set() != nil { // Keep was faster
		return fn()
	}
	defer lower(more)
	return fn()
}

// lower takes capabilities out of effect on the calling thread. Less is always allowed; only a Keep in between, which
// has taken more, makes it look again.
func lower(caps Caps) {
	for range 10 {
		if s, err := get(); err == nil {
			s.effective &^= caps
			if s.set() == nil {
				return
			}
		}
	}
	panic("confine: a capability stays in effect")
}

// sets are the capability sets of a thread.
type sets struct{ effective, permitted, inheritable Caps }

// get reads the sets of the calling thread.
func get() (sets, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&hdr, &d[0]); err != nil {
		return sets{}, os.NewSyscallError("capget", err)
	}
	join := func(low, high uint32) Caps { return Caps(low) | Caps(high)<<32 }
	return sets{join(d[0].Effective, d[1].Effective), join(d[0].Permitted, d[1].Permitted), join(d[0].Inheritable, d[1].Inheritable)}, nil
}

// set writes the sets of the calling thread.
func (s sets) set() error {
	hdr, d := s.raw()
	return os.NewSyscallError("capset", unix.Capset(&hdr, &d[0]))
}

func (s sets) raw() (unix.CapUserHeader, [2]unix.CapUserData) {
	half := func(shift int) unix.CapUserData {
		return unix.CapUserData{Effective: uint32(s.effective >> shift), Permitted: uint32(s.permitted >> shift), Inheritable: uint32(s.inheritable >> shift)}
	}
	return unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{half(0), half(32)}
}

// Able reports whether this program can give up anything: without cgo it can.
func Able() bool {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPPID, 0, 0, 0)
	return errno == 0
}

// everyThread makes a system call on every thread of the process.
//
//go:uintptrescapes
func everyThread(nr, a1, a2, a3, a4, a5 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(nr, a1, a2, a3, a4, a5, 0)
	switch {
	case errno == syscall.ENOTSUP:
		return ErrCgo
	case errno != 0:
		return errno
	}
	return nil
}
