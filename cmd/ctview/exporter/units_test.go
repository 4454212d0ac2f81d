package main

import (
	"os/exec"
	"slices"
	"testing"

	"ctview/cmd/ctview/units"
	"ctview/ctnl/lab"
)

// service is what a package installs for systemd and procd.
var service = units.Service{Dir: "../../../packaging/exporter", Name: "ctview-exporter", Program: "/usr/bin/ctview-exporter"}

// TestUnit: systemd finds nothing wrong with the unit, alone and with netns.conf, and says that it is at most 2.0 exposed.
func TestUnit(t *testing.T) {
	t.Parallel()
	service.Analyze(t, "netns.conf")
}

// TestUnitCapabilities: with the capabilities that the unit gives the exporter watches its own namespace, with those of
// netns.conf another, as a user who has nothing else. With one of them fewer it does not.
func TestUnitCapabilities(t *testing.T) {
	t.Parallel()
	program := units.ForEverybody(t)
	ns := newNS(t)
	fillNS(t, ns, 10)
	name, named := units.Named(t, program, path(ns))
	for _, tt := range []struct {
		netns   string
		in      *lab.NS
		under   []string
		options []string
		caps    []string
	}{
		{"", ns, nil, nil, service.Caps(t)},
		{name, newNS(t), named, []string{"--netns", name}, service.Caps(t, "netns.conf")},
	} {
		command := func(caps []string) *lab.Cmd {
			cmd := exporterCommand(t, tt.in)
			cmd.Args = slices.Concat([]string{"env"}, tt.under, units.WithCaps(caps), []string{program}, tt.options)
			cmd.Path = "/usr/bin/env"
			return cmd
		}
		r := beginCommand(t, tt.in, command(tt.caps))
		until(t, "the 10 flows, and the scrape itself", func() bool {
			m, err := r.scrape()
			return err == nil && m["ctview_entries{"+netns(tt.netns)+"}"] >= 10
		})
		for i := range tt.caps {
			cmd := command(slices.Delete(slices.Clone(tt.caps), i, i+1))
			cmd.Args = slices.Concat([]string{"env", "timeout", "-s", "KILL", "20"}, cmd.Args[1:], []string{"--listen", "127.0.0.1:2000"})
			out, err := cmd.CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitPermission {
				t.Errorf("without %s: %v, want exit code %d\n%s", tt.caps[i], err, exitPermission, out)
			}
		}
	}
}

// TestProcd: procd is told a command that the exporter takes, a jail where there is one, and the unit's capabilities.
func TestProcd(t *testing.T) {
	t.Parallel()
	service.Procd(t, nil, []string{"--listen=127.0.0.1:7", "--netns=a b"}, []string{"stderr"})
}
