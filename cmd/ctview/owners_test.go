package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// ownerCells are what the columns of owners show of a flow.
func ownerCells(o *model.Owners, f *model.Flow) []string {
	x := model.Extra{Owner: o.Of(f)}
	var cells []string
	for _, c := range []model.Column{model.ColPID, model.ColProc, model.ColUser} {
		cells = append(cells, string(format.AppendCell(nil, c, f, &x, format.Options{})))
	}
	return cells
}

// chown gives a socket to a user, as if a process of that user had made it (sockfs_setattr).
func chown(t *testing.T, c syscall.Conn, uid int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var cerr error
	if err := raw.Control(func(fd uintptr) { cerr = unix.Fchown(int(fd), uid, -1) }); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
}

// TestOwnersOfSockets looks who holds real sockets: those of this process, in a namespace of their own.
func TestOwnersOfSockets(t *testing.T) {
	ns := newNS(t)
	n := openNS(t, ns)
	ctx := context.Background()
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	comm, pid, root := strings.TrimSpace(string(b)), fmt.Sprint(os.Getpid()), userName(uint32(os.Getuid()))
	const other = 54321 // nobody has this number
	both := func(a, b string) string { return a + ">" + b }
	r := newOwnerReader(n)

	l := must(ns.Listen("tcp", "[::]:0"))(t)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	type pair struct {
		name string
		f    *model.Flow
		want []string
	}
	var pairs []pair
	for _, addr := range []string{"127.0.0.1", "::1", "127.3.2.1"} {
		c := must(ns.Dial(ctx, "tcp", "", net.JoinHostPort(addr, port)))(t)
		s := must(l.Accept())(t)
		defer c.Close()
		defer s.Close()
		pairs = append(pairs, pair{"tcp " + addr, flowOf(model.ProtoTCP, addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())),
			[]string{both(pid, pid), both(comm, comm), both(root, root)}})
	}
	u := must(ns.ListenPacket("udp", "127.0.0.1:0"))(t)
	defer u.Close()
	chown(t, u.(*net.UDPConn), other)
	d := must(ns.Dial(ctx, "udp", "", u.LocalAddr().String()))(t)
	defer d.Close()
	away := netip.MustParseAddrPort("10.9.9.9:4000")
	local := func(p string) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:" + p) }
	pairs = append(pairs,
		pair{"udp", flowOf(model.ProtoUDP, addrPort(d.LocalAddr()), addrPort(u.LocalAddr())), []string{both(pid, pid), both(comm, comm), both(root, fmt.Sprint(other))}},
		pair{"udp from elsewhere", flowOf(model.ProtoUDP, away, addrPort(u.LocalAddr())), []string{pid, comm, fmt.Sprint(other)}},
		pair{"tcp that the listener has yet to take", flowOf(model.ProtoTCP, away, local(port)), []string{pid, comm, root}},
		pair{"nobody listens", flowOf(model.ProtoTCP, away, local("1")), []string{"-", "-", "-"}},
		pair{"passes through", flowOf(model.ProtoTCP, away, netip.MustParseAddrPort("10.9.9.8:"+port)), []string{"forwarded", "forwarded", "forwarded"}})

	owners := must(r.read())(t)
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			if diff := cmp.Diff(p.want, ownerCells(owners, p.f)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if w := owners.Of(pairs[0].f); w.Ends[0] == nil || w.Ends[0].Cgroup != cgroupOf(string(text)) {
		t.Errorf("cgroup: %+v, want %q", w.Ends[0], cgroupOf(string(text)))
	}
	t.Run("another namespace has other sockets", func(t *testing.T) {
		elsewhere := must(newOwnerReader(openNS(t, newNS(t))).read())(t)
		if diff := cmp.Diff([]string{"-", "-", "-"}, ownerCells(elsewhere, pairs[0].f)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("processes are looked through for new sockets alone", func(t *testing.T) {
		was := r.scanned
		must(r.read())(t)
		if r.scanned != was {
			t.Error("nothing is new, and they were looked through")
		}
		c := must(ns.Dial(ctx, "tcp", "", local(port).String()))(t)
		defer c.Close()
		owners := must(r.read())(t)
		f := flowOf(model.ProtoTCP, addrPort(c.LocalAddr()), addrPort(c.RemoteAddr()))
		if got := ownerCells(owners, f); r.scanned == was || !strings.HasPrefix(got[0], pid) {
			t.Errorf("a new socket is %q", got)
		}
	})
}

// TestScanProcesses: which of several processes is told, from a /proc that a test made.
func TestScanProcesses(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, comm string, inodes ...int) {
		fd := filepath.Join(proc, pid, "fd")
		if err := os.MkdirAll(fd, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, inode := range inodes {
			if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(fd, fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Symlink("/dev/null", filepath.Join(fd, "100"))
		_ = os.Symlink("socket:[x]", filepath.Join(fd, "101"))
		_ = os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(comm+"\n"), 0o644)
		_ = os.WriteFile(filepath.Join(proc, pid, "cgroup"), []byte("0::/"+comm+"\n"), 0o644)
	}
	process("1", "init", 10, 11)
	process("20", "worker", 10, 12, 12)
	process("9", "master", 12, 99)
	process("300", "", 13)
	if err := os.MkdirAll(filepath.Join(proc, "sys"), 0o755); err != nil {
		t.Fatal(err)
	}
	found := map[uint32]heldSocket{10: {}, 11: {}, 12: {}, 13: {}, 14: {}}
	hidden := scanProcesses(proc, found)
	want := map[uint32]heldSocket{
		10: {pid: 20, more: 1, comm: "worker", cgroup: "/worker"}, // not init, which holds it for the worker
		11: {pid: 1, comm: "init", cgroup: "/init"},
		12: {pid: 9, more: 1, comm: "master", cgroup: "/master"}, // twice in one process is once
		13: {pid: 300, comm: "[300]", cgroup: "/"},
		14: {}, // of the kernel
	}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(heldSocket{})); diff != "" || hidden != 0 {
		t.Errorf("%d hidden (-want +got):\n%s", hidden, diff)
	}
}

// TestCgroupOf reads what kernels with one hierarchy, with both and with the old one say.
func TestCgroupOf(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"0::/\n":                            "/",
		"0::/system.slice/ssh.service\n":    "/system.slice/ssh.service",
		"9:pids:/\n1:name=systemd:/x\n0::/": "/x",
		"9:pids:/a\n0::/b\n":                "/b",
		"4:memory:/a:b\n":                   "/a:b",
		"nonsense":                          "",
	} {
		if got := cgroupOf(text); got != want {
			t.Errorf("cgroupOf(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzCgroupOf: the path of a cgroup is anybody's text.
func FuzzCgroupOf(f *testing.F) {
	f.Add("0::/a\n")
	f.Fuzz(func(t *testing.T, text string) { cgroupOf(text) })
}

// TestKeepOwners: nothing is looked up until somebody asks, and then what changes is found.
func TestKeepOwners(t *testing.T) {
	ns := newNS(t)
	n := openNS(t, ns)
	u := must(ns.ListenPacket("udp", "127.0.0.1:0"))(t)
	defer u.Close()
	tab := table.New()
	f := flowOf(model.ProtoUDP, netip.MustParseAddrPort("10.9.9.9:4000"), addrPort(u.LocalAddr()))
	tab.Apply(1, []model.Event{{Kind: model.New, Has: model.HasOrig | model.HasReply, Flow: *f}})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- keepOwners(ctx, n, tab, 0.5) }()
	asked := func(q table.Query) string {
		var v table.View
		q.Limit, q.Now = 1, time.Now().UnixNano()
		tab.View(&q, &v)
		return string(model.AppendOwner(nil, model.ColPID, &v.Rows[0].Extra.Owner))
	}
	for range 4 { // four looks whether somebody wants to know
		time.Sleep(ownersLook)
		if got := asked(table.Query{}); got != "" {
			t.Fatalf("pid %q, and nobody asked for it", got)
		}
	}
	for end := time.Now().Add(patience); asked(table.Query{Owners: true}) != fmt.Sprint(os.Getpid()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("asked for, and not known")
		}
	}
	_ = u.Close()
	for end := time.Now().Add(patience); asked(table.Query{Owners: true}) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the socket is closed, and still told")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestListOwners runs the commands: columns, filters, groups, the order, JSON, and what cannot know.
func TestListOwners(t *testing.T) {
	ns, f := trackedNS(t)
	if err := f.Create(context.Background(), 0, 3); err != nil {
		t.Fatal(err)
	}
	l := must(ns.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	c := must(ns.Dial(context.Background(), "tcp", "", l.Addr().String()))(t)
	defer c.Close()
	s := must(l.Accept())(t)
	defer s.Close()
	pid := fmt.Sprint(os.Getpid())
	lines := func(args ...string) []string {
		t.Helper()
		out, err := ctview(t, append(args, "--netns", ns.Path())...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	got := lines("list", "--no-header", "--columns", "pid,sport", "--sort", "pid")
	if want := pid + ">" + pid; len(got) != 4 || !strings.HasPrefix(strings.TrimSpace(got[0]), want) {
		t.Errorf("list --sort pid: %q, want %s first of 4", got, want)
	}
	for filter, want := range map[string]string{"pid " + pid: "1", "forwarded": "3", "local": "1", "proc none": "0", "not orig user root": "3"} {
		if got := lines("count", filter); got[0] != want {
			t.Errorf("count %s: %q, want %s", filter, got, want)
		}
	}
	if got := lines("list", "-o", "csv", "--group-by", "pid"); len(got) != 3 || !strings.HasPrefix(got[1], "forwarded,3,") || !strings.HasPrefix(got[2], pid+">"+pid+",1,") {
		t.Errorf("list --group-by pid: %q", got)
	}
	if got := lines("list", "-o", "json", "--columns", "pid", "local"); got[0] != `{"orig":{"pid":`+pid+`},"reply":{"pid":`+pid+`},"forwarded":false}` {
		t.Errorf("list -o json: %q", got)
	}
	for _, args := range [][]string{{"--columns", "pid"}, {"--group-by", "pid"}, {"--columns", "pid,rate", "-o", "csv"}} {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		cmd := ctview(t, append(append([]string{"list", "--watch=200ms", "local"}, args...), "--netns", ns.Path())...)
		out := must(cmd.StdoutPipe())(t)
		must(0, cmd.Start())(t)
		context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		seen := 0
		for in := bufio.NewScanner(out); seen < 2 && in.Scan(); {
			if strings.Contains(in.Text(), pid+">"+pid) {
				seen++
			}
		}
		stop()
		_ = cmd.Wait()
		if seen < 2 {
			t.Errorf("list --watch %v: no process in two readings", args)
		}
	}
	for _, args := range [][]string{{"events", "proc", "x"}, {"events", "--columns", "pid"}, {"states", "--samples", "forwarded"}, {"list", "--read", "x", "user", "root"}} {
		out, err := ctview(t, append(args, "--netns", ns.Path())...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "who holds the sockets of flows") {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
