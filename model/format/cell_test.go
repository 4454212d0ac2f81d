package format

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

// tableRow is a flow as a table holds it, with everything known.
func tableRow() *model.Row {
	e := testFlow()
	r := &model.Row{Flow: e.Flow, Extra: e.Extra}
	f := &r.Flow
	f.Status |= model.StatusSrcNAT
	f.Known = model.KnownState | model.KnownTimeout | model.KnownCounters | model.KnownStart | model.KnownRate
	f.First = testNow - 3*3600*second - 4*60*second
	f.Expires = testNow + 431999*second
	f.Rate, f.PacketRate = [2]float32{1000, 3.2e6}, [2]float32{1.5, 2}
	f.Mark = 0x10
	r.Extra.Labels.Set(1)
	r.Extra.Labels.Set(2)
	r.Extra.Master = f.Orig()
	r.Extra.Route = model.Route{In: "lan", Out: "wan 2"}
	r.Extra.Owner = model.Owner{Known: true, Here: [2]bool{true, false}, Ends: [2]*model.Holder{
		{PID: 700, More: 2, Proc: "my ftp", UID: 33, User: "www-data", Cgroup: "/system.slice/ftp.service"}}}
	return r
}

func TestAppendCell(t *testing.T) {
	known := tableRow()
	bare := &model.Row{Flow: flow(model.ProtoICMP, "10.0.0.1 10.0.0.2", 4711, 8<<8, "10.0.0.2 10.0.0.1", 4711, 0).Flow}
	bare.Flow.Mark, bare.Flow.Zone, bare.Flow.ZoneDir = 0xdeadbeef, 6, model.ZoneReply
	for _, tt := range []struct {
		c                             model.Column
		cell, value, bare, bareNumber string
	}{
		{model.ColProto, "tcp", "tcp", "icmp", "icmp"},
		{model.ColState, "ESTABLISHED", "ESTABLISHED", "unreplied", "unreplied"},
		{model.ColSrc, "10.141.10.2:40224", "10.141.10.2", "10.0.0.1 id 4711", "10.0.0.1"},
		{model.ColDst, "192.168.10.2:12345", "192.168.10.2", "10.0.0.2", "10.0.0.2"},
		{model.ColSport, "40224", "40224", "4711", "4711"},
		{model.ColDport, "12345", "12345", "8/0", "8/0"},
		{model.ColNAT, "S", "S", "-", ""},
		{model.ColZone, "7", "7", "6r", "6"},
		{model.ColHelper, "ftp", "ftp", "-", ""},
		{model.ColFlags, "AH", "AH", "U", "U"},
		{model.ColTimeout, "4d23h", "431999", "-", ""},
		{model.ColRate, "3.2MB/s", "3201000.0", "-", ""},
		{model.ColBytes, "13.4k", "13399", "-", ""},
		{model.ColPackets, "21", "21", "-", ""},
		{model.ColPPS, "3.5/s", "3.5", "-", ""},
		{model.ColAge, "3h04m", "11040", "-", ""},
		{model.ColMark, "0x10", "16", "0xdeadbeef", "3735928559"},
		{model.ColID, "777", "777", "0", "0"},
		{model.ColFamily, "ipv4", "ipv4", "ipv4", "ipv4"},
		{model.ColCtState, "established", "established", "new", "new"},
		{model.ColPhase, "open", "open", "opening", "opening"},
		{model.ColStatus, "SEEN_REPLY|ASSURED|CONFIRMED|SRC_NAT", "SEEN_REPLY|ASSURED|CONFIRMED|SRC_NAT", "-", ""},
		{model.ColReplySrc, "192.168.10.2:12345", "192.168.10.2", "10.0.0.2 id 4711", "10.0.0.2"},
		{model.ColReplyDst, "10.141.10.2:40224", "10.141.10.2", "10.0.0.1", "10.0.0.1"},
		{model.ColReplySport, "12345", "12345", "4711", "4711"},
		{model.ColReplyDport, "40224", "40224", "0/0", "0/0"},
		{model.ColOrigBytes, "3.4k", "3400", "-", ""},
		{model.ColReplyBytes, "10.0k", "9999", "-", ""},
		{model.ColOrigPackets, "12", "12", "-", ""},
		{model.ColReplyPackets, "9", "9", "-", ""},
		{model.ColOrigRate, "1.0kB/s", "1000.0", "-", ""},
		{model.ColReplyRate, "3.2MB/s", "3200000.0", "-", ""},
		{model.ColAvgPkt, "638", "638", "-", ""},
		{model.ColLabels, "web,2", "web,2", "-", ""},
		{model.ColSecctx, "system_u:object_r:http_packet_t:s0", "system_u:object_r:http_packet_t:s0", "-", ""},
		{model.ColMaster, "10.141.10.2:40224 > 192.168.10.2:12345", "10.141.10.2:40224 > 192.168.10.2:12345", "-", ""},
		{model.ColPID, "700+2", "700+2", "-", ""},
		{model.ColProc, "my ftp", "my ftp", "-", ""},
		{model.ColUser, "www-data", "www-data", "-", ""},
		{model.ColCgroup, "/system.slice/ftp.service", "/system.slice/ftp.service", "-", ""},
		{model.ColIif, "lan", "lan", "-", ""},
		{model.ColOif, "wan 2", "wan 2", "-", ""},
		{model.ColStart, "2023-11-14 19:10:02", "2023-11-14T19:10:02.123456789Z", "-", ""},
	} {
		o := Options{Now: testNow, Location: time.UTC, Labels: LabelNames{1: "web"}}
		got := []string{string(AppendCell(nil, tt.c, &known.Flow, &known.Extra, o)),
			string(appendValue(nil, tt.c, &known.Flow, &known.Extra, o)),
			string(AppendCell(nil, tt.c, &bare.Flow, nil, Options{Now: testNow})), string(appendValue(nil, tt.c, &bare.Flow, nil, o))}
		if diff := cmp.Diff([]string{tt.cell, tt.value, tt.bare, tt.bareNumber}, got); diff != "" {
			t.Errorf("%v: unexpected cells (-want +got):\n%s", tt.c, diff)
		}
	}
	seen := &model.Flow{First: testNow - 720*second}
	if got := string(AppendCell(nil, model.ColAge, seen, nil, Options{Now: testNow})); got != ">12m" {
		t.Errorf("age of a flow without a start is %q", got)
	}
	if got := string(appendValue(nil, model.ColAge, seen, nil, Options{Now: testNow})); got != "" {
		t.Errorf("age of a flow without a start is %q for a program, want nothing", got)
	}
}

