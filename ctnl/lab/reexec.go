package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// InsideEnv marks the process that Command started. Its value says what was unshared.
const InsideEnv = "CTVIEW_LAB_INSIDE"

// ErrUserNS says that the kernel, or its configuration, lets ordinary users make no user namespaces, without which a
// lab needs root.
var ErrUserNS = errors.New("this system lets ordinary users make no namespaces of their own; try sudo ctview demo")

// Inside reports whether Command started this process.
func Inside() bool { return os.Getenv(InsideEnv) != "" }

// Command returns a command that runs this program again, with args, where NewNS and New work: in network and mount
// namespaces of its own and, without CAP_SYS_ADMIN, as root of a user namespace of its own too. (With it no user
// namespace is made: there SO_RCVBUFFORCE is refused.) The child's standard streams are this process's; it is killed
// when the thread that starts it ends, so start it from a goroutine that stays locked to its thread until the child
// has ended.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "/proc/self/exe", args...)
	c.Args[0] = os.Args[0]
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), InsideEnv+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if !Privileged() {
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return c
}

// Reexec runs Command and returns its exit code, 128 + n after signal n. SIGTERM and SIGHUP are passed on to the child;
// SIGINT and SIGQUIT are left to it, for the terminal sends them to both. What was ignored stays ignored.
func Reexec(ctx context.Context, args ...string) (code int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	c := Command(ctx, args...)
	if err := c.Start(); err != nil {
		if c.SysProcAttr.Cloneflags&unix.CLONE_NEWUSER != 0 {
			return 0, fmt.Errorf("lab: %w (%w)", ErrUserNS, err)
		}
		return 0, fmt.Errorf("lab: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer crash.Guard()
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM || s == syscall.SIGHUP {
					_ = c.Process.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	err = c.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws := e.Sys().(syscall.WaitStatus); ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return e.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	return 0, nil
}

// Privileged reports whether this process can make namespaces as it is: whether it has CAP_SYS_ADMIN and CAP_NET_ADMIN.
func Privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
}

// refused adds the advice of ErrUserNS to a refusal inside a user namespace. Some systems (AppArmor's
// restrict_unprivileged_userns) let anybody make one and then allow nothing in it.
func refused(err error) error {
	if inUserNS() && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) {
		return fmt.Errorf("%w (%w)", ErrUserNS, err)
	}
	return err
}

// inUserNS reports whether this process is in a user namespace other than the first, which maps all numbers to
// themselves.
func inUserNS() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// Main is for TestMain: it runs the tests of a package that needs namespaces, in a process of Command's where this one
// may not make any.
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
func Main(m interface{ Run() int }) int {
	if Privileged() || Inside() {
		return m.Run()
	}
	code, err := Reexec(context.Background(), os.Args[1:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
