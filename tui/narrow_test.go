package tui

import (
	"strings"
	"testing"
	"time"

	"ctview/model"
)

// TestColumnsWithoutRoom: columns that do not fit are told, with the key that chooses among them, and which they are.
func TestColumnsWithoutRoom(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		keys string
		want string
	}{
		{80, 24, "", "1-15 of 15   5 more: c"},
		{300, 24, "", ""},
		{80, 24, "l", "more: c"},
		{80, 24, "2", "2 more columns"},
		{80, 24, "3", "2 more columns"},
		{200, 24, "3", ""},
	} {
		g := newRig(t, tt.w, tt.h, mockFlows(), nil)
		withFlood(g)
		withEvents(g)
		g.keys(tt.keys)
		if got := g.line(" more"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%dx%d %q: %q, want %q\n%s", tt.w, tt.h, tt.keys, got, tt.want, g.screen())
		}
	}
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("c")
	if g.line("[x] age   no room") == "" || g.line("[x] rate   no room") != "" {
		t.Errorf("the menu does not tell which:\n%s", g.screen())
	}
}

// TestValuesOfferHelpers: f on a flow without a helper offers the helpers that others have, f on one with a helper its own.
func TestValuesOfferHelpers(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("f")
	if g.line("helper ftp   1 flow here") == "" || g.line("helper pptp   1 flow here") == "" {
		t.Fatalf("they are not offered:\n%s", g.screen())
	}
	g.keys("end", "enter")
	if g.a.text != "helper ftp" && g.a.text != "helper pptp" {
		t.Errorf("the last one leads to the filter %q", g.a.text)
	}
	g.keys("f")
	if g.line("flow here") != "" {
		t.Errorf("a flow with a helper is offered others:\n%s", g.screen())
	}
}

// TestStatsCutsNothing: no value of the Stats screen is cut, nor what is said of a row, however large, on any line of it.
func TestStatsCutsNothing(t *testing.T) {
	for _, size := range [][2]int{{60, 24}, {76, 24}, {80, 24}, {100, 24}, {120, 35}} {
		g := newRig(t, size[0], size[1], mockFlows(), func(o *Options) { o.ASCII = false })
		withEvents(g)
		for i := range g.store.rows {
			f := &g.store.rows[i].Flow
			f.Zone, f.Helper = uint16(20000+i), model.HelperFor([]byte("netbios-ns"))
			if i%2 == 0 {
				f.Proto, f.State, f.Helper = model.ProtoSCTP, model.State(7), model.HelperFor([]byte(strings.Repeat("h", i+1))) // SHUTDOWN_ACK_SENT
			}
		}
		g.kernel.cpus = []model.CPUStats{{Has: 0xffff}, {CPU: 1, Has: 0xffff}}
		for i := range 16 {
			g.kernel.cpus[0].Values[i] = 1<<31 + uint32(i)
		}
		y := &g.kernel.sys
		y.Max.Value, y.Entries = 16777216, 9443000
		y.Buckets, y.ExpectMax, y.Events = model.Setting{Value: 16777216, OK: true}, model.Setting{Value: 65536, OK: true}, model.Setting{Value: 1, OK: true}
		y.RcvBuf, y.RcvBufHeld, y.RcvBufScarce = 134<<20, true, true
		st := &g.store.stats
		st.New, st.Updates, st.Ended, st.Lost, st.Gaps, st.LastLost = 123456789, 1234567890, 123456780, 9876543, 4321, start.UnixNano()
		st.LastResync.Began, st.LastResync.Ended = 1, 1e9
		st.Left, st.Forged, st.Malformed = 1234567, 12345, 54321
		g.keys("4")
		g.kernel.cpus[0].Values[10] += 99999
		g.tick(time.Second)
		g.a.opt.Netns = strings.Repeat("n", 20)
		s := g.a.screen().(*stats)
		seen := map[string]bool{}
		for n := range len(s.rows) + 1 {
			lines := strings.Split(g.screen(), "\n")
			for _, l := range lines[s.y : len(lines)-1] { // without the lines of every screen
				if strings.Contains(l, "…") && !seen[l] {
					t.Errorf("%dx%d, row %d: %s", size[0], size[1], n, l)
				}
				seen[l] = true
			}
			g.keys("j")
		}
	}
}

// TestPlainScreensCutNothing: at 80 columns no value and no sentence of the screens that have no table of addresses is cut.
func TestPlainScreensCutNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []string
		make func(g *rig)
	}{
		{"Expect", []string{"5", "j", "k"}, func(g *rig) {
			rows := mockFlows()
			ones := model.AddrBytes(ap("255.255.255.255").Addr())
			g.kernel.expects = []model.Expect{{Helper: "ftp", Fn: "nat-follow-master", ID: 7, Timeout: 298, HasTimeout: true, Class: 1, Flags: model.ExpectPermanent,
				Tuple:  model.Tuple{Src: rows[8].Flow.Dst, Dst: rows[8].Flow.Src, Dport: 50211, Proto: model.ProtoTCP, Family: model.IPv4},
				Mask:   model.Tuple{Src: ones, Dst: ones, Dport: 65535, Proto: model.ProtoTCP, Family: model.IPv4},
				Master: rows[8].Flow.Orig()}}
		}},
		{"Expect without helpers", []string{"5"}, func(g *rig) { g.store.rows = manyFlows(3) }},
		{"Notrack", []string{"6", "j", "j", "j"}, func(g *rig) { g.a.opt.Rules = mockRules(g.t) }},
		{"States", []string{"e"}, func(g *rig) { g.a.opt.States = &fakeStates{counts: model.StateCounts{Source: "table and statistics"}} }},
		{"Recent", []string{"7", "t"}, func(g *rig) { withRecent(g) }},
		{"Recent, groups", []string{"7", "b", "b", "b", "j"}, func(g *rig) { withRecent(g) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 80, 24, mockFlows(), func(o *Options) { o.ASCII = false })
			tt.make(g)
			g.keys(tt.keys...)
			for _, l := range strings.Split(g.screen(), "\n")[1:] {
				row := tt.name == "Notrack" && strings.Contains(l, "notrack_lan") || strings.Contains(l, "any") // told below
				if strings.Contains(l, "…") && !strings.Contains(l, "[2001:") && !row {
					t.Errorf("%s", l)
				}
			}
			if tt.name == "Notrack" && g.line("prerouting: inet fw4/notrack_lan: udp dport 53") == "" {
				t.Errorf("the rule is not told in full:\n%s", g.screen())
			}
		})
	}
}
