package ctcompat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// compared counts the command lines that were run by conntrack(8) and by Main and gave the same.
var compared atomic.Int64

func TestMain(m *testing.M) {
	code := lab.Main(m)
	fmt.Printf("ctcompat: %d command lines compared with conntrack(8)\n", compared.Load())
	os.Exit(code)
}

// A world is a network and mount namespace of a test's own, on a thread that is never given back. Its methods are for
// the test's goroutine alone; what runs in another, a subtest included, is outside.
type world struct {
	t     *testing.T
	ns    *ctnl.Netns
	inode uint64 // of the network namespace
}

// guard fails the test if it is not in its namespace: what comes next might empty a table that is not ours.
func (w *world) guard() {
	w.t.Helper()
	if n := netnsInode(w.t); n != w.inode {
		w.t.Fatalf("in network namespace %d, not in the test's own, %d", n, w.inode)
	}
}

func netnsInode(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

const connlabels = "# bit name\n0 eth0-in\n1 eth0-out\n2 customer\n3 two words\n0x10 hex\n100 far\n5 bad_name\n6\n"

// newWorld moves the calling test into namespaces of its own, with a connlabel.conf, accounting and timestamps.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare: %v (the tests need root)", err)
	}
	return hereWorld(t)
}

// labWorld moves the calling test to the router of a lab with traffic of its own.
func labWorld(t *testing.T) (*world, *lab.Lab) {
	t.Helper()
	t.Parallel()
	l, err := lab.New(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	runtime.LockOSThread()
	if err := unix.Setns(l.Router().FD(), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("setns: %v", err)
	}
	return hereWorld(t), l
}

// hereWorld makes a world of the network namespace that the thread is in.
func hereWorld(t *testing.T) *world {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare: %v (the tests need root)", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("private mounts: %v", err)
	}
	w := &world{t: t, inode: netnsInode(t)}
	var first unix.Stat_t
	if err := unix.Stat("/proc/1/ns/net", &first); err == nil && first.Ino == w.inode {
		t.Fatal("still in the machine's network namespace")
	}
	w.coverEtc()
	w.sysctl("nf_conntrack_acct", "1")
	w.sysctl("nf_conntrack_timestamp", "1")
	w.sysctl("nf_conntrack_events", "1")
	ns, err := ctnl.OpenNetns("")
	if err != nil {
		t.Fatal(err)
	}
	w.ns = ns
	t.Cleanup(func() { _ = ns.Close() })
	return w
}

