package tui

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/finding"
	"ctview/model/format"
	"ctview/model/table"
)

// sizes are those that every screen is looked at.
var sizes = []struct{ w, h int }{{40, 10}, {80, 24}, {120, 35}, {200, 60}}

// atSizes compares a screen at every size; prepare brings it up.
func atSizes(t *testing.T, name string, prepare func(*rig), change func(*Options)) {
	t.Helper()
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%s-%dx%d", name, s.w, s.h), func(t *testing.T) {
			g := newRig(t, s.w, s.h, mockFlows(), change)
			prepare(g)
			g.golden(fmt.Sprintf("%s-%dx%d", name, s.w, s.h))
		})
	}
}

func TestFlowsScreen(t *testing.T) {
	atSizes(t, "flows", func(g *rig) { g.keys("j", "space", "k") }, nil)
}

func TestFilteredScreen(t *testing.T) {
	atSizes(t, "filtered", func(*rig) {}, func(o *Options) { o.Filter = "zone 5 and (snat or helper ftp)" })
}

func TestFilterBarError(t *testing.T) {
	atSizes(t, "bar-error", func(g *rig) { g.keys("/", "ctrl+u", "state estabilshed") }, func(o *Options) { o.Filter = "zone 5" })
}

func TestFilterBarPreview(t *testing.T) {
	atSizes(t, "bar-preview", func(g *rig) { g.keys("/", "state established and zo") }, nil)
}

func TestFilterBarMixed(t *testing.T) {
	atSizes(t, "bar-mixed", func(g *rig) { g.keys("/", "tcp or udp and dport 53", "enter") }, nil)
}

func TestValueMenu(t *testing.T) {
	atSizes(t, "values", func(g *rig) { g.keys("j", "f", "j") }, nil)
}

func TestSortMenu(t *testing.T) {
	atSizes(t, "sort", func(g *rig) { g.keys("s") }, nil)
}

func TestColumnsMenu(t *testing.T) {
	atSizes(t, "columns", func(g *rig) { g.keys("c", "j", "space") }, nil)
}

func TestCopyMenu(t *testing.T) {
	atSizes(t, "copy", func(g *rig) { g.keys("y") }, nil)
}

func TestConfirmScreens(t *testing.T) {
	atSizes(t, "confirm-one", func(g *rig) { g.keys("j", "D") }, nil)
	atSizes(t, "confirm-many", func(g *rig) { g.keys("ctrl+a", "D", "1") }, func(o *Options) { o.Filter = "zone 5" })
	atSizes(t, "confirm-own", func(g *rig) { g.keys("D") }, func(o *Options) {
		o.Operator = func() model.Operator { return model.Operator{Sessions: []model.Tuple{mockFlows()[0].Flow.Orig()}} }
	})
}

func TestHelpScreen(t *testing.T) {
	atSizes(t, "help", func(g *rig) { g.keys("?") }, nil)
	atSizes(t, "help-readonly", func(g *rig) { g.keys("?") }, func(o *Options) { o.ReadOnly = true })
}

func TestEmptyScreens(t *testing.T) {
	for _, tt := range []struct {
		name    string
		filter  string
		prepare func(*rig)
	}{
		{"empty-unused", "", func(g *rig) {
			g.store.rows, g.store.stats.New = nil, 0
			g.kernel.sys.Tracking.Known = true
			g.tick(time.Minute)
		}},
		{"empty-ready", "", func(g *rig) {
			g.store.rows, g.store.stats.New = nil, 0
			g.kernel.sys.Tracking = model.Tracking{Known: true, IPv4: true}
			g.tick(time.Minute)
		}},
		{"empty-unknown", "", func(g *rig) { g.store.rows, g.store.stats.New = nil, 0 }},
		{"empty-ended", "", func(g *rig) { g.store.rows, g.store.stats.LastEnded = nil, start.Add(-33*time.Second).UnixNano() }},
		{"empty-filter", "zone 9", func(*rig) {}},
		{"empty-loading", "", func(g *rig) {
			g.store.rows, g.store.stats = nil, table.Stats{Dumping: true, DumpRows: 41200}
		}},
	} {
		atSizes(t, tt.name, func(g *rig) { tt.prepare(g); g.tick(2 * time.Second); g.tick(2 * time.Second) }, func(o *Options) { o.Filter = tt.filter })
	}
}

