package tui

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"
)

// withRecent gives the table of a rig a first dump of 112 flows to port 443, of which all but ten end, and a burst to port 25 that is
// over at once.
func withRecent(g *rig) {
	t := g.store.Table
	event := func(kind model.Kind, s spec, i int, at time.Time) {
		r := s.row(i)
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, at.UnixNano())
		e.Kind, e.Flow.Known = kind, e.Flow.Known&^model.KnownRate
		t.Apply(at.UnixNano(), []model.Event{e})
	}
	web := func(i int) spec {
		return spec{proto: model.ProtoTCP, state: "ESTABLISHED", src: fmt.Sprintf("192.168.1.%d:%d", 10+i%9, 40000+i), dst: "203.0.113.7:443", zone: 5,
			assured: true, replied: true, snat: "198.51.100.2", bytes: uint64(1000 * (i + 1)), age: 12 * time.Minute}
	}
	began := start.Add(-time.Minute)
	t.BeginDump(began.UnixNano())
	for i := range 112 {
		event(model.Dump, web(i), i, began)
	}
	t.EndDump(began.Add(time.Second).UnixNano(), true)
	for i := range 102 {
		event(model.Destroy, web(i), i, start.Add(time.Duration(i-112)*100*time.Millisecond))
	}
	for i := range 7 {
		s := spec{proto: model.ProtoTCP, state: "SYN_SENT", src: fmt.Sprintf("192.168.1.77:%d", 20000+i), dst: "203.0.113.200:25", zone: 5,
			bytes: 60, age: time.Duration(7-i) * 800 * time.Millisecond}
		event(model.New, s, 200+i, start.Add(-s.age))
		if i < 5 {
			event(model.Destroy, s, 200+i, start.Add(-s.age).Add(120*time.Millisecond))
		}
	}
}

func TestRecentScreen(t *testing.T) {
	atSizes(t, "recent", func(g *rig) { withRecent(g); g.keys("7", "j", "k") }, nil)
	atSizes(t, "recent-filtered", func(g *rig) { withRecent(g); g.keys("7", "/", "lived < 1s", "enter", "s", "j", "enter", "t") }, nil)
	atSizes(t, "recent-groups", func(g *rig) { withRecent(g); g.keys("7", "b", "b", "b", "j", "k") }, nil)
}

// TestRecentComparison: the line above the rows tells of the window that is asked for, and of how far back there is anything to tell.
func TestRecentComparison(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	withRecent(g)
	g.keys("7")
	check := func(when, want string) {
		t.Helper()
		if g.line(want) == "" {
			t.Errorf("%s: no line %q:\n%s", when, want, g.screen())
		}
	}
	check("at first", "last 30 s: 7 begun, 107 ended, dport 443 lost 91 % (112, now 10)")
	g.keys("t")
	check("5 min", "since the table was read (1m1s): 7 begun, 107 ended")
	g.keys("t")
	check("no mark is set", "last 30 s: ")
	g.keys("m")
	check("the mark", "since the mark (0s): 0 begun, 0 ended")
	check("the mark", "nothing began or ended.")
	end := func(port int, n int) {
		for i := range n {
			var e model.Event
			k := netip.MustParseAddrPort(fmt.Sprintf("10.0.0.9:%d", 1000+i%60000))
			e.Flow.Key = model.Key{Src: model.AddrBytes(k.Addr()), Dst: model.AddrBytes(netip.MustParseAddr("10.0.0.1")), Sport: k.Port(), Dport: uint16(port), Proto: model.ProtoUDP, Family: model.IPv4}
			e.Kind = model.New
			g.store.Table.Apply(g.now.UnixNano(), []model.Event{e})
			e.Kind = model.Destroy
			g.store.Table.Apply(g.now.UnixNano(), []model.Event{e})
		}
	}
	g.now = g.now.Add(90 * time.Second)
	end(53, 3)
	g.tick(time.Second)
	check("later", "since the mark (1m31s): 3 begun, 3 ended")
	g.keys("t", "t", "t")
	check("it stays", "since the mark (1m34s): 3 begun, 3 ended")
	g.keys("t")
	end(53, table.KeepEnds+600)
	g.tick(time.Second)
	check("more ended than there is room for", "kept: the last 65,536 flows that ended, since 12:06:")
	g.store.Table.Lost(g.now.UnixNano(), 7)
	g.now = g.now.Add(time.Minute)
	g.tick(time.Second)
	g.command("recent 5m by dport")
	check("the command", "DPORT")
	check("the command", "CHANGED")
	g.command("recent x")
	check("a wrong command", "recent 30s, 5m or mark, then perhaps by and keys")
}

