package term

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors of Job.Run.
var (
	// ErrNoShell: nobody would go on with a program that stops.
	ErrNoShell = errors.New("no shell to go back to")
	// ErrBackground: the terminal is another's, and nobody is there to bring the program back to it.
	ErrBackground = errors.New("in the background, with no shell to come back from")
)

// A Job is a time in which another has the terminal. Run is called with the terminal given back, by Bubble Tea
// (tea.ExecCommand), and returns when it may be taken again.
type Job struct {
	In  *Input
	Out *Output
	// Stop has the process stop first; with Group, all of its group, as the terminal does for Ctrl-Z.
	Stop, Group bool
	// Continued tells of every SIGCONT. Ending, once closed, ends the wait for one.
	Continued <-chan struct{}
	Ending    <-chan struct{}
}

// SetStdin does nothing, as SetStdout and SetStderr: a Job has the terminal already.
func (j *Job) SetStdin(io.Reader) {}

// SetStdout does nothing.
func (j *Job) SetStdout(io.Writer) {}

// SetStderr does nothing.
func (j *Job) SetStderr(io.Writer) {}

// notStopped is how long the kernel may take to stop a process that asked for it. It takes none: after that, it did not.
const notStopped = 500 * time.Millisecond

// drawerGone is how long a goroutine that was told to end takes at most to do so.
const drawerGone = 100 * time.Millisecond

// Run gives the terminal away until it is this job's again.
func (j *Job) Run() error {
	j.In.Cook()
	j.Away(true)
	var err error
	if j.Stop {
		err = j.stop(syscall.SIGTSTP)
	} else {
		// Bubble Tea's old goroutine that draws stops the ticker on its way out, without anybody waiting for it; the new one
		// shares the ticker, and would never draw if it began first (v2.0.10, startRenderer).
		time.Sleep(drawerGone)
	}
	for !j.ended() && !j.In.Foreground() {
		// In the background (bg): the kernel stops whoever changes the terminal from there, too.
		if j.stop(syscall.SIGTTOU) != nil && !j.In.Foreground() {
			return ErrBackground
		}
	}
	if !j.ended() {
		j.Away(false)
	}
	return err
}

// Away tells that another has the terminal, or no longer.
func (j *Job) Away(away bool) {
	j.In.away.Store(away)
	j.Out.muted.Store(away)
}

// stop stops the process, or its group, and returns when it was continued.
func (j *Job) stop(sig syscall.Signal) error {
	drain(j.Continued)
	defer byDefault(sig)()
	pid := os.Getpid()
	if j.Group && sig == syscall.SIGTSTP {
		pid = 0
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return err
	}
	// Clocks run on while the process is stopped: the first wait may be over before Go has seen the signal that ended the stop.
	for range 2 {
		select {
		case <-j.Continued:
			return nil
		case <-j.Ending:
			return nil
		case <-time.After(notStopped):
		}
	}
	return ErrNoShell
}

// byDefault has the kernel do with sig what it does by itself; the returned function has Go get it again. os/signal.Reset
// leaves Go's handler in place for the signals that stop, which then does nothing (runtime, sigdisable). An action of zeros
// is SIG_DFL, no flags and no mask, in the struct of every architecture.
func byDefault(sig syscall.Signal) func() {
	var none, was [20]uint64
	size := uintptr(8) // of a signal set
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		size = 16
	}
	set := func(to, from *[20]uint64) {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), size, 0, 0)
	}
	set(&none, &was)
	return func() { set(&was, nil) }
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func (j *Job) ended() bool {
	select {
	case <-j.Ending:
		return true
	default:
		return false
	}
}

// Foreground reports whether the terminal is this process group's. Where that cannot be asked, it is.
func (i *Input) Foreground() bool {
	pgrp, err := unix.IoctlGetInt(int(i.File.Fd()), unix.TIOCGPGRP)
	return err != nil || pgrp == unix.Getpgrp()
}

// CanStop reports whether somebody would go on with this process if it stopped: the kernel discards SIGTSTP where no
// process of the group has a parent outside the group but in the session, its shell (kernel/exit.c,
// will_become_orphaned_pgrp).
func CanStop() bool {
	if signal.Ignored(syscall.SIGTSTP) {
		return false
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	pgrp := unix.Getpgrp()
	if watched(unix.Getppid(), pgrp, session) {
		return true
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		if parent, group, ok := readStat(name); ok && group == pgrp && watched(parent, pgrp, session) {
			return true
		}
	}
	return false
}

// watched reports whether parent is in the session, and not in the group.
func watched(parent, pgrp, session int) bool {
	if parent <= 0 { // outside of this PID namespace
		return false
	}
	s, err := unix.Getsid(parent)
	if err != nil || s != session {
		return false
	}
	g, err := unix.Getpgid(parent)
	return err == nil && g != pgrp
}

// readStat reads parent and process group from a stat file of proc(5).
func readStat(name string) (parent, group int, ok bool) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, false
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // state ppid pgrp
	if len(f) < 3 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(f[1]))
	if err != nil {
		return 0, 0, false
	}
	group, err = strconv.Atoi(string(f[2]))
	return parent, group, err == nil
}