// TestEveryColumn looks whether no column is forgotten.
func TestEveryColumn(t *testing.T) {
	r := tableRow()
	for _, c := range model.Columns() {
		if got := string(AppendCell(nil, c, &r.Flow, &r.Extra, Options{Now: testNow})); got == "-" {
			t.Errorf("column %v of a flow with everything is empty", c)
		}
		if Title(c) == "" {
			t.Errorf("column %v has no title", c)
		}
	}
}

func TestQuoteCSV(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"ftp", "ftp"}, {"a b", "a b"}, {" a", `" a"`}, {"a,b", `"a,b"`}, {`a"b`, `"a""b"`},
		{"=1+1", "'=1+1"}, {"+1", "'+1"}, {"-2", "'-2"}, {"@x", "'@x"}, {`=a,"`, `"'=a,"""`}, {"1", "1"}, {`"`, `""""`},
	} {
		if got := string(quoteCSV([]byte("x,"+tt.in), 2)); got != "x,"+tt.want {
			t.Errorf("quoteCSV(%q) = %q, want %q", tt.in, got[2:], tt.want)
		}
	}
}

func TestAppendCSV(t *testing.T) {
	cols := []model.Column{model.ColSrc, model.ColHelper, model.ColMark}
	e := testFlow()
	e.Kind, e.Has, e.Time = model.New, e.Has|model.HasTime, testNow
	got := string(AppendCSVHeader(nil, cols, true)) + "\n" + string(AppendCSVEvent(nil, cols, &e, Options{}))
	if diff := cmp.Diff("time,event,src,helper,mark\n2023-11-14T22:14:02.123456789Z,new,10.141.10.2,ftp,0", got); diff != "" {
		t.Errorf("unexpected CSV (-want +got):\n%s", diff)
	}
}

// FuzzAppendCSV reads back what is written: as many fields as columns, numbers as numbers, nothing that a spreadsheet
// would run.
func FuzzAppendCSV(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		e, cols := randomEvent(seed), model.Columns()
		e.Flow.Known = model.Known(seed)
		b := AppendCSV(nil, cols, &e.Flow, &e.Extra, randomOptions(seed))
		checkText(t, b)
		records, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || len(records) != 1 || len(records[0]) != len(cols) {
			t.Fatalf("%s: %d records, %v", b, len(records), err)
		}
		for i, v := range records[0] {
			if v == "" {
				continue
			}
			if strings.ContainsRune("=+-@\t\r", rune(v[0])) {
				t.Fatalf("%v is %q", cols[i], v)
			}
			_, err := strconv.ParseFloat(v, 64)
			if number := rightAligned(cols[i]) && !strings.ContainsAny(v, "/x"); number && err != nil {
				t.Fatalf("%v is %q, not a number", cols[i], v)
			}
		}
	})
}

