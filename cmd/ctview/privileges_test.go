package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ctview/ctnl/confine"
	"ctview/ctnl/lab"

	"golang.org/x/sys/unix"
)

// withoutCgo is a program that can give up privileges: the test binary, or where that was linked with C one that is built for it.
var withoutCgo = sync.OnceValues(func() (string, error) {
	if confine.Able() {
		return os.Executable()
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("ctview-test-%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// confined returns a command that runs such a ctview with args.
func confined(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := withoutCgo()
	if err != nil {
		t.Fatal(err)
	}
	cmd := ctview(t, args...)
	cmd.Path, cmd.Args[0] = path, path
	return cmd
}

// A status is what /proc/PID/task/TID/status says of a thread.
type status struct {
	effective, permitted, inheritable, ambient confine.Caps
	noNewPrivs                                 bool
}

func (s status) String() string {
	return fmt.Sprintf("effective %x, permitted %x, inheritable %x, ambient %x, no_new_privs %v", uint64(s.effective), uint64(s.permitted),
		uint64(s.inheritable), uint64(s.ambient), s.noNewPrivs)
}

func threads(t *testing.T, pid int) (all []status) {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended
		}
		var s status
		for _, l := range strings.Split(string(b), "\n") {
			name, v, _ := strings.Cut(l, ":\t")
			var n uint64
			fmt.Sscanf(v, "%x", &n)
			switch name {
			case "CapEff":
				s.effective = confine.Caps(n)
			case "CapPrm":
				s.permitted = confine.Caps(n)
			case "CapInh":
				s.inheritable = confine.Caps(n)
			case "CapAmb":
				s.ambient = confine.Caps(n)
			case "NoNewPrivs":
				s.noNewPrivs = n == 1
			}
		}
		all = append(all, s)
	}
	return all
}

// keeps waits until every thread of a process has effective and permitted alone, and no_new_privs.
func keeps(t *testing.T, pid int, effective, permitted confine.Caps) {
	t.Helper()
	want := status{effective: effective, permitted: permitted, noNewPrivs: true}
	var last []status
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		last = threads(t, pid)
		right := len(last) > 0
		for _, s := range last {
			right = right && s == want
		}
		if right {
			return
		}
	}
	t.Errorf("threads of %d:\n%v\nwant %v", pid, last, want)
}

// TestPrivileges holds that ctview has given up, on every thread, what the command does not need, once it has opened what it works on.
func TestPrivileges(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(context.Background(), 0, 3000); err != nil { // more than a pipe takes
		t.Fatal(err)
	}
	dir := t.TempDir()
	recording := filepath.Join(dir, "flows.pcap")
	if out, err := confined(t, "record", "--netns", ns.Path(), "--for", "300ms", recording).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const none, admin = confine.Caps(0), confine.NetAdmin
	for _, tt := range []struct {
		name                 string
		args                 []string
		effective, permitted confine.Caps
	}{
		{"list", []string{"list", "--netns", ns.Path()}, admin, admin},
		{"list by groups", []string{"list", "--group-by", "src,sport", "--netns", ns.Path()}, admin, admin},
		{"list by processes", []string{"list", "--columns", "src,sport,dst,dport,proc,user,cgroup", "--netns", ns.Path()}, admin, admin | confine.Processes},
		{"events", []string{"events", "--netns", ns.Path()}, none, none},
		{"events after the table", []string{"events", "--netns", ns.Path(), "--dump", "tcp and zone 77"}, none, none},
		{"record", []string{"record", "--netns", ns.Path(), filepath.Join(dir, "more.pcap")}, none, none},
		{"states --watch", []string{"states", "--watch", "--netns", ns.Path()}, admin, admin | confine.NetRaw},
		{"conntrack -E", []string{"conntrack", "--netns", ns.Path(), "-E"}, admin, admin | confine.Processes},
		{"conntrack -E by name", nil, admin, admin | confine.Processes},
		{"expect events", []string{"expect", "events", "--netns", ns.Path()}, admin, admin | confine.Processes},
		{"list --read", []string{"list", "--read", recording}, none, none},
		{"events --read", []string{"events", "--read", recording}, none, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := confined(t, tt.args...)
			if tt.args == nil {
				name := filepath.Join(dir, "conntrack")
				if err := os.Symlink(cmd.Path, name); err != nil {
					t.Fatal(err)
				}
				cmd = exec.Command("nsenter", "--net="+ns.Path(), name, "-E")
				cmd.Env = append(os.Environ(), asMain+"=1", lab.InsideEnv+"=")
			}
			out, err := cmd.StdoutPipe() // nobody reads it: what is large waits
			if err != nil {
				t.Fatal(err)
			}
			var diag bytes.Buffer
			cmd.Stderr = &diag
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			keeps(t, cmd.Process.Pid, tt.effective, tt.permitted)
			_ = cmd.Process.Kill()
			_ = out.Close()
			_ = cmd.Wait()
			if diag.Len() > 0 {
				t.Logf("%s", &diag)
			}
		})
	}
	for _, tt := range []struct {
		name                 string
		args                 []string
		shows                string
		effective, permitted confine.Caps
	}{
		{"screen", []string{"--netns", ns.Path()}, "Flows", admin, admin | screenNeeds},
		{"screen, read-only", []string{"--read-only", "--netns", ns.Path()}, "Flows", admin, admin},
		{"screen, recording", []string{"--read", recording}, "Flows", none, none},
		{"a question", []string{"delete", "tcp or udp or icmp or not tcp", "--netns", ns.Path()}, "Type 3000:", admin, admin | confine.Processes},
		{"demo", []string{"demo"}, "Flows", demoNeeds, demoNeeds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tm := newTerminal(t, confined(t, tt.args...), 100, 24)
			tm.shows(tt.shows)
			keeps(t, tm.cmd.Process.Pid, tt.effective, tt.permitted)
			tm.send("q")
		})
	}
}

