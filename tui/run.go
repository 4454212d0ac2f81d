package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	xterm "github.com/charmbracelet/x/term"
	"github.com/charmbracelet/x/termios"

	"ctview/tui/term"
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
	a.profile, a.isDark = profile, darkBackground(env)
	if err := a.dress(); err != nil {
		return fmt.Errorf("tui: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.ctx = ctx

	f, err := openInput(o.Input)
	if err != nil {
		return fmt.Errorf("tui: %w", err)
	}
	in, out := term.NewInput(f, o.Escape), term.NewOutput(os.Stdout, term.KindOf(getenv(env, "TERM")))
	if o.Output != nil {
		out.File = o.Output
	}
	if o.Refresh <= 0 && slowLine(f) {
		a.refresh = slowRefresh
	}
	size := a.measure(out, env)
	p := tea.NewProgram(a, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(env),
		tea.WithColorProfile(profile), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler(), tea.WithWindowSize(size.Width, size.Height),
		tea.WithFilter(func(_ tea.Model, m tea.Msg) tea.Msg {
			switch m.(type) {
			case resizedMsg, tea.WindowSizeMsg:
				return a.measure(out, env)
			}
			return m
		}))
	if o.Escape <= 0 {
		in.Ask = out.Ask
	}
	in.Gone = func() { go p.Send(quitMsg{ErrHangup}) }
	a.signals = newSupervisor(p, in, out, o.Unstick)
	defer a.signals.stop()
	_, err = p.Run()
	in.Cook()
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
func (a *App) result(ctx context.Context, in *term.Input, err error) error {
	switch {
	case a.err != nil:
		return a.err
	case in.Lost():
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

// A resizedMsg tells that the terminal may have another size.
type resizedMsg struct{}

// measure asks the terminal for its size and returns that of the frame. Bubble Tea does not know out for a terminal and asks
// nothing: it would draw nothing at all on one of more than a million cells, and keep several buffers of its size.
func (a *App) measure(out *term.Output, env []string) tea.WindowSizeMsg {
	a.terminal.w, a.terminal.h = out.Size()
	w, h := frameSize(a.terminal.w, a.terminal.h, env)
	return tea.WindowSizeMsg{Width: w, Height: h}
}

// frameSize returns the size of the frame on a terminal of w × h cells. One that does not know its size (0x0: serial lines) has
// that of COLUMNS and LINES, or 80x24; of a huge one a part is used.
func frameSize(w, h int, env []string) (int, int) {
	if w <= 0 || w > 10000 {
		w = sizeFrom(env, "COLUMNS", 80)
	}
	if h <= 0 || h > 10000 {
		h = sizeFrom(env, "LINES", 24)
	}
	return min(w, maxWidth), min(h, maxHeight)
}

// The largest frame: more than a screen of 4K has at the smallest font. Bubble Tea keeps some 220 bytes for each cell.
const maxWidth, maxHeight = 1000, 300

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

// openInput returns the terminal that keys come from: f, standard input, or /dev/tty where standard input is something
// else.
func openInput(f *os.File) (*os.File, error) {
	if f == nil {
		f = os.Stdin
	}
	if xterm.IsTerminal(f.Fd()) {
		return f, nil
	}
	in, _, err := tea.OpenTTY()
	return in, err
}

// withoutColours are VTs, which have none, and terminals that are named for it.
var withoutColours = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(dumb|unknown|emacs|)$|^vt\d|-mono$|-m$`) })

// dressFor sets the options that the environment decides, and returns how many colours the terminal gets.
func dressFor(o *Options, env []string) colorprofile.Profile {
	name := getenv(env, "TERM")
	poor := withoutColours().MatchString(name)
	if term.KindOf(name) != term.Full {
		o.NoMouse = true
	}
	o.Console = o.Console || name == "linux"
	if noColours(env, poor) {
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

// darkBackground is what COLORFGBG (rxvt, Konsole) says of the background, true if nothing; the terminal's own answer, if one
// comes, holds. 7 and 15 are the white ones.
func darkBackground(env []string) bool {
	v := getenv(env, "COLORFGBG")
	back := v[strings.LastIndexByte(v, ';')+1:]
	return back != "7" && back != "15"
}

// Colours reports whether a terminal in this environment gets colours (NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM); forced: wherever
// the output goes.
func Colours(env []string) (colours, forced bool) {
	force := getenv(env, "CLICOLOR_FORCE")
	colours = !noColours(env, withoutColours().MatchString(getenv(env, "TERM")))
	return colours, colours && force != "" && force != "0"
}

// noColours reports whether the operator (no-color.org, bixense.com/clicolors) or the terminal wants none.
func noColours(env []string, poor bool) bool {
	force := getenv(env, "CLICOLOR_FORCE")
	switch {
	case getenv(env, "NO_COLOR") != "":
		return true
	case force != "" && force != "0":
		return false
	}
	return poor || getenv(env, "CLICOLOR") == "0"
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
