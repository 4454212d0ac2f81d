package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
)

// TestDeleteAsFound deletes by a filter without asking, which goes on while the table is read.
func TestDeleteAsFound(t *testing.T) {
	ns, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fill.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), ns.Close()); err != nil {
			t.Error(err)
		}
	})
	const flows, marked = 6000, 2500
	if err := errors.Join(f.Create(t.Context(), 0, flows), f.Update(t.Context(), 0, marked, 77)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ctview: 2500 flows deleted\n", "ctview: no flow matches; nothing deleted\n"} {
		var out, diag bytes.Buffer
		args := []string{"ctview", "--netns", ns.Path(), "delete", "--yes", "mark 77"}
		if code := run(context.Background(), args, strings.NewReader(""), &out, &diag); code != 0 || diag.String() != want {
			t.Errorf("exit code %d, %q%q; want %q", code, out.String(), diag.String(), want)
		}
	}
	if n, err := ns.ReadSysctl("net/netfilter/nf_conntrack_count"); err != nil || n != "3500" {
		t.Errorf("%s flows left, %v; want 3500", n, err)
	}
}
