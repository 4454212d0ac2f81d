package ctnl_test

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
)

// An eventLog keeps flow and expectation events as they come. It is a ctnl.Sink.
type eventLog struct {
	mu      sync.Mutex
	flows   []model.Event
	expects []model.Expect
}

func (l *eventLog) Apply(_ int64, evs []model.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows = append(l.flows, evs...)
}

func (l *eventLog) expect(_ int64, xs []model.Expect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expects = append(l.expects, xs...)
}

func (l *eventLog) BeginDump(int64)                               {}
func (l *eventLog) EndDump(int64, bool) (result table.DumpResult) { return result }
func (l *eventLog) Lost(int64, uint64)                            {}
func (l *eventLog) Refuse(forged, malformed uint64)               {}

// A lineLog keeps the lines that a program writes.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// follow starts conntrack -E and collects what it prints. It is killed at the end of the test.
func follow(t *testing.T, l *lab.NS, etc string, args ...string) *lineLog {
	t.Helper()
	c := conntrackCmd(l, etc, args...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var diag bytes.Buffer
	c.Stderr = &diag
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	log, done := &lineLog{}, make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			log.mu.Lock()
			log.lines = append(log.lines, s.Text())
			log.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // conntrack then says how many events it has shown
		<-done
		if err := c.Wait(); diag.Len() > 0 {
			t.Logf("conntrack ended: %v, said: %s", err, diag.Bytes())
		}
	})
	return log
}

// record starts a Watcher and collects what it hears.
func record(t *testing.T, ns *ctnl.Netns) *eventLog {
	t.Helper()
	log := &eventLog{}
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{Expect: log.expect})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := testContext(t)
	go func() { done <- w.Run(ctx, log) }()
	t.Cleanup(func() { _ = w.Close() })
	return log
}

// until polls cond, which acts if it likes, and fails the test after ten seconds.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Sources of the flows that mark where the compared events begin and end. Every output names them.
const (
	fenceProbe = "198.51."
	fenceBegin = "203.0.113.88"
	fenceEnd   = "203.0.113.99"
)

// mentions reports whether one of lines has s.
func mentions(lines []string, s string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, s) })
}

// between returns the lines after that of the first fence, up to that of the last.
func between(lines []string) []string {
	at := func(fence string) int {
		return slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, fence) })
	}
	return slices.Clone(lines[at(fenceBegin)+1 : at(fenceEnd)])
}

// makeEvents causes every kind of event, by the kernel itself and by a program. It waits now and then until shown says
// that a flow from an address was printed: conntrack's buffer is small and it is slow.
func makeEvents(t *testing.T, l *lab.NS, k *ctnl.Kernel, shown func(addr string) bool) {
	t.Helper()
	ctx := testContext(t)
	talk(t, l, "127.0.0.1:0")
	talk(t, l, "[::1]:0")
	for i, s := range formatSpecs() {
		if i%5 != 0 {
			continue
		}
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
		up := &ctnl.Spec{}
		up.Flow.Key, up.Flow.Mark, up.Timeout = s.Flow.Key, uint32(i), 500
		up.Has = model.HasMark | model.HasTimeout
		if s.Flow.Status&model.StatusFixedTimeout != 0 {
			up.Has = model.HasMark
		}
		if err := k.Update(ctx, up); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			continue // for the flush
		}
		if err := k.Delete(ctx, s.Flow.Key, 0); err != nil {
			t.Fatal(err)
		}
		if i%25 == 0 {
			addr := fmt.Sprintf("198.18.1.%d", i/25+100) // all of one length: none is the beginning of another
			fence(t, k, addr)
			until(t, "conntrack to keep up", func() bool { return shown(addr) })
		}
	}
	if err := k.Flush(ctx, 0); err != nil {
		t.Fatal(err)
	}
}

// fence makes a flow whose source every output names.
func fence(t *testing.T, k *ctnl.Kernel, addr string) {
	t.Helper()
	if err := k.Create(testContext(t), spec(key(model.ProtoUDP, addr+":1", "192.0.2.1:9"))); err != nil {
		t.Fatal(err)
	}
}