func TestTable(t *testing.T) {
	o := Options{Now: testNow, Location: time.UTC}
	v4 := tableRow()
	v6 := tableRow()
	e := flow(model.ProtoUDP, "2001:db8:4:1::17 2001:db8:9::53", 60511, 53, "2001:db8:9::53 2001:db8:4:1::17", 53, 60511)
	v6.Flow.Key, v6.Flow.ReplySrc, v6.Flow.ReplyDst = e.Flow.Key, e.Flow.ReplySrc, e.Flow.ReplyDst
	v6.Flow.ReplySport, v6.Flow.ReplyDport, v6.Flow.Status = e.Flow.ReplySport, e.Flow.ReplyDport, model.StatusSeenReply
	v6.Flow.Known = 0
	v6.Flow.First = 0
	tab := NewTable(nil, false)
	for _, r := range []*model.Row{v4, v6} {
		tab.Widen(tab.AppendCells(nil, &r.Flow, &r.Extra, o))
	}
	got := []string{string(tab.AppendHeader(nil)), string(tab.AppendRow(nil, &v4.Flow, &v4.Extra, o)), string(tab.AppendRow(nil, &v6.Flow, nil, o))}
	want := []string{
		"PROTO   STATE        SOURCE                    DESTINATION            NAT  ZONE  HELPER  FLAGS  TIMEOUT    BYTES      AGE",
		"tcp     ESTABLISHED  10.141.10.2:40224         192.168.10.2:12345     S       7  ftp     AH       4d23h    13.4k    3h04m",
		"udp     replied      [2001:db8:4:1::17]:60511  [2001:db8:9::53]:53    -       0  ftp     H            -        -        -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected table (-want +got):\n%s", diff)
	}
	tab = NewTable([]model.Column{model.ColSrc, model.ColZone, model.ColLabels}, true)
	tab.Widen(tab.AppendCells(nil, &v6.Flow, nil, o))
	ev := testFlow()
	ev.Kind, ev.Has, ev.Time = model.Destroy, ev.Has|model.HasTime, testNow
	got = []string{string(tab.AppendHeader(nil)), string(tab.AppendEvent(nil, &ev, o))}
	want = []string{
		"TIME          EVENT    SOURCE                    ZONE  LABELS",
		"22:14:02.123  destroy  10.141.10.2:40224            7  -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected events (-want +got):\n%s", diff)
	}
}

// TestTableWidens: rows after a wide one stand under it, whatever came before.
func TestTableWidens(t *testing.T) {
	v4, v6 := tableRow(), tableRow()
	v6.Flow.Family, v6.Flow.Src, v6.Flow.Dst = model.IPv6, [16]byte{0x20, 1, 0xd, 0xb8, 0xaa, 0xaa, 0xbb, 0xbb, 0xcc, 0xcc, 0xdd, 0xdd, 0xee, 0xee, 0xff, 1}, [16]byte{0x20, 1, 15: 1}
	v4.Extra.Labels[0] = 2
	cols := []model.Column{model.ColLabels, model.ColSrc, model.ColDst, model.ColZone, model.ColNAT}
	tab := NewTable(cols, false)
	narrow := tab.AppendRow(nil, &v4.Flow, &v4.Extra, Options{Labels: LabelNames{1: "web"}})
	wide := tab.AppendRow(nil, &v6.Flow, &v4.Extra, Options{Labels: LabelNames{1: "網頁伺服器用的"}})
	after := tab.AppendRow(nil, &v4.Flow, &v4.Extra, Options{Labels: LabelNames{1: "web"}})
	place := func(b []byte, cell string) int {
		before, _, found := strings.Cut(string(b), cell)
		if !found {
			t.Fatalf("no %q in %q", cell, b)
		}
		return model.Width(before)
	}
	if place(wide, "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ff01]:40224") != place(after, "10.141") || place(wide, "[2001::1]:") != place(after, "192.168") {
		t.Errorf("columns do not stand under each other:\n%s\n%s\n%s", narrow, wide, after)
	}
}

func FuzzTable(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		e := randomEvent(seed)
		e.Flow.Known = model.Known(seed)
		b := NewTable(model.Columns(), false).AppendRow(nil, &e.Flow, &e.Extra, randomOptions(seed))
		checkText(t, b)
		if len(bytes.Fields(b)) < len(model.Columns()) {
			t.Fatalf("%s: fewer fields than columns", b)
		}
		if !utf8.Valid(b) {
			t.Fatalf("%q", b)
		}
	})
}

func TestFillEvent(t *testing.T) {
	r := tableRow()
	var e model.Event
	FillEvent(&e, &r.Flow, &r.Extra, testNow+second/3)
	o := Options{Now: testNow, Labels: LabelNames{1: "web"}}
	got := string(AppendConntrack(nil, &e, o))
	want := "tcp      6 431999 ESTABLISHED src=10.141.10.2 dst=192.168.10.2 sport=40224 dport=12345 packets=12 bytes=3400 src=192.168.10.2 dst=10.141.10.2 sport=12345 dport=40224 packets=9 bytes=9999 [ASSURED] mark=16 secctx=system_u:object_r:http_packet_t:s0 zone=7 delta-time=11040 helper=ftp labels=web"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected line (-want +got):\n%s", diff)
	}
	bare := model.Flow{Key: r.Flow.Key, ReplySrc: r.Flow.Dst, ReplyDst: r.Flow.Src}
	FillEvent(&e, &bare, nil, testNow)
	if want := model.HasOrig | model.HasReply | model.HasStatus | model.HasMark | model.HasID | model.HasZone; e.Has != want {
		t.Errorf("a bare flow says %b, want %b", e.Has, want)
	}
}
