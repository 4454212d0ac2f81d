package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"

	"ctview/model"
	"ctview/model/finding"
	"ctview/model/format"
	"ctview/model/table"
)

var update = flag.Bool("update", false, "write the golden screens instead of comparing with them")

// start is the time that every test begins at.
var start = time.Date(2026, 11, 22, 12, 4, 31, 0, time.UTC)

// A fakeStore is a table for tests of the Flows screen: a slice of rows, sorted by the slow and obvious way. What the
// rest of the screens ask for comes from a table.
type fakeStore struct {
	*table.Table
	rows  []model.Row
	stats table.Stats
}

func (s *fakeStore) View(q *table.Query, v *table.View) {
	var rows []model.Row
	for i := range s.rows {
		if q.Filter.Match(&s.rows[i].Flow, &s.rows[i].Extra, q.Now) {
			rows = append(rows, s.rows[i])
		}
	}
	lacks := func(r *model.Row) bool {
		return q.Sort == model.ColRate && r.Flow.Known&model.KnownRate == 0 || q.Sort == model.ColBytes && r.Flow.Known&model.KnownCounters == 0
	}
	v.NoValue = 0
	for i := range rows {
		if lacks(&rows[i]) {
			v.NoValue++
		}
	}
	slices.SortStableFunc(rows, func(a, b model.Row) int {
		if la, lb := lacks(&a), lacks(&b); la != lb {
			if la {
				return 1
			}
			return -1
		}
		n := fakeOrder(q.Sort, &a, &b)
		if q.Desc {
			n = -n
		}
		return n
	})
	v.Matched, v.Total, v.AnchorAt, v.Stats = len(rows), len(s.rows), -1, s.Stats()
	off := q.Offset
	for i := range rows {
		if q.HasAnchor && rows[i].Flow.Key == q.Anchor {
			v.AnchorAt = i
			if q.Follow {
				off = i - q.AnchorRow
			}
		}
	}
	off = max(min(off, len(rows)-q.Limit), 0)
	v.Offset = off
	v.Rows = append(v.Rows[:0], rows[off:min(off+q.Limit, len(rows))]...)
}