// coverEtc mounts a small /etc of our own over the machine's, for this thread and its children alone.
func (w *world) coverEtc() {
	w.t.Helper()
	etc := w.t.TempDir()
	for _, name := range []string{"protocols", "ld.so.cache", "nsswitch.conf", "localtime", "passwd", "group"} {
		if b, err := os.ReadFile("/etc/" + name); err == nil {
			w.write(filepath.Join(etc, name), string(b))
		}
	}
	if err := os.MkdirAll(filepath.Join(etc, "xtables"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.write(filepath.Join(etc, "xtables", "connlabel.conf"), connlabels)
	if err := unix.Mount(etc, "/etc", "", unix.MS_BIND, ""); err != nil {
		w.t.Fatalf("bind /etc: %v", err)
	}
}

func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sysctl(name, value string) {
	w.t.Helper()
	w.write("/proc/sys/net/netfilter/"+name, value)
}

// A result is what a command did.
type result struct {
	Stdout, Stderr string
	Code           int
}

// real runs conntrack(8).
func (w *world) real(stdin string, args ...string) result {
	w.t.Helper()
	w.guard()
	cmd := exec.Command("conntrack", args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("conntrack %q: %v", args, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ours runs Main.
func (w *world) ours(stdin string, args ...string) result {
	w.t.Helper()
	w.guard()
	var out, errs bytes.Buffer
	code := Main(args, Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Context: context.Background(),
		Netns: w.ns, Version: "0.0.0"})
	return result{out.String(), errs.String(), code}
}

// must runs conntrack(8), which must succeed.
func (w *world) must(args ...string) {
	w.t.Helper()
	if r := w.real("", args...); r.Code != 0 {
		w.t.Fatalf("conntrack %s: code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	}
}

// mustOurs runs Main, which must succeed.
func (w *world) mustOurs(args ...string) result {
	w.t.Helper()
	r := w.ours("", args...)
	if r.Code != 0 {
		w.t.Fatalf("ctview conntrack %s: code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	return r
}

// attempts is how often a comparison is made in full: a second may pass between the two runs, and conntrack's clock,
// time(2), is late by up to a tick. Then what time moves is masked, because a busy machine is slower than time.
const attempts = 4

// same runs a command line that changes nothing both ways and compares stdout, stderr and exit code.
func (w *world) same(line string) {
	w.t.Helper()
	w.sameAs(line, func(r result) result { return r })
}

// sameAs is same with both results passed through mask.
func (w *world) sameAs(line string, mask func(result) result) {
	w.t.Helper()
	args := split(line)
	var diff string
	for range attempts {
		want, got := mask(w.real("", args...)), mask(w.ours("", args...))
		if diff = cmp.Diff(want, got); diff == "" {
			compared.Add(1)
			return
		}
		if sameButTime(want, got) {
			diff = ""
		}
	}
	if diff == "" {
		compared.Add(1)
		return
	}
	w.differ(line, diff)
}

// differ fails the test with the beginning of a difference.
func (w *world) differ(line, diff string) {
	w.t.Helper()
	w.t.Errorf("conntrack %s: (-conntrack +ctview)\n%.4000s", line, diff)
}

// split cuts a command line at blanks; ” is an empty word, and _ within a word stands for a blank.
func split(line string) []string {
	words := strings.Fields(line)
	for i, s := range words {
		if s == "''" {
			s = ""
		}
		words[i] = strings.ReplaceAll(s, "~", " ")
	}
	return words
}

var (
	idField  = regexp.MustCompile(`\bid=\d+|<id>\d+</id>`)
	timeouts = regexp.MustCompile(`(?m)^(?:ipv[46] +\d+ )?\S+ +\d+ \d+ |<timeout>\d+|-t \d+`)
	ages     = regexp.MustCompile(`delta-time=\d+|<deltatime>\d+</deltatime>`)
	useField = regexp.MustCompile(`use=\d+|<use>\d+</use>`)
	lastNum  = regexp.MustCompile(`\d+( ?)$`)
)

// maskMoving hides what differs between two entries made one after the other: ID, use count, and what maskTime hides.
func maskMoving(r result) result {
	r = maskTime(r)
	r.Stdout = idField.ReplaceAllString(r.Stdout, "id")
	r.Stdout = useField.ReplaceAllString(r.Stdout, "use")
	return r
}

// slow is how many seconds may pass between two runs of a command on a busy machine.
const slow = 60

// sameButTime reports whether two results differ in ages and timeouts alone, and in timeouts by no more than what may
// have passed between the runs.
func sameButTime(a, b result) bool {
	ta, tb := timeouts.FindAllString(a.Stdout, -1), timeouts.FindAllString(b.Stdout, -1)
	if len(ta) != len(tb) {
		return false
	}
	for i := range ta {
		na, erra := strconv.Atoi(strings.TrimSpace(lastNum.FindString(ta[i])))
		nb, errb := strconv.Atoi(strings.TrimSpace(lastNum.FindString(tb[i])))
		if erra != nil || errb != nil || na-nb > slow || nb-na > slow {
			return false
		}
	}
	hide := func(r result) result {
		r.Stdout = timeouts.ReplaceAllStringFunc(r.Stdout, func(s string) string {
			return strings.TrimSuffix(s, lastNum.FindString(s)) + "timeout "
		})
		r.Stdout = ages.ReplaceAllString(r.Stdout, "age")
		return r
	}
	return hide(a) == hide(b)
}

// maskTime hides ages and of timeouts the last seconds.
func maskTime(r result) result {
	r.Stdout = timeouts.ReplaceAllStringFunc(r.Stdout, func(s string) string {
		m := lastNum.FindStringSubmatch(s)
		n, err := strconv.Atoi(strings.TrimSpace(m[0]))
		if err != nil {
			return s
		}
		return fmt.Sprintf("%s%d%s", strings.TrimSuffix(s, m[0]), (n+4)/5*5, m[1])
	})
	r.Stdout = ages.ReplaceAllString(r.Stdout, "age")
	return r
}

// sorted sorts the lines of stdout.
func sorted(r result) result {
	lines := strings.SplitAfter(r.Stdout, "\n")
	slices.Sort(lines)
	r.Stdout = strings.Join(lines, "")
	return r
}

// sameChange runs a command line that changes the table on two equal tables and compares what it says and what it
// leaves.
func (w *world) sameChange(seed []string, line string) {
	w.t.Helper()
	w.sameChangeAs(seed, line, func(r result) result { return r })
}

func (w *world) sameChangeAs(seed []string, line string, mask func(result) result) {
	w.t.Helper()
	args := split(line)
	type outcome struct{ Did, Left result }
	timed := strings.HasPrefix(line, "-D ") && strings.Contains(line, " -t ")
	run := func(how func(string, ...string) result) outcome {
		w.seed(seed)
		// Within the jiffy that made it a flow has all of its seconds, and ours starts sooner than a process.
		for timed && strings.Contains(w.real("", "-L").Stdout, " 1000 ") {
			runtime.Gosched()
		}
		did := sorted(maskMoving(how("", args...)))
		return outcome{mask(did), sorted(maskMoving(w.real("", "-L", "-o", "extended")))}
	}
	want, got := run(w.real), run(w.ours)
	for range attempts {
		if !protocolError(want.Did) {
			break
		}
		want = run(w.real)
	}
	diff := cmp.Diff(want, got)
	// -D -t N takes what has exactly N seconds left: a second may tick in one run and not in the other.
	for i := 0; timed && diff != "" && i < attempts; i++ {
		want, got = run(w.real), run(w.ours)
		diff = cmp.Diff(want, got)
	}
	if diff != "" {
		w.differ(line, diff)
		return
	}
	compared.Add(1)
}

// protocolError reports whether conntrack gave up because a second passed while it ran: its sequence numbers are the
// time, and after -U an answer stays unread.
func protocolError(r result) bool {
	return strings.Contains(r.Stderr, "Operation failed: Protocol error")
}

// seed makes the table hold the flows of lines, arguments of -I, and nothing else.
func (w *world) seed(lines []string) {
	w.t.Helper()
	if r := w.real("", "-F"); r.Code != 0 {
		w.t.Fatalf("flush: %s", r.Stderr)
	}
	lines = slices.Clone(lines)
	for i := 0; i < len(lines); i++ {
		if strings.Contains(lines[i], "label") { // with labels, -R of conntrack 1.4.7 crashes at the second line
			w.must(append([]string{"-I"}, split(lines[i])...)...)
			lines = slices.Delete(lines, i, i+1)
			i--
		}
	}
	if len(lines) == 0 {
		return
	}
	if r := w.real("-I "+strings.Join(lines, "\n-I ")+"\n", "-R", "-"); r.Code != 0 {
		w.t.Fatalf("seed: %s", r.Stderr)
	}
}

var (
	icmpXML    = regexp.MustCompile(`(<layer4 protonum="(?:1|58)" protoname="icmp(?:v6)?">)<type>\d+</type><code>\d+</code>(?:<id>\d+</id>|id)`)
	stateXML   = regexp.MustCompile(`<state>\w+</state>`)
	natPorts   = regexp.MustCompile(`(-[ng] )(?:\[([0-9a-f:]+)\]:\d+|([0-9.]+):\d+) `)
	replyPorts = regexp.MustCompile(`--reply-port-src \d+ --reply-port-dst \d+`)
)

// run runs a program in the world's namespaces.
func (w *world) run(name string, args ...string) {
	w.t.Helper()
	w.guard()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
