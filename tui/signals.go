package tui

import (
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model/crash"
	"ctview/tui/term"
)

// endings are the signals that end a session in order: those whose default is death and that come from outside.
var endings = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1,
	syscall.SIGUSR2, syscall.SIGALRM}

// Times of the end of a session.
const (
	// stuckAfter is how long the end may take before the terminal is taken for one that reads no more. A write that waits
	// for it would keep the program from ending.
	stuckAfter = 300 * time.Millisecond
	// repeatedAfter is when another signal is meant: a hang-up comes from kernel and shell, at once.
	repeatedAfter = time.Second
	// forcedAfter is when a session that a signal does not end is ended without its consent.
	forcedAfter = 900 * time.Millisecond
)

// A supervisor takes the signals of a session: those that end it and those of job control.
type supervisor struct {
	p       *tea.Program
	in      *term.Input
	out     *term.Output
	unstick func()

	sig       chan os.Signal
	continued chan struct{}
	ending    chan struct{} // closed by the first signal that ends the session
	done      chan struct{}
	away      atomic.Bool // a job is on: whoever has the terminal now gives it back
}

// newSupervisor returns a supervisor at work. stop it.
func newSupervisor(p *tea.Program, in *term.Input, out *term.Output, unstick func()) *supervisor {
	s := &supervisor{p: p, in: in, out: out, unstick: unstick, sig: make(chan os.Signal, 16), continued: make(chan struct{}, 1),
		ending: make(chan struct{}), done: make(chan struct{})}
	for _, e := range append([]os.Signal{syscall.SIGTSTP}, endings...) {
		if !signal.Ignored(e) { // nohup, or a shell without job control
			signal.Notify(s.sig, e)
		}
	}
	signal.Notify(s.sig, syscall.SIGCONT, syscall.SIGWINCH)
	crash.Before(s.giveBack)
	go s.watch()
	return s
}

// stop gives the signals back.
func (s *supervisor) stop() {
	signal.Stop(s.sig)
	close(s.done)
	crash.Before(nil)
}

func (s *supervisor) watch() {
	defer crash.Guard()
	var (
		last          syscall.Signal
		at            time.Time
		stuck, forced <-chan time.Time
	)
	for {
		select {
		case got := <-s.sig:
			switch got {
			case syscall.SIGTSTP:
				go s.p.Send(stopMsg{})
			case syscall.SIGCONT:
				s.cont()
			case syscall.SIGWINCH:
				go s.p.Send(resizedMsg{})
			default:
				if last != 0 && time.Since(at) > repeatedAfter {
					s.die(last)
				}
				if last == 0 {
					last, at = got.(syscall.Signal), time.Now()
					close(s.ending)
					stuck, forced = time.After(stuckAfter), time.After(forcedAfter)
					go s.p.Send(quitMsg{SignalError{last}})
				}
			}
		case <-stuck:
			if s.unstick != nil {
				s.unstick()
			}
			stuck = time.After(stuckAfter)
		case <-forced:
			s.die(last)
		case <-s.done:
			return
		}
	}
}

// cont tells a job that waits for it of a SIGCONT. Where none does, the process was stopped by SIGSTOP, unasked: the shell
// has changed the terminal meanwhile, so it is given back and taken again.
func (s *supervisor) cont() {
	if s.away.Load() {
		select {
		case s.continued <- struct{}{}:
		default:
		}
		return
	}
	if j := s.job(false, false); !s.in.Foreground() {
		j.Away(true)
	}
	go s.p.Send(takeMsg{})
}

func (s *supervisor) job(stop, group bool) *term.Job {
	return &term.Job{In: s.in, Out: s.out, Stop: stop, Group: group, Continued: s.continued, Ending: s.ending}
}

// giveBack gives the terminal back on the way to a crash: as Bubble Tea does it, or by hand if that takes long.
func (s *supervisor) giveBack() {
	done := make(chan struct{})
	go func() {
		_ = s.p.ReleaseTerminal()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(stuckAfter):
		s.out.Reset()
	}
	s.in.Cook()
}

// die ends the process by a signal that did not end the session. What is not given back is given back.
func (s *supervisor) die(by syscall.Signal) {
	s.giveBack()
	signal.Reset(by)
	_ = syscall.Kill(os.Getpid(), by)
	time.Sleep(stuckAfter)
	os.Exit(128 + int(by))
}

// Messages of job control.
type (
	// A stopMsg asks to stop: SIGTSTP came.
	stopMsg struct{}
	// A takeMsg asks to take the terminal again: SIGCONT came.
	takeMsg struct{}
	// A backMsg tells that the terminal is ctview's again, or why not.
	backMsg struct{ err error }
)

// yield gives the terminal away and takes it again; with stop, the process, or its group, is stopped meanwhile.
func (a *App) yield(stop, group bool) tea.Cmd {
	switch {
	case a.signals == nil || a.signals.away.Load():
		return nil
	case stop && !term.CanStop():
		a.say(term.ErrNoShell.Error() + ": nobody would continue ctview if it stopped")
		return nil
	}
	a.signals.away.Store(true)
	return tea.Exec(a.signals.job(stop, group), func(err error) tea.Msg { return backMsg{err} })
}

// back goes on after a yield.
func (a *App) back(err error) tea.Cmd {
	s := a.signals
	s.away.Store(false)
	select {
	case <-s.ending:
		return nil // quitMsg is on its way
	default:
	}
	switch {
	case errors.Is(err, term.ErrNoShell):
		a.say(err.Error() + ": the kernel did not stop ctview")
		return nil
	case err != nil:
		a.err = ErrHangup
		return tea.Quit
	}
	if a.opt.Kernel != nil {
		a.opt.Kernel.Resync()
	}
	a.say("resumed: reading the whole table again")
	return a.ask(true)
}
