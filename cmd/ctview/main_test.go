package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asMain, set in the environment, makes the test binary be ctview: the tests run the real program as a process of its
// own without building it a second time.
const asMain = "CTVIEW_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		if os.Getenv(asBlind) != "" {
			if err := blind(); err != nil {
				panic(err)
			}
		}
		main()
		return
	}
	testscript.Main(m, map[string]func(){"ctview": main})
}

// ctview returns a command that runs ctview with args.
func ctview(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(testBinary(t), args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
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
