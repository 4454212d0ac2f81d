package main

import (
	"cmp"
	"context"

	"ctview/cmd/ctview/doctor"
	"ctview/ctnl"

	"github.com/spf13/cobra"
)

func doctorCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "what this kernel and this user can do, and the cure for what they can't",
		Long: `doctor looks at the kernel, the namespace and the user's rights and says what ctview can do with them. It changes
nothing, and it works without privileges as far as it can.

  ok  as it should be             !   ctview works, but shows less than it could
  ?   not told to this user       !!  ctview cannot work

The exit code is 0 unless a line has !!: then 4 (not permitted), 5 (no conntrack in this kernel), or 1.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), g, output == "json")
		},
	}
	addOutput(cmd, &output, "a line for each check", "table", "json")
	return cmd
}

func runDoctor(ctx context.Context, g *globals, asJSON bool) error {
	ns, err := ctnl.OpenNetns(g.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	x, err := doctor.Examine(ctx, ns, g.netns)
	if err != nil {
		return err
	}
	all := x.Judge()
	code := exitOK // that of the first thing that keeps ctview from working
	for i := range all {
		if all[i].Err == nil {
			continue
		}
		c, cure := diagnose(failure{all[i].Err})
		all[i].Cure = cmp.Or(all[i].Cure, cure)
		code = cmp.Or(code, c)
	}
	show := doctor.AppendTable
	if asJSON {
		show = doctor.AppendJSON
	}
	if _, err := g.out.Write(show(nil, all)); err != nil {
		return failure{err}
	}
	if code != exitOK {
		return exitWith(code)
	}
	return nil
}
