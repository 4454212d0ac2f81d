package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ctview/model/filter"

	"github.com/spf13/cobra"
)

// helpCommand is cobra's, but that a name that is none is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "help for a command, or for a topic: filter, columns",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Sprintf("help: there is no command or topic %q", strings.Join(args, " ")),
					`"ctview help" lists the commands`}
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if target, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, c := range target.Commands() {
					if !c.Hidden && strings.HasPrefix(c.Name(), word) {
						names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// A perhapsCommand is a filter error in the first word after "ctview": that word may have been meant as a command.
type perhapsCommand struct {
	err  error
	cure string
}

func (e perhapsCommand) Error() string { return e.err.Error() }
func (e perhapsCommand) Unwrap() error { return e.err }

// otherTools are words that other programs have for what ctview calls otherwise.
var otherTools = map[string]string{
	"watch": "events", "monitor": "events", "show": "list", "ls": "list", "dump": "list", "tail": "events",
	"rm": "delete", "del": "delete", "kill": "delete", "clear": "flush", "status": "doctor", "check": "doctor", "replay": "--read FILE",
}

// orCommand adds to the error of a filter that it may have been meant as a command.
func orCommand(root *cobra.Command, args []string, err error) error {
	var fe *filter.Error
	if len(args) == 0 || !errors.As(err, &fe) || fe.Pos > 0 || fe.Mixed {
		return err
	}
	cure := `"ctview help" lists the commands, "ctview help filter" tells the filter language`
	names := root.SuggestionsFor(args[0])
	if meant := otherTools[args[0]]; meant != "" {
		names = []string{meant}
	}
	if slices.Contains([]string{"top", "tui", "ui", "screen", "live"}, args[0]) {
		cure = `"ctview" without a word is the live screen; ` + cure
	} else if len(names) > 0 {
		cure = fmt.Sprintf(`did you mean the command "ctview %s"? %s`, strings.Join(names, `" or "ctview `), cure)
	}
	return perhapsCommand{err, cure}
}