// withPast gives the table of a rig a flow's past and readings, of before anybody looked at it: NEW, two updates, a minute of traffic.
func withPast(g *rig, r model.Row) {
	var e model.Event
	format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
	t := start.Add(-61 * time.Second)
	e.Kind, e.Flow.State, e.Flow.Status = model.New, model.TCPSynSent, model.StatusConfirmed|model.StatusSrcNAT
	e.Flow.Known &^= model.KnownRate
	e.Flow.Rate = [2]float32{}
	g.store.Table.Apply(t.UnixNano(), []model.Event{e})
	e.Kind, e.Flow.State, e.Flow.Status = model.Update, model.TCPSynRecv, e.Flow.Status|model.StatusSeenReply
	g.store.Table.Apply(t.Add(11*time.Millisecond).UnixNano(), []model.Event{e})
	e.Flow.State, e.Flow.Status = model.TCPEstablished, e.Flow.Status|model.StatusAssured
	g.store.Table.Apply(t.Add(22*time.Millisecond).UnixNano(), []model.Event{e})
	for i := range 60 {
		e.Kind = model.Dump
		at := t.Add(time.Duration(i+1) * time.Second).UnixNano()
		e.Flow.CountersAt = at
		e.Flow.Bytes[0] += uint64(1000 * (i % 7))
		e.Flow.Bytes[1] += uint64(40000 * (i*i%23 + i%5))
		e.Flow.Packets[0] += 3
		e.Flow.Packets[1] += 9
		g.store.Table.Refresh(at, []model.Event{e})
	}
}

func TestDetailScreen(t *testing.T) {
	atSizes(t, "detail", func(g *rig) {
		r := mockFlows()[1]
		withPast(g, r)
		g.kernel.event.Flow = r.Flow
		g.kernel.event.Has = model.HasTCPInfo | model.HasUse
		g.kernel.event.TCP = model.TCPInfo{WScale: [2]uint8{7, 9}, Flags: [2]uint8{0x23, 0x23}}
		g.kernel.event.Use = 2
		g.kernel.sys.TCPTimeouts[model.TCPEstablished] = model.Setting{Value: 432000, OK: true}
		g.tick(time.Second)
		g.keys("j", "enter")
	}, func(o *Options) { o.Filter = "zone 5" })
}

// withEvents gives the table of a rig events as on a router.
func withEvents(g *rig) {
	at := start.Add(-2 * time.Second)
	apply := func(kind model.Kind, r model.Row, change func(*model.Event)) {
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, at.UnixNano())
		e.Kind = kind
		if change != nil {
			change(&e)
		}
		g.store.Table.Apply(at.UnixNano(), []model.Event{e})
		at = at.Add(37 * time.Millisecond)
	}
	rows := mockFlows()
	for i := range 12 {
		r := rows[10]
		r.Flow.Sport += uint16(2 * i)
		r.Flow.ReplyDport = r.Flow.Sport
		apply(model.New, r, nil)
		e := rows[1]
		e.Flow.Sport += uint16(2 * i)
		e.Flow.ReplyDport = e.Flow.Sport
		apply(model.New, e, func(x *model.Event) { x.Flow.State, x.Flow.Status = model.TCPSynSent, model.StatusConfirmed })
		apply(model.Update, e, func(x *model.Event) {
			x.Flow.State, x.Flow.Status = model.TCPSynRecv, model.StatusConfirmed|model.StatusSeenReply
		})
		apply(model.Update, e, nil)
		if i == 6 {
			g.store.Table.Lost(at.UnixNano(), 412)
		}
		if i%3 == 0 {
			apply(model.Destroy, e, nil)
		}
	}
	g.store.Table.ApplyExpect(at.UnixNano(), &model.Expect{Kind: model.New, Helper: "ftp", Zone: 5,
		Tuple: model.Tuple{Src: rows[8].Flow.Dst, Dst: rows[8].Flow.Src, Dport: 50211, Proto: model.ProtoTCP, Family: model.IPv4}})
}

func TestEventsScreen(t *testing.T) {
	atSizes(t, "events", func(g *rig) { withEvents(g); g.keys("3") }, nil)
	atSizes(t, "events-past", func(g *rig) { withEvents(g); g.keys("3", "k", "k", "pgup", "k") }, func(o *Options) { o.Filter = "dport 443" })
}

func TestStatsScreen(t *testing.T) {
	atSizes(t, "stats", func(g *rig) {
		withEvents(g)
		g.kernel.cpus = []model.CPUStats{{CPU: 0, Has: 0xff14}, {CPU: 1, Has: 0xff14}}
		for i := range 16 {
			g.kernel.cpus[0].Values[i], g.kernel.cpus[1].Values[i] = uint32(i*1000), uint32(i)
		}
		g.kernel.sys.Buckets = model.Setting{Value: 65536, OK: true}
		g.kernel.sys.ExpectMax = model.Setting{Value: 1024, OK: true}
		g.kernel.sys.Events = model.Setting{Value: 2, OK: true}
		g.kernel.sys.RcvBuf = 8 << 20
		g.keys("4", "j", "k")
		g.kernel.cpus[0].Values[10] += 50
		g.tick(time.Second)
		g.a.screen().(*stats).memory, g.a.dirty = 31e6, true
	}, nil)
}

