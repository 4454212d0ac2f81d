//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ctview/ctnl/lab"
	"ctview/model/crash"
	"ctview/model/filter"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// extraCommands are those that a small build leaves out.
func extraCommands(g *globals) []*cobra.Command { return []*cobra.Command{demoCommand(g)} }

func demoCommand(g *globals) *cobra.Command {
	var (
		o    tuiOptions
		rate float64
	)
	cmd := &cobra.Command{
		Use:   "demo [FILTER…]",
		Short: "the terminal UI on a private lab of real traffic; needs no root",
		Long: `demo builds a client, a router and a server in network namespaces of its own, lets real traffic flow through
them, and shows the router's table: TCP, UDP, ICMP over IPv4 and IPv6, NAT, zones, marks, FTP with its helper. Nothing
outside is touched, and all of it is gone when ctview ends, however it ends.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rate <= 0 || rate > lab.MaxRate {
				return usageError{fmt.Sprintf("--rate: %g is not between 0 and %d", rate, lab.MaxRate), "1 is a quiet office, 10 a busy one"}
			}
			if g.netns != "" {
				return usageError{"demo: --netns makes no sense here", "the demo has namespaces of its own"}
			}
			return runDemo(cmd.Context(), g, filterText(args), o, rate)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().Float64Var(&rate, "rate", 1, "how lively the traffic is, `N` times about ten new flows a second")
	return cmd
}

// runDemo builds the lab and shows it. Without root it starts itself again as root of a user namespace first.
func runDemo(ctx context.Context, g *globals, text string, o tuiOptions, rate float64) error {
	if _, err := g.parseFor(text, filter.Options{}); err != nil {
		return err
	}
	if !isTerminal(g.in) || !isTerminal(g.out) {
		return usageError{"demo: there is no terminal to draw on", "the demo is the screen: run it without pipes"}
	}
	if !lab.Privileged() && !lab.Inside() {
		code, err := lab.Reexec(ctx, os.Args[1:]...)
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		return exitWith(code)
	}
	l, err := lab.New(ctx, lab.Options{Rate: rate})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer l.Close()
	g.netns = l.Router().Path()
	o.netnsName = "demo"

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var traffic errgroup.Group
	traffic.Go(func() error {
		defer crash.Guard()
		return l.Run(ctx)
	})
	err = runTUI(ctx, g, text, o)
	stop()
	if terr := traffic.Wait(); err == nil && terr != nil && !errors.Is(terr, context.Canceled) {
		err = fmt.Errorf("demo: traffic: %w", terr)
	}
	return err
}
