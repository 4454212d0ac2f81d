package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"

	"ctview/tui/draw"
)

// currentKey is the flow that the cursor is on.
func (g *rig) currentKey() model.Key {
	g.t.Helper()
	r, _ := g.a.flows.current()
	if r == nil {
		g.t.Fatal("no row under the cursor")
	}
	return r.Flow.Key
}

// raise has flow k be the one of place p by its rate.
func (g *rig) raise(k model.Key, p int) {
	for i := range g.store.rows {
		if g.store.rows[i].Flow.Key == k {
			g.store.rows[i].Flow.Rate = [2]float32{float32(len(g.store.rows)-p) + 0.5, 0}
		}
	}
}

// TestCursorStaysInPlace: neither Enter nor Esc nor a move binds the cursor to a flow; F does, and says so.
func TestCursorStaysInPlace(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 35}} {
		g := newRig(t, size[0], size[1], manyFlows(500), nil)
		s := g.a.flows
		g.keys("j", "j", "j", "enter", "esc")
		g.raise(g.currentKey(), 300)
		g.tick(2 * time.Second)
		if got, want := g.currentKey(), manyFlows(500)[4].Flow.Key; s.top != 0 || s.at != 3 || got != want {
			t.Errorf("the list went to %d, the cursor to row %d, %s; want 0, 3, %s", s.top, s.at, draw.Describe(&got), draw.Describe(&want))
		}
		g.keys("F")
		want := g.currentKey()
		for _, p := range []int{10, 300, 0, 200} {
			g.raise(want, p)
			g.tick(2 * time.Second)
			if got := g.currentKey(); got != want {
				t.Fatalf("place %d: the cursor is on %s, want %s", p, draw.Describe(&got), draw.Describe(&want))
			}
			if g.line("FOLLOW ") == "" || g.line(">") == "" {
				t.Errorf("place %d: the screen does not say so:\n%s", p, g.screen())
			}
		}
		g.keys("S", "enter", "esc")
		if got := g.currentKey(); got != want {
			t.Errorf("after reversing the order the cursor is on %s, want %s", draw.Describe(&got), draw.Describe(&want))
		}
		top, at := s.top, s.at
		g.store.remove(want)
		g.tick(2 * time.Second)
		if s.top != top || s.at != at || s.follow || g.line("the flow that was followed has ended") == "" {
			t.Errorf("after its end: list at %d, row %d, follow %v; want %d, %d, false:\n%s", s.top, s.at, s.follow, top, at, g.screen())
		}
		g.tick(2 * time.Second)
		if s.top != top || s.at != at || g.line("FOLLOW ") != "" {
			t.Errorf("one refresh later: list at %d, row %d; want %d, %d:\n%s", s.top, s.at, top, at, g.screen())
		}
	}
}

// TestFollowUnmatched: a flow that the filter leaves behind is not followed any more, and that is told.
func TestFollowUnmatched(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), func(o *Options) { o.Filter = "rate > 1k" })
	g.keys("j", "F")
	g.raise(g.currentKey(), 15)
	g.tick(2 * time.Second)
	if g.a.flows.follow || g.line("followed does not match any more: the cursor stays") == "" {
		t.Errorf("not told:\n%s", g.screen())
	}
}

// TestGroupsFollow: the groups' cursor stays in its place; F keeps it on its group.
func TestGroupsFollow(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	withFlood(g)
	g.keys("2", "j")
	s := g.a.screen().(*groups)
	id := s.key
	g.keys("S", "j", "S", "j")
	if s.top+s.at != 1 || s.key != id {
		t.Errorf("in the same place of the same order is group %d, want %d", s.key, id)
	}
	g.keys("F", "S")
	if s.key != id || g.line("FOLLOW ") == "" {
		t.Errorf("F does not keep the cursor on its group:\n%s", g.screen())
	}
	g.keys("/", "proto gre", "enter")
	if s.follow {
		t.Error("another filter leaves a group followed")
	}
}

