package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"
	"github.com/charmbracelet/x/termios"
)

// framesPerSecond bounds how often the screen is written to.
const framesPerSecond = 60

// Run shows the screen until the operator quits (nil), ctx ends (its error), a signal comes or the terminal goes away
// (ErrHangup, ErrTerminated, ErrInterrupted). The terminal is as before when it returns. Standard input and output, or
// o.Input and o.Output, must be terminals.
func Run(ctx context.Context, o Options) error {
	env := o.Environ
	if env == nil {
		env = os.Environ()
	}
	profile := dressFor(&o, env)
	a, err := New(o)
	if err != nil {
		return fmt.Errorf("tui: %w", err)
	}
	a.profile = profile
	if err := a.dress(); err != nil {
		return fmt.Errorf("tui: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.ctx = ctx

	in, err := openInput(o.Input)
	if err != nil {
		return fmt.Errorf("tui: %w", err)
	}
	out := o.Output
	if out == nil {
		out = os.Stdout
	}
	if o.Refresh <= 0 && slowLine(in.File) {
		a.refresh = slowRefresh
	}
	p := tea.NewProgram(a, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(env),
		tea.WithColorProfile(profile), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler(),
		tea.WithFilter(func(_ tea.Model, m tea.Msg) tea.Msg { return sized(m, env) }))
	in.gone = func(error) { go p.Send(quitMsg{ErrHangup}) }
	running.Store(p)
	defer running.Store(nil)
	defer onSignals(p, o.Unstick)()
	_, err = p.Run()
	return a.result(ctx, in, err)
}

// slowRefresh is the refresh interval on a serial line that nobody chose one for.
const slowRefresh = 5 * time.Second

// slowLine reports whether f is a serial line of 1200 to 19200 baud. Pseudo terminals say 38400.
func slowLine(f *os.File) bool {
	t, err := termios.GetTermios(int(f.Fd()))
	if err != nil {
		return false
	}
	const cbaud, b1200, b19200 = 0x100f, 0x9, 0xe // <asm-generic/termbits.h>
	speed := t.Cflag & cbaud
	return speed >= b1200 && speed <= b19200
}

// result turns what Bubble Tea returned into what Run returns.
func (a *App) result(ctx context.Context, in *input, err error) error {
	switch {
	case a.err != nil:
		return a.err
	case in.lost.Load():
		return ErrHangup
	case err == nil:
		return nil
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("tui: %w", err)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.EIO), errors.Is(err, io.EOF):
		return ErrHangup
	}
	return fmt.Errorf("tui: %w", err)
}

// onSignals has SIGHUP, SIGTERM and SIGINT end the program in order; the returned function takes that back.
func onSignals(p *tea.Program, unstick func()) func() {
	sig := make(chan os.Signal, 4)
	signal.Notify(sig, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		var stuck <-chan time.Time
		for {
			select {
			case s := <-sig:
				err := ErrTerminated
				switch s {
				case syscall.SIGHUP:
					err = ErrHangup
				case syscall.SIGINT:
					err = ErrInterrupted
				}
				go p.Send(quitMsg{err})
				if unstick != nil {
					stuck = time.After(stuckAfter)
				}
			case <-stuck:
				unstick()
				stuck = time.After(stuckAfter)
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(sig)
		close(done)
	}
}

// stuckAfter is how long the end may take before the terminal is taken for one that reads no more. A write that waits for
// it would keep the program from ending.
const stuckAfter = 300 * time.Millisecond

// An input is a terminal that tells when it is gone. Bubble Tea would go on without a keyboard.
type input struct {
	*os.File
	once sync.Once
	lost atomic.Bool
	gone func(error)
}

// openInput returns the terminal that keys come from: r, standard input, or /dev/tty where standard input is something
// else.
func openInput(r io.Reader) (*input, error) {
	f, ok := r.(*os.File)
	if r != nil && !ok {
		return nil, errors.New("the input is not a file")
	}
	if f == nil {
		f = os.Stdin
		if !term.IsTerminal(f.Fd()) {
			in, _, err := tea.OpenTTY()
			if err != nil {
				return nil, err
			}
			f = in
		}
	}
	return &input{File: f}, nil
}

// Read reads keys. Anything but a temporary error means that the terminal is gone.
func (i *input) Read(b []byte) (int, error) {
	n, err := i.File.Read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	if err != nil && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EAGAIN) {
		i.lost.Store(true)
		i.once.Do(func() {
			if i.gone != nil {
				i.gone(err)
			}
		})
	}
	return n, err
}

// sized gives a terminal that does not know its size (0x0: serial lines) one from COLUMNS and LINES, or 80x24.
func sized(m tea.Msg, env []string) tea.Msg {
	w, ok := m.(tea.WindowSizeMsg)
	if !ok {
		return m
	}
	if w.Width <= 0 || w.Width > 10000 {
		w.Width = sizeFrom(env, "COLUMNS", 80)
	}
	if w.Height <= 0 || w.Height > 10000 {
		w.Height = sizeFrom(env, "LINES", 24)
	}
	return w
}

func sizeFrom(env []string, name string, otherwise int) int {
	if n, err := strconv.Atoi(getenv(env, name)); err == nil && n > 0 && n <= 10000 {
		return n
	}
	return otherwise
}

// getenv returns the last value of name in env, "" for none.
func getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// dressFor sets the options that the environment decides, and returns how many colours the terminal gets.
func dressFor(o *Options, env []string) colorprofile.Profile {
	name := getenv(env, "TERM")
	poor := name == "" || name == "dumb" || strings.HasPrefix(name, "vt") || strings.HasSuffix(name, "-mono") ||
		strings.HasSuffix(name, "-m")
	if poor || getenv(env, "NO_COLOR") != "" {
		o.NoColor = true
	}
	if poor || !utf8Locale(env) {
		o.ASCII = true
	}
	if o.NoColor || o.Theme == "none" {
		return colorprofile.ASCII
	}
	switch true256 := getenv(env, "COLORTERM"); {
	case true256 == "truecolor" || true256 == "24bit":
		return colorprofile.TrueColor
	case strings.Contains(name, "256color") || strings.Contains(name, "kitty") || strings.Contains(name, "ghostty") ||
		strings.Contains(name, "alacritty") || strings.Contains(name, "foot") || strings.Contains(name, "wezterm"):
		return colorprofile.ANSI256
	}
	return colorprofile.ANSI
}

// utf8Locale reports whether the locale's characters are UTF-8.
func utf8Locale(env []string) bool {
	for _, n := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(env, n); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// running is the program whose terminal Guard gives back.
var running atomic.Pointer[tea.Program]

// Guard is deferred at the top of every goroutine that is not Bubble Tea's: on a panic it gives the terminal back before
// the panic goes on, so that its text can be read and the shell used.
func Guard() {
	r := recover()
	if r == nil {
		return
	}
	if p := running.Load(); p != nil {
		_ = p.ReleaseTerminal()
	}
	panic(r)
}
