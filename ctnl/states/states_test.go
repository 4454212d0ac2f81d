package states

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
)

var must = labtest.Must

func testCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func testLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(testCtx(t), lab.Options{})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	end := time.Now().Add(15 * time.Second)
	for !fn() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 15 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A catch collects samples.
type catch struct {
	mu  sync.Mutex
	got []model.Sample
}

func (c *catch) add(s *model.Sample) {
	c.mu.Lock()
	c.got = append(c.got, *s)
	c.mu.Unlock()
}

func (c *catch) of(st model.CtState) []model.Sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []model.Sample
	for _, s := range c.got {
		if s.State == st {
			out = append(out, s)
		}
	}
	return out
}

// TestFiveStates makes packets of all five states on a router, IPv4 and IPv6, and compares the watch table's counters,
// the samples with their reasons, and the kernel's own count of INVALID packets.
func TestFiveStates(t *testing.T) {
	l := testLab(t)
	ctx := testCtx(t)
	router := l.Router()
	ns, err := ctnl.OpenNetns(router.Path())
	must(t, err)
	defer func() { _ = ns.Close() }()
	kern := ctnl.NewKernel(ns)
	defer func() { _ = kern.Close() }()
	var before, after model.StateCounts
	must(t, Invalid(ctx, kern, &before))

	w, err := Open(router, Options{Samples: true, Rate: 1000, Burst: 1000})
	must(t, err)
	why, err := OpenReasons(router)
	must(t, err)
	sctx, stop := context.WithCancel(ctx)
	var c catch
	done := make(chan error, 1)
	go func() { done <- w.Samples(sctx, why, c.add) }()

	const n = 5
	for i := range n {
		f := lab.From{V6: i%2 == 1}
		if i < 2 { // ICMP errors can get lost: their rate is limited, and the datagrams of Untracked are answered by them too
			_, err := l.Refused(ctx, f)
			for try := 0; err != nil && try < 3; try++ {
				_, err = l.Refused(ctx, f)
			}
			must(t, err)
		}
		must(t, l.Invalid(ctx, f))
		must(t, l.Untracked(ctx, f))
		conn, err := l.TCP(ctx, f, 80)
		must(t, err)
		must(t, conn.Close())
	}
	var counts model.StateCounts
	// Neighbour discovery makes UNTRACKED packets at any time, and samples are up to a quarter of a second late: they
	// agree at some moment.
	agree := func(st model.CtState) bool {
		got := len(c.of(st))
		return got >= n && int(counts.Of[st-1].Packets) == got
	}
	eventually(t, "counters and samples to agree", func() bool {
		var err error
		counts, err = w.Counts(ctx)
		must(t, err)
		must(t, Invalid(ctx, kern, &after))
		return agree(model.CtInvalid) && agree(model.CtUntracked)
	})
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("samples ended: %v", err)
	}

	// Stopped and started again, it goes on: w and e on the screen do that.
	again, stop := context.WithCancel(ctx)
	defer stop()
	go func() { done <- w.Samples(again, nil, c.add) }()
	before1 := len(c.of(model.CtInvalid))
	must(t, l.Invalid(ctx, lab.From{}))
	eventually(t, "a sample of the second run", func() bool {
		select {
		case err := <-done:
			t.Fatalf("the second run ended: %v", err)
		default:
		}
		return len(c.of(model.CtInvalid)) > before1
	})
	stop()
	<-done
	for i, s := range model.CtStates {
		if counts.Of[i].Packets == 0 || counts.Of[i].Bytes == 0 {
			t.Errorf("no %s packet: %+v", s, counts.Of)
		}
	}
	inv := c.of(model.CtInvalid)
	if got := counts.Of[model.CtInvalid-1].Packets; got != after.Invalid-before.Invalid {
		t.Errorf("invalid: %d counted, %d in the kernel's statistics", got, after.Invalid-before.Invalid)
	}
	if w.Lost() != 0 {
		t.Errorf("lost %d", w.Lost())
	}
	reasons := 0
	for _, s := range inv {
		if s.TCP == "FIN,SYN" && s.Reason == "invalid tcp flag combination" && s.In == "lan" && s.Hook == unix.NF_INET_PRE_ROUTING && s.HasPort {
			reasons++
		}
	}
	if reasons != n {
		t.Errorf("%d of %d with the reason: %+v", reasons, n, inv)
	}
	must(t, why.Close())
	must(t, w.Close())
	eventually(t, "the table is gone", func() bool {
		out, err := router.Command("nft", "list", "tables").Output()
		must(t, err)
		return !strings.Contains(string(out), "ctview")
	})
}

