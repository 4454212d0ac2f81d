package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNoFileIsWaitedFor names pipes, devices, sockets and directories where ctview wants a file: each is refused at once, by
// every command that takes one.
func TestNoFileIsWaitedFor(t *testing.T) {
	ns := newNS(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	themes := filepath.Join(dir, "pipes", "themes")
	big := filepath.Join(dir, "big")
	for _, err := range []error{unix.Mkfifo(fifo, 0o600), os.MkdirAll(themes, 0o700), unix.Mkfifo(filepath.Join(themes, "x.toml"), 0o600),
		os.WriteFile(filepath.Join(dir, "pipes", "config.toml"), nil, 0o600), os.WriteFile(big, make([]byte, 2<<20), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"--config " + fifo + " list", "a pipe, not a file"},
		{"--config /dev/zero list", "a device, not a file"},
		{"--config /dev/tty list", "not"},
		{"--config " + dir + " count", "a directory, not a file"},
		{"--config " + big + " config check", "larger than"},
		{"--config " + filepath.Join(dir, "pipes", "config.toml") + " explain tcp", "a pipe, not a file"},
		{"list --read " + fifo, "a pipe, not a file"},
		{"events --read /dev/zero", "a device, not a file"},
		{"add --file " + fifo, "a pipe, not a file"},
		{"record " + fifo, "is there already"},
		{"record --force " + fifo, "not a file"},
		{"record --force /dev/full", "a device, not a file"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := ctview(t, append([]string{"--netns", ns.Path()}, strings.Fields(tt.args)...)...)
			stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
			defer stop.Stop()
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitUsage && code != exitFailed || !strings.Contains(string(out), tt.want) {
				t.Errorf("exit code %d and %q, want %q", code, out, tt.want)
			}
		})
	}
	if _, err := os.Lstat(fifo); err != nil {
		t.Errorf("record took the pipe away: %v", err)
	}
}

// TestFirstSignalEnds sends one signal to every command that may wait: for events, for input, for a reader of its output.
func TestFirstSignalEnds(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"events", "expect events", "events --read -", "list --read -", "add --file -", "stats --watch", "list --watch",
		"states --watch", "states --samples", "record -", "record " + filepath.Join(t.TempDir(), "r")} {
		for _, sig := range []syscall.Signal{sigTerminate, sigInterrupt, syscall.SIGQUIT, syscall.SIGUSR1} {
			t.Run(args+" "+sig.String(), func(t *testing.T) {
				cmd := ctview(t, append([]string{"--netns", ns.Path()}, strings.Fields(strings.Replace(args, "record /", "record --force /", 1))...)...)
				in, err := cmd.StdinPipe() // never closed: whoever reads it waits
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				full, err := cmd.StdoutPipe() // never read
				if err != nil {
					t.Fatal(err)
				}
				defer io.Copy(io.Discard, full)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
				defer stop.Stop()
				settle(t, cmd.Process.Pid)
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				soon(t, cmd)
				// On a busy machine the signal may come before ctview has taken it up: that ends it, too.
				if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.ExitStatus() != exitSignalOffset+int(sig) && ws.Signal() != sig {
					t.Errorf("%v; want exit code %d", cmd.ProcessState, exitSignalOffset+int(sig))
				}
			})
		}
	}
}

// soon waits for the end of a process that was sent a signal: a second, and as long again and more for a busy machine.
func soon(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	began := time.Now()
	_ = cmd.Wait()
	if took := time.Since(began); took > 4*endTime {
		t.Errorf("%v took %v to end", cmd.Args, took)
	}
}

// TestSignalEndsBesideLock: a lock of iptables that another holds keeps a command that has a rule to take back no longer than
// anything else; the rule expires by itself.
func TestSignalEndsBesideLock(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	self := ctview(t)
	// A /run of its own, in which the lock is: everybody else's is left alone.
	own := func(args ...string) *exec.Cmd {
		cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", `mount -t tmpfs none /run && exec "$0" "$@"`, self.Path}, args...)...)
		cmd.Env = self.Env
		return cmd
	}
	lock := func(pid int) {
		t.Helper()
		cmd := exec.Command("nsenter", "-m", "-t", strconv.Itoa(pid), "flock", "-F", "/run/xtables.lock", "sh", "-c", "echo held; exec sleep 1000")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = io.ReadFull(out, make([]byte, 4))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	cmd := own("notrack", "add", "udp 10.9.9.9 to 10.8.8.8:53", "--yes", "--keep", "session", "--backend", "iptables-legacy", "--netns", ns.Path())
	cmd.Args = append(cmd.Args, "--verify", "0s")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	diag, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for b := make([]byte, 4096); !strings.Contains(said, "it is gone when this command ends"); {
		n, err := diag.Read(b)
		if said += string(b[:n]); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	lock(cmd.Process.Pid)
	if err := cmd.Process.Signal(sigTerminate); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, diag)
	soon(t, cmd)
	if code := cmd.ProcessState.ExitCode(); code != exitSignalOffset+int(sigTerminate) {
		t.Errorf("%v, want exit code %d", cmd.ProcessState, exitSignalOffset+int(sigTerminate))
	}
}

// settle waits until a process has used no processor for a while: it waits for something.
func settle(t *testing.T, pid int) {
	t.Helper()
	last, same := "", 0
	for end := time.Now().Add(patience); same < 10 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat") // ns on a processor, ns waiting, turns
		if err != nil {
			t.Fatal(err)
		}
		if same++; string(b) != last {
			last, same = string(b), 0
		}
	}
}

// TestQuestionEnds sends a signal to a command that asks on a terminal.
func TestQuestionEnds(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	if out, err := ctview(t, strings.Fields("--netns "+ns.Path()+" add udp 10.0.0.1:1 10.0.0.2:2 -t 5m")...).CombinedOutput(); err != nil {
		t.Fatalf("add: %v, %s", err, out)
	}
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "flush"), 80, 24)
	tm.shows("[y] yes")
	if err := tm.cmd.Process.Signal(sigTerminate); err != nil {
		t.Fatal(err)
	}
	if code := tm.ended(); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
}

// TestNoEmptyRecording fills the disk: no empty file stays.
func TestNoEmptyRecording(t *testing.T) {
	dir := t.TempDir()
	f, err := openRegular(filepath.Join(dir, "r"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		t.Fatal(err)
	}
	w := &newFile{File: f}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}); err != nil {
		t.Fatal(err)
	}
	_, werr := w.Write([]byte("x")) // Go ignores SIGXFSZ: the write fails as on a full disk
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
		t.Fatal(err)
	}
	if cerr := w.Close(); werr == nil || cerr != nil {
		t.Errorf("write %v, close %v; want the first to fail", werr, cerr)
	}
	if all, err := os.ReadDir(dir); len(all) != 0 || err != nil {
		t.Errorf("left are %v, %v; want nothing", all, err)
	}
}

// TestNoEmptyView: "w" on a full disk says so and leaves no empty file.
func TestNoEmptyView(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(t.Context(), 0, 3); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=4096"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := ctview(t, "--netns", ns.Path())
	cmd.Dir = dir
	tm := newTerminal(t, cmd, 120, 24)
	tm.shows("of 3")
	tm.send(":write flows.csv\r")
	tm.shows("no space left on device")
	if _, err := os.Stat(filepath.Join(dir, "flows.csv")); err == nil {
		t.Error("an empty flows.csv is left")
	}
	tm.send("q")
	tm.ended()
}
