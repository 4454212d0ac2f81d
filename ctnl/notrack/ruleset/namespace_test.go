package ruleset

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestRunAlone: a program is found where administrators' programs are, whatever PATH says, and gets nothing of the environment.
func TestRunAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "env"), []byte("#!/bin/sh\necho caught\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("LD_PRELOAD_OF_SOMEBODY", "x")
	t.Setenv("XTABLES_LIBDIR", dir)
	out, err := Run(context.Background(), Here{}, nil, "env")
	if want := "PATH=/usr/sbin:/sbin:/usr/bin:/bin\nLC_ALL=C\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}
