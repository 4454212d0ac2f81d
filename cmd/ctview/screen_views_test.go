package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
)

// both returns a condition: every text is on the screen.
func both(texts ...string) func(string) bool {
	return func(s string) bool {
		for _, t := range texts {
			if !strings.Contains(s, t) {
				return false
			}
		}
		return true
	}
}

// TestScreenViews opens every other screen of the real program on real traffic, and does there what it is for.
func TestScreenViews(t *testing.T) {
	l, ctx := newLab(t)
	ftp := must(l.FTP(ctx, lab.From{}))(t)
	must(l.TCP(ctx, lab.From{V6: true}, 443))(t)
	must(l.TCP(ctx, lab.From{Zone: 5}, 8080))(t)
	for range 6 {
		must(l.DeadSYN(ctx, lab.From{Zone: 5}))(t)
	}
	tm := newTerminal(t, ctview(t, "--netns", l.Router().Path(), "--refresh", "500ms"), 120, 35)
	tm.until("all flows", func(s string) bool { return len(rows(s)) >= 9 })

	t.Run("groups", func(t *testing.T) { viewGroups(t, tm) })
	t.Run("events", func(t *testing.T) { viewEvents(t, tm, l, ctx) })
	t.Run("stats", func(t *testing.T) { viewStats(t, tm, l) })
	t.Run("expect", func(t *testing.T) { viewExpect(t, tm, ftp) })
	t.Run("command", func(t *testing.T) { viewCommand(t, tm, l, ctx) })
	t.Run("help", func(t *testing.T) {
		tm.t = t
		tm.send("?")
		tm.until("the help", both("ctview help: Flows", "delete marked or current", "FLAGS  A assured"))
		tm.send("x")
		tm.lacks("ctview help")
	})
	tm.t = t
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d after q", code)
	}
}

func viewGroups(t *testing.T, tm *terminal) {
	tm.t = t
	tm.send("2")
	tm.until("groups by source", both("[2 Groups]", "[src]", "SHARE"))
	tm.send("bbbb") // dst, dport, proto, state
	tm.until("groups by state", both("[state]", "SYN_SENT", "ESTABLISHED"))
	tm.send(":group zone,state\r")
	tm.until("groups by two keys", both("ZONE, STATE", "[zone,state]"))
	tm.send(":group zone\r")
	tm.until("groups by zone", both("[zone]", "never got a reply"))
	tm.send("\r") // the flows of the largest group
	tm.until("its flows", both("[1 Flows]", "/ zone"))
	tm.send("\x1b") // back to where one came from
	tm.until("the groups again", both("[2 Groups]", "[zone]"))
	tm.send("1")
	tm.until("all flows", lasting)
}

func viewEvents(t *testing.T, tm *terminal, l *lab.Lab, ctx context.Context) {
	tm.t = t
	tm.send("3")
	tm.until("the stream", both("[3 Events]", "FOLLOW"))
	must(l.DNS(ctx, lab.From{}))(t)
	tm.until("a lookup come by", both("NEW", "UPDATE", "192.0.2.53:53"))
	tm.send("k\r")
	tm.until("the flow of an event", both("original", "what happened to it"))
	tm.send("\x1b")
	tm.until("the stream again, standing still", func(s string) bool { return strings.Contains(s, "[3 Events]") && !strings.Contains(s, "FOLLOW") })
	tm.send("F")
	tm.shows("FOLLOW")
	tm.send("t")
	tm.shows("which events")
	tm.send("u\r")
	tm.until("no updates", both("types NEW DESTROY EXPECT"))
}

func viewStats(t *testing.T, tm *terminal, l *lab.Lab) {
	tm.t = t
	tm.send("4")
	tm.until("the figures", both("[4 Stats]", "KERNEL COUNTERS", "insert_failed", "tcp SYN_SENT", "diff 0"))
	ns, err := ctnl.OpenNetns(l.Router().Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	tm.send("t")
	tm.shows("net.netfilter.nf_conntrack_timestamp = 0?")
	if v, _ := ns.Sysctl("nf_conntrack_timestamp"); v != "1" {
		t.Fatalf("nf_conntrack_timestamp = %q before it was confirmed", v)
	}
	tm.send("y")
	tm.until("the switch", func(s string) bool {
		return strings.Contains(strings.Join(strings.Fields(s), " "), "nf_conntrack_timestamp 0 t turn on")
	})
	if v, _ := ns.Sysctl("nf_conntrack_timestamp"); v != "0" {
		t.Errorf("nf_conntrack_timestamp = %q after it was switched off", v)
	}
}

func viewExpect(t *testing.T, tm *terminal, ftp *lab.FTP) {
	tm.t = t
	tm.send("5")
	tm.until("helpers", both("[5 Expect]", "HELPERS THAT THE KERNEL ASSIGNED HERE", "ftp"))
	if _, err := ftp.Expect(); err != nil {
		t.Fatal(err)
	}
	tm.until("the expectation", both("1 expectation,", "EXPECTED DESTINATION"))
	tm.send("D")
	tm.shows("Delete this expectation?")
	tm.send("y")
	tm.until("it to be gone", both("0 expectations,"))
}

func viewCommand(t *testing.T, tm *terminal, l *lab.Lab, ctx context.Context) {
	tm.t = t
	dir := t.TempDir()
	must(l.DeadSYN(ctx, lab.From{Zone: 7}))(t)
	tm.send("1:filter state syn_sent\r")
	tm.until("the dead flows", allRows(func(r string) bool { return strings.Contains(r, "SYN_SENT") }))
	tm.send(":sort src:asc\r")
	tm.shows("sort SRC asc")
	file := filepath.Join(dir, "x.csv")
	tm.send(":write " + file + "\r")
	tm.shows("lines written to")
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "family,proto,") || !strings.Contains(string(text), "SYN_SENT") {
		t.Errorf("the file: %v\n%s", err, text)
	}
	tm.send(":nonsense\r")
	tm.shows(`unknown command "nonsense"`)
	tm.send("\x1b")
	tm.lacks("unknown command")
	tm.send("\x1b")
	tm.until("all flows", lasting)
}
