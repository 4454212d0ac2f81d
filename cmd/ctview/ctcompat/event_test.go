package ctcompat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A follow is one -E command line, run by conntrack(8) and by Main at the same time.
type follow struct {
	line      string
	cmd       *exec.Cmd
	out, errs [2]bytes.Buffer // 0 is conntrack's, 1 ours
	code      int
	cancel    func()
	done      chan struct{}
}

// follow starts a -E command line both ways.
func (w *world) follow(line string) *follow {
	w.t.Helper()
	w.guard()
	f := &follow{line: line, done: make(chan struct{})}
	f.cmd = exec.Command("conntrack", split(line)...)
	f.cmd.Stdout, f.cmd.Stderr = &f.out[0], &f.errs[0]
	if err := f.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	f.cancel = func() { cancel(errors.New("interrupt")) } // as a signal ends it
	// Other goroutines see the machine's /etc; conntrack's process sees ours.
	labels := fmt.Sprintf("/proc/%d/root%s", f.cmd.Process.Pid, connlabelConf)
	go func() {
		defer close(f.done)
		f.code = Main(split(line), Env{Stdout: &f.out[1], Stderr: &f.errs[1], Context: ctx, Netns: w.ns, Labels: labels})
	}()
	return f
}

// stop ends both as a user would and returns what they did.
func (f *follow) stop(t *testing.T) (want, got result) {
	t.Helper()
	if err := f.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = f.cmd.Wait() // the exit code says it all
	f.cancel()
	<-f.done
	return result{f.out[0].String(), f.errs[0].String(), f.cmd.ProcessState.ExitCode()},
		result{f.out[1].String(), f.errs[1].String(), f.code}
}

// listeners returns how many groups the netfilter sockets of the namespace have joined in all, and whether any socket
// has messages queued.
func (w *world) listeners() (joined int, queued bool) {
	w.t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != "12" || f[3] == "00000000" {
			continue
		}
		groups, err := strconv.ParseUint(f[3], 16, 32)
		if err != nil {
			w.t.Fatal(err)
		}
		joined += bits.OnesCount64(groups)
		queued = queued || f[4] != "0"
	}
	return joined, queued
}

// groupsOf returns how many groups a command line joins.
func groupsOf(line string) int {
	n := 0
	for _, kind := range []string{"NEW", "UPDATES", "DESTROY"} {
		if strings.Contains(line, kind) {
			n++
		}
	}
	if n == 0 {
		return 3
	}
	return n
}

// until polls until ok, for at most twenty seconds.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited too long for %s", what)
		}
	}
}

// idle reports whether a process waits, as one does that has printed all it received.
func idle(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "S")
}

// compareEvents runs command lines both ways while act makes events, and compares what each of them shows.
func (w *world) compareEvents(lines []string, act func()) {
	w.t.Helper()
	before, _ := w.listeners()
	var all []*follow
	want := before
	for _, line := range lines {
		all = append(all, w.follow(line))
		want += 2 * groupsOf(line)
	}
	w.until("listeners", func() bool { n, _ := w.listeners(); return n == want })
	act()
	w.until("all events to be read", func() bool {
		_, queued := w.listeners()
		for _, f := range all {
			queued = queued || !idle(f.cmd.Process.Pid)
		}
		return !queued
	})
	shown := 0
	for _, f := range all {
		want, got := f.stop(w.t)
		if diff := cmp.Diff(maskEvents(f.line, want), maskEvents(f.line, got)); diff != "" {
			w.differ(f.line, diff)
			continue
		}
		compared.Add(1)
		shown += strings.Count(got.Stdout, "\n")
	}
	w.t.Logf("%d command lines showed %d lines", len(all), shown)
}

var (
	stamp     = regexp.MustCompile(`(?m)^\[\d{8,}\.\d{6}\]\t`)
	expStamp  = regexp.MustCompile(`(?m)^\[\d{8,}\.\d{1,6} *\]\t`)
	when      = regexp.MustCompile(`<when>.*?</when>`)
	userspace = regexp.MustCompile(`(?m) \[USERSPACE\].*$`)
	saveMore  = regexp.MustCompile(` (?:-m|--label-add|--helper) (?:"[^"]*"|\S+)`)
	saveFlags = regexp.MustCompile(`-u \S+ `)
)

// maskEvents hides the time of printing and undoes ctview's corrections.
func maskEvents(line string, r result) result {
	r.Stdout = stamp.ReplaceAllString(r.Stdout, "[T]\t")
	if strings.Contains(line, "expect") {
		r.Stdout = expStamp.ReplaceAllString(r.Stdout, "[T]\t")
	}
	if strings.Contains(line, "xml") {
		r.Stdout = when.ReplaceAllString(r.Stdout, "<when/>")
		r.Stdout = userspace.ReplaceAllString(r.Stdout, "")
		r = maskXML(r)
	}
	if strings.Contains(line, "save") {
		r = maskSave(r)
	}
	return r
}