func TestCursorUntouchedStaysAtTheTop(t *testing.T) {
	g := newRig(t, 80, 24, manyFlows(100), nil)
	g.store.rows[50].Flow.Rate[0] = 1e6
	g.tick(2 * time.Second)
	if got, want := g.currentKey(), g.store.rows[50].Flow.Key; got != want {
		t.Errorf("the cursor is on %s, want the first row %s", draw.Describe(&got), draw.Describe(&want))
	}
}

func TestScrolling(t *testing.T) {
	g := newRig(t, 80, 24, manyFlows(1000), nil)
	h := g.a.flows.rowsOn(g.a)
	at := func() int { return g.a.flows.top + g.a.flows.at }
	for _, step := range []struct {
		key  string
		want int
	}{{"j", 1}, {"pgdown", 1 + h}, {"ctrl+d", 1 + h + h/2}, {"ctrl+u", 1 + h}, {"pgup", 1}, {"G", 999}, {"k", 998}, {"pgup", 998 - h}, {"g", 0}, {"k", 0}} {
		g.keys(step.key)
		if got := at(); got != step.want {
			t.Fatalf("after %s the cursor is at %d, want %d", step.key, got, step.want)
		}
		if want := g.store.rows[step.want].Flow.Key; g.currentKey() != want {
			t.Fatalf("after %s: the wrong flow", step.key)
		}
	}
}

func TestMarksSurviveSort(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.keys("space", "space")
	want := len(g.a.flows.marks)
	g.keys("S", ">", "<")
	g.tick(2 * time.Second)
	if got := len(g.a.flows.marks); got != want || want != 2 {
		t.Errorf("%d marks after sorting, want 2", got)
	}
	if g.line("2 marked") == "" {
		t.Errorf("the screen does not say so:\n%s", g.screen())
	}
	g.keys("ctrl+x")
	if len(g.a.flows.marks) != 0 {
		t.Error("Ctrl-x left marks")
	}
	g.keys("ctrl+a")
	if got := len(g.a.flows.marks); got != len(g.store.rows) {
		t.Errorf("Ctrl-a marked %d of %d", got, len(g.store.rows))
	}
}

func TestEndedRow(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("j", "j")
	k := g.currentKey()
	g.store.remove(k)
	g.tick(2 * time.Second)
	if l := g.line(">x"); l == "" {
		t.Fatalf("the ended row is not kept under the cursor:\n%s", g.screen())
	}
	g.keys("D")
	if g.line("that flow ended") == "" || len(g.a.stack) != 0 {
		t.Errorf("D on an ended row:\n%s", g.screen())
	}
	at := g.a.flows.at
	g.tick(2 * time.Second)
	if l := g.line(">x"); l != "" {
		t.Errorf("the ended row is still there after two refreshes: %s", l)
	}
	if g.a.flows.at != at {
		t.Errorf("the cursor moved from row %d to %d", at, g.a.flows.at)
	}
}

// TestEndedRowHasNoRate: a flow that ended does not stand above those that live in an order of what is current; in the others it
// stays where it was.
func TestEndedRowHasNoRate(t *testing.T) {
	for _, tt := range []struct {
		sort   string
		behind bool
	}{{"rate", true}, {"rate:asc", true}, {"pps", true}, {"orig-rate", true}, {"bytes", false}, {"age:asc", false}} {
		for _, size := range [][2]int{{80, 24}, {120, 35}} {
			g := newRig(t, size[0], size[1], manyFlows(9), func(o *Options) { o.Sort = tt.sort })
			first := g.currentKey()
			g.store.remove(first)
			g.tick(2 * time.Second)
			s := g.a.flows
			at := slices.IndexFunc(s.items, func(it item) bool { return it.ended })
			if want := map[bool]int{true: len(s.items) - 1}[tt.behind]; len(s.items) != 9 || at != want {
				t.Errorf("%s: the ended row is row %d of %d, want %d:\n%s", tt.sort, at, len(s.items), want, g.screen())
			}
			if l := g.line("x "); strings.Contains(l, "/s") {
				t.Errorf("%s: the ended flow has a rate: %s", tt.sort, l)
			}
		}
	}
	g := newRig(t, 80, 24, manyFlows(500), nil)
	g.store.remove(g.currentKey())
	g.tick(2 * time.Second)
	if l := g.line("x "); l != "" {
		t.Errorf("behind 499 rows, and on the screen: %s", l)
	}
}

