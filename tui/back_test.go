package tui

import (
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestBarOpensEmpty: / begins with nothing, under rows that stay what they are; Up brings the filters of before back, Enter on
// nothing takes the filter off, Esc leaves all as it was.
func TestBarOpensEmpty(t *testing.T) {
	for _, size := range [][2]int{{120, 35}, {80, 24}} {
		g := newRig(t, size[0], size[1], mockFlows(), func(o *Options) { o.Filter = "zone 5" })
		rows := func() (n int) {
			for l := range strings.SplitSeq(g.screen(), "\n") {
				if strings.Contains(l, "192.168.1.") && !strings.HasPrefix(l, "| ") || strings.HasPrefix(l, "|  udp") || strings.HasPrefix(l, "|  tcp") {
					n++
				}
			}
			return n
		}
		before := rows()
		g.keys("/")
		b, _ := g.a.bar()
		if b.line.String() != "" || g.line(`the rows above are those of "zone 5": Up brings it back, Enter takes it off`) == "" {
			t.Errorf("not empty, or not told:\n%s", g.screen())
		}
		if g.a.trying || g.a.active() != g.a.filter {
			t.Error("opening the bar changed the rows")
		}
		g.keys("udp", "enter", "/", "up")
		if b, _ = g.a.bar(); b.line.String() != "udp" {
			t.Errorf("Up: %q, want the filter in force", b.line.String())
		}
		g.keys("up")
		if b.line.String() != "zone 5" || !g.a.trying {
			t.Errorf("Up twice: %q, tried %v; want the one before, tried", b.line.String(), g.a.trying)
		}
		g.keys("up", "down", "down")
		if b.line.String() != "" || g.a.trying {
			t.Errorf("Down to where it began: %q, tried %v", b.line.String(), g.a.trying)
		}
		g.keys("up", "up", "enter")
		if g.a.text != "zone 5" || rows() != before {
			t.Errorf("the filter is %q, %d rows; want zone 5, %d", g.a.text, rows(), before)
		}
		g.keys("/", "up", " and tcp", "esc")
		if g.a.text != "zone 5" || g.a.trying {
			t.Errorf("after Esc the filter is %q", g.a.text)
		}
		g.keys("/", "enter")
		if g.a.text != "" || g.a.filter != nil {
			t.Errorf("Enter on nothing: the filter is %q", g.a.text)
		}
		g.keys("/", "up", "enter")
		if g.a.text != "zone 5" {
			t.Errorf("Up after the filter was taken off: %q", g.a.text)
		}
	}
}

// TestEscReturns: from wherever an action led to another screen or filter, Esc leads back to the screen, the filter and the row.
func TestEscReturns(t *testing.T) {
	for _, tt := range []struct {
		name string
		from []string // to the screen and the row
		away []string // the action
	}{
		{"the flows of a group", []string{"2", "j", "j"}, []string{"enter"}},
		{"and this group", []string{"2", "j"}, []string{"="}},
		{"not this group", []string{"2", "j"}, []string{"!"}},
		{"groups of these flows", []string{"j", "j", "j"}, []string{"b"}},
		{"a value of a flow", []string{"j", "j"}, []string{"f", "d"}},
		{"a value of an event's flow", []string{"3"}, []string{"f", "d"}},
		{"a value of a flow's detail", []string{"j", "enter"}, []string{"f", "d"}},
		{"the flows of a state", []string{"4", "j"}, []string{"enter"}},
		{"the flows of a helper", []string{"5", "j", "j"}, []string{"enter"}},
		{"the flows of a rule", []string{"6", "j"}, []string{"enter"}},
		{"the rule of a packet", []string{"4", "j", ":", "states", "enter"}, []string{"enter"}},
		{"three steps", []string{"j"}, []string{"f", "d", "b", "="}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Filter = "zone 5" })
			g.a.opt.Rules, g.a.opt.States = mockRules(t), mockStates(t)
			withFlood(g)
			withEvents(g)
			g.keys(tt.from...)
			before, text, where := g.here(), g.a.text, g.a.top().name()
			g.keys(tt.away...)
			if g.a.text == text && g.a.top().name() == where {
				t.Fatalf("%q led nowhere:\n%s", tt.away, g.screen())
			}
			for range len(slices.DeleteFunc(slices.Clone(tt.away), func(k string) bool { return k == "d" })) {
				g.keys("esc")
			}
			got := g.here()
			if n := min(len(got), len(before), 60); g.a.text != text || g.a.top().name() != where || got[:n] != before[:n] { // times go on
				t.Errorf("Esc led to %s, filter %q, row %q; want %s, %q, %q", g.a.top().name(), g.a.text, got, where, text, before)
			}
		})
	}
}

