package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/confine"

	"github.com/spf13/cobra"
)

// commandNeeds is what a command needs as long as it runs, beside CAP_NET_ADMIN for its requests: that of the command, else of
// the one above it. None of it is in effect but for the act that needs it, except for demo and doctor.
var commandNeeds = map[string]confine.Caps{
	"ctview":           screenNeeds,
	"ctview notrack":   confine.Processes | confine.NetRaw, // your own session; the iptables programs
	"ctview states":    confine.NetRaw,
	"ctview diagnose":  confine.SysAdmin | confine.Processes | confine.NetRaw, // other namespaces; the iptables programs
	"ctview delete":    confine.Processes,
	"ctview flush":     confine.Processes,
	"ctview update":    confine.Processes,
	"ctview expect":    confine.Processes,
	"ctview conntrack": confine.Processes, // who sent an event
	"ctview demo":      demoNeeds,
	"ctview doctor":    confine.All, // it tells what there is
}

const (
	// :netns; your own session, the process of a flow; NOTRACK by the iptables programs.
	screenNeeds = confine.SysAdmin | confine.Processes | confine.NetRaw
	demoNeeds   = screenNeeds | confine.NetAdmin | confine.NetBind // its lab: namespaces, crafted packets, servers
	filesOfSudo = confine.DacOverride | confine.Chown              // "w" and saved filters of the screen under sudo
)

// begin decides what cmd is to keep once it has opened everything.
func (g *globals) begin(cmd *cobra.Command) {
	read := cmd.Flags().Lookup("read")
	recorded := read != nil && read.Changed
	g.elsewhere = recorded || cmd.Name() == "demo"
	if !ownProcess(cmd.Context()) {
		return
	}
	needs := confine.Caps(0)
	for c := cmd; c != nil; c = c.Parent() {
		if n, ok := commandNeeds[c.CommandPath()]; ok && (c.HasParent() || c == cmd) {
			needs = n
			break
		}
	}
	switch {
	case recorded:
		g.keeps, g.effect = 0, 0
	case needs&^screenNeeds != 0: // demo, doctor
		g.keeps, g.effect = needs, needs
		g.keep(needs, needs)
	default:
		g.keeps, g.effect = needs|confine.NetAdmin, confine.NetAdmin
	}
}

// beginConntrack is begin for ctview by the name of conntrack.
func (g *globals) beginConntrack(ctx context.Context) {
	if ownProcess(ctx) {
		g.keeps, g.effect = confine.NetAdmin|commandNeeds["ctview conntrack"], confine.NetAdmin
	}
}

// screenKeeps says what the screen keeps, now that the configuration is read too.
func (g *globals) screenKeeps(readOnly bool) {
	switch {
	case !g.confined || g.effect != confine.NetAdmin: // the demo has its own
	case readOnly:
		g.keeps = confine.NetAdmin
	case underSudo():
		g.keeps |= filesOfSudo
	}
}

// opened gives up what it took to open files and the namespace. From then on files are opened only where reading and
// writing say, if the command looks into no other process and starts none: those are what Landlock would not let it.
func (g *globals) opened() {
	if !g.confined || g.sealed {
		return
	}
	g.sealed = true
	g.keep(g.keeps, g.effect)
	if g.keeps&^confine.NetAdmin != 0 {
		return
	}
	_ = time.Now().Hour() // reads the time zone, of which TZ may be anywhere
	// Ctrl-Z on the screen stops the whole job.
	f := confine.Files{Read: reading(), Signals: g.draws}
	if g.draws {
		g.writable = g.writing()
		f.Write, f.Devices = g.writable, []string{"/dev/tty", os.DevNull}
	}
	if _, err := confine.Restrict(f); err != nil && !g.quiet {
		fmt.Fprintf(g.err, "ctview: may open every file of the system: %v\n", err)
	}
}

// reading is what ctview reads while it runs: the kernel's settings and counters, names of hosts, services, users and labels,
// descriptions of terminals, time zones. /etc as a whole it is not: there are secrets in it.
func reading() []string {
	paths := []string{"/proc", "/sys", "/run/netns", "/usr/share", "/lib/terminfo", "/etc/terminfo", "/etc/localtime", "/etc/TZ",
		"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/passwd", "/etc/group", servicesFile,
		"/etc/protocols", connlabelFile, "/dev/urandom", os.DevNull}
	// A link to where it is made anew now and then, under the same name.
	if to, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && filepath.Dir(to) != "/etc" {
		paths = append(paths, filepath.Dir(to))
	}
	return paths
}

// writing are the directories below which the screen writes what it is told to: where it was started, the home directory, that
// of the configuration, those of temporary files.
func (g *globals) writing() (dirs []string) {
	add := func(dir string, err error) {
		dir, aerr := filepath.Abs(dir)
		if err != nil || aerr != nil || dir == "/" || slices.Contains(dirs, dir) {
			return
		}
		for _, kernels := range []string{"/proc", "/sys", "/dev"} {
			if dir == kernels || strings.HasPrefix(dir, kernels+"/") {
				return
			}
		}
		dirs = append(dirs, dir)
	}
	add(os.Getwd())
	add(os.UserHomeDir())
	if config, _, err := g.configPath(); err == nil {
		add(filepath.Dir(config), nil)
	}
	add("/tmp", nil)
	add("/var/tmp", nil)
	return dirs
}

// askNothing gives up the right to ask the kernel too. To receive what it was asked for takes none.
func (g *globals) askNothing() {
	if g.confined {
		g.keep(0, 0)
	}
}

// keep gives up everything but keep. ctview goes on where that is not possible; doctor tells of it.
func (g *globals) keep(keep, now confine.Caps) {
	err := confine.Keep(keep, now)
	g.confined = err == nil
	if err != nil && !errors.Is(err, confine.ErrCgo) && !g.quiet {
		fmt.Fprintf(g.err, "ctview: keeps the privileges that it was started with: %v\n", err)
	}
}

// openNetns opens the namespace of --netns, and stays in it if the right to enter one is about to be given up.
func (g *globals) openNetns() (*ctnl.Netns, error) {
	smallHeap()
	ns, err := ctnl.OpenNetns(g.netns)
	if err == nil && g.confined && g.keeps&confine.SysAdmin == 0 {
		if err = ns.Pin(); err != nil {
			_ = ns.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	if g.asks {
		g.place = placeOf(ns)
	}
	return ns, nil
}

// asRoot runs fn, which opens a file for the operator, with the right of root to read and write those of the user behind sudo.
func asRoot(fn func() error) error {
	return confine.With(confine.DacOverride|confine.DacReadSearch|confine.Chown, fn)
}

// atStart is done before anything is read: no capability but CAP_NET_ADMIN is in effect, and no program that is started gets
// more than ctview has.
func (g *globals) atStart(ctx context.Context) {
	if ownProcess(ctx) {
		g.keep(confine.All, confine.NetAdmin)
	}
}

// underSudo reports whether files are likely to be somebody else's.
func underSudo() bool { _, _, ok := sudoCaller(); return ok && os.Geteuid() == 0 }