func TestDelete(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("j", "D")
	want := g.currentKey()
	if g.line("192.168.1.10:51022 > 203.0.113.7:443") == "" {
		t.Fatalf("the dialog does not name the flow:\n%s", g.screen())
	}
	// The order changes while the dialog is open: what was named is deleted.
	for i := range g.store.rows {
		g.store.rows[i].Flow.Rate[0] = float32(i) * 1e6
	}
	g.tick(2 * time.Second)
	g.keys("y")
	if len(g.kernel.deleted) != 1 || len(g.kernel.deleted[0]) != 1 || g.kernel.deleted[0][0] != (Target{want, 3409467956}) {
		t.Errorf("deleted %v, want %s", g.kernel.deleted, draw.Describe(&want))
	}
	if g.line("deleted; a new packet of it will make a new entry") == "" {
		t.Errorf("not told:\n%s", g.screen())
	}
	if len(g.store.rows) != 15 {
		t.Error("the row went without the kernel saying so")
	}
}

func TestDeleteEscape(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("D", "esc", "D", "x", "n")
	if len(g.kernel.deleted) != 0 {
		t.Errorf("deleted %v", g.kernel.deleted)
	}
}

func TestDeleteMany(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.keys("ctrl+a", "D", "14", "enter")
	if len(g.kernel.deleted) != 0 || g.line("not 15") == "" {
		t.Fatalf("a wrong count was taken:\n%s", g.screen())
	}
	g.keys("backspace", "5", "enter")
	if len(g.kernel.deleted) != 1 || len(g.kernel.deleted[0]) != 15 {
		t.Fatalf("deleted %v", g.kernel.deleted)
	}
}

func TestDeleteOwnSession(t *testing.T) {
	rows := mockFlows()
	for _, own := range []model.Tuple{rows[1].Flow.Orig(), rows[1].Flow.Reply().Invert()} {
		g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
			o.Operator = func() model.Operator { return model.Operator{Sessions: []model.Tuple{own}} }
		})
		g.keys("j", "D", "y", "enter")
		if len(g.kernel.deleted) != 0 || g.line("your own session") == "" {
			t.Fatalf("the own session went without a warning:\n%s", g.screen())
		}
		g.keys("backspace", "mine", "enter")
		if len(g.kernel.deleted) != 1 {
			t.Errorf("typing mine did not delete:\n%s", g.screen())
		}
	}
}

func TestDeleteErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		errs []error
		want string
	}{
		{"gone", []error{ErrGone}, "that flow had ended already"},
		{"refused", []error{fmt.Errorf("ctnl: delete: not permitted")}, "1 of 1 not deleted: ctnl: delete: not permitted"},
		{"hostile", []error{errors.New("x\x1b[2Jy")}, `x\x1b[2Jy`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), nil)
			g.kernel.errs = tt.errs
			g.keys("D", "y")
			if g.line(tt.want) == "" {
				t.Errorf("want %q:\n%s", tt.want, g.screen())
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.ReadOnly = true })
	g.keys("D")
	if len(g.a.stack) != 0 || g.line("read-only: started with --read-only") == "" {
		t.Errorf("D with --read-only:\n%s", g.screen())
	}
	if l := g.line("q quit"); strings.Contains(l, "delete") {
		t.Errorf("the keys line offers delete: %s", l)
	}
}

func TestPause(t *testing.T) {
	g := newRig(t, 120, 35, manyFlows(300), nil)
	g.keys("p")
	before := g.line("10.0.0.0:")
	g.store.rows[200].Flow.Rate[0] = 1e9
	g.store.stats.New += 1204
	g.tick(34 * time.Second)
	if g.line("PAUSED 35s") == "" || g.line("1204 flows newer. p goes on.") == "" {
		t.Errorf("the screen does not say how old it is:\n%s", g.screen())
	}
	if got := g.line("10.0.0.0:"); got != before {
		t.Errorf("rows moved while paused: %s", got)
	}
	g.keys("pgdown", "pgdown", "p")
	if g.line("LIVE") == "" {
		t.Error("p does not go on")
	}
}

