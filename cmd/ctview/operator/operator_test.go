package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/vishvananda/netlink"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
)

var must = labtest.Must

func TestMain(m *testing.M) {
	if role := os.Getenv("OPERATOR_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// A tree is a machine of processes.
type tree map[int]proc

type proc struct {
	Process
	sockets, ttys []uint64
	hidden        bool
	ssh           string // SSH_CONNECTION
}

func (s tree) Process(pid int) (Process, error) {
	p, ok := s[pid]
	if !ok {
		return Process{}, os.ErrNotExist
	}
	return p.Process, nil
}
func (s tree) All() []int { return slices.Sorted(maps.Keys(s)) }
func (s tree) Files(pid int) ([]uint64, []uint64, error) {
	if s[pid].hidden {
		return nil, nil, os.ErrPermission
	}
	return s[pid].sockets, s[pid].ttys, nil
}
func (s tree) Env(pid int, _ string) string { return s[pid].ssh }

// Sockets are connections from 192.0.2.N, port 1000+N, to port 22, with inode N; 90 is one from here to port 443, 91 from loopback.
func (s tree) Sockets(int) ([]Socket, error) {
	all := []Socket{{Listen: true, Inode: 99, Tuple: model.Tuple{Dport: 22}}}
	here := netip.MustParseAddr("192.0.2.1")
	for n := range uint16(20) {
		all = append(all, Socket{Inode: uint64(n), Tuple: from(byte(n))})
	}
	return append(all, Socket{Inode: 90, Tuple: model.TupleOf(model.ProtoTCP, netip.MustParseAddr("198.51.100.1"), here, 443, 50000)},
		Socket{Inode: 91, Tuple: model.TupleOf(model.ProtoTCP, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"), 5, 22)}), nil
}

func from(n byte) model.Tuple {
	return model.TupleOf(model.ProtoTCP, netip.AddrFrom4([4]byte{192, 0, 2, n}), netip.MustParseAddr("192.0.2.1"), 1000+uint16(n), 22)
}

const pts = 136 << 8

// login is a session of sshd from 192.0.2.n: monitor n0, child n1 and shell n2 on terminal n.
func (s tree) login(n int) tree {
	tty := uint64(pts + n)
	s[n*10] = proc{Process: Process{"sshd", 2, 0}, sockets: []uint64{uint64(n)}}
	s[n*10+1] = proc{Process: Process{"sshd-session", n * 10, 0}, sockets: []uint64{uint64(n), 90}}
	s[n*10+2] = proc{Process: Process{"bash", n*10 + 1, tty}, ssh: fmt.Sprintf("192.0.2.%d %d 192.0.2.1 22", n, 1000+n)}
	s[n*10+3] = proc{Process: Process{"tmux: client", n*10 + 2, tty}}
	return s
}

func machine() tree {
	return tree{1: {Process: Process{"init", 0, 0}}, 2: {Process: Process{"sshd", 1, 0}, sockets: []uint64{99}}}
}

// with adds ctview, as process 1000, below parent.
func (s tree) with(pid int, p proc) tree { s[pid] = p; return s }
func (s tree) ctview(parent int) tree {
	return s.with(1000, proc{Process: Process{"ctview", parent, pts + 9}})
}

func TestFind(t *testing.T) {
	t.Parallel()
	server := func(name, ssh string, ttys ...uint64) proc {
		return proc{Process: Process{name, 1, 0}, ttys: ttys, ssh: ssh}
	}
	const stale = "192.0.2.3 1003 192.0.2.1 22"
	for _, tt := range []struct {
		name    string
		sys     tree
		want    []byte
		unknown bool
	}{
		{"ssh", machine().login(3).ctview(32), []byte{3}, false},
		{"sudo took the environment", machine().login(3).with(50, proc{Process: Process{"sudo", 32, 0}}).ctview(50), []byte{3}, false},
		{"another's sshd cannot be read", machine().login(3).with(31, proc{Process: Process{"sshd", 30, 0}, hidden: true}).ctview(32), []byte{3}, false},
		{"the console", machine().with(50, proc{Process: Process{"login", 1, 4<<8 | 1}}).with(1000, proc{Process: Process{"ctview", 50, 4<<8 | 1}}), nil, false},
		{"tmux of one session, used from another", machine().login(4).with(60, server("tmux: server", stale, pts+4)).
			with(61, proc{Process: Process{"bash", 60, pts + 9}, ssh: stale}).ctview(61), []byte{4, 3}, false},
		{"tmux, two clients", machine().login(4).login(5).with(60, server("tmux: server", "", pts+4, pts+5)).ctview(60), []byte{4, 5}, false},
		{"tmux on the console and over ssh", machine().login(4).with(50, proc{Process: Process{"tmux: client", 1, 4<<8 | 1}}).
			with(60, server("tmux: server", "", pts+4, 4<<8|1)).ctview(60), []byte{4}, false},
		{"tmux, nobody attached", machine().with(60, server("tmux: server", stale)).ctview(60), []byte{}, true},
		{"tmux in tmux", machine().login(4).with(60, server("tmux: server", "", pts+4)).with(62, proc{Process: Process{"tmux: client", 60, pts + 7}}).
			with(63, server("tmux: server", "", pts+7)).ctview(63), []byte{4}, false},
		{"screen", machine().login(4).with(60, server("screen", stale, pts+4)).ctview(60), []byte{4, 3}, false},
		{"screen whose files cannot be read", machine().login(4).with(60, proc{Process: Process{"screen", 1, 0}, hidden: true, ssh: stale}).ctview(60), []byte{3}, true},
		{"a job that outlived its terminal", machine().ctview(1), nil, true},
		{"mosh", machine().with(60, proc{Process: Process{"mosh-server", 1, 0}, ssh: stale}).ctview(60), []byte{3}, true},
		{"ssh over a tunnel", machine().with(50, proc{Process: Process{"sshd", 2, 0}, sockets: []uint64{91}}).ctview(50), []byte{0}, true},
		{"an agent that called out", machine().with(50, proc{Process: Process{"agent", 1, 0}, sockets: []uint64{90}}).ctview(50), nil, true},
		{"no /proc", tree{}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			op := Find(tt.sys, 1000)
			if tt.name == "tmux, nobody attached" {
				tt.want = []byte{3}
			}
			var want []model.Tuple
			for _, n := range tt.want {
				if n == 0 {
					want = append(want, model.TupleOf(model.ProtoTCP, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"), 5, 22))
					continue
				}
				want = append(want, from(n))
			}
			if !slices.Equal(op.Sessions, want) || op.Unknown != tt.unknown {
				t.Errorf("%v, not known %v; want %v, %v", op.Sessions, op.Unknown, want, tt.unknown)
			}
		})
	}
}

// play is what the stand-in for sshd does: it accepts a connection and runs tmux on a terminal of its own.
func play(role string) int {
	switch role {
	case "find":
		op := Find(Proc{}, os.Getpid())
		text := fmt.Sprintln(op.Unknown)
		for i := range op.Sessions {
			text += fmt.Sprintln(op.Sessions[i].Sport)
		}
		tmp := os.Args[1] + ".new"
		if os.WriteFile(tmp, []byte(text), 0o600) != nil || os.Rename(tmp, os.Args[1]) != nil {
			return 1
		}
		return 0
	case "daemon":
		l, err := net.Listen("tcp", "10.9.0.1:0")
		if err != nil {
			return 1
		}
		fmt.Println(l.Addr())
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		defer c.Close()
		cmd := exec.Command("tmux", os.Args[1:]...)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool {
			return strings.HasPrefix(s, "OPERATOR_TEST_ROLE=") || strings.HasPrefix(s, "TMUX=")
		}), "TERM=xterm")
		f, err := pty.Start(cmd)
		if err != nil {
			return 1
		}
		defer f.Close()
		go func() {
			b := make([]byte, 4096)
			for {
				if _, err := f.Read(b); err != nil {
					return
				}
			}
		}()
		_ = cmd.Wait()
		return 0
	}
	return 2
}

// TestFindInTmux starts tmux over one connection, attaches to it over another, and asks inside. The daemon is a stand-in for
// sshd, with a socket and a terminal as sshd has them: installing sshd for a test would start one on the tester's machine.
func TestFindInTmux(t *testing.T) {
	t.Parallel()
	ns, err := lab.NewNS()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	must(t, ns.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr("10.9.0.1/32")
		return errors.Join(err, netlink.AddrAdd(lo, a), netlink.LinkSetUp(lo))
	}))
	dir := t.TempDir()
	sock := dir + "/tmux"
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", sock, "kill-server").Run() })
	connect := func(args ...string) (port uint16, hangUp func()) {
		t.Helper()
		cmd := ns.Command(os.Args[0], append([]string{"-S", sock, "-f", "/dev/null"}, args...)...)
		cmd.SysProcAttr = nil
		cmd.Env = append(os.Environ(), "OPERATOR_TEST_ROLE=daemon")
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		b := make([]byte, 100)
		n, err := out.Read(b)
		must(t, err)
		c, err := ns.Dial(context.Background(), "tcp4", "", strings.TrimSpace(string(b[:n])))
		must(t, err)
		hangUp = sync.OnceFunc(func() { _ = c.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
		t.Cleanup(hangUp)
		return uint16(c.LocalAddr().(*net.TCPAddr).Port), hangUp
	}
	find := func(ports ...uint16) {
		t.Helper()
		var want []string
		for _, p := range ports {
			want = append(want, fmt.Sprint(p))
		}
		slices.Sort(want)
		var got string
		for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			file := fmt.Sprintf("%s/found%d", dir, time.Now().UnixNano())
			_ = exec.Command("tmux", "-S", sock, "new-window", "-d", "OPERATOR_TEST_ROLE=find "+os.Args[0]+" "+file).Run()
			for i := 0; i < 100 && got == ""; i++ {
				b, _ := os.ReadFile(file)
				got = string(b)
				time.Sleep(10 * time.Millisecond)
			}
			w := strings.Fields(got)
			if len(w) > 0 && w[0] == "false" && slices.Equal(slices.Sorted(slices.Values(w[1:])), want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("found %q, want false %q", got, want)
			}
			got = ""
		}
	}
	a, hangUpA := connect("new-session")
	find(a)
	b, _ := connect("attach")
	find(a, b)
	hangUpA()
	find(b)
}
