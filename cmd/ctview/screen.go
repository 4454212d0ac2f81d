package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"time"

	"ctview/ctnl/confine"
	"ctview/model"
	"ctview/model/filter"
	"ctview/tui"
	tuiterm "ctview/tui/term"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// tuiOptions are the flags of the terminal UI.
type tuiOptions struct {
	refresh   time.Duration
	theme     string
	noMouse   bool
	escape    time.Duration
	budget    float64
	netnsName string // shown in place of --netns
	read      string // a recording
}

func (o *tuiOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	addDuration(f, &o.refresh, "refresh", 0, "`TIME` between two readings (default 1s; 5s for a serial line)")
	f.StringVar(&o.theme, "theme", "", "`THEME`: auto, none, ansi, 256, light256, or one of your own")
	f.BoolVar(&o.noMouse, "no-mouse", false, "leave the mouse to the terminal")
	addDuration(f, &o.escape, "escape-time", 0, "`TIME` that Esc waits to be more than the key (default: until the terminal answers, 200ms at most)")
	f.Float64Var(&o.budget, "budget", 0, "`PERCENT` of one core that re-reading the table may cost (default 5)")
}

// runRoot is ctview without a command: the terminal UI, or the list where there is no terminal to draw on.
func runRoot(ctx context.Context, g *globals, args []string, o tuiOptions) error {
	able := tuiterm.KindOf(os.Getenv("TERM")) != tuiterm.Unable
	if !isTerminal(g.in) || !isTerminal(g.out) || !able {
		if !able && isTerminal(g.out) && !g.quiet {
			fmt.Fprintf(g.err, "ctview: no screen on a terminal of the kind TERM=%s: the list\n", model.Escape(os.Getenv("TERM")))
		}
		return runList(ctx, g, filterText(args), listOptions{output: "table", read: o.read})
	}
	if o.read != "" {
		return runReplay(ctx, g, o.read, filterText(args), o)
	}
	return runTUI(ctx, g, filterText(args), o)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// runTUI shows the namespace g.netns until the user quits.
func runTUI(ctx context.Context, g *globals, text string, o tuiOptions) error {
	opt, budget, err := g.screenOptions(text, o)
	if err != nil {
		return err
	}
	places, err := g.places()
	if err != nil {
		return err
	}
	if err := g.screenClock(&opt); err != nil {
		return err
	}
	g.draws = true
	g.screenKeeps(opt.ReadOnly)
	plan := watchPlan{budget: budget, memory: g.memory(), readOnly: opt.ReadOnly, stay: g.confined && g.keeps&confine.SysAdmin == 0}
	w, err := plan.open(g.netns, o.netnsName)
	if err != nil {
		return err
	}
	g.opened()
	whole := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	all := &namespaces{plan: plan, ctx: ctx, failed: stop, now: w}
	w.start(ctx, stop)
	shown := w.shown()
	opt.Store, opt.Kernel, opt.Inspector, opt.Rules, opt.States, opt.Tracer, opt.Netns = shown.Store, shown.Kernel, shown.Inspector, shown.Rules, shown.States, shown.Tracer, shown.Netns
	opt.Namespaces = all
	tell := &teller{places: places}
	opt.About = func(ctx context.Context, r *model.Row) []string { return tell.about(ctx, all.current(), &r.Flow) }

	g.screen.Store(true)
	err = tui.Run(ctx, opt)
	g.screen.Store(false)
	defer g.exitIfStuck(whole)() // a lock of iptables' may be in the way of taking rules back
	cause := context.Cause(ctx)
	stop(nil)
	all.close()
	if cause != nil && signalOf(ctx) == 0 { // the watch ended by itself, and the screen with it
		err = cause
	}
	return ended(ctx, err)
}

// createView makes the file of "w". What is there already is not touched.
func (g *globals) createView(name string) (io.WriteCloser, error) {
	f, err := openRegular(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if errors.Is(err, fs.ErrPermission) && g.writable != nil {
		return nil, fmt.Errorf("%w (this screen may write below %s alone: start it where the file is to be)", err, strings.Join(g.writable, ", "))
	}
	if err != nil {
		return nil, err
	}
	return &newFile{File: f}, nil
}

// unstick has the terminal on standard output forget what it has not taken, and starts it where Ctrl-S stopped it. To
// stop it first makes the kernel wake a write that waits (n_tty_ioctl_helper); to flush alone does not (pty_flush_buffer).
func unstick() {
	signal.Ignore(unix.SIGTTOU)
	fd := int(os.Stdout.Fd())
	_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
	_ = unix.IoctlSetInt(fd, unix.TCXONC, unix.TCOOFF)
	_ = unix.IoctlSetInt(fd, unix.TCXONC, unix.TCOON)
}

// ended turns the way in which the screen ended into the error that has its exit code.
func ended(ctx context.Context, err error) error {
	var by tui.SignalError
	switch {
	case errors.As(err, &by):
		return signalError{by.Signal}
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// screenOptions merges configuration, flags and environment; flags win.
func (g *globals) screenOptions(text string, o tuiOptions) (opt tui.Options, budget float64, err error) {
	c, err := g.settings()
	if err != nil {
		return opt, 0, err
	}
	parse := c.parseOptions()
	if _, err := filter.Parse(text, parse); err != nil {
		return opt, 0, g.tried(err, parse)
	}
	if path, whose, err := g.configPath(); !c.own && err == nil { // no configuration: its themes may be there
		if err := c.addThemes(path, whose); err != nil {
			return opt, 0, err
		}
	}
	flags := config{Theme: o.theme, Budget: o.budget, custom: c.custom}
	if o.refresh != 0 {
		flags.Refresh = o.refresh.String()
	}
	if o.escape != 0 {
		flags.Escape = o.escape.String()
	}
	if err := flags.check(); err != nil {
		return opt, 0, usageError{"--" + err.Error(), ""}
	}
	opt = tui.Options{
		Filter: text, Parse: parse, Columns: c.Columns, Sort: c.Sort, Theme: c.Theme, CustomThemes: c.custom,
		Netns: g.netns, Version: version(), Keys: c.Keys,
		ReadOnly: g.readOnly || c.ReadOnly, ASCII: g.ascii || c.ASCII, NoColor: g.noColor || g.color == "never", Environ: g.colourEnviron(),
		NoMouse:  o.noMouse || c.Mouse != nil && !*c.Mouse,
		Operator: ownSession,
		Unstick:  unstick,
		Names:    c.Names, Bits: c.Bits,
		LabelName: systemLabels().Name,
		Lookup:    g.names().Name, ServiceName: serviceName,
		Create:     g.createView,
		SaveFilter: g.saveFilter,
		Views:      map[string]tui.SavedView{},
		SaveView:   func(name string, v tui.SavedView) error { return g.saveView(name, view(v)) },
	}
	for name, v := range c.Views {
		opt.Views[name] = tui.SavedView(v)
	}
	opt.Config, _, _ = g.configPath()
	opt.Refresh, _ = c.refresh()
	opt.Escape, _ = c.escape()
	if o.netnsName != "" {
		opt.Netns = o.netnsName
	}
	if o.refresh != 0 {
		opt.Refresh = o.refresh
	}
	if o.escape != 0 {
		opt.Escape = o.escape
	}
	if o.theme != "" {
		opt.Theme = o.theme
	}
	budget = c.Budget
	if o.budget != 0 {
		budget = o.budget
	}
	return opt, budget / 100, nil
}
