package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestNoDescriptors: however few files may be open, ctview ends with a sentence, never with a trace of the runtime.
func TestNoDescriptors(t *testing.T) {
	ns, _ := trackedNS(t)
	for limit := 4; limit <= 9; limit++ { // below, the test binary finds no libraries
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			program := ctview(t, "count")
			var errOut bytes.Buffer
			cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), program.Path, "count")
			cmd.Env, cmd.Stderr = program.Env, &errOut
			if err := ns.Do(cmd.Start); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			said := errOut.String()
			if strings.Contains(said, "goroutine ") || err != nil && !strings.Contains(said, "too many open files") {
				t.Errorf("%v: %s", err, said)
			}
			if limit == 4 && !strings.Contains(said, "nothing to wait with: ") {
				t.Errorf("said %q, want that there is nothing to wait with", said)
			}
		})
	}
}
