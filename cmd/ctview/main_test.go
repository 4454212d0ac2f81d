package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"ctview/ctnl/lab"

	"github.com/rogpeppe/go-internal/testscript"
)

// asMain, set in the environment, makes the test binary be ctview: the tests run the real program as a process of its
// own without building it a second time.
const asMain = "CTVIEW_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		for env, limit := range map[string]func() error{asBlind: blind, asPowerless: powerless} {
			if os.Getenv(env) == "" {
				continue
			}
			if err := limit(); err != nil {
				panic(err)
			}
		}
		main()
		return
	}
	if len(os.Args) == 2 && os.Args[0] == "/proc/self/exe" && os.Args[1] == "version" {
		return // doctor asks whether a process can be had in a user namespace; it is not to run all tests once more
	}
	testscript.Main(labTests{m}, map[string]func(){"ctview": main})
}

// labTests runs the tests where they can make namespaces: in a user namespace, if this process is not root.
type labTests struct{ m *testing.M }

func (l labTests) Run() int {
	// In the background of a script or below nohup the tests start with these ignored, and whatever they start would
	// inherit that, and ctview heeds it. A child gets the default of a signal that its parent handles.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // never read: still ignored
		}
	}
	return lab.Main(l.m)
}

// ctview returns a command that runs ctview with args.
func ctview(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(testBinary(t), args...)
	cmd.Env = append(os.Environ(), asMain+"=1", lab.InsideEnv+"=") // ctview is not to know where the tests run
	return cmd
}

func testBinary(t testing.TB) string {
	t.Helper()
	p, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