// TestPauseReadsOnce: a screen that was not shown before the pause is read, once; then it stands like the others.
func TestPauseReadsOnce(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.States, o.Rules = mockStates(t), mockRules(t) })
	g.keys("p")
	for _, k := range []string{"2", "3", "4", "5", "6", "7", "e"} {
		g.keys(k)
		if l := g.line("reading ~"); l != "" {
			t.Errorf("%s, paused: %q", k, l)
		}
	}
	g.keys("1", "enter")
	if l := g.line("reading ~"); l != "" {
		t.Errorf("a flow, paused: %q", l)
	}
	g.keys("esc", "2")
	before := g.line("10.0.0.")
	g.store.rows = g.store.rows[:1]
	g.tick(5 * time.Second)
	if got := g.line("10.0.0."); got != before {
		t.Errorf("groups moved while paused: %q, was %q", got, before)
	}
}

func TestEscapeOrder(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Filter = "zone 5" })
	g.keys("space", "f", "esc")
	if len(g.a.stack) != 0 || len(g.a.flows.marks) == 0 {
		t.Fatal("the first Esc closes the menu and nothing else")
	}
	g.keys("esc")
	if len(g.a.flows.marks) != 0 || g.a.text == "" {
		t.Fatal("the second clears the marks and nothing else")
	}
	g.keys("esc")
	if g.a.text != "" {
		t.Fatal("the third clears the filter")
	}
}

func TestHostileText(t *testing.T) {
	rows := mockFlows()
	rows[0].Flow.Helper = model.HelperFor([]byte("x\x1b[31m\x1b]0;t\a"))
	rows[0].Extra.Secctx = "s\x1b[2J"
	g := newRig(t, 200, 60, rows, func(o *Options) {
		o.Columns = []string{"proto", "state", "src", "dst", "helper", "secctx"}
		o.Netns, o.Host = "n\x1b[5m", "h\x9b5m"
	})
	g.kernel.sys.Host = "h\x9b5m"
	for _, k := range []string{"j", "k", "f", "esc", "y", "esc", "enter", "esc"} {
		g.keys(k)
		for _, bad := range []string{"\x1b[31m\x1b]", "\x1b]", "\x1b[2J", "\x1b[5m", "\x9b", "\a"} {
			if strings.Contains(g.a.View().Content, bad) {
				t.Errorf("after %s the frame contains %q", k, bad)
			}
		}
	}
}

func TestTooSmall(t *testing.T) {
	g := newRig(t, 32, 8, mockFlows(), nil)
	want := "ctview needs 40x10; this\nterminal is 32x8. `ctview list`\nworks without a screen."
	if got := g.a.View().Content; got != want {
		t.Errorf("below the least size: %q, want %q", got, want)
	}
	g.send(tea.WindowSizeMsg{Width: 120, Height: 4})
	if got := g.a.View().Content; strings.Contains(got, "\n") || !strings.HasSuffix(got, "works without a screen.") {
		t.Errorf("low but wide: %q", got)
	}
	g.send(tea.WindowSizeMsg{Width: 12, Height: 2})
	if got := g.a.View().Content; strings.Count(got, "\n") != 1 {
		t.Errorf("tiny: %q", got)
	}
}

// TestHeldKey: rows do not move while keys are pressed, but a key that is held down does not stop the screen for ever.
func TestHeldKey(t *testing.T) {
	g := newRig(t, 80, 24, manyFlows(100), nil)
	asked := 0
	for range 40 { // four seconds, a key every 100 ms
		g.now = g.now.Add(100 * time.Millisecond)
		g.send(press("j")[0])
		was := g.a.lastFull
		g.send(tickMsg{g.a.seq})
		if g.a.lastFull != was {
			asked++
		}
	}
	if asked == 0 || asked > 3 {
		t.Errorf("%d refreshes in four seconds of a held key, want one or two", asked)
	}
}
