package tui

import (
	"strings"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/table"
	"ctview/tui/draw"
)

// TestHeadTellsDirection: after o the same head must not stand over other numbers, in any column and at any width.
func TestHeadTellsDirection(t *testing.T) {
	for _, w := range []int{80, 120, 200} {
		g := newRig(t, w, 35, manyFlows(30), func(o *Options) { o.Columns = []string{"src", "rate", "bytes", "packets", "pps"} })
		for _, want := range []string{">", "<", ""} {
			g.keys("o")
			head := g.line("SOURCE")
			for _, c := range []string{"RATE", "BYTES", "PPS"} {
				if !strings.Contains(head, c+want) || want == "" && strings.ContainsAny(head, "<>") {
					t.Errorf("%d columns: %s without %q in its head: %s", w, c, want, head)
				}
			}
			if want != "" && !strings.Contains(head, "PKTS"+want) && !strings.Contains(head, "PACKETS"+want) {
				t.Errorf("%d columns: packets without %q: %s", w, want, head)
			}
		}
	}
}

// TestDetailAssertsNothingUnasked opens a flow as an event names it, before the table has answered.
func TestDetailAssertsNothingUnasked(t *testing.T) {
	rows := mockFlows()
	g := newRig(t, 120, 50, rows, nil)
	f := rows[0].Flow
	f.Known &^= model.KnownCounters | model.KnownRate
	late := g.a.openFlow(f.Key, &model.Row{Flow: f})
	for _, s := range []string{"nothing:", "no event", "does not match", "not expected", "does not count", " of 15"} {
		if l := g.line(s); l != "" {
			t.Errorf("%q before anything was read: %s", s, l)
		}
	}
	if g.line("reading") == "" {
		t.Errorf("not told that it is being read:\n%s", g.screen())
	}
	g.run(late)
	if g.line("Flow 1 of 15") == "" || g.line("expects") == "" && g.line("m goes there") == "" {
		t.Errorf("not told after the answer:\n%s", g.screen())
	}
}

// TestEscapeReturnsToGroups: from the flows of a group Esc goes back to the group that it was, under the filter of then.
func TestEscapeReturnsToGroups(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Filter = "zone 5" })
	withFlood(g)
	g.keys("2", "j", "j")
	s := g.a.screen().(*groups)
	id, at := s.key, s.at
	g.keys("enter")
	if g.a.current != 0 || g.a.text == "zone 5" {
		t.Fatalf("Enter did not open the flows of the group:\n%s", g.screen())
	}
	g.keys("esc")
	if g.a.screen() != mode(s) || g.a.text != "zone 5" || s.key != id || s.at != at {
		t.Errorf("screen %d, filter %q, row %d; want the groups, zone 5, row %d:\n%s", g.a.current, g.a.text, s.at, at, g.screen())
	}
	g.keys("enter", "/", "up", " and tcp", "enter", "esc") // another filter: no way back
	if g.a.current != 0 {
		t.Errorf("Esc under a filter of one's own went back to the groups:\n%s", g.screen())
	}
}

// TestOneFlow: one of a thing is not spoken of as many.
func TestOneFlow(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.keys("p")
	g.store.stats.New++
	g.tick(5 * time.Second)
	if g.line("; 1 flow newer") == "" {
		t.Errorf("want 1 flow newer:\n%s", g.screen())
	}
	rows := mockFlows()
	rows[8].Flow.Helper = 0
	g = newRig(t, 120, 35, rows, nil)
	g.keys("5")
	if g.line("1 flow to tcp port 21 without ftp helper") == "" {
		t.Errorf("want 1 flow has no helper:\n%s", g.screen())
	}
	g = newRig(t, 120, 35, mockFlows(), nil)
	g.kernel.errs = []error{ErrGone, nil}
	g.keys("space", "space", "D", "2", "enter")
	if g.line("1 flow deleted, 1 had ended already") == "" {
		t.Errorf("want 1 flow deleted:\n%s", g.screen())
	}
}

// TestEventRateHasAWindow: at a steady 20 events a second every key shows 20, however shortly after another it comes; before a
// second is over nothing is told.
func TestEventRateHasAWindow(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	if !strings.Contains(g.screen(), " - ev/s") {
		t.Errorf("a rate of no time:\n%s", g.line("ev/s"))
	}
	for i := range 600 { // 30 s in steps of 50 ms, one event each; a key every 3 ms after some
		g.now = g.now.Add(50 * time.Millisecond)
		g.store.stats.New++
		switch {
		case i%20 == 0:
			g.tick(0)
		case i%7 == 0:
			for _, k := range []string{"S", "j", "S", "k"} {
				g.now = g.now.Add(3 * time.Millisecond)
				g.send(press(k)[0])
			}
			g.now = g.now.Add(-12 * time.Millisecond)
		}
		if i > 40 && !strings.Contains(g.screen(), " 20 ev/s") {
			t.Fatalf("step %d: %s", i, g.line("ev/s"))
		}
	}
	g.send(press("4")[0])
	if g.line("20/s") == "" {
		t.Errorf("Stats says another rate: %s", g.line("events in"))
	}
}