func fakeOrder(c model.Column, a, b *model.Row) int {
	less := func(x, y uint64) int {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	switch c {
	case model.ColRate:
		return less(uint64(a.Flow.Rate[0]+a.Flow.Rate[1]), uint64(b.Flow.Rate[0]+b.Flow.Rate[1]))
	case model.ColBytes:
		return less(a.Flow.Bytes[0]+a.Flow.Bytes[1], b.Flow.Bytes[0]+b.Flow.Bytes[1])
	case model.ColSrc:
		return bytes.Compare(a.Flow.Src[:], b.Flow.Src[:])
	case model.ColDst:
		return bytes.Compare(a.Flow.Dst[:], b.Flow.Dst[:])
	case model.ColState:
		return strings.Compare(a.Flow.StateText(), b.Flow.StateText())
	}
	return 0
}

func (s *fakeStore) Get(k model.Key) (model.Row, bool) {
	for _, r := range s.rows {
		if r.Flow.Key == k {
			return r, true
		}
	}
	return model.Row{}, false
}

func (s *fakeStore) Each(fn func(*model.Flow, *model.Extra) bool) {
	for i := range s.rows {
		if !fn(&s.rows[i].Flow, &s.rows[i].Extra) {
			return
		}
	}
}

func (s *fakeStore) Breakdown(b *table.Breakdown) {
	t := table.New()
	var evs []model.Event
	for i := range s.rows {
		var e model.Event
		format.FillEvent(&e, &s.rows[i].Flow, &s.rows[i].Extra, start.UnixNano())
		e.Kind = model.New
		evs = append(evs, e)
	}
	t.Apply(start.UnixNano(), evs)
	t.Breakdown(b)
}

func (s *fakeStore) Stats() table.Stats {
	st := s.stats
	st.Flows = len(s.rows)
	return st
}

// remove takes the flow of row i out, as a DESTROY event would.
func (s *fakeStore) remove(k model.Key) {
	s.rows = slices.DeleteFunc(s.rows, func(r model.Row) bool { return r.Flow.Key == k })
}

// A fakeKernel remembers what it was told.
type fakeKernel struct {
	deleted [][]Target
	errs    []error
	resyncs int
	event   model.Event
	cpus    []model.CPUStats
	expects []model.Expect

	deletedX []model.Expect
	set      []string
	rules    finding.Rules
	sys      model.System
}

func (k *fakeKernel) Delete(_ context.Context, ts []Target) []error {
	k.deleted = append(k.deleted, ts)
	if k.errs != nil {
		return k.errs
	}
	return make([]error, len(ts))
}
func (k *fakeKernel) Refresh(context.Context, []model.Key) error { return nil }
func (k *fakeKernel) Detail(context.Context, model.Key) (model.Event, error) {
	if k.event.Has == 0 {
		return model.Event{}, ErrGone
	}
	return k.event, nil
}
func (k *fakeKernel) System(context.Context) (model.System, error) { return k.sys, nil }
func (k *fakeKernel) Resync()                                      { k.resyncs++ }

func (k *fakeKernel) CPUStats(context.Context) ([]model.CPUStats, error) { return k.cpus, nil }
func (k *fakeKernel) Expects(context.Context) ([]model.Expect, error)    { return k.expects, nil }
func (k *fakeKernel) DeleteExpect(_ context.Context, x model.Expect) error {
	k.deletedX = append(k.deletedX, x)
	return nil
}
func (k *fakeKernel) Outline(context.Context) finding.Rules { return k.rules }
func (k *fakeKernel) SetSysctl(_ context.Context, name, value string) error {
	k.set = append(k.set, name+"="+value)
	return nil
}

func ap(s string) netip.AddrPort {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.MustParseAddrPort(s)
}

// A spec describes a flow in few words.
type spec struct {
	proto            model.Proto
	state            string
	src, dst         string
	snat, dnat       string
	zone             uint16
	helper           string
	assured, replied bool
	expected         bool
	offload          bool
	timeout          time.Duration
	rate             float32
	bytes            uint64
	age              time.Duration
}

func (s spec) row(i int) model.Row {
	var f model.Flow
	src, dst := ap(s.src), ap(s.dst)
	f.Family = model.IPv4
	if src.Addr().Is6() {
		f.Family = model.IPv6
	}
	f.Src, f.Dst = model.AddrBytes(src.Addr()), model.AddrBytes(dst.Addr())
	f.Sport, f.Dport = src.Port(), dst.Port()
	f.Proto, f.Zone = s.proto, s.zone
	if s.proto == model.ProtoICMP {
		f.Sport, f.Dport = 4711, 8<<8
	}
	inv := f.Orig().Invert()
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = inv.Src, inv.Dst, inv.Sport, inv.Dport
	if s.snat != "" {
		f.Status |= model.StatusSrcNAT
		f.ReplyDst = model.AddrBytes(netip.MustParseAddr(s.snat))
	}
	if s.dnat != "" {
		f.Status |= model.StatusDstNAT
		f.ReplySrc = model.AddrBytes(netip.MustParseAddr(s.dnat))
	}
	for st, name := range model.StateNames(s.proto) {
		if name == s.state {
			f.State, f.Known = model.State(st), f.Known|model.KnownState
		}
	}
	f.Status |= model.StatusConfirmed
	for _, x := range []struct {
		on bool
		s  model.Status
	}{{s.assured, model.StatusAssured}, {s.replied, model.StatusSeenReply}, {s.expected, model.StatusExpected}, {s.offload, model.StatusOffload}} {
		if x.on {
			f.Status |= x.s
		}
	}
	f.Helper = model.HelperFor([]byte(s.helper))
	f.ID = 3409467955 + uint32(i)
	f.First = start.Add(-s.age).UnixNano()
	f.CountersAt = start.Add(time.Hour).UnixNano() // always fresh
	f.Known |= model.KnownStart | model.KnownCounters | model.KnownRate
	f.Bytes = [2]uint64{s.bytes / 10, s.bytes - s.bytes/10}
	f.Packets = [2]uint64{s.bytes / 1000, s.bytes / 700}
	f.Rate = [2]float32{s.rate / 10, s.rate - s.rate/10}
	if s.timeout > 0 {
		f.Known |= model.KnownTimeout
		f.Expires = start.Add(s.timeout).UnixNano()
	}
	return model.Row{Flow: f}
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// mockFlows are the flows of the Flows screen in docs/screens.md.
func mockFlows() []model.Row {
	tcp, udp := model.ProtoTCP, model.ProtoUDP
	est := func(src, dst, snat string, rate float32, n uint64, age time.Duration) spec {
		return spec{proto: tcp, state: "ESTABLISHED", src: src, dst: dst, snat: snat, zone: 5, assured: true, replied: true,
			timeout: 5*day - hour, rate: rate, bytes: n, age: age}
	}
	fast := est("192.168.1.44:39880", "203.0.113.21:50211", "198.51.100.2", 3.4e6, 402e6, 4*time.Minute)
	fast.expected = true
	ftp := est("192.168.1.44:39124", "203.0.113.21:21", "198.51.100.2", 1100, 18000, 5*time.Minute)
	ftp.helper = "ftp"
	offl := est("192.168.1.23:40112", "198.51.100.80:443", "198.51.100.2", 884e3, 1910e6, 3*hour+4*time.Minute)
	offl.offload, offl.timeout, offl.state = true, 0, ""
	dn := est("203.0.113.77:60222", "198.51.100.2:443", "", 211e3, 9.9e6, 2*time.Minute)
	dn.dnat = "192.168.1.80"
	specs := []spec{fast, est("192.168.1.10:51022", "203.0.113.7:443", "198.51.100.2", 1.2e6, 21.4e6, 12*time.Minute), offl,
		est("[2001:db8:4:1:2:3:4:17]:60511", "[2001:db8:9::53]:443", "", 402e3, 77e6, 41*time.Minute), dn,
		{proto: udp, src: "192.168.1.31:51820", dst: "203.0.113.99:51820", snat: "198.51.100.2", zone: 5, assured: true, replied: true, timeout: 179 * time.Second, rate: 96e3, bytes: 412e6, age: 2*day + 4*hour},
		{proto: model.ProtoGRE, src: "192.168.1.70", dst: "203.0.113.50", snat: "198.51.100.2", zone: 5, helper: "pptp", assured: true, replied: true, timeout: 178 * time.Second, rate: 12e3, bytes: 4.4e6, age: 9 * time.Minute},
		{proto: model.ProtoSCTP, state: "ESTABLISHED", src: "192.168.1.90:2905", dst: "198.51.100.33:2905", zone: 5, assured: true, replied: true, timeout: 5*day - hour, rate: 4000, bytes: 991e3, age: hour},
		ftp,
		{proto: model.ProtoICMP, src: "192.168.1.3", dst: "203.0.113.1", snat: "198.51.100.2", zone: 5, replied: true, timeout: 29 * time.Second, rate: 84, bytes: 5000, age: time.Minute},
		{proto: tcp, state: "SYN_SENT", src: "192.168.1.77:41200", dst: "203.0.113.200:25", snat: "198.51.100.2", zone: 5, timeout: 118 * time.Second, rate: 60, bytes: 120, age: 3 * time.Second},
		{proto: tcp, state: "SYN_SENT", src: "192.168.1.77:41202", dst: "203.0.113.201:25", snat: "198.51.100.2", zone: 5, timeout: 118 * time.Second, rate: 59, bytes: 120, age: 3 * time.Second},
		{proto: udp, src: "192.168.1.60:123", dst: "203.0.113.123:123", snat: "198.51.100.2", zone: 5, timeout: 21 * time.Second, bytes: 76, age: 9 * time.Second},
		{proto: tcp, state: "CLOSE_WAIT", src: "192.168.1.19:50210", dst: "198.51.100.9:993", snat: "198.51.100.2", zone: 0, assured: true, replied: true, timeout: 41 * time.Second, bytes: 1.2e6, age: 19 * time.Minute},
		{proto: tcp, state: "TIME_WAIT", src: "192.168.1.12:60330", dst: "203.0.113.7:80", snat: "198.51.100.2", zone: 7, assured: true, replied: true, timeout: 58 * time.Second, bytes: 9300, age: time.Minute},
	}
	rows := make([]model.Row, len(specs))
	for i, s := range specs {
		rows[i] = s.row(i)
	}
	rows[0].Extra.Master = rows[8].Flow.Orig()
	return rows
}

// manyFlows returns n flows that differ in source and rate, fastest first.
func manyFlows(n int) []model.Row {
	rows := make([]model.Row, n)
	for i := range rows {
		rows[i] = spec{proto: model.ProtoTCP, state: "ESTABLISHED", src: fmt.Sprintf("10.%d.%d.%d:%d", i>>16&255, i>>8&255, i&255, 1024+i%60000),
			dst: "192.0.2.1:443", assured: true, replied: true, timeout: time.Hour, rate: float32(n - i), bytes: uint64(i) * 10, age: time.Minute}.row(i)
	}
	return rows
}

// A rig is an App with a fake store and kernel, driven by hand: no goroutines, no timers.
type rig struct {
	t      testing.TB
	a      *App
	store  *fakeStore
	kernel *fakeKernel
	now    time.Time
	raw    []tea.Msg // messages that are for Bubble Tea: clipboard, suspend, quit
}

// newRig returns a rig of w × h cells that shows its first rows.
func newRig(t testing.TB, w, h int, rows []model.Row, change func(*Options)) *rig {
	t.Helper()
	g := &rig{t: t, store: &fakeStore{Table: table.New(), rows: rows}, now: start}
	g.store.stats = table.Stats{New: uint64(len(rows)), Loaded: true}
	g.kernel = &fakeKernel{sys: model.System{Host: "rtr1", Entries: uint32(len(rows)), EntriesOK: true, Max: model.Setting{Value: 262144, OK: true},
		Acct: model.Setting{Value: 1, OK: true}, Timestamp: model.Setting{Value: 1, OK: true}}}
	o := Options{Store: g.store, Kernel: g.kernel, Inspector: g.kernel, ASCII: true, Version: "0.1", Now: func() time.Time { return g.now }}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	a.after = func(time.Duration, tea.Msg) tea.Cmd { return nil }
	g.a = a
	g.send(tea.WindowSizeMsg{Width: w, Height: h})
	g.run(a.Init())
	return g
}

// send gives a message to the App, draws, as Bubble Tea does after every message, and runs what it returns.
func (g *rig) send(m tea.Msg) {
	g.t.Helper()
	_, cmd := g.a.Update(m)
	_ = g.a.View()
	g.run(cmd)
}

func (g *rig) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch m := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range m {
			g.run(c)
		}
	case answerMsg, doneMsg, quitMsg:
		g.send(m)
	default:
		g.raw = append(g.raw, m)
	}
}

