package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"ctview/ctnl/lab/fill"
	"ctview/model/crash"

	"golang.org/x/sys/unix"
)

// lostLine is how events tells of a loss on its error output.
var lostLine = regexp.MustCompile(`events: (\d+) lost`)

// measureEvents is P5: the stream into a file, against a churner at growing rates, and at one of them to who reads at the other end.
func measureEvents(ctx context.Context, p *plan, r *report) error {
	for _, rate := range []int{10_000, 50_000, 100_000, 0} {
		if err := eventsAt(ctx, p, r, "a file", rate); err != nil {
			return err
		}
	}
	for _, to := range []string{"a pipe", "a unix socket"} {
		if err := eventsAt(ctx, p, r, to, 100_000); err != nil {
			return err
		}
	}
	if installed("conntrack") {
		return peerEvents(ctx, p, r)
	}
	return nil
}

// churnTime is how long each rate is kept up.
const churnTime = 4 * time.Second

// churn changes flows for churnTime.
func churn(ctx context.Context, s *stage, rate int) (made int, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, churnTime)
	defer cancel()
	began := time.Now()
	c, err := s.fill.Churn(ctx, fill.Churn{Rate: rate, Live: 20_000, Seed: 1})
	return c.Ops() - c.Refused, time.Since(began), err
}

// outlet returns where events are to write for all of it to come to out, and waits for the end of that.
func outlet(to string, out *os.File) (w *os.File, wait func() error, err error) {
	var reader *os.File
	switch to {
	case "a pipe":
		reader, w, err = os.Pipe()
	case "a unix socket":
		var ends [2]int
		ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		reader, w = os.NewFile(uintptr(ends[0]), to), os.NewFile(uintptr(ends[1]), to)
	default:
		return out, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() {
		defer crash.Guard()
		defer reader.Close()
		_, err := io.Copy(out, reader)
		done <- err
	}()
	return w, func() error { return <-done }, nil
}

func eventsAt(ctx context.Context, p *plan, r *report, to string, rate int) error {
	s, err := newStage(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close()
	path := filepath.Join(p.dir, "events.json")
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	w, wait, err := outlet(to, out)
	if err != nil {
		return err
	}
	c := s.ns.Command(p.ctview, "events", "-o", "json")
	var diag bytes.Buffer
	c.Stdout, c.Stderr = w, &diag
	if err := c.Start(); err != nil {
		return err
	}
	if w != out {
		w.Close()
	}
	probes, err := listening(ctx, s, path)
	if err != nil {
		return err
	}
	before := cpuTime(c.Process.Pid)
	made, took, err := churn(ctx, s, rate)
	if err != nil {
		return err
	}
	settle(ctx, path)
	cpu := cpuTime(c.Process.Pid) - before
	if err := errors.Join(interrupt(c), wait()); err != nil {
		return err
	}
	lines, err := countLines(path)
	if err != nil {
		return err
	}
	told := 0
	for _, m := range lostLine.FindAllSubmatch(diag.Bytes(), -1) {
		n, _ := strconv.Atoi(string(m[1]))
		told += n
		lines-- // it is told in the file too
	}
	got := lines - probes
	what := fmt.Sprintf("events -o json to %s, %.0f a second: lost", to, float64(made)/took.Seconds())
	if rate == 0 {
		what += " (as fast as one writer can)"
	}
	r.goal("P5", what, "", float64(told), 0, 0)
	if got+told != made {
		r.row("P5", "  made, printed, told as lost", fmt.Sprintf("%d, %d, %d", made, got, told), "DIFFER")
	}
	if rate == 0 || rate >= 50_000 {
		r.goal("P5", "  CPU per event", " µs", cpu.Seconds()*1e6/float64(made), 3.5, 2)
	}
	return nil
}

// listening makes and ends a flow again and again until that is seen in the output, and returns how many lines it
// made there.
func listening(ctx context.Context, s *stage, path string) (lines int, err error) {
	for i := fill.MaxFlow - 1; ; i-- {
		if err := s.fill.Create(ctx, i, i+1); err != nil {
			return 0, err
		}
		if err := s.fill.Destroy(ctx, i, i+1); err != nil {
			return 0, err
		}
		time.Sleep(50 * time.Millisecond)
		if fi, err := os.Stat(path); err != nil || fi.Size() > 0 {
			settle(ctx, path)
			return countLines(path)
		}
	}
}

// settle waits until a file has stopped growing.
func settle(ctx context.Context, path string) {
	for last := int64(-1); ctx.Err() == nil; {
		fi, err := os.Stat(path)
		if err != nil || fi.Size() == last {
			return
		}
		last = fi.Size()
		time.Sleep(300 * time.Millisecond)
	}
}

// peerEvents is the fastest rate again, for conntrack -E with the buffer that it asks for itself and with ours.
func peerEvents(ctx context.Context, p *plan, r *report) error {
	for _, args := range [][]string{{"-E"}, {"-E", "-b", strconv.Itoa(64 << 20)}} {
		s, err := newStage(ctx, 0)
		if err != nil {
			return err
		}
		defer s.close()
		path := filepath.Join(p.dir, "conntrack-events.txt")
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		defer out.Close()
		c := s.ns.Command("conntrack", args...)
		c.Stdout = out
		if err := c.Start(); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		made, took, err := churn(ctx, s, 0)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		cpu := cpuTime(c.Process.Pid)
		if err := interrupt(c); err != nil {
			return err
		}
		lines, err := countLines(path)
		if err != nil {
			return err
		}
		what := "  conntrack -E"
		if len(args) > 1 {
			what += " -b 64M"
		}
		r.row("P5", fmt.Sprintf("%s, %.0f a second: lost", what, float64(made)/took.Seconds()),
			fmt.Sprintf("%.0f %%, %.1f µs CPU per line", 100*float64(made-lines)/float64(made), cpu.Seconds()*1e6/float64(max(lines, 1))), "")
	}
	return nil
}
