//go:build kernels

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab/labtest"
)

// field reads a number of a file of lines "NAME NUMBER".
func field(t *testing.T, file, name string) (n uint64) {
	t.Helper()
	for l := range strings.Lines(string(must(os.ReadFile(file))(t))) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	t.Fatalf("%s: no %s", file, name)
	return 0
}

// TestStoppedReaderHarmsNobody stops "events" while flows come and go. What waits for it stays within the share of memory that
// its socket was given, nobody is killed for want of memory, and it tells what it lost. It is for machines with little of it.
func TestStoppedReaderHarmsNobody(t *testing.T) {
	const flows, rounds, slack = 15000, 2, 10 << 20
	ns, f := trackedNS(t)
	churn := func() {
		t.Helper()
		labtest.Must(t, f.Create(t.Context(), 0, flows))
		labtest.Must(t, f.Destroy(t.Context(), 0, flows))
	}
	available := func() uint64 { return field(t, "/proc/meminfo", "MemAvailable:") << 10 }
	killed := field(t, "/proc/vmstat", "oom_kill ")
	bystander := ns.Command("sleep", "1000")
	labtest.Must(t, bystander.Start())
	churn() // the kernel keeps some of what entries took
	before := available()
	cmd := ctview(t, "events", "--netns", ns.Path())
	diag := must(cmd.StderrPipe())(t)
	labtest.Must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	listening(t, cmd, ns)
	running := available()
	share := 2 * uint64(ctnl.AdvisedRcvBuf()) // the kernel counts double
	labtest.Must(t, cmd.Process.Signal(syscall.SIGSTOP))
	for range rounds {
		churn()
	}
	after := available()
	t.Logf("of %d MiB %d are available, %d with ctview, %d when it stands still; its socket was given %d KiB", field(t, "/proc/meminfo", "MemTotal:")>>10,
		before>>20, running>>20, after>>20, share>>10)
	if after+share+slack < running {
		t.Errorf("%d KiB are gone, and %d may be", (running-after)>>10, (share+slack)>>10)
	}
	labtest.Must(t, cmd.Process.Signal(syscall.SIGCONT))
	const charge = 1280 // what an event takes of the buffer
	if full := 2*flows*rounds*charge > share; !full {
		t.Log("the buffer holds all of them here")
	} else if line, err := bufio.NewReader(diag).ReadString('\n'); err != nil || !strings.Contains(line, "lost") {
		t.Errorf("it says nothing of a loss: %q %v", line, err)
	}
	labtest.Must(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	if n := field(t, "/proc/vmstat", "oom_kill "); n != killed {
		t.Errorf("%d processes were killed for want of memory", n-killed)
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander: %v", err)
	}
	_ = bystander.Process.Kill()
	_ = bystander.Wait()
}
