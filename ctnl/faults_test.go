package ctnl_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/table"

	"golang.org/x/sys/unix"
)

// TestWithoutMemInfo: where the kernel does not count what it drops, ENOBUFS tells of it, and the Watcher reads on.
func TestWithoutMemInfo(t *testing.T) {
	_, ns, k := newKernel(t)
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{RcvBuf: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WithoutMemInfo(); err != nil {
		t.Fatal(err)
	}
	fill(t, k, 500)
	told := 0
	r := &recorder{}
	r.onLost = func(n uint64) {
		told++
		if n != 0 {
			t.Errorf("Lost(%d): nobody can know", n)
		}
	}
	runWatch(t, w, r)
	got := 0
	r.until(t, "the loss", func() bool { got = len(r.evs); return told > 0 && got > 0 })
	eventually(t, "an event after the loss", func() bool {
		_ = k.Create(testContext(t), spec(nth(1000)))
		_ = k.Delete(testContext(t), nth(1000), 0)
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.evs) > got
	})
}

// TestCut: an event that did not fit is refused, and lost.
func TestCut(t *testing.T) {
	_, ns, k := newKernel(t)
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.CutAt(64)
	r := &recorder{}
	runWatch(t, w, r)
	fill(t, k, 3)
	r.until(t, "three cut events", func() bool { return r.malformed == 3 && r.lost == 3 && len(r.evs) == 0 })
}

func TestNoConntrack(t *testing.T) {
	_, _, k := newKernel(t)
	if err := k.ProbeSubsystem(testContext(t), 12); !errors.Is(err, ctnl.ErrNoConntrack) {
		t.Errorf("a subsystem that is not there: %v", err)
	}
	if err := k.Probe(testContext(t)); err != nil {
		t.Errorf("one that is: %v", err)
	}
}

func TestJumped(t *testing.T) {
	for _, tt := range []struct {
		name       string
		wall, mono time.Duration
		want       bool
	}{
		{"a second passed", time.Second, time.Second, false},
		{"adjusted by ntp", time.Second + 500*time.Microsecond, time.Second, false},
		{"suspended for an hour", time.Hour, time.Second, true},
		{"set back", -time.Hour, time.Second, true},
		{"stopped for an hour", time.Hour, time.Hour, false},
	} {
		if got := ctnl.Jumped(tt.wall, tt.mono); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestContinued: after SIGCONT the table is read again.
func TestContinued(t *testing.T) {
	_, ns := newNS(t)
	dumps := make(chan ctnl.DumpReport, 10)
	startSync(t, ns, table.New(), ctnl.SyncOptions{Budget: -1, Dumped: func(r ctnl.DumpReport) { dumps <- r }})
	<-dumps
	if err := unix.Kill(os.Getpid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-dumps:
	case <-time.After(30 * time.Second):
		t.Error("no dump after SIGCONT")
	}
}

// TestDumpRefused takes away the descriptors that a dump needs: the table stays as it is and is read again later.
func TestDumpRefused(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 10)
	dumps := make(chan ctnl.DumpReport, 10)
	tab := table.New()
	s, _ := startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1, Dumped: func(r ctnl.DumpReport) { dumps <- r }})
	<-dumps
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	s.Resync()
	r := <-dumps
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(r.Err, unix.EMFILE) || r.Next.IsZero() {
		t.Errorf("dump without descriptors: %+v", r)
	}
	if n := tab.Stats().Flows; n != 10 {
		t.Errorf("%d flows after a refused dump, want 10", n)
	}
	if r := <-dumps; r.Err != nil || r.Info.Rows != 10 {
		t.Errorf("the next dump: %+v", r)
	}
}

// inUserNS is set for the process that TestUserNamespace starts.
const inUserNS = "CTVIEW_TEST_IN_USERNS"

// TestUserNamespace runs itself without privileges on the host, in a user and network namespace of its own: all but
// the large receive buffer works on that namespace's table.
func TestUserNamespace(t *testing.T) {
	if os.Getenv(inUserNS) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run", "^TestUserNamespace$", "-test.v")
		cmd.Env = append(os.Environ(), inUserNS+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestUserNamespace") {
			t.Fatalf("in a user namespace: %v\n%s", err, out)
		}
		return
	}
	ns, err := ctnl.OpenNetns("")
	if err != nil {
		t.Fatal(err)
	}
	w, r := startWatch(t, ns, ctnl.WatchOptions{})
	if n, forced := w.RcvBuf(); forced || n <= 0 {
		t.Errorf("receive buffer %d, forced %v", n, forced)
	}
	k := ctnl.NewKernel(ns)
	fill(t, k, 100)
	rows := dump(t, ns, model.KernelFilter{})
	if len(rows) != 100 {
		t.Errorf("%d rows", len(rows))
	}
	if err := k.Delete(testContext(t), rows[0].Flow.Key, rows[0].Flow.ID); err != nil {
		t.Error(err)
	}
	r.until(t, "101 events, lost ones counted", func() bool { return len(r.evs)+int(r.lost) == 101 })
}

// TestBusyReading: EBUSY for a question is not told as a refusal to change something.
func TestBusyReading(t *testing.T) {
	err := ctnl.ProbeError(unix.EBUSY)
	if !errors.Is(err, unix.EBUSY) || errors.Is(err, ctnl.ErrBusy) || strings.Contains(err.Error(), "change") {
		t.Errorf("EBUSY on a read: %v", err)
	}
}

