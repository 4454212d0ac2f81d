package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"ctview/ctnl/lab"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/*.txtar: whole command lines with their output, errors and exit codes. $NS is a namespace
// of the script's own with tracking on; it holds the flows that the script makes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			ns, err := lab.NewNS()
			if err != nil {
				return err
			}
			env.Defer(func() { ns.Close() })
			env.Setenv("NS", ns.Path())
			env.Setenv(asMain, "1") // for /proc/self/exe too, which doctor starts
			return ns.EnableTracking()
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"recording": recording,
		},
	})
}

// exits runs a command line and holds its exit code: exits CODE COMMAND ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee):
		got = ee.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// recording waits until a recording has been begun and its table is in it: recording FILE
func recording(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: recording FILE")
	}
	const onlyHeader = 24
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if fi, err := os.Stat(ts.MkAbs(args[0])); err == nil && fi.Size() > onlyHeader {
			return
		}
	}
	ts.Fatalf("%s: no recording", args[0])
}