// TestSamplesAreBounded sends many INVALID packets at once: each is counted, and of samples come no more than are asked for.
func TestSamplesAreBounded(t *testing.T) {
	l, ctx := testLab(t), testCtx(t)
	w, err := Open(l.Router(), Options{Samples: true})
	must(t, err)
	defer func() { _ = w.Close() }()
	sctx, stop := context.WithCancel(ctx)
	defer stop()
	var c catch
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- w.Samples(sctx, nil, c.add) }()
	const n = 400
	for range n {
		must(t, l.Invalid(ctx, lab.From{}))
	}
	eventually(t, "all are counted", func() bool {
		counts, err := w.Counts(ctx)
		must(t, err)
		return counts.Of[model.CtInvalid-1].Packets == n
	})
	eventually(t, "a sample", func() bool { return len(c.of(model.CtInvalid)) > 0 })
	stop()
	<-done
	if got, most := len(c.of(model.CtInvalid)), 20+50*(1+int(time.Since(began).Seconds())); got > most {
		t.Errorf("%d samples, want %d at most", got, most)
	}
}

// TestInactive shows that neither is a table made nor tracking switched on where nothing tracks.
func TestInactive(t *testing.T) {
	ns, err := lab.NewNS()
	must(t, err)
	defer func() { _ = ns.Close() }()
	if _, err := Open(ns, Options{Samples: true}); !errors.Is(err, ErrInactive) {
		t.Errorf("Open: %v", err)
	}
	if out, err := ns.Command("nft", "list", "ruleset").Output(); err != nil || len(out) != 0 {
		t.Errorf("ruleset: %s %v", out, err)
	}
}

// TestTwo opens two watches in one namespace: they have tables and log groups of their own.
func TestTwo(t *testing.T) {
	ns := tracking(t)
	a, err := Open(ns, Options{Samples: true})
	must(t, err)
	b, err := Open(ns, Options{Samples: true})
	must(t, err)
	if a.table.Name == b.table.Name || a.log.group == b.log.group {
		t.Errorf("shared: %s %d, %s %d", a.table.Name, a.log.group, b.table.Name, b.log.group)
	}
	must(t, a.Close())
	if _, err := b.Counts(testCtx(t)); err != nil {
		t.Error(err)
	}
	must(t, b.Close())
}

// tracking makes a namespace that tracks connections.
func tracking(t *testing.T) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	must(t, ns.EnableTracking())
	return ns
}

// TestReasonsRestored shows that the settings are put back: by Close, and by the next ctview where one was killed.
func TestReasonsRestored(t *testing.T) {
	ns := tracking(t)
	must(t, writeSetting(ns, logInvalid, "6"))
	settings := func() (v []string) {
		for _, s := range reasonSettings {
			x, err := readSetting(ns, s.path)
			must(t, err)
			v = append(v, x)
		}
		return v
	}
	before := settings()
	r, err := OpenReasons(ns)
	must(t, err)
	if got := strings.Join(settings(), " "); got != "nfnetlink_log nfnetlink_log 255" {
		t.Errorf("while open: %s", got)
	}
	if _, err := OpenReasons(ns); !errors.Is(err, ErrBusy) {
		t.Errorf("twice: %v", err)
	}
	if did, err := RestoreReasons(ns); did || err != nil {
		t.Errorf("restored while its process lives: %v %v", did, err)
	}
	must(t, r.Close())
	if got := settings(); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("after Close: %q, before %q", got, before)
	}

	exe, err := os.Executable()
	must(t, err)
	cmd := ns.Command(exe)
	cmd.Env = append(os.Environ(), asCrasher+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the crasher: %v %s", err, out)
	}
	if got := settings()[2]; got != "255" {
		t.Errorf("after the crash: %s", got)
	}
	if did, err := RestoreReasons(ns); !did || err != nil {
		t.Errorf("RestoreReasons: %v %v", did, err)
	}
	if got := settings(); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("after RestoreReasons: %q, before %q", got, before)
	}
	if did, err := RestoreReasons(ns); did || err != nil {
		t.Errorf("again: %v %v", did, err)
	}
}