// TestEscReturnsFromViews: Esc returns to the view that was left by a key, under the filter that there is; what was typed on a view
// it takes off first; it never goes in circles, and on Flows it takes the filter off.
func TestEscReturnsFromViews(t *testing.T) {
	for _, tt := range []struct {
		keys string
		want []string // the views after each Esc, with the filter
	}{
		{"2", []string{"Flows zone 5", "Flows"}},
		{"3", []string{"Flows zone 5"}},
		{"3 k", []string{"Events zone 5", "Flows zone 5"}},
		{"4", []string{"Flows zone 5"}},
		{"5", []string{"Flows zone 5"}},
		{"6", []string{"Flows zone 5"}},
		{"7", []string{"Flows zone 5"}},
		{"7 b", []string{"Recent zone 5", "Flows zone 5"}},
		{"tab tab", []string{"Groups zone 5", "Flows zone 5"}},
		{": stats enter", []string{"Flows zone 5"}},
		{"4 5", []string{"Stats zone 5", "Flows zone 5"}},
		{"4 5 4", []string{"Flows zone 5"}},
		{"4 5 6 5 2", []string{"Expect zone 5", "Stats zone 5", "Flows zone 5"}},
		{"4 1", []string{"Flows"}},
		{"4 : states enter", []string{"Stats zone 5", "Flows zone 5"}},
		{"2 / up up enter / udp enter", []string{"Groups", "Flows"}},
		{"2 enter", []string{"Groups zone 5", "Flows zone 5"}},
		{"2 enter 4", []string{"Flows zone 5 and src 192.168.1.13", "Groups zone 5", "Flows zone 5"}},
	} {
		for _, size := range [][2]int{{120, 35}, {80, 24}} {
			g := newRig(t, size[0], size[1], mockFlows(), func(o *Options) { o.Filter = "zone 5" })
			g.a.opt.Rules, g.a.opt.States = mockRules(t), mockStates(t)
			withFlood(g)
			withEvents(g)
			withRecent(g)
			g.keys(strings.Fields(tt.keys)...)
			for i, want := range tt.want {
				g.keys("esc")
				if got := strings.TrimSpace(g.a.top().name() + " " + g.a.text); got != want {
					t.Errorf("%s: after Esc number %d: %q, want %q", tt.keys, i+1, got, want)
					break
				}
			}
		}
	}
}

// TestEscAndAKeySoonAfter: on a terminal Alt-j is Esc and j in one go. No action has Alt, so that neither is lost; what changes
// something wants its key by itself.
func TestEscAndAKeySoonAfter(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	alt := func(r rune) { g.send(tea.KeyPressMsg{Code: r, Mod: tea.ModAlt}) }
	g.keys("enter")
	alt('j')
	if g.a.top().name() != "Flows" || g.a.flows.at != 1 {
		t.Errorf("Esc j on a detail: %s, row %d", g.a.top().name(), g.a.flows.at)
	}
	g.keys("2")
	alt('4')
	if g.a.top().name() != "Stats" {
		t.Errorf("Esc 4 on Groups: %s", g.a.top().name())
	}
	g.keys("1", "enter")
	alt('D')
	if g.a.top().name() != "Flows" {
		t.Errorf("Esc D on a detail: %s", g.a.top().name())
	}
	g.keys("D")
	alt('y')
	if len(g.kernel.deleted) != 0 {
		t.Error("Esc y deletes")
	}
}