// TestStatsBuffer: why the buffer of events is no larger is told as doctor tells it, and nothing where it is as asked for.
func TestStatsBuffer(t *testing.T) {
	for _, tt := range []struct {
		name         string
		held, scarce bool
		want         string
	}{
		{"as asked for", false, false, "socket buffer  8.4MB"},
		{"little memory", false, true, "socket buffer  8.4MB, an eighth of free memory"},
		{"not root", true, false, "socket buffer  8.4MB: net.core.rmem_max holds it down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &App{}
			a.sys.RcvBuf, a.sys.RcvBufHeld, a.sys.RcvBufScarce = 8<<20, tt.held, tt.scarce
			found := false
			for _, l := range (&stats{}).ctviewLines(a, 50) {
				text := ""
				for _, sp := range l.spans {
					text += sp.text
				}
				found = found || text == tt.want
			}
			if !found {
				t.Errorf("no line %q", tt.want)
			}
		})
	}
}

// withFlood gives the table of a rig 60 sources, one of which does a lot that nobody answers.
func withFlood(g *rig) {
	var evs []model.Event
	add := func(s spec, i int) {
		r := s.row(i)
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
		e.Kind = model.New
		evs = append(evs, e)
	}
	for i := range 600 {
		add(spec{proto: model.ProtoTCP, state: "SYN_SENT", src: fmt.Sprintf("192.168.1.77:%d", 20000+i), dst: fmt.Sprintf("203.0.113.%d:25", i%200),
			snat: "198.51.100.2", zone: 5, bytes: 120, age: 3 * time.Second}, i)
	}
	for i := range 60 {
		for j := range 1 + (60-i)/3 {
			add(spec{proto: model.ProtoTCP, state: "ESTABLISHED", src: fmt.Sprintf("192.168.2.%d:%d", i, 30000+j), dst: "203.0.113.7:443", zone: 5,
				assured: true, replied: true, bytes: uint64(1000 * (i + 1) * (j + 1)), age: 3 * time.Minute}, i)
		}
	}
	g.store.Table.Apply(start.UnixNano(), evs)
}

// withNAT gives the table of a rig flows through a range of 400 ports, most of which one destination takes, and others that no rule
// explains.
func withNAT(g *rig) {
	var evs []model.Event
	for i := range 480 {
		s := spec{proto: model.ProtoTCP, state: "ESTABLISHED", src: fmt.Sprintf("10.1.0.9:%d", 20000+i), dst: "203.0.113.9:443",
			snat: "198.51.100.2", assured: true, replied: true, bytes: 120, age: 3 * time.Minute}
		switch {
		case i >= 470:
			s.snat = "198.51.100.3"
		case i >= 300:
			s.dst = "203.0.113.10:443"
		}
		r := s.row(i)
		var e model.Event
		format.FillEvent(&e, &r.Flow, &r.Extra, start.UnixNano())
		e.Kind = model.New
		evs = append(evs, e)
	}
	at := netip.MustParseAddr("198.51.100.2")
	g.kernel.rules = finding.Rules{Known: true, NAT: []finding.NATRule{{Place: "inet fw/post", Proto: model.ProtoTCP, Lo: at, Hi: at,
		Ports: model.PortRange{Lo: 20000, Hi: 20399}}}}
	g.store.Table.Apply(start.UnixNano(), evs)
}

func TestGroupsScreen(t *testing.T) {
	atSizes(t, "groups", func(g *rig) { withFlood(g); g.keys("2", "j", "k") }, func(o *Options) { o.Filter = "zone 5" })
	atSizes(t, "groups-two", func(g *rig) { withFlood(g); g.keys("b", "B", "ctrl+u", "dst,dp", "tab", "enter", "s", "j", "enter") }, nil)
	atSizes(t, "groups-nat", func(g *rig) { withNAT(g); g.keys("2", "P"); g.tick(10 * time.Second); g.tick(time.Second) }, nil)
	atSizes(t, "prompt", func(g *rig) { withFlood(g); g.keys("2", "B", "ctrl+u", "s") }, nil)
}

func TestExpectScreen(t *testing.T) {
	atSizes(t, "expect", func(g *rig) {
		rows := mockFlows()
		x := model.Expect{Helper: "ftp", Zone: 5, HasZone: true, ID: 7, Timeout: 298, HasTimeout: true, Class: 0,
			Tuple: model.Tuple{Src: rows[8].Flow.Dst, Dst: rows[8].Flow.Src, Dport: 50211, Proto: model.ProtoTCP, Family: model.IPv4},
			Mask: model.Tuple{Src: model.AddrBytes(netip.MustParseAddr("255.255.255.255")), Dst: model.AddrBytes(netip.MustParseAddr("255.255.255.255")),
				Dport: 65535, Proto: model.ProtoTCP, Family: model.IPv4},
			Master: rows[8].Flow.Orig()}
		y := x
		y.Tuple.Dport, y.ID, y.Flags = 50212, 8, model.ExpectPermanent
		g.kernel.expects = []model.Expect{y, x}
		for i := range 3 {
			r := rows[8]
			r.Flow.Helper, r.Flow.Sport = 0, uint16(40000+i)
			g.store.rows = append(g.store.rows, r)
		}
		g.keys("5", "j", "k")
	}, nil)
}
