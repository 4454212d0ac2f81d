package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
)

// newLab builds a lab that lives as long as the test.
func newLab(t *testing.T) (*lab.Lab, context.Context) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); l.Close() })
	return l, ctx
}

// must fails the test where making traffic failed.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// rows returns the lines of the screen that show flows: those with a protocol in the second column.
func rows(screen string) (out []string) {
	for _, l := range strings.Split(screen, "\n") {
		if flowRow.MatchString(l) {
			out = append(out, l)
		}
	}
	return out
}

var flowRow = regexp.MustCompile(`^[▶►●•x >*]+ *(tcp|udp|icmp|icmpv6|sctp|gre|udplite) +[A-Za-z_0-9]+ +\S+`)

// allRows returns a condition: there are flows on the screen, and each has what ok wants.
func allRows(ok func(row string) bool) func(string) bool {
	return func(screen string) bool {
		rs := rows(screen)
		for _, r := range rs {
			if !ok(r) {
				return false
			}
		}
		return len(rs) > 0
	}
}

// lasting holds when the flows are there that no timeout ends meanwhile: three connections that stay open.
func lasting(screen string) bool {
	n := 0
	for _, r := range rows(screen) {
		if strings.Contains(r, "ESTABLISHED") {
			n++
		}
	}
	return n >= 3
}

// TestScreen drives the real program in a pty, as a user would, on real traffic.
func TestScreen(t *testing.T) {
	l, ctx := newLab(t)
	z5 := lab.From{Zone: 5}
	must(l.DNS(ctx, lab.From{}))(t)
	must(l.DNS(ctx, z5))(t)
	must(l.Ping(ctx, lab.From{Zone: 7}, 1, time.Millisecond))(t)
	must(l.DeadSYN(ctx, z5))(t)
	must(l.TCP(ctx, lab.From{V6: true}, 443))(t)
	ftp := must(l.FTP(ctx, lab.From{}))(t)
	big := must(l.TCP(ctx, lab.From{}, 8080))(t)
	if err := big.Download(3_000_000, 0); err != nil {
		t.Fatal(err)
	}

	tm := newTerminal(t, ctview(t, "--netns", l.Router().Path()), 120, 35)
	tm.until("all flows", func(s string) bool { return len(rows(s)) >= 7 })

	t.Run("filters", func(t *testing.T) {
		tm.t = t
		for _, f := range []struct {
			text string
			has  string
		}{
			{"zone 5", " 5 "},
			{"state syn_sent", "SYN_SENT"},
			{"helper ftp", " ftp "},
		} {
			tm.send("/" + f.text + "\r")
			tm.until("only flows of "+f.text, func(s string) bool {
				return strings.Contains(s, "/ "+f.text) && allRows(func(r string) bool { return strings.Contains(r, f.has) })(s)
			})
			tm.send("\x1b") // Esc takes the filter away
			tm.until("all flows again", lasting)
		}
	})

	t.Run("a wrong filter", func(t *testing.T) {
		tm.t = t
		tm.send("/state estabilshed\r")
		tm.shows(`did you mean established?`)
		tm.send("\x1b")
		tm.lacks("did you mean")
	})

	t.Run("sort by bytes", func(t *testing.T) {
		tm.t = t
		tm.send(":sort rate\r") // in the first second there are no rates, and the order is another
		tm.until("the order", func(s string) bool { return strings.Contains(s, "sort RATE desc") })
		tm.send("s")
		tm.shows("sort by")
		tm.send("j\r") // from rate to bytes
		tm.until("the download on top", func(s string) bool {
			rs := rows(s)
			return strings.Contains(s, "sort BYTES desc") && len(rs) > 0 && strings.Contains(rs[0], ":8080")
		})
	})

	t.Run("detail", func(t *testing.T) {
		tm.t = t
		tm.send("g\r")
		tm.until("the detail of the download", func(s string) bool {
			return strings.Contains(s, "ASSURED") && strings.Contains(s, ":8080") && strings.Contains(s, "original") &&
				strings.Contains(s, "reply")
		})
		tm.send("\x1b")
		tm.until("the list", lasting)
	})

	t.Run("delete", func(t *testing.T) {
		tm.t = t
		ns, err := ctnl.OpenNetns(l.Router().Path())
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		k := ctnl.NewKernel(ns)
		defer k.Close()
		tm.send("/state syn_sent and zone 7\r")
		tm.until("nothing", func(s string) bool { return strings.Contains(s, "0 of ") && len(rows(s)) == 0 })
		dead := must(l.DeadSYN(ctx, lab.From{Zone: 7}))(t)
		tm.until("the dead flow alone", func(s string) bool { return len(rows(s)) == 1 })
		tm.send("D")
		tm.shows("Delete this flow?")
		if _, err := k.Get(ctx, dead); err != nil {
			t.Fatalf("deleted before it was confirmed: %v", err)
		}
		tm.send("y")
		tm.until("the row to go", func(s string) bool { return len(rows(s)) == 0 })
		if _, err := k.Get(ctx, dead); !errors.Is(err, ctnl.ErrGone) {
			t.Errorf("after: %v, want that the kernel has it no more", err)
		}
		if _, err := k.Get(ctx, ftp.Key); err != nil {
			t.Errorf("another flow: %v", err)
		}
		tm.send("\x1b")
		tm.until("all flows", lasting)
	})

	t.Run("resize", func(t *testing.T) {
		tm.t = t
		tm.resize(80, 24)
		tm.until("80x24", func(s string) bool { return strings.Contains(s, "PRO ") && len(rows(s)) > 0 })
		tm.resize(30, 8)
		tm.shows("ctview needs 40x10")
		tm.resize(120, 35)
		tm.until("120x35", func(s string) bool { return strings.Contains(s, "PROTO") && len(rows(s)) > 0 })
	})

	t.Run("hang up", func(t *testing.T) {
		tm.t = t
		began := time.Now()
		tm.tty.Close()
		if code := tm.ended(); code != 128+int(syscall.SIGHUP) {
			t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGHUP))
		}
		t.Logf("gone after %v", time.Since(began).Round(time.Millisecond))
	})
}

// TestScreenEnds holds the ways to end: keys and signals, each with its exit code, the terminal left as it was.
func TestScreenEnds(t *testing.T) {
	ns := must(lab.NewNS())(t)
	defer ns.Close()
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		end  func(tm *terminal)
		code int
	}{
		{"q", func(tm *terminal) { tm.send("q") }, 0},
		{"Ctrl-C", func(tm *terminal) { tm.send("\x03") }, 0},
		{"SIGTERM", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGTERM) }, 128 + 15},
		{"SIGINT", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGINT) }, 128 + 2},
		{"SIGHUP", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGHUP) }, 128 + 1},
		{"SIGQUIT", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGQUIT) }, 128 + 3},
		{"SIGABRT", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGABRT) }, 128 + 6},
		{"SIGUSR1", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGUSR1) }, 128 + 10},
		{"SIGALRM", func(tm *terminal) { tm.cmd.Process.Signal(syscall.SIGALRM) }, 128 + 14},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tm := newTerminal(t, ctview(t, "--netns", ns.Path()), 80, 24)
			tm.shows("No flows")
			tt.end(tm)
			if code := tm.ended(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			tm.eventually("the end of the output", tm.drained)
			if !tm.cooked() || !tm.plainScreen() {
				t.Errorf("after the end: cooked %v, modes off %v", tm.cooked(), tm.plainScreen())
			}
		})
	}
}