// talk lives a TCP connection's life through the kernel.
func talk(t *testing.T, l *lab.NS, addr string) {
	t.Helper()
	ln, err := l.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := l.Dial(testContext(t), "tcp", "", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("hello"))
	_, _ = s.Read(make([]byte, 5))
	_ = c.Close()
	_, _ = s.Read(make([]byte, 5))
	_ = s.Close()
}

// stamps are what two programs cannot agree on: the time when each prints an event.
var stamps = regexp.MustCompile(`^\[\d+\.\d{6}\]\t`)

// programs reads from conntrack's lines which program it found behind each port.
func programs(lines []string) func(uint32) string {
	names := map[uint32]string{}
	for _, m := range regexp.MustCompile(`portid=(\d+) progname=(.*)`).FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
		id, _ := strconv.ParseUint(m[1], 10, 32)
		names[uint32(id)] = m[2]
	}
	return func(id uint32) string { return names[id] }
}

// TestEventsAsConntrack holds every text form against conntrack -E on the same events.
func TestEventsAsConntrack(t *testing.T) {
	type form func(dst []byte, e *model.Event, o format.Options) []byte
	names := format.ParseLabels(formatLabels)
	for _, tt := range []struct {
		output string
		form   form
		o      format.Options
	}{
		{"userspace", format.AppendConntrack, format.Options{}},
		{"extended,id,timestamp", format.AppendConntrack, format.Options{Extended: true, ID: true, Timestamp: true}},
		{"ktimestamp,labels", format.AppendConntrack, format.Options{KernelTime: true, Labels: names}},
		{"xml", format.AppendXML, format.Options{}},
		{"xml,ktimestamp", format.AppendXML, format.Options{KernelTime: true}},
		{"save", format.AppendSave, format.Options{}},
	} {
		t.Run(tt.output, func(t *testing.T) {
			l, ns, k, etc := formatNS(t)
			if err := l.EnableTracking(); err != nil {
				t.Fatal(err)
			}
			if tt.o.Labels == nil {
				etc = ""
			}
			theirs, ours := follow(t, l, etc, "-E", "-o", tt.output), record(t, ns)
			probes := 0
			until(t, "conntrack to listen", func() bool {
				probes++
				fence(t, k, fmt.Sprintf("%s%d.%d", fenceProbe, probes/200, probes%200+1))
				return mentions(theirs.all(), fenceProbe)
			})
			fence(t, k, fenceBegin)
			makeEvents(t, l, k, func(addr string) bool { return mentions(theirs.all(), addr) })
			fence(t, k, fenceEnd)
			until(t, "conntrack to print the last event", func() bool { return mentions(theirs.all(), fenceEnd) })
			lines := theirs.all()
			tt.o.Location, tt.o.Now, tt.o.Progname = formatZone, time.Now().UnixNano(), programs(lines)
			render := func() (all []string) {
				ours.mu.Lock()
				defer ours.mu.Unlock()
				for i := range ours.flows {
					all = append(all, string(tt.form(nil, &ours.flows[i], tt.o)))
				}
				return all
			}
			until(t, "our own last event", func() bool { return mentions(render(), fenceEnd) })
			want, got := compared(t, lines, tt.o.Timestamp), compared(t, render(), tt.o.Timestamp)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("not as conntrack -E prints it (-conntrack +ours):\n%s", diff)
			}
			t.Logf("%d events", len(want))
			if len(want) < 150 {
				t.Errorf("compared only %d events", len(want))
			}
		})
	}
}

// compared returns the events of makeEvents among lines, sorted: two sockets may get events of two processors in
// different orders. Stamps must be there where they were asked for, and are cut off.
func compared(t *testing.T, lines []string, stamped bool) []string {
	t.Helper()
	lines = slices.Clone(lines)
	for i, s := range lines {
		if stamped != stamps.MatchString(s) {
			t.Fatalf("%q: stamped is not %v", s, stamped)
		}
		lines[i] = stamps.ReplaceAllString(s, "")
	}
	lines = between(lines)
	slices.Sort(lines)
	return lines
}
