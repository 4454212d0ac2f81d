package tui

import (
	"strings"
	"testing"
)

// TestLateAnswer presses keys while a question is open: its answer, which knows nothing of them, must not undo them.
func TestLateAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  []string
		first string // source of the first row in the end
		sort  string
	}{
		{"to the top", []string{"g"}, "10.0.0.0:1024", "rate"},
		{"to the bottom", []string{"G"}, "", "rate"},
		{"up and to the top", []string{"pgup", "g"}, "10.0.0.0:1024", "rate"},
		{"two pages down", []string{"pgdown", "pgdown"}, "", "rate"},
		{"reverse", []string{"S"}, "", "rate"},
		{"top, then another order", []string{"g", ">"}, "", "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := newRig(t, 120, 30, manyFlows(5000), nil)
			got := newRig(t, 120, 30, manyFlows(5000), nil)
			for _, g := range []*rig{want, got} {
				g.keys("G", "pgup", "pgup", "pgup", "pgup")
			}
			late := got.a.ask(false)
			answer := late() // the question is answered; the answer is on its way
			for _, k := range c.keys {
				want.keys(k)
				got.keys(k)
			}
			got.send(answer)
			w, g := want.a.flows, got.a.flows
			if g.top != w.top || g.key != w.key || g.at != w.at || g.sort != c.sort {
				t.Errorf("top %d, row %d, key %v, sort %s; without the late answer %d, %d, %v, %s",
					g.top, g.at, g.key, g.sort, w.top, w.at, w.key, w.sort)
			}
			_, ws, _ := strings.Cut(want.screen(), "\n") // but the clock
			if _, gs, _ := strings.Cut(got.screen(), "\n"); gs != ws {
				t.Errorf("the screens differ:\n%s\nwithout the late answer:\n%s", gs, ws)
			}
			if r, _ := g.current(); c.first != "" && r.Flow.Sport != 1024 {
				t.Errorf("the cursor is on %v, want %s", r.Flow.Key, c.first)
			}
		})
	}
}

// TestKeysWait presses keys for a row that is still asked for: they act on it when it comes, in their order.
func TestKeysWait(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		port uint16 // source port of the flow whose detail is open in the end
	}{
		{"bottom, then its detail", []string{"G", "enter"}, 1024 + 4999},
		{"other order, then the first row", []string{"S", "enter"}, 1024 + 4999},
		{"another filter, then the first row", []string{"/", "sport 2000", "enter", "enter"}, 2000},
		{"the keys after it, too", []string{"G", "enter", "esc", "k", "enter"}, 1024 + 4998},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, 120, 30, manyFlows(5000), nil)
			late := g.a.ask(false) // a question is open while the keys are pressed
			for _, k := range c.keys {
				g.keys(k)
				g.screen() // drawn in between, as a terminal would be
			}
			g.run(late)
			d, ok := g.a.top().(*detail)
			if !ok {
				t.Fatalf("Enter was lost:\n%s", g.screen())
			}
			if d.row.Flow.Sport != c.port {
				t.Errorf("the detail is of port %d, want %d", d.row.Flow.Sport, c.port)
			}
		})
	}
}