// maskSave takes from save lines what conntrack's lack.
func maskSave(r result) result {
	r.Stdout = userspace.ReplaceAllString(r.Stdout, "")
	r.Stdout = saveMore.ReplaceAllString(r.Stdout, "")
	r.Stdout = saveFlags.ReplaceAllStringFunc(r.Stdout, func(s string) string {
		return strings.NewReplacer("EXPECTED,", "", "EXPECTED", "UNSET").Replace(s)
	})
	return r
}

var eventLines = strings.Split(strings.TrimSpace(`
-E
-E -o extended
-E -o id
-E -o timestamp
-E -o ktimestamp
-E -o labels
-E -o timestamp,extended,id,ktimestamp,labels
-E -o xml
-E -o xml,timestamp,id
-E -e NEW
-E -e UPDATES
-E -e DESTROY
-E -e NEW,DESTROY -o id
-E -e ALL
-E conntrack -o userspace
-E -p tcp
-E -p udp
-E -p icmp
-E -p tcp --dport 80
-E -p tcp --state ESTABLISHED
-E -p tcp --state SYN_SENT -e NEW
-E -p sctp
-E -f ipv4
-E -f ipv6
-E -s 192.168.1.0/24
-E -d 198.51.100.7
-E -s 2001:db8::/32
-E -w 5
-E -w 7 -p tcp
-E -m 0x10/0x10
-E -m 5
-E -l customer
-E -f ipv4 -p tcp -n
-E -p tcp -g
-E -p udp -j
-E -q 192.0.2.1
-E -b 1048576
-E -b 8388608 -p tcp -o extended
`), "\n")

// TestEvents compares -E over real traffic of every protocol and over changes made by programs.
func TestEvents(t *testing.T) {
	w, l := labWorld(t)
	w.allowLabels()
	w.compareEvents(eventLines, func() {
		traffic(t, l)
		w.ownChanges()
	})
}

// traffic makes flows of every protocol live and die.
func traffic(t *testing.T, l *lab.Lab) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []lab.From{{}, {V6: true}, {Zone: 5}, {V6: true, Zone: 7}} {
		c, err := l.TCP(ctx, from, 80)
		check(err)
		check(c.Echo("hello"))
		check(c.Finish(ctx))
		_, err = l.DNS(ctx, from)
		check(err)
		_, err = l.Ping(ctx, from, 1, time.Millisecond)
		check(err)
		_, err = l.DeadSYN(ctx, from)
		check(err)
	}
	_, err := l.SCTP(ctx, lab.From{})
	check(err)
	_, err = l.GRE(ctx, lab.From{})
	check(err)
	_, err = l.UDPLite(ctx, lab.From{V6: true})
	check(err)
	_, err = l.Refused(ctx, lab.From{})
	check(err)
	c, err := l.DNAT(ctx, lab.From{})
	check(err)
	check(c.Reset(ctx))
}

// ownChanges makes events that a program caused, this one: its socket stays open, so that it can be named.
func (w *world) ownChanges() {
	w.t.Helper()
	w.guard()
	k := ctnl.NewKernel(w.ns)
	w.t.Cleanup(func() { _ = k.Close() })
	for _, line := range []string{
		"-I -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 2 -t 100 --state ESTABLISHED -m 5",
		"-I -s fd00::1 -d fd00::2 -p udp --sport 1 --dport 2 -t 100 -w 9 -u ASSURED,SEEN_REPLY",
		"-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 100 --label-add customer,far -n 192.0.2.99",
	} {
		c, err := newParser(false, connlabelConf, os.Stderr).parse(append([]string{"conntrack"}, split(line)...))
		if err != nil {
			w.t.Fatal(err)
		}
		var s ctnl.Spec
		if err := c.spec(&s); err != nil {
			w.t.Fatal(err)
		}
		if err := k.Create(w.t.Context(), &s); err != nil {
			w.t.Fatal(err)
		}
		s.Flow.Mark, s.Has = 7, model.HasMark
		if err := k.Update(w.t.Context(), &s); err != nil {
			w.t.Fatal(err)
		}
		if err := k.Delete(w.t.Context(), s.Flow.Key, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestEventsOff: conntrack -E with nf_conntrack_events=0 prints nothing, ever; ours says why on one line of its own.
func TestEventsOff(t *testing.T) {
	w := newWorld(t)
	for value, want := range map[string]bool{"0": true, "1": false} {
		w.sysctl("nf_conntrack_events", value)
		var errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		Main([]string{"-E"}, Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &errs, Context: ctx, Netns: w.ns, Version: "0.0.0"})
		cancel()
		if got := strings.Count(errs.String(), "ctview: nf_conntrack_events is 0 here"); (got == 1) != want {
			t.Errorf("nf_conntrack_events=%s: %q", value, errs.String())
		}
	}
}
