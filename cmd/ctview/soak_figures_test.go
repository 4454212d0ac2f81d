//go:build soak

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// asCounted, set in the environment, makes the test binary that is ctview answer each byte from descriptor 3 with a line on
// descriptor 4: how many goroutines there are.
const asCounted = "CTVIEW_TEST_COUNTED"

func init() {
	if os.Getenv(asCounted) == "" {
		return
	}
	ask, answer := os.NewFile(3, "ask"), os.NewFile(4, "answer")
	_ = os.Unsetenv(asCounted)
	go func() {
		for b := make([]byte, 1); ; {
			if n, _ := ask.Read(b); n == 0 {
				return
			}
			fmt.Fprintln(answer, runtime.NumGoroutine())
		}
	}()
}

// A soaked is a program whose figures are taken.
type soaked struct {
	name   string
	cmd    *exec.Cmd
	ask    *os.File
	answer *bufio.Reader

	rss, heap                             []int // kB each second of churn: all, and without files
	rest, fds, polls, threads, goroutines []int // at each calm moment; rest is kB
}

func newSoaked(t *testing.T, name string, args ...string) *soaked {
	p := &soaked{name: name, cmd: ctview(t, args...)}
	ask, write, err := os.Pipe()
	must(0, err)(t)
	read, answer, err := os.Pipe()
	must(0, err)(t)
	p.ask, p.answer = write, bufio.NewReader(read)
	p.cmd.Env = append(p.cmd.Env, asCounted+"=1")
	p.cmd.ExtraFiles = []*os.File{ask, answer}
	t.Cleanup(func() {
		if p.cmd.Process != nil {
			_ = p.cmd.Process.Kill()
		}
		for _, f := range []*os.File{ask, write, read, answer} {
			_ = f.Close()
		}
	})
	return p
}

// watchAll takes the memory of all each second until measured is called.
func watchAll(all []*soaked) (measured func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
			for _, p := range all {
				if rss, heap, _ := p.status(); rss > 0 {
					p.rss, p.heap = append(p.rss, rss), append(p.heap, heap)
				}
			}
		}
	})
	return func() { close(done); watching.Wait() }
}

// status is what /proc says: kB and a number; zeroes if the program is not there.
func (p *soaked) status() (rss, heap, threads int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range bytes.Lines(b) {
		name, value, _ := strings.Cut(string(line), ":")
		to := map[string]*int{"VmRSS": &rss, "RssAnon": &heap, "Threads": &threads}[name]
		if to != nil {
			*to, _ = strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return rss, heap, threads
}

// atRest takes what is only comparable when nothing happens.
func (p *soaked) atRest(t *testing.T) {
	t.Helper()
	rss, _, threads := p.status()
	fds, polls := 0, 0
	for _, fd := range must(filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid)))(t) {
		if to, _ := os.Readlink(fd); strings.Contains(to, "eventpoll") {
			polls++ // Bubble Tea leaves one behind with each SIGCONT: docs/upstream.md
		} else {
			fds++
		}
	}
	must(p.ask.Write([]byte{0}))(t)
	line := must(p.answer.ReadString('\n'))(t)
	goroutines := must(strconv.Atoi(strings.TrimSpace(line)))(t)
	p.polls = append(p.polls, polls)
	p.rest, p.threads = append(p.rest, rss), append(p.threads, threads)
	p.fds, p.goroutines = append(p.fds, fds), append(p.goroutines, goroutines)
}

// String is the newest of each.
func (p *soaked) String() string {
	last := func(xs []int) int { return xs[len(xs)-1] }
	return fmt.Sprintf("%s: %d kB, %d descriptors and %d eventpolls, %d threads, %d goroutines", p.name, last(p.rest), last(p.fds), last(p.polls), last(p.threads), last(p.goroutines))
}

// judge compares the second half with the first: memory within 3 %, from ten minutes on; of the others, where a leak adds one with each fault, no more
// than two beside the most that there were.
func (p *soaked) judge(t *testing.T) {
	for _, m := range []struct {
		what   string
		values []int
	}{{"kB without files, each second", p.heap}, {"kB at rest", p.rest}, {"kB, each second", p.rss}} {
		a, b := halves(m.values)
		t.Logf("%s, %s: mean %.0f and %.0f, median %d and %d, most %d and %d", p.name, m.what,
			mean(a), mean(b), median(a), median(b), slices.Max(a), slices.Max(b))
	}
	a, b := halves(p.rss)
	if more := 100 * (mean(b)/mean(a) - 1); more > 3 && len(p.rss) > 600 {
		t.Errorf("%s: the memory of the second half is %.1f %% more than that of the first", p.name, more)
	}
	for _, m := range []struct {
		what   string
		values []int
	}{{"descriptors", p.fds}, {"threads", p.threads}, {"goroutines", p.goroutines}} {
		a, b := halves(m.values)
		t.Logf("%s, %s: median %d and %d, most %d and %d", p.name, m.what, median(a), median(b), slices.Max(a), slices.Max(b))
		if median(b) > slices.Max(a)+2 {
			t.Errorf("%s: %s: in the second half %d, in the first %d at most", p.name, m.what, median(b), slices.Max(a))
		}
	}
}

func halves(xs []int) (a, b []int) { return xs[:(len(xs)+1)/2], xs[len(xs)/2:] }

func mean(xs []int) float64 {
	sum := 0
	for _, x := range xs {
		sum += x
	}
	return float64(sum) / float64(len(xs))
}

func median(xs []int) int { return slices.Sorted(slices.Values(xs))[len(xs)/2] }
