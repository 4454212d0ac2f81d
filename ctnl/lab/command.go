package lab

import (
	"bytes"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// A Cmd is an exec.Cmd that starts inside a namespace. Only the methods below enter it.
type Cmd struct {
	*exec.Cmd
	ns *NS
}

// Command returns a command that will run inside the namespace and is killed with this process. Tests use it for the
// tools that they compare with; the lab itself runs no programs.
func (n *NS) Command(name string, args ...string) *Cmd {
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return &Cmd{c, n}
}

// Start is exec.Cmd.Start inside the namespace. The thread that forks is kept until the program has ended: the kernel
// ties Pdeathsig to it, not to the process, and the Go runtime ends threads that were used up elsewhere.
func (c *Cmd) Start() error {
	started := make(chan error, 1)
	go func() {
		defer crash.Guard()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.ns.Do(c.Cmd.Start)
		pid := 0
		if err == nil {
			pid = c.Process.Pid
		}
		started <- err
		if err == nil {
			awaitEnd(pid)
		}
	}()
	return <-started
}

// awaitEnd waits until a child has ended and leaves it for exec.Cmd.Wait to reap.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return // ended, or reaped by Wait in the meantime
		}
	}
}

// Run is exec.Cmd.Run inside the namespace.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd.Output inside the namespace; what the program wrote to its error output is in the
// *exec.ExitError's Stderr.
func (c *Cmd) Output() ([]byte, error) {
	var out, diag bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &diag
	}
	err := c.Run()
	if e, ok := err.(*exec.ExitError); ok {
		e.Stderr = diag.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput is exec.Cmd.CombinedOutput inside the namespace.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
