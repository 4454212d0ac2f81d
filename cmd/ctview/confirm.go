package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"ctview/ctnl"
	"ctview/model"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A change says what a command is about to change and how it is agreed to.
type change struct {
	yes    bool
	dryRun bool
}

// allowed refuses where --read-only forbids changes.
func (g *globals) allowed(what string) error {
	c, err := g.settings()
	if err != nil {
		return err
	}
	if g.readOnly || c.ReadOnly {
		return usageError{what + ": --read-only forbids changes", "leave --read-only (or read_only in the configuration) out"}
	}
	return nil
}

// placeOf says in which namespace something is about to be changed: always, but where there is no other one to mistake it for.
func placeOf(ns *ctnl.Netns) string {
	if title := ns.Title(); title != "" {
		return " in namespace " + title
	}
	if others, _ := os.ReadDir(netnsNames); ns.Spec() != "" || len(others) > 0 {
		return " in the initial namespace"
	}
	return ""
}

// confirm asks the user on a terminal, with the namespace: for one thing y, for more their number. Without a terminal it takes
// --yes only.
func (g *globals) confirm(c change, question string, n int) error {
	if c.yes {
		return nil
	}
	question = strings.TrimSuffix(question, "?") + g.place + "?"
	in, ok := g.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usageError{question + " not confirmed: there is no terminal to ask on", "--yes answers beforehand, --dry-run shows what would be done"}
	}
	g.forget()
	want := "y"
	if n > 1 {
		want = strconv.Itoa(n)
		question += " Type " + want + ":"
	} else {
		question += " [y] yes [Enter] no:"
	}
	fmt.Fprint(g.err, model.Escape(question), " ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return failure{err}
	}
	if strings.TrimSpace(line) != want {
		return failure{fmt.Errorf("not confirmed: nothing was changed")}
	}
	return nil
}

// forget throws away what was typed before a question stood there: it is no answer to it. Nothing happens where the input
// is no terminal.
func (g *globals) forget() {
	if in, ok := g.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		_ = unix.IoctlSetInt(int(in.Fd()), unix.TCFLSH, unix.TCIFLUSH)
	}
}
