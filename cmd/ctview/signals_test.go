package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
)

// TestConntrackSignals sends signals to conntrack(8) and to the drop-in while they follow events, with signals at their
// default and ignored from the start: what becomes of both, and what they print into one pipe, is the same.
func TestConntrackSignals(t *testing.T) {
	tests := []struct {
		name, ignored string
		signals       []syscall.Signal
	}{
		{"default", "", []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
			syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGPIPE, syscall.SIGABRT, syscall.SIGIO, syscall.SIGXCPU, 40}},
		{"nohup", "HUP", []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1}},
		{"in the background of a script", "INT QUIT", []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM}},
	}
	ns := newNS(t)
	for _, tt := range tests {
		for _, sig := range tt.signals {
			t.Run(fmt.Sprintf("%s %d", tt.name, sig), func(t *testing.T) {
				want := follow(t, ns, exec.Command("conntrack"), tt.ignored, conntrackE...).end(t, sig, nil)
				got := follow(t, ns, ctview(t), tt.ignored, conntrackE...).end(t, sig, &want)
				if got != want {
					t.Errorf("after signal %d (%v)\nctview:    %+v\nconntrack: %+v", sig, sig, got, want)
				}
			})
		}
	}
}

var conntrackE = []string{"conntrack", "-E", "-o", "xml"}

// TestIgnoredStaysIgnored: after nohup a hangup does not end what ctview follows, nor what a shell without job control
// put in the background an interrupt.
func TestIgnoredStaysIgnored(t *testing.T) {
	ns := newNS(t)
	for _, args := range [][]string{{"ctview", "events"}, {"ctview", "record", "-"}} {
		for ignored, sigs := range map[string][]syscall.Signal{"HUP": {syscall.SIGHUP}, "INT QUIT": {syscall.SIGINT, syscall.SIGQUIT}} {
			for _, sig := range sigs {
				e := follow(t, ns, ctview(t), ignored, args...).end(t, sig, &ending{Alive: true})
				if !e.Alive || e.Status.ExitStatus() != exitSignalOffset+int(syscall.SIGTERM) {
					t.Errorf("%s with %s ignored, after %v: %+v, want it alive until SIGTERM", strings.Join(args, " "), ignored, sig, e)
				}
			}
		}
	}
}

// joinedGroups matches a netfilter socket that has joined groups in /proc/net/netlink.
var joinedGroups = regexp.MustCompile(`(?m)^\S+ +12 +\d+ +0*[1-9a-f]`)

// A followed is a conntrack -E that listens.
type followed struct {
	cmd  *exec.Cmd
	done chan struct{}
	both bytes.Buffer // stdout and stderr, in one pipe
}

// An ending is how it took a signal.
type ending struct {
	Alive  bool
	Status syscall.WaitStatus
	Text   string
}

// follow runs program in ns with args, the name that it is called by first, and the signals of ignored ignored, until it
// listens.
func follow(t *testing.T, ns *lab.NS, program *exec.Cmd, ignored string, args ...string) *followed {
	t.Helper()
	script := `ulimit -c 0; name=$1; shift; exec -a "$name" "$0" "$@"`
	if ignored != "" {
		script = "trap '' " + ignored + "; " + script
	}
	f := &followed{cmd: exec.Command("bash", append([]string{"-c", script, program.Path}, args...)...), done: make(chan struct{})}
	f.cmd.Env, f.cmd.Stdout, f.cmd.Stderr = program.Env, &f.both, &f.both
	if err := ns.Do(f.cmd.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.done)
		_ = f.cmd.Wait() // the status says it all
	}()
	t.Cleanup(func() { _ = f.cmd.Process.Kill(); <-f.done })
	f.until(t, "listens", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", f.cmd.Process.Pid))
		return err == nil && joinedGroups.Match(b) && f.idle()
	})
	return f
}

// end sends sig and tells what came of it; what is still alive then ends with SIGTERM. like, if not nil, tells what to
// wait for.
func (f *followed) end(t *testing.T, sig syscall.Signal, like *ending) (e ending) {
	t.Helper()
	if err := f.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	f.until(t, "takes the signal", func() bool { return (like == nil || like.Alive) && f.idle() })
	select {
	case <-f.done:
	default:
		e.Alive = true
		_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile: the status tells
		f.until(t, "ends", func() bool { return false })
	}
	e.Status, e.Text = f.cmd.ProcessState.Sys().(syscall.WaitStatus), f.both.String()
	return e
}

// idle reports whether the process waits with no signal to take.
func (f *followed) idle() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	return err == nil && strings.Contains(string(b), "State:\tS") && strings.Contains(string(b), "ShdPnd:\t0000000000000000")
}

// until polls until ok or the process ended.
func (f *followed) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		select {
		case <-f.done:
			return
		case <-time.After(2 * time.Millisecond):
		}
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited too long until it %s: %s", what, f.both.String())
		}
	}
}
