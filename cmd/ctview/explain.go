package main

import (
	"fmt"

	"ctview/model/filter"

	"github.com/spf13/cobra"
)

func explainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain FILTER…",
		Short: "the parsed filter, fully parenthesised, and which part the kernel filters",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := g.parseFor(filterText(args), filter.Options{})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(g.out, f.Explain())
			return err
		},
	}
}