// TestReasonsOfAnEarlierNamespace: an inode is given again; what was saved for the namespace that had it before is for no other.
func TestReasonsOfAnEarlierNamespace(t *testing.T) {
	ns := tracking(t)
	cookie := cookieOf(ns)
	if cookie == "" {
		t.Log("before Linux 5.14: the inode alone tells")
		return
	}
	for _, s := range reasonSettings {
		must(t, writeSetting(ns, s.path, s.value))
	}
	r := &reasons{ns: ns, was: map[string]string{logInvalid: "6"}}
	must(t, r.save())
	b, err := os.ReadFile(r.file)
	must(t, err)
	earlier := strings.Replace(strings.Replace(string(b), "start ", "start 1", 1), cookie+"\n", " 1"+cookie[1:]+"\n", 1)
	must(t, os.WriteFile(r.file, []byte(earlier), 0o600))
	if did, err := RestoreReasons(ns); did || err != nil {
		t.Errorf("restored: %v %v", did, err)
	}
	if v, err := readSetting(ns, logInvalid); v != "255" || err != nil {
		t.Errorf("the setting: %q %v", v, err)
	}
	if _, err := os.Stat(r.file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}

// TestReasonsRestoredByValue leaves alone what somebody has set since, and what no such setting can be.
func TestReasonsRestoredByValue(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before map[string]string
		since  string // nf_conntrack_log_invalid, as somebody has set it since the crash
		want   string
	}{
		{"as it was", map[string]string{logInvalid: "6", logger4: "NONE", logger6: "NONE"}, "", "6 NONE NONE"},
		{"changed since", map[string]string{logInvalid: "6", logger4: "NONE", logger6: "NONE"}, "17", "17 NONE NONE"},
		{"no such values", map[string]string{logInvalid: "256", logger4: "no such\n", logger6: ""}, "", "255 nfnetlink_log nfnetlink_log"},
		{"not numbers", map[string]string{logInvalid: "+6"}, "", "255 nfnetlink_log nfnetlink_log"},
		{"other files", map[string]string{"/proc/sys/net/ipv4/ip_forward": "1", logInvalid: "0"}, "", "0 nfnetlink_log nfnetlink_log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := tracking(t)
			for _, s := range reasonSettings {
				must(t, writeSetting(ns, s.path, s.value))
			}
			r := &reasons{ns: ns, was: tt.before}
			must(t, r.save())
			b, err := os.ReadFile(r.file)
			must(t, err)
			must(t, os.WriteFile(r.file, []byte(strings.Replace(string(b), "start ", "start 1", 1)), 0o600)) // its process is gone
			if !Left() {
				t.Error("nothing left?")
			}
			if tt.since != "" {
				must(t, writeSetting(ns, logInvalid, tt.since))
			}
			if did, err := RestoreReasons(ns); !did || err != nil {
				t.Errorf("%v %v", did, err)
			}
			var got []string
			for _, p := range []string{logInvalid, logger4, logger6} {
				v, err := readSetting(ns, p)
				must(t, err)
				got = append(got, v)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
			if v, err := readSetting(ns, "/proc/sys/net/ipv4/ip_forward"); err != nil || v != "0" {
				t.Errorf("another setting was written: %s %v", v, err)
			}
		})
	}
}

