package tui

import (
	"strings"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/format"
)

// here is the row that has the cursor, as it is on the screen.
func (g *rig) here() string {
	for l := range strings.SplitSeq(g.screen(), "\n") {
		if strings.HasPrefix(l, "|>") || strings.HasPrefix(l, "| >") {
			return strings.TrimSpace(strings.Trim(l, "|> "))
		}
	}
	return ""
}

// TestEveryListTellsItsPosition: how much of how much is shown, on each screen that has rows and at each size.
func TestEveryListTellsItsPosition(t *testing.T) {
	for _, size := range [][2]int{{120, 35}, {80, 24}} {
		g := newRig(t, size[0], size[1], mockFlows(), nil)
		g.a.opt.Rules, g.a.opt.States = mockRules(t), mockStates(t)
		withFlood(g)
		withEvents(g)
		for _, tt := range []struct{ keys, want string }{
			{"1", "1-15 of 15"}, {"2", " of 61"}, {"3", " of 1304"}, {"4", "1-"}, {"5", "1-7 of 7 lines"}, {"6", "1-7 of 7 lines"}, {"1e", "1-3 of 3"},
			{"1c", "1-"},
		} {
			g.keys(tt.keys)
			if g.line(tt.want) == "" {
				t.Errorf("%dx%d, %s: no %q:\n%s", size[0], size[1], tt.keys, tt.want, g.screen())
			}
			g.keys("esc")
		}
	}
}

// TestPagesKeepTheirPlace: on the screens that are read whole, too, the cursor stays in its place when rows come above it, stays with
// its row when it was told to, and in its place when that ends.
func TestPagesKeepTheirPlace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		open  func(g *rig)
		more  func(g *rig) // puts something above the second row
		less  func(g *rig) // takes the second row, now the third, away
		first string       // what the second row is, and what it is after more
		then  string
	}{
		{"notrack", func(g *rig) { g.keys("6", "j") },
			func(g *rig) {
				r := g.a.opt.Rules.(*fakeRules)
				r.list = append([]model.NotrackRule{r.list[0]}, r.list...)
				r.list[0].ID, r.list[0].Who = "000000", "eve"
			},
			func(g *rig) { r := g.a.opt.Rules.(*fakeRules); r.list = r.list[:2] }, "d4e5f6", "a1b2c3"},
		{"states", func(g *rig) { g.keys("e", "j") },
			func(g *rig) {
				s := g.a.opt.States.(*fakeStates)
				s.samples = append([]model.Sample{s.samples[0]}, s.samples...)
				s.samples[0].Seq, s.samples[0].In = 4, "new0"
			},
			func(g *rig) { s := g.a.opt.States.(*fakeStates); s.samples = append(s.samples[:2:2], s.samples[3]) }, "wan0", "lan0"},
		{"expect", func(g *rig) { g.keys("5", "j") },
			func(g *rig) {
				x := g.kernel.expects[0]
				x.ID, x.Helper, x.Master.Src[15] = 99, "sane", 0
				g.kernel.expects = append([]model.Expect{x}, g.kernel.expects...)
			},
			func(g *rig) { g.kernel.expects = g.kernel.expects[:2] }, "tftp", "ftp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), nil)
			g.a.opt.Rules, g.a.opt.States = mockRules(t), mockStates(t)
			rows := mockFlows()
			for i, h := range []string{"ftp", "tftp"} {
				g.kernel.expects = append(g.kernel.expects, model.Expect{ID: uint32(i + 1), Helper: h, Master: rows[8].Flow.Orig(),
					Tuple: model.Tuple{Dport: uint16(1000 + i), Proto: model.ProtoTCP, Family: model.IPv4}})
			}
			tt.open(g)
			if !strings.Contains(g.here(), tt.first) {
				t.Fatalf("the second row: %q, want %q\n%s", g.here(), tt.first, g.screen())
			}
			tt.more(g)
			g.tick(2 * time.Second)
			if !strings.Contains(g.here(), tt.then) {
				t.Errorf("after a row came above it is on %q, want %q: in its place", g.here(), tt.then)
			}
			g.keys("j", "F")
			if !strings.Contains(g.here(), tt.first) || g.line("FOLLOW ") == "" {
				t.Errorf("F: on %q, want %q and FOLLOW\n%s", g.here(), tt.first, g.screen())
			}
			tt.less(g)
			g.tick(2 * time.Second)
			if g.line("FOLLOW ") != "" || g.line("is gone: the cursor stays in its place") == "" {
				t.Errorf("its row ended:\n%s", g.screen())
			}
		})
	}
}

// TestEventsStandStill: up from the newest event the list stands still, whatever comes and whatever the log has no room for any
// more; down beyond its end it follows again.
func TestEventsStandStill(t *testing.T) {
	g := newRig(t, 80, 24, nil, nil)
	n := 0
	more := func(count int) {
		r := mockFlows()[0]
		var evs []model.Event
		for range count {
			n++
			r.Flow.Sport, r.Flow.Src[15] = uint16(n%60000), byte(n%200)
			var e model.Event
			format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
			e.Kind = model.New
			evs = append(evs, e)
		}
		g.store.Table.Apply(g.now.UnixNano(), evs)
	}
	more(20000)
	g.keys("3")
	if g.line("FOLLOW  19985-20000 of 20000") == "" {
		t.Fatalf("not the newest:\n%s", g.screen())
	}
	g.keys("k", "pgup", "k", "k")
	was := g.here()
	more(700)
	g.tick(2 * time.Second)
	if got := g.here(); was == "" || got != was {
		t.Errorf("after 700 more events the cursor is on %q, want %q", got, was)
	}
	if g.line("of 19300, 700 newer") == "" {
		t.Errorf("the position does not tell:\n%s", g.screen())
	}
	g.keys("g")
	if g.line(" 1-16 of 19300") == "" || g.here() == "" {
		t.Errorf("g is not the oldest:\n%s", g.screen())
	}
	g.keys("G", "k")
	if g.line("19985-20000 of 20000") == "" || g.line("FOLLOW") != "" {
		t.Errorf("G is not the newest:\n%s", g.screen())
	}
	g.keys("j", "j")
	if g.line("FOLLOW  19985-20000 of 20000") == "" {
		t.Errorf("j beyond the end does not follow:\n%s", g.screen())
	}
}