// TestPrivilegesOfFile runs ctview as a user to whom the program file gives CAP_NET_ADMIN: that is what it has, no child gets it,
// and the table is shown.
func TestPrivilegesOfFile(t *testing.T) {
	path, err := withoutCgo()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(os.TempDir(), fmt.Sprintf("ctview-setcap-%d", os.Getpid()))
	defer os.Remove(path)
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	// struct vfs_cap_data, revision 2 with the effective bit: setcap cap_net_admin+ep
	var data []byte
	for _, v := range []uint32{0x02000001, uint32(confine.NetAdmin), 0, 0, 0} {
		data = binary.LittleEndian.AppendUint32(data, v)
	}
	if err := unix.Setxattr(path, "security.capability", data, 0); err != nil {
		t.Logf("not tried: only root of the machine gives capabilities to a file: %v", err)
		return
	}
	ns, f := trackedNS(t)
	if err := f.Create(context.Background(), 0, 3000); err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) *exec.Cmd {
		cmd := exec.Command("nsenter", append([]string{"--net=" + ns.Path(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", path}, args...)...)
		cmd.Env = append(os.Environ(), asMain+"=1", lab.InsideEnv+"=", "HOME=/nonexistent")
		return cmd
	}
	out, err := start("count").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "3000 of ") {
		t.Errorf("count: %v %s", err, out)
	}
	u := must(ns.ListenPacket("udp", "127.0.0.1:0"))(t)
	defer u.Close()
	c := must(ns.Dial(context.Background(), "udp", "", u.LocalAddr().String()))(t)
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	out, err = start("list", "--columns", "proc,user", "--no-header", "local").CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^-\s+root>root$`).Match(out) || !strings.Contains(string(out), "CAP_SYS_PTRACE") {
		t.Errorf("a process that may not be seen: %v %s", err, out)
	}
	tm := newTerminal(t, start(), 100, 24)
	tm.shows("of 300")
	keeps(t, tm.cmd.Process.Pid, confine.NetAdmin, confine.NetAdmin)
	tm.send("q")
	out, err = start("list", "--netns", "1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not permitted") {
		t.Errorf("another's namespace: %v %s", err, out)
	}
}

// TestScreenWritesWhereItMay: the kernel itself refuses what a screen that changes nothing writes elsewhere than where it was
// started, and the screen says where it may; a filter is still saved.
func TestScreenWritesWhereItMay(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(context.Background(), 0, 3); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	recording := filepath.Join(dir, "flows.pcap")
	if out, err := confined(t, "record", "--netns", ns.Path(), "--for", "300ms", recording).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"--read", recording}, {"--read-only", "--netns", ns.Path()}} {
		cmd := confined(t, args...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
		if err := os.MkdirAll(filepath.Join(dir, "config", "ctview"), 0o700); err != nil {
			t.Fatal(err)
		}
		tm := newTerminal(t, cmd, 160, 24)
		tm.shows("of 3")
		tm.send(":write here.csv\r")
		tm.shows("3 lines written")
		if _, err := os.Stat(filepath.Join(cmd.Dir, "here.csv")); err != nil {
			t.Error(err)
		}
		tm.send("/udp or tcp\r")
		tm.send(":save kept\r")
		tm.shows("saved; v lists")
		if b, err := os.ReadFile(filepath.Join(dir, "config", "ctview", "config.toml")); err != nil || !strings.Contains(string(b), "kept") {
			t.Errorf("the configuration: %s %v", b, err)
		}
		if confine.Landlock() > 0 {
			const elsewhere = "/run/ctview-test.csv"
			tm.send(":write " + elsewhere + "\r")
			tm.shows("may write below " + cmd.Dir)
			if _, err := os.Stat(elsewhere); err == nil {
				t.Errorf("%s was written", elsewhere)
				_ = os.Remove(elsewhere)
			}
		}
		tm.send("q")
	}
}

// TestSecurityPromises holds the table of docs/security.md: every test that it names exists, and every test of the rooms that it is
// about is one of a promise that is written there.
func TestSecurityPromises(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "## Promises and their tests")
	if !ok {
		t.Fatal("no table")
	}
	there := func(dir, files string) map[string]bool {
		names := map[string]bool{}
		paths, _ := filepath.Glob(filepath.Join(dir, files))
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(b), -1) {
				names[m[1]] = m[1] != "TestMain"
			}
		}
		return names
	}
	named := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 2 || strings.TrimSpace(cells[0]) == "promise" {
			continue
		}
		n := 0
		dir := "."
		for _, m := range regexp.MustCompile("`([\\w/]+)`").FindAllStringSubmatch(cells[1], -1) {
			if !strings.HasPrefix(m[1], "Test") {
				dir = filepath.Join("..", "..", m[1])
				continue
			}
			n++
			named[m[1]] = true
			if !there(dir, "*_test.go")[m[1]] && !there(".", "*_test.go")[m[1]] {
				t.Errorf("%s is not in %s", m[1], dir)
			}
		}
		if n == 0 {
			t.Errorf("a promise without a test: %s", cells[0])
		}
	}
	for _, room := range [][2]string{{"../../ctnl/confine", "*_test.go"}, {".", "privileges_test.go"}} {
		for name, is := range there(room[0], room[1]) {
			if is && !named[name] && name != "TestSecurityPromises" {
				t.Errorf("%s is no test of a promise in docs/security.md", name)
			}
		}
	}
}
