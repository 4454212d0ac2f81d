package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoDescriptors: however few files may be open, ctview ends with a sentence, never with a trace of the runtime.
func TestNoDescriptors(t *testing.T) {
	ns, _ := trackedNS(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ctview", "themes"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"config.toml", "themes/mine.toml"} { // what is right must not be called wrong
		if err := os.WriteFile(filepath.Join(dir, "ctview", f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 4; limit <= 9; limit++ { // below, the test binary finds no libraries
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			program := ctview(t)
			var errOut bytes.Buffer
			cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), program.Path, "count", "tcp")
			cmd.Env, cmd.Stderr = append(program.Env, "XDG_CONFIG_HOME="+dir), &errOut
			if err := ns.Do(cmd.Start); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			said := errOut.String()
			if strings.Contains(said, "goroutine ") || err != nil && !strings.Contains(said, "too many open files") {
				t.Errorf("%v: %s", err, said)
			}
			if code := cmd.ProcessState.ExitCode(); err != nil && code != exitKernel || strings.Contains(said, "put back") {
				t.Errorf("exit code %d, want %d: %s", code, exitKernel, said)
			}
			if limit == 4 && !strings.Contains(said, "nothing to wait with: ") {
				t.Errorf("said %q, want that there is nothing to wait with", said)
			}
		})
	}
}