// TestRecentSteps: Enter goes from a group to its flows and from a flow to its detail, Esc back; one that is followed is followed through its end.
func TestRecentSteps(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	withRecent(g)
	g.keys("7", "B", "dport", "enter", "S", "enter")
	s := g.a.screen().(*recent)
	if g.a.text != "dport 25" || len(s.keys) != 0 || len(s.view.Rows) != 7 {
		t.Fatalf("filter %q, keys %v, %d rows:\n%s", g.a.text, s.keys, len(s.view.Rows), g.screen())
	}
	g.keys("enter")
	if g.line("NAT         source") == "" && g.line("203.0.113.200:25") == "" || g.a.top().name() != "Flow" {
		t.Errorf("no detail:\n%s", g.screen())
	}
	g.keys("esc")
	if g.a.text != "dport 25" || g.a.top() != mode(s) {
		t.Errorf("Esc leads to %s under %q", g.a.top().name(), g.a.text)
	}
	g.keys("esc")
	if g.a.text != "" || len(s.keys) != 1 {
		t.Errorf("Esc leads to filter %q, keys %v", g.a.text, s.keys)
	}
	g.keys("esc", "F")
	f := s.flow()
	if f == nil || f.End != 0 || !s.follow {
		t.Fatalf("not a flow that is there: %+v\n%s", f, g.screen())
	}
	e := model.Event{Kind: model.Destroy}
	e.Flow.Key = f.Flow.Key
	for i := range 3 {
		n := model.Event{Kind: model.New}
		n.Flow.Key = e.Flow.Key
		n.Flow.Sport += uint16(100 + i)
		g.store.Table.Apply(g.now.UnixNano(), []model.Event{n})
	}
	g.store.Table.Apply(g.now.UnixNano(), []model.Event{e})
	g.tick(time.Second)
	if f := s.flow(); f == nil || f.Flow.Key != e.Flow.Key || f.End == 0 {
		t.Errorf("the cursor is on %+v:\n%s", f, g.screen())
	}
	g.keys("p")
	was := g.line("begun,")
	g.store.Table.Apply(g.now.UnixNano(), []model.Event{{Kind: model.Destroy, Flow: model.Flow{Key: mockFlows()[0].Flow.Key}}})
	g.tick(3 * time.Second)
	if got := g.line("begun,"); got != was {
		t.Errorf("paused, and yet %q became %q", was, got)
	}
}

// TestTabsFit: the line of views is whole at 80 columns, with a finding on every one of them.
func TestTabsFit(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	line := func() string { return strings.Split(g.screen(), "\n")[1] }
	for i := range g.a.screens {
		g.keys(fmt.Sprint(i + 1))
		if l := line(); !strings.Contains(l, "eStates") || !strings.Contains(l, "["+fmt.Sprint(i+1)) {
			t.Errorf("%s", l)
		}
	}
	n := 1
	for _, tab := range g.a.tabs() {
		n += len(tab.text) + 2 // with a mark, and a blank behind it
	}
	if n+2 > 80 {
		t.Errorf("%d cells with every mark", n+2)
	}
	g.keys("1")
	at := strings.Index(line(), "7Recent") - 1
	if at < 0 {
		t.Fatal("no tab")
	}
	g.send(tea.MouseClickMsg{X: at + 2, Y: 1, Button: tea.MouseLeft})
	if g.a.screen().name() != "Recent" {
		t.Errorf("a click on the tab leads to %s", g.a.screen().name())
	}
}

// TestRecentCountsBothDirections: the direction that is chosen on Flows changes no number here, where no head would tell it.
func TestRecentCountsBothDirections(t *testing.T) {
	g := newRig(t, 160, 35, mockFlows(), nil)
	withRecent(g)
	g.keys("7")
	rows := func() (n int, all string) {
		for l := range strings.SplitSeq(g.screen(), "\n") {
			if strings.Contains(l, " ended ") {
				n, all = n+1, all+l+"\n"
			}
		}
		return n, all
	}
	n, before := rows()
	for range 2 {
		g.keys("1", "o", "7")
		if got, after := rows(); n < 5 || got != n || after != before {
			t.Errorf("with another direction:\n%s\nbefore:\n%s", after, before)
		}
	}
}
