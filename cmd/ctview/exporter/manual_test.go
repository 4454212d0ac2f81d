package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ctview/cmd/ctview/mdoc"
)

var updateManual = flag.Bool("update-manual", false, "write the manual page anew")

// TestManual holds the manual page to the command, of which it is made (go test ./cmd/ctview/exporter -run TestManual
// -update-manual). mandoc finds no fault.
func TestManual(t *testing.T) {
	const file = "../../../packaging/exporter/ctview-exporter.8"
	want := manual()
	if *updateManual {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the command says (%v): -update-manual writes it", file, err)
	}
	out, _ := exec.Command("mandoc", "-T", "lint", file).Output() // exits with 2 for the least remark
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "referenced manual not found") { // they are not installed
			t.Error(strings.TrimSpace(line))
		}
	}
}

func manual() string {
	c := command(io.Discard)
	c.InitDefaultHelpFlag()
	p := mdoc.New("cmd/ctview/exporter", "ctview-exporter", "8", c.Short)
	p.Section("SYNOPSIS")
	p.WriteString(".Nm\n.Op Ar option ...\n")
	p.Section("DESCRIPTION")
	p.Text(c.Long)
	p.Flags("The options are:", c.Flags())
	p.Section("FILES")
	p.List([2]string{"Pa /etc/default/ctview-exporter", "The options that its systemd unit starts it with, as ARGS."},
		[2]string{"Pa /etc/config/ctview-exporter", "Those of OpenWrt's init script."},
		[2]string{"Pa /usr/share/doc/ctview-exporter/examples/", "Rules and a dashboard for Prometheus and Grafana; what the unit needs for --netns."})
	p.Section("EXIT STATUS")
	rows := [][2]string{{"0", "Ended by SIGINT or SIGTERM."}}
	for _, r := range []struct {
		code int
		what string
	}{
		{exitFailed, "It failed, or cannot listen where it is told to."},
		{exitUsage, "The command line or the web configuration is wrong, or there is no such namespace; nothing was done."},
		{exitKernel, "The kernel refused."}, {exitPermission, "Not permitted."},
		{exitNoConntrack, "This kernel has no connection tracking, or it is not loaded."},
	} {
		rows = append(rows, [2]string{fmt.Sprint(r.code), r.what})
	}
	p.List(rows...)
	p.See("ctview 1", "conntrack 8", "prometheus 1")
	return p.String()
}
