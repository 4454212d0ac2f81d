package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/filter"

	"golang.org/x/sys/unix"
)

// Exit codes, as the README promises them.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitKernel       = 3
	exitPermission   = 4
	exitNoConntrack  = 5
	exitSignalOffset = 128
)

// A usageError is a command line that cannot be carried out as it stands: what is wrong, and the cure ("" where the
// message says it).
type usageError struct{ msg, cure string }

func (e usageError) Error() string { return e.msg }

// A failure is an operation that did not work though the command line was right: exit code 1.
type failure struct{ err error }

func (e failure) Error() string { return e.err.Error() }
func (e failure) Unwrap() error { return e.err }

// An exitWith is the exit code of a child that has told why by itself.
type exitWith int

func (e exitWith) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// A noScreenError is why there is nothing for the screen to show.
type noScreenError struct{ error }

func (e noScreenError) Unwrap() error { return e.error }

// errNoFlow is the answer where one flow was named and is not there.
var errNoFlow = failure{errors.New("there is no such flow")}

// errNoMatch ends a command with exit code 1 and no message: --exit-code and nothing matched.
var errNoMatch = errors.New("nothing matched")

// report writes err to stderr as "ctview: what: why" with a hint where there is a cure, and returns the exit code.
func (g *globals) report(err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errNoMatch) {
		return exitFailed
	}
	var child exitWith
	if errors.As(err, &child) {
		return int(child)
	}
	code, hint := diagnose(err)
	var fe *filter.Error
	if errors.As(err, &fe) {
		fmt.Fprintf(g.err, "ctview: filter: %s\n%s\n", model.Escape(fe.Error()), fe.Caret("  "))
	} else {
		fmt.Fprintf(g.err, "ctview: %s\n", model.Escape(errorText(err)))
	}
	if hint != "" {
		fmt.Fprintf(g.err, "hint: %s\n", model.Escape(hint))
	}
	return code
}

// errorText is the message of err for people: without the package it came from, and where a permission is missing with
// the name of that in place of the errno's text.
func errorText(err error) string {
	text := strings.ReplaceAll(err.Error(), "ctnl: ", "")
	if errors.Is(err, ctnl.ErrPermission) {
		text = strings.TrimSuffix(text, ": operation not permitted")
		if !strings.Contains(text, "CAP_") {
			text += ": needs CAP_NET_ADMIN"
		}
	}
	return text
}

// diagnose returns the exit code of err and what the user can do about it.
func diagnose(err error) (code int, hint string) {
	var (
		usage   usageError
		fe      *filter.Error
		fail    failure
		perhaps perhapsCommand
	)
	switch {
	case errors.As(err, &perhaps):
		return exitUsage, perhaps.cure
	case errors.As(err, &fe):
		return exitUsage, `"ctview help filter" tells the language`
	case errors.As(err, &usage):
		return exitUsage, usage.cure
	case errors.Is(err, ctnl.ErrPermission):
		caps := "cap_net_admin"
		if strings.Contains(err.Error(), "CAP_SYS_ADMIN") { // to enter another namespace
			caps += ",cap_sys_admin"
		}
		hint = fmt.Sprintf("run it with sudo, or once: sudo setcap %s+ep %s (you are uid %d)", caps, executable(), os.Getuid())
		if errors.As(err, new(noScreenError)) {
			hint += "\nhint: nobody else is told of flows (/proc/net/nf_conntrack is root's, too); anybody may run \"ctview stats\": " +
				"entries, limit, drops by CPU; and \"ctview doctor\""
		}
		return exitPermission, hint
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return exitKernel, "this shell allows too few open files (ulimit -n), or the machine (sysctl fs.file-max)"
	case errors.Is(err, ctnl.ErrFull):
		return exitFailed, "more room: sysctl -w net.netfilter.nf_conntrack_max=N (each entry takes some 300 bytes); who fills it: ctview diagnose, ctview list --group-by src"
	case errors.Is(err, ctnl.ErrNoConntrack):
		return exitNoConntrack, "modprobe nf_conntrack_netlink"
	case errors.Is(err, ctnl.ErrNoNetns):
		hint = `"ip netns list" names the namespaces; a PID or a path such as /proc/PID/ns/net works too`
		if v := os.Getenv(netnsVariable); v != "" {
			hint += "; " + netnsVariable + " is " + model.Escape(v)
		}
		return exitUsage, hint
	case errors.As(err, new(tooMuch)):
		return exitFailed, "a filter takes less, and --limit N keeps the first N only; --max-memory SIZE allows more"
	case errors.As(err, &fail):
		return exitFailed, ""
	case errors.Is(err, context.Canceled):
		return exitFailed, ""
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "unknown flag"),
		strings.Contains(err.Error(), "arg(s)"):
		return exitUsage, `"ctview --help" lists the commands`
	}
	return exitKernel, ""
}

func executable() string {
	if p, err := os.Executable(); err == nil {
		return p
	}
	return "ctview"
}