// TestStateFileNotTrusted offers files in directories that somebody else can write.
func TestStateFileNotTrusted(t *testing.T) {
	parent := t.TempDir()
	dir := parent + "/ctview-" + strconv.Itoa(os.Geteuid())
	for _, tt := range []struct {
		name        string
		parent, dir os.FileMode
		ok          bool
	}{
		{"private", 0o755, 0o700, true},
		{"parent writable", 0o777, 0o700, false},
		{"parent writable by a group", 0o775, 0o700, false},
		{"parent sticky", 0o777 | os.ModeSticky, 0o700, true},
		{"readable", 0o755, 0o755, false},
		{"writable", 0o755, 0o770, false},
	} {
		must(t, os.MkdirAll(dir, 0o700))
		must(t, os.Chmod(parent, tt.parent))
		must(t, os.Chmod(dir, tt.dir))
		if err := private(parent, dir, true); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	must(t, os.Remove(dir))
	must(t, os.Chmod(parent, 0o755))
	must(t, os.Symlink("/tmp", dir))
	if err := private(parent, dir, true); err == nil {
		t.Error("a link is trusted")
	}

	// Root of the machine follows no environment: sudo may have kept it.
	t.Setenv("XDG_RUNTIME_DIR", "/xdg")
	t.Setenv("TMPDIR", "/tmpdir")
	for userns, want := range map[bool]string{false: "[/run]", true: "[/run /xdg /tmpdir]"} {
		if got := fmt.Sprint(runtimeParents(userns)); got != want {
			t.Errorf("in a user namespace %v: %s, want %s", userns, got, want)
		}
	}

	// Whoever is not root gave the directory that its environment names to himself, whatever capabilities the program has.
	exe, err := os.Executable()
	must(t, err)
	pub := t.TempDir()
	must(t, os.Chmod(pub, 0o777))
	b, err := os.ReadFile(exe)
	must(t, err)
	must(t, os.WriteFile("/tmp/ctview-states-test", b, 0o755))
	defer os.Remove("/tmp/ctview-states-test")
	cmd := exec.Command("/tmp/ctview-states-test")
	cmd.Env = []string{asCrasher + "=left", "XDG_RUNTIME_DIR=" + pub}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "false, states: "+errNoDir.Error()) {
		t.Errorf("%v %s", err, out)
	}
}

// asCrasher makes the test binary be a ctview that changes the settings and is killed.
const asCrasher = "STATES_TEST_CRASH"

type here struct{}

func (here) Do(fn func() error) error { return fn() }

func TestMain(m *testing.M) {
	switch os.Getenv(asCrasher) {
	case "":
		os.Exit(lab.Main(m))
	case "left":
		_, err := runtimeDir(true)
		println(fmt.Sprint(Left(), ", ", err))
		os.Exit(0)
	}
	if _, err := OpenReasons(here{}); err != nil {
		println(err.Error())
		os.Exit(1)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// TestWatchOneFamily watches where only IPv4 is tracked: IPv6 stays untracked, and the watch ends when nothing else tracks.
func TestWatchOneFamily(t *testing.T) {
	ns, err := lab.NewNS()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	nft := func(text string) string {
		c := ns.Command("nft", "-f", "-")
		c.Stdin = strings.NewReader(text + "\n")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("nft: %v %s", err, out)
		}
		return string(out)
	}
	nft(`table ip user {
		chain c { type filter hook prerouting priority 0; ct state new counter; }
		chain o { type filter hook output priority 0; ct state new counter; }
	}`)
	must(t, ns.Command("ip", "link", "set", "lo", "up").Run())
	w, err := Open(ns, Options{})
	must(t, err)
	defer func() { _ = w.Close() }()
	for _, to := range []string{"127.0.0.1:9", "[::1]:9"} {
		c, err := ns.Dial(testCtx(t), "udp", "", to)
		must(t, err)
		_, err = c.Write([]byte("x"))
		must(t, err)
		must(t, c.Close())
	}
	for fam, want := range map[string]bool{"ipv4": true, "ipv6": false} {
		out, err := ns.Command("conntrack", "-L", "-f", fam).Output()
		must(t, err)
		if got := len(out) > 0; got != want {
			t.Errorf("%s tracked: %v, want %v", fam, got, want)
		}
	}
	c, err := w.Counts(testCtx(t))
	must(t, err)
	if c.Of[0].Packets == 0 {
		t.Errorf("counts: %+v", c)
	}
	nft("delete table ip user")
	if _, err := w.Counts(testCtx(t)); !errors.Is(err, ErrInactive) {
		t.Errorf("the firewall is gone: %v", err)
	}
	if out := nft("list ruleset"); out != "" {
		t.Errorf("left: %s", out)
	}
}