// TestDifferenceOfOneMoment: what the kernel said then is not compared with what the model has now.
func TestDifferenceOfOneMoment(t *testing.T) {
	g := newRig(t, 120, 40, mockFlows(), nil)
	n := len(g.store.rows)
	g.kernel.sys.Entries = uint32(n)
	g.keys("4")
	g.tick(time.Minute)
	g.store.rows = manyFlows(9443)
	g.send(press("j")[0])
	g.run(g.a.ask(false)) // the model again, not the kernel
	if l := g.line("kernel says"); !strings.Contains(l, "model flows    "+draw.Count(n)) || !strings.Contains(l, "kernel says "+draw.Count(n)) || !strings.Contains(l, "diff 0") {
		t.Errorf("two moments: %s", l)
	}
	g.store.stats.Stale = true
	g.tick(time.Minute)
	if l := g.line("kernel says"); !strings.Contains(l, "diff -") || strings.Contains(l, "diff -9") {
		t.Errorf("half a table is compared: %s", l)
	}
}

// TestNamespaceIsTold: who is not in the initial namespace sees it at any width, and :netns marks the one that is watched.
func TestNamespaceIsTold(t *testing.T) {
	for _, w := range []int{60, 80, 120, 200} {
		g := newRig(t, w, 24, mockFlows(), func(o *Options) { o.Netns = "r1" })
		if g.line("ns r1") == "" {
			t.Errorf("%d columns: %s", w, strings.SplitN(g.screen(), "\n", 2)[0])
		}
		g.a.opt.Namespaces = fakeNamespaces{g}
		g.command("netns")
		if g.line("> blue") == "" || g.line("> 812") != "" {
			t.Errorf("%d columns: the current one is not marked:\n%s", w, g.screen())
		}
	}
}

// TestNotLiveWithoutEvents: what changes is seen when the table is read again, and that is not live.
func TestNotLiveWithoutEvents(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	for v, want := range []string{"NO EVENTS", "LIVE", "LIVE"} {
		g.kernel.sys.Events = model.Setting{Value: int64(v), OK: true}
		g.tick(time.Minute)
		if l := g.line("ev/s"); !strings.Contains(l, "  "+want+"  ") {
			t.Errorf("nf_conntrack_events=%d: %s", v, l)
		}
	}
}

// TestHelpOnADetail: help asked for by its name leaves what it was asked on.
func TestHelpOnADetail(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.keys("enter")
	over := len(g.a.stack)
	g.command("help")
	if g.a.top().name() != "Help" {
		t.Fatalf("no help:\n%s", g.screen())
	}
	g.keys("esc")
	if len(g.a.stack) != over {
		t.Errorf("%d views are open, want %d:\n%s", len(g.a.stack), over, g.screen())
	}
}

// TestGrowthIsTold: "none" is said of a table that has not grown, not of one that was not looked at for long.
func TestGrowthIsTold(t *testing.T) {
	for _, tt := range []struct {
		seconds, grown int
		want           string
	}{{10, 33, "-"}, {61, 0, "none"}, {61, 33, "+0.6 flows/s"}, {61, 1, "+0.02 flows/s"}, {61, -2, "-0.04 flows/s"}} {
		s := newStats()
		for i := range tt.seconds {
			s.seconds = append(s.seconds, table.Second{Flows: 79 + tt.grown*i/(tt.seconds-1)})
		}
		if got := s.growthText(newRig(t, 120, 35, nil, nil).a); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%d more in %d s: %q, want %q", tt.grown, tt.seconds, got, tt.want)
		}
	}
}

// TestSwitchAsksForRules: rules that end with the watch of a namespace are not taken away without a question.
func TestSwitchAsksForRules(t *testing.T) {
	for _, tt := range []struct {
		keys []string
		in   bool
		kept int
	}{{nil, false, 0}, {[]string{"r"}, true, 0}, {[]string{"k"}, true, 1}, {[]string{"s"}, false, 0}} {
		r := mockRules(t)
		g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
		g.a.opt.Namespaces = fakeNamespaces{g}
		g.keys("N", "6101", "enter", "esc")
		g.command("netns blue")
		g.keys(tt.keys...)
		if in := g.a.opt.Netns == "blue"; in != tt.in || len(r.kept) != tt.kept {
			t.Errorf("%v: switched %v, kept %v\n%s", tt.keys, in, r.kept, g.screen())
		}
		if tt.keys == nil && g.line("1 temporary NOTRACK rule will be removed") == "" {
			t.Errorf("not asked:\n%s", g.screen())
		}
	}
}

// TestLeftOutIsTold: where there was no memory for all flows the title says so at any width, before anything else of its right
// half, and Stats names the cure.
func TestLeftOutIsTold(t *testing.T) {
	for _, w := range []int{60, 80, 120, 200} {
		g := newRig(t, w, 30, manyFlows(2400), nil)
		g.kernel.sys.Entries = 1000000
		g.store.stats.Left = 5
		g.tick(time.Minute)
		title := strings.SplitN(g.screen(), "\n", 2)[0]
		want := "showing 2,400 of 1,000,000: memory"
		if w < 80 {
			want = "2,400 of 1,000,000: memory"
		}
		if !strings.Contains(title, want) {
			t.Errorf("%d columns: %q, want %q in it", w, title, want)
		}
		g.keys("4")
		if w >= 80 && g.line("--max-memory") == "" {
			t.Errorf("%d columns: Stats tells no cure:\n%s", w, g.screen())
		}
	}
}
