package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ctview/ctnl/lab"
)

// A usage is what one run of a program took.
type usage struct {
	wall, user, sys time.Duration
	rss             int // peak, bytes
}

func (u usage) cpu() time.Duration { return u.user + u.sys }

func (u usage) String() string {
	return fmt.Sprintf("%.2f s wall, %.2f user + %.2f sys, %.0f MB", u.wall.Seconds(), u.user.Seconds(), u.sys.Seconds(), float64(u.rss)/1e6)
}

// run runs a program in ns with its output in the file out ("": nowhere) and returns what it took.
func run(ns *lab.NS, out, name string, args ...string) (usage, error) {
	c := ns.Command(name, args...)
	var diag bytes.Buffer
	c.Stderr = &diag
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return usage{}, err
		}
		defer f.Close()
		c.Stdout = f
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return usage{}, err
	}
	peak := watchPeak(c.Process.Pid)
	stuck := time.AfterFunc(5*time.Minute, func() { _ = c.Process.Kill() })
	err := c.Wait()
	stuck.Stop()
	u := usage{wall: time.Since(began), rss: peak()}
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(diag.String()))
	}
	u.user, u.sys = c.ProcessState.UserTime(), c.ProcessState.SystemTime()
	return u, nil
}

// watchPeak looks at the peak memory of a process until the returned function is called, which tells it. (The ru_maxrss
// of wait4 is no good: a child that was forked by sharing our memory starts with our peak.)
func watchPeak(pid int) func() int {
	done, result := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			peak = max(peak, memory(pid, "VmHWM"))
			select {
			case <-t.C:
			case <-done:
				result <- peak
				return
			}
		}
	}()
	return func() int { close(done); return <-result }
}

// memory returns a size from /proc/PID/status in bytes, 0 where there is none.
func memory(pid int, field string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), field+":")
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	kb, _ := strconv.Atoi(words[0])
	return kb << 10
}

// tick is the unit of the times in /proc/PID/stat (USER_HZ).
const tick = time.Second / 100

// cpuTime returns the CPU time that a process has used so far.
func cpuTime(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	sys, _ := strconv.Atoi(f[12])
	return time.Duration(user+sys) * tick
}

// installed reports whether a peer can be run.
func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// interrupt ends a process as Ctrl-C does and waits for it.
func interrupt(c *lab.Cmd) error {
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	_ = c.Wait() // its exit code tells of the signal
	return nil
}