// tick lets d pass and the clock ask.
func (g *rig) tick(d time.Duration) {
	g.now = g.now.Add(d)
	g.send(tickMsg{g.a.seq})
}

// keys presses keys, named as in the bindings; a word that is longer than a key is typed.
func (g *rig) keys(names ...string) {
	g.t.Helper()
	for _, n := range names {
		for _, k := range press(n) {
			g.now = g.now.Add(time.Second)
			g.send(k)
		}
	}
}

var namedKeys = map[string]tea.Key{"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
	"space": {Code: tea.KeySpace, Text: " "}, "pgdown": {Code: tea.KeyPgDown}, "pgup": {Code: tea.KeyPgUp}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
	"backspace": {Code: tea.KeyBackspace}, "f1": {Code: tea.KeyF1}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift}}

func press(name string) []tea.KeyPressMsg {
	if k, ok := namedKeys[name]; ok {
		return []tea.KeyPressMsg{tea.KeyPressMsg(k)}
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return []tea.KeyPressMsg{{Code: rune(rest[0]), Mod: tea.ModCtrl}}
	}
	var out []tea.KeyPressMsg
	for _, r := range name {
		k := tea.KeyPressMsg{Code: r, Text: string(r)}
		out = append(out, k)
	}
	return out
}

// screen returns the frame as the cells of a terminal show it, each line between bars.
func (g *rig) screen() string {
	g.t.Helper()
	return strings.Join(cellsOf(g.a.View().Content, g.a.w, g.a.h), "\n") + "\n"
}

// cellsOf draws content on an emulated terminal and reads it back.
func cellsOf(content string, w, h int) []string {
	e := vt.NewSafeEmulator(w, h)
	_, _ = e.WriteString(strings.ReplaceAll(content, "\n", "\r\n"))
	lines := make([]string, h)
	for y := range h {
		var b strings.Builder
		for x := 0; x < w; x++ {
			c := e.CellAt(x, y)
			if c == nil || c.Content == "" {
				if c == nil || c.Width != 0 {
					b.WriteByte(' ')
				}
				continue
			}
			b.WriteString(c.Content)
		}
		lines[y] = "|" + b.String() + "|"
	}
	return lines
}

// line returns the first line of the screen that contains s, "" for none.
func (g *rig) line(s string) string {
	for l := range strings.SplitSeq(g.screen(), "\n") {
		if strings.Contains(l, s) {
			return l
		}
	}
	return ""
}

// golden compares the screen with testdata/name.golden.
func (g *rig) golden(name string) {
	g.t.Helper()
	got := g.screen()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			g.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		g.t.Errorf("%s: screen differs (-want +got):\n%s", name, diff)
	}
}
