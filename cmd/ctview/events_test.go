package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"

	"golang.org/x/sys/unix"
)

// trackedNS returns a namespace with tracking on and a Filler for it.
func trackedNS(t *testing.T) (*lab.NS, *fill.Filler) {
	t.Helper()
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	f := must(fill.Open(ns))(t)
	t.Cleanup(func() { f.Close() })
	return ns, f
}

// listening waits until cmd's process listens to conntrack events: it is in /proc's list of netlink sockets with groups.
func listening(t *testing.T, cmd *exec.Cmd, ns *lab.NS) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if listeners(t, ns) > 0 {
			return
		}
	}
	t.Fatalf("%v does not listen", cmd.Args)
}

// listeners is how many sockets of a namespace listen to conntrack events.
func listeners(t *testing.T, ns *lab.NS) (n int) {
	t.Helper()
	var b []byte
	err := ns.Do(func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/netlink")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		// sk Eth Pid Groups …: netfilter is protocol 12, its kernel socket has Pid 0
		if w := strings.Fields(l); len(w) > 3 && w[1] == "12" && w[2] != "0" && w[3] != "00000000" {
			n++
		}
	}
	return n
}

// TestEvents holds the stream to what was done: each flow made and deleted is told, in order, and --max ends it.
func TestEvents(t *testing.T) {
	ns, f := trackedNS(t)
	cmd := ctview(t, "events", "--netns", ns.Path(), "-o", "json", "--types", "new,destroy", "--max", "20", "udp or tcp")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening(t, cmd, ns)
	ctx := context.Background()
	if err := f.Create(ctx, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := f.Destroy(ctx, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	var got []string
	for sc := bufio.NewScanner(&out); sc.Scan(); {
		var e struct {
			Event  string
			Time   time.Time
			PortID uint32
		}
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatalf("%v in %q", err, sc.Text())
		}
		if e.PortID == 0 || e.Time.IsZero() {
			t.Errorf("no port or no time in %s", sc.Text())
		}
		got = append(got, e.Event)
	}
	want := strings.Repeat("new ", 10) + strings.Repeat("destroy ", 10)
	if s := strings.Join(got, " ") + " "; s != want {
		t.Errorf("events %q, want %q", s, want)
	}
}

// TestEventsForWithinDump: the time of --for may end while the table is read; that is no failure.
func TestEventsForWithinDump(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 1000); err != nil {
		t.Fatal(err)
	}
	if code, _, diag := runIn(t, ctview(t, "events", "--dump", "--for", "1ns", "--netns", ns.Path())); code != 0 || diag != "" {
		t.Errorf("exit code %d, want 0: %s", code, diag)
	}
}

// TestEventsSlowReader holds the promise to a reader that stops, behind a pipe or a socket: what it missed is counted exactly,
// what it gets is whole lines.
func TestEventsSlowReader(t *testing.T) {
	socket := func(flags int) func(t *testing.T) (ends [2]int) {
		return func(t *testing.T) [2]int {
			return must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0))(t)
		}
	}
	for name, open := range map[string]func(t *testing.T) (ends [2]int){
		"pipe": func(t *testing.T) (ends [2]int) {
			if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			return ends
		},
		"unix socket":                  socket(0),
		"unix socket that never waits": socket(unix.SOCK_NONBLOCK),
	} {
		t.Run(name, func(t *testing.T) {
			ends := open(t)
			reader, writer := os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
			defer reader.Close()
			slowReader(t, reader, writer)
		})
	}
}

// slowReader has events write to writer, which it closes, and begins to read from reader when all is over.
func slowReader(t *testing.T, reader, writer *os.File) {
	const flows = 20_000
	ns, f := trackedNS(t)
	cmd := ctview(t, "events", "--netns", ns.Path(), "-o", "json", "--buffer", "65536", "--types", "new,destroy")
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = writer, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	listening(t, cmd, ns)
	ctx := context.Background()
	if err := f.Create(ctx, 0, flows); err != nil {
		t.Fatal(err)
	}
	if err := f.Destroy(ctx, 0, flows); err != nil {
		t.Fatal(err)
	}

	told, lost := 0, 0
	for sc := bufio.NewScanner(reader); told+lost < 2*flows && sc.Scan(); {
		var e struct {
			Event string
			Lost  int
		}
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatalf("%v in %q", err, sc.Text())
		}
		if e.Event == "lost" {
			lost += e.Lost
		} else {
			told++
		}
	}
	if told+lost != 2*flows {
		t.Errorf("%d events told and %d lost of %d", told, lost, 2*flows)
	}
	if lost == 0 {
		t.Error("nothing was lost: the test did not stop the reader long enough")
	}
	cmd.Process.Signal(syscall.SIGINT)
	io.Copy(io.Discard, reader)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d after SIGINT", code)
	}
	if !strings.Contains(errOut.String(), ": the socket buffer was full") {
		t.Errorf("stderr does not tell of the loss:\n%s", &errOut)
	}
	t.Logf("%d told, %d lost", told, lost)
}

// TestClosedPipe holds that a reader who has seen enough (| head) ends ctview quietly.
func TestClosedPipe(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(context.Background(), 0, 5000); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list", "-o", "json"}, {"list", "-o", "conntrack"}, {"list", "--sort", "src"}} {
		cmd := ctview(t, append(args, "--netns", ns.Path())...)
		pipe := must(cmd.StdoutPipe())(t)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		pipe.Close()
		cmd.Wait()
		if errOut.Len() > 0 {
			t.Errorf("%v wrote to stderr: %s", args, &errOut)
		}
	}
}