// TestDumpDoubtful: the rows of a dump may come twice (the entry at which the kernel went on was gone), and after a
// resize of the hash some may be missing: no row counts twice, and nothing is taken for gone.
func TestDumpDoubtful(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 20)
	rows := dump(t, ns, model.KernelFilter{})
	tab := table.New()
	now := time.Now().UnixNano()
	tab.BeginDump(now)
	tab.Apply(now, rows)
	tab.Apply(now, rows[5:15])
	tab.EndDump(now, true)
	if n := tab.Stats().Flows; n != 20 {
		t.Errorf("%d flows after a dump with 10 rows twice, want 20", n)
	}
	tab.BeginDump(now + 1)
	tab.Apply(now+1, rows[:10])
	tab.EndDump(now+1, false)
	if n := tab.Stats().Flows; n != 20 {
		t.Errorf("%d flows after a dump that may have missed some, want 20", n)
	}
}

// TestDumpOverrun: the kernel ends a dump with ENOBUFS (the test writes it over a datagram), at the start or in the midst
// of it: it is made again, and each row is handed on once. If that goes on, the error tells.
func TestDumpOverrun(t *testing.T) {
	_, ns, k := newKernel(t)
	const flows = 300 // several datagrams
	fill(t, k, flows)
	for _, tt := range []struct {
		name string
		bad  func(datagram int) bool
		want error
	}{
		{"the first datagram", func(n int) bool { return n == 1 }, nil},
		{"the third", func(n int) bool { return n == 3 }, nil},
		{"the third, and one of the next dump", func(n int) bool { return n == 3 || n == 5 }, nil},
		{"always", func(int) bool { return true }, ctnl.ErrOverrun},
	} {
		t.Run(tt.name, func(t *testing.T) {
			datagrams, rows, seen := 0, 0, map[model.Key]bool{}
			err := ctnl.DumpAgain(testContext(t), ns, ctnl.DumpOptions{Raw: func(_ int64, b []byte) {
				if datagrams++; tt.bad(datagrams) {
					overwrite(b, unix.ENOBUFS)
				}
			}}, func(batch []model.Event) error {
				for i := range batch {
					rows++
					seen[batch[i].Flow.Key] = true
				}
				return nil
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && (rows != flows || len(seen) != flows) {
				t.Errorf("%d rows, %d flows in %d datagrams, want %d of each", rows, len(seen), datagrams, flows)
			}
		})
	}
}

// overwrite makes the first message of a datagram an NLMSG_ERROR.
func overwrite(b []byte, errno unix.Errno) {
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(b[16:], uint32(-int32(errno)))
}

// TestLateDestroy: the kernel's collector comes by once a minute, so a flow whose time is up stays in the table without
// a DESTROY. It is asked for, which ends it, and its DESTROY arrives after that: one flow less, once.
func TestLateDestroy(t *testing.T) {
	t.Parallel()
	_, ns, k := newKernel(t)
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	runWatch(t, w, r)
	tab := table.New()
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1})
	short := spec(nth(1))
	short.Timeout = 1
	if err := k.Create(testContext(t), short); err != nil {
		t.Fatal(err)
	}
	if err := k.Create(testContext(t), spec(nth(2))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two flows", func() bool { return tab.Stats().Flows == 2 })
	eventually(t, "the short one to end", func() bool { return tab.Stats().Flows == 1 })
	destroys := 0
	r.until(t, "its DESTROY", func() bool {
		destroys = 0
		for i := range r.evs {
			if r.evs[i].Kind == model.Destroy {
				destroys++
			}
		}
		return destroys > 0
	})
	if st := tab.Stats(); destroys != 1 || st.Ended != 1 || st.Flows != 1 {
		t.Errorf("%d DESTROY events, %d flows ended, %d left, want 1 of each", destroys, st.Ended, st.Flows)
	}
}

// TestTwoAtOnce: two ctviews follow one namespace beside each other, while flows come and go, and both end with what the
// kernel has.
func TestTwoAtOnce(t *testing.T) {
	_, ns, k := newKernel(t)
	tabs := [2]*table.Table{table.New(), table.New()}
	var syncs [2]*ctnl.Syncer
	for i, tab := range tabs {
		syncs[i], _ = startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1})
	}
	for i := range 300 {
		if err := k.Create(testContext(t), spec(nth(i))); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := k.Delete(testContext(t), nth(i), 0); err != nil {
				t.Fatal(err)
			}
		}
		if i%100 == 50 {
			syncs[0].Resync()
			syncs[1].Resync()
		}
	}
	for _, tab := range tabs {
		eventually(t, "200 flows", func() bool { return tab.Stats().Loaded && tab.Stats().Flows == 200 })
		sameAsKernel(t, ns, tab)
	}
}

// TestReliabilityTests: every test that docs/reliability.md promises is there.
func TestReliabilityTests(t *testing.T) {
	doc, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	for _, dir := range []string{".", "notrack", "states", "../cmd/ctview", "../model/table"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no tests, %v", dir, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests = append(tests, b...)
		}
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllSubmatch(doc, -1) {
		if !bytes.Contains(tests, fmt.Appendf(nil, "\nfunc %s(", m[1])) {
			t.Errorf("%s is not there", m[1])
		}
	}
}
