package ctcompat

import (
	"fmt"
	"io"
	"strings"

	"ctview/model"
	"ctview/model/format"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // an operation failed, or it found nothing to do
	exitUsage  = 2 // a bad command line

	exitInterrupted = 130 // by a signal; -E ends with exitOK instead
)

// A table is the operand of a command. dying and unconfirmed are listed as flows are.
type tab int

const (
	tableConntrack tab = iota
	tableExpect
	tableDying
	tableUnconfirmed
)

// Output is what -o asked for.
type output struct {
	xml, extended, timestamp, id, ktimestamp, labels, save bool
}

// A command is a parsed command line.
type command struct {
	op     opCode
	table  tab
	opts   optSet
	family model.Family // 0: both
	proto  *protocol    // of the last -p
	num    model.Proto  // its number
	events eventMask
	buffer int // -b, bytes
	out    output
	t      template
	labels format.LabelNames // nil where none were needed or could be read
}

// An eventMask is -e.
type eventMask uint8

const (
	eventNew eventMask = 1 << iota
	eventUpdate
	eventDestroy
	eventAll = eventNew | eventUpdate | eventDestroy
)

// An exitError ends the program with a code, after printing text behind conntrack's prefix.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// usageErrorf is a bad command line.
func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...)}
}

// failf is an operation that failed.
func failf(format string, args ...any) error {
	return &exitError{exitFailed, fmt.Sprintf(format, args...)}
}

// prefix begins every error and summary line. Scripts match it, so it names conntrack and not ctview.
const prefix = "conntrack v1.4.7 (conntrack-tools): "

// report prints err as conntrack does and returns the exit code.
func report(w io.Writer, err error) int {
	e, ok := err.(*exitError)
	if !ok {
		e = &exitError{exitFailed, err.Error()}
	}
	text := strings.Split(e.text, "\n")
	for i := range text {
		text[i] = model.Escape(text[i]) // a file of commands can hold anything
	}
	fmt.Fprintf(w, "%s%s\n", prefix, strings.Join(text, "\n"))
	if e.code == exitUsage {
		fmt.Fprint(w, "Try `conntrack -h' or 'conntrack --help' for more information.\n")
	}
	return e.code
}
