package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

// now is 2023-11-14 22:13:20 UTC plus some.
const testNow = 1_700_000_042_123_456_789

// flow makes a dump row from texts: "SRC DST" of each direction.
func flow(p model.Proto, orig string, sport, dport uint16, reply string, rsport, rdport uint16) model.Event {
	addr := func(s string, i int) [16]byte { return netip.MustParseAddr(strings.Fields(s)[i]).As16() }
	e := model.Event{Kind: model.Dump, Has: model.HasOrig | model.HasReply | model.HasStatus}
	f := &e.Flow
	f.Proto, f.Family = p, model.IPv4
	if strings.Contains(orig, ":") {
		f.Family = model.IPv6
	}
	f.Src, f.Dst, f.Sport, f.Dport = addr(orig, 0), addr(orig, 1), sport, dport
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = addr(reply, 0), addr(reply, 1), rsport, rdport
	return e
}

// testFlow is the flow with every optional field, as libnetfilter_conntrack itself rendered it.
func testFlow() model.Event {
	e := flow(model.ProtoTCP, "10.141.10.2 192.168.10.2", 40224, 12345, "192.168.10.2 10.141.10.2", 12345, 40224)
	e.Has |= model.HasTimeout | model.HasProtoinfo | model.HasCountersOrig | model.HasCountersReply | model.HasMark |
		model.HasSecctx | model.HasZone | model.HasStart | model.HasStop | model.HasHelper | model.HasUse | model.HasID
	e.Flow.State, e.Flow.Status = model.TCPEstablished, model.StatusSeenReply|model.StatusAssured|model.StatusConfirmed
	e.Flow.Packets, e.Flow.Bytes = [2]uint64{12, 9}, [2]uint64{3400, 9999}
	e.Flow.Zone, e.Flow.ID, e.Flow.Helper = 7, 777, model.HelperFor([]byte("ftp"))
	e.Timeout, e.Use = 431999, 2
	e.Extra.Secctx = "system_u:object_r:http_packet_t:s0"
	e.Start, e.Stop = 1_700_000_000*second, 1_700_000_042*second
	return e
}

// lineEvents returns the events of TestAppendConntrack: everything at once; two offloaded flows; ICMPv6; a GRE event;
// an unknown protocol; zones of one direction.
func lineEvents() (all, offload, hw, v6, gre, esp, dirO, dirR model.Event) {
	all = testFlow()
	offload = all
	offload.Has = offload.Has&^(model.HasTimeout|model.HasProtoinfo|model.HasSecctx|model.HasZone|model.HasStart|model.HasStop|model.HasHelper) | model.HasMark
	offload.Flow.Status |= model.StatusOffload
	hw = offload
	hw.Flow.Status |= model.StatusHWOffload

	v6 = flow(model.ProtoICMPv6, "fd00:99::1 fd00:98::1", 4661, 128<<8, "fd00:98::1 fd00:99::1", 4661, 129<<8)
	v6.Has |= model.HasTimeout | model.HasMark | model.HasStart | model.HasUse
	v6.Flow.Status = model.StatusSeenReply
	v6.Timeout, v6.Use, v6.Start = 28, 1, testNow-2*second

	gre = flow(model.ProtoGRE, "10.99.0.1 10.98.0.1", 0, 0x1234, "10.98.0.1 10.98.0.254", 0x1234, 0)
	gre.Kind = model.New
	gre.Has |= model.HasTimeout | model.HasTime
	gre.Timeout, gre.Time = 30, 1_795_332_296_013_850_000

	esp = flow(50, "10.99.0.1 10.98.0.1", 0, 0, "10.98.0.1 10.98.0.254", 0, 0)
	esp.Kind, esp.PortID = model.Destroy, 3239300739

	dirO = flow(model.ProtoTCP, "1.1.1.1 2.2.2.2", 11, 20, "2.2.2.2 1.1.1.1", 20, 11)
	dirO.Kind, dirO.PortID = model.Update, 4338
	dirO.Flow.Zone, dirO.Flow.ZoneDir = 6, model.ZoneOrig
	dirO.Has |= model.HasProtoinfo | model.HasMark | model.HasLabels
	dirO.Flow.State, dirO.Flow.Mark = 200, 4294967295
	dirR = dirO
	dirR.Kind, dirR.Flow.ZoneDir = model.Dump, model.ZoneReply
	dirO.Extra.Labels.Set(1)
	dirO.Extra.Labels.Set(3)
	dirO.Extra.Labels.Set(64)
	return
}

func TestAppendConntrack(t *testing.T) {
	all, offload, hw, v6, gre, esp, dirO, dirR := lineEvents()
	const tcp = "tcp      6 431999 ESTABLISHED src=10.141.10.2 dst=192.168.10.2 sport=40224 dport=12345 packets=12 bytes=3400 src=192.168.10.2 dst=10.141.10.2 sport=12345 dport=40224 packets=9 bytes=9999 [ASSURED] mark=0 secctx=system_u:object_r:http_packet_t:s0 zone=7 delta-time=42 "
	names := ParseLabels("1 eth0-in\n3 eth0-out\n")
	prog := func(id uint32) string { return map[uint32]string{4338: "conntrack"}[id] }
	for _, tt := range []struct {
		name string
		e    model.Event
		o    Options
		want string
	}{
		{"plain", all, Options{Timestamp: true}, tcp + "helper=ftp use=2"},
		{"everything", all, Options{Extended: true, ID: true, KernelTime: true},
			"ipv4     2 " + tcp + "[start=Tue Nov 14 22:13:20 2023] [stop=Tue Nov 14 22:14:02 2023] helper=ftp use=2 id=777"},
		{"offload", offload, Options{}, "tcp      6 src=10.141.10.2 dst=192.168.10.2 sport=40224 dport=12345 packets=12 bytes=3400 src=192.168.10.2 dst=10.141.10.2 sport=12345 dport=40224 packets=9 bytes=9999 [OFFLOAD] mark=0 use=2"},
		{"hardware offload", hw, Options{}, "tcp      6 src=10.141.10.2 dst=192.168.10.2 sport=40224 dport=12345 packets=12 bytes=3400 src=192.168.10.2 dst=10.141.10.2 sport=12345 dport=40224 packets=9 bytes=9999 [HW_OFFLOAD] mark=0 use=2"},
		{"icmpv6", v6, Options{Extended: true}, "ipv6     10 icmpv6   58 28 src=fd00:99::1 dst=fd00:98::1 type=128 code=0 id=4661 src=fd00:98::1 dst=fd00:99::1 type=129 code=0 id=4661 mark=0 delta-time=2 use=1"},
		{"gre event", gre, Options{Timestamp: true}, "[1795332296.013850]\t    [NEW] gre      47 30 src=10.99.0.1 dst=10.98.0.1 srckey=0x0 dstkey=0x1234 [UNREPLIED] src=10.98.0.1 dst=10.98.0.254 srckey=0x1234 dstkey=0x0"},
		{"unknown protocol, unknown program", esp, Options{Progname: prog}, "[DESTROY] unknown  50 src=10.99.0.1 dst=10.98.0.1 [UNREPLIED] src=10.98.0.1 dst=10.98.0.254 [USERSPACE] portid=3239300739"},
		{"orig zone, labels, program", dirO, Options{Labels: names, Progname: prog}, " [UPDATE] tcp      6 NONE src=1.1.1.1 dst=2.2.2.2 sport=11 dport=20 zone-orig=6 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=11 mark=4294967295 labels=eth0-in,eth0-out [USERSPACE] portid=4338 progname=conntrack"},
		{"no names asked for", dirO, Options{}, " [UPDATE] tcp      6 NONE src=1.1.1.1 dst=2.2.2.2 sport=11 dport=20 zone-orig=6 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=11 mark=4294967295 [USERSPACE] portid=4338"},
		{"reply zone, no label named", dirR, Options{Labels: LabelNames{"x"}}, "tcp      6 NONE src=1.1.1.1 dst=2.2.2.2 sport=11 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=11 zone-reply=6 mark=4294967295 labels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Now, tt.o.Location = testNow, time.UTC
			if diff := cmp.Diff(tt.want, string(AppendConntrack(nil, &tt.e, tt.o))); diff != "" {
				t.Errorf("unexpected line (-want +got):\n%s", diff)
			}
		})
	}
}

// slowConntrack is AppendConntrack written for the eye, after the grammar of conntrack's output.
func slowConntrack(e *model.Event, o Options) string {
	var w []string
	add := func(has model.Fields, format string, args ...any) {
		if e.Has&has == has {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	f := &e.Flow
	if o.Extended {
		add(0, "%-8s %d", f.Family, f.Family)
	}
	name := f.Proto.Name()
	if name == "" {
		name = "unknown"
	}
	add(0, "%-8s %d", name, f.Proto)
	add(model.HasTimeout, "%d", e.Timeout)
	add(model.HasProtoinfo, "%s", model.StateName(f.Proto, f.State))
	side := func(t model.Tuple, dir int, zone model.ZoneDir, zoneName string, counters model.Fields) {
		add(0, "src=%s dst=%s", AppendAddr(nil, t.Family, t.Src), AppendAddr(nil, t.Family, t.Dst))
		switch typ, code, id := t.ICMP(); {
		case t.Proto.HasPorts():
			add(0, "sport=%d dport=%d", t.Sport, t.Dport)
		case t.Proto.IsICMP():
			add(0, "type=%d code=%d id=%d", typ, code, id)
		case t.Proto == model.ProtoGRE:
			add(0, "srckey=0x%x dstkey=0x%x", t.Sport, t.Dport)
		}
		if f.ZoneDir == zone {
			add(0, "zone-%s=%d", zoneName, f.Zone)
		}
		add(counters, "packets=%d bytes=%d", f.Packets[dir], f.Bytes[dir])
	}
	side(f.Orig(), 0, model.ZoneOrig, "orig", model.HasCountersOrig)
	if f.Status&model.StatusSeenReply == 0 {
		add(model.HasStatus, "[UNREPLIED]")
	}
	side(f.Reply(), 1, model.ZoneReply, "reply", model.HasCountersReply)
	for _, s := range []model.Status{model.StatusHWOffload, model.StatusOffload, model.StatusAssured} {
		if f.Status&s != 0 {
			add(model.HasStatus, "[%s]", s)
			break
		}
	}
	slowMeta(e, o, add)
	line := slowPrefix(e, o) + strings.Join(w, " ")
	if e.Kind != model.Dump && e.PortID != 0 {
		line += fmt.Sprintf(" [USERSPACE] portid=%d", e.PortID)
	}
	return line
}

// slowPrefix is what an event begins with.
func slowPrefix(e *model.Event, o Options) (prefix string) {
	if e.Kind == model.Dump {
		return ""
	}
	at := o.Now
	if e.Has&model.HasTime != 0 {
		at = e.Time
	}
	if o.Timestamp {
		prefix = fmt.Sprintf("[%.8d.%.6d]\t", at/1e9, at%1e9/1000)
	}
	return prefix + fmt.Sprintf("%9s ", "["+strings.ToUpper(e.Kind.String())+"]")
}

func slowMeta(e *model.Event, o Options, add func(model.Fields, string, ...any)) {
	f := &e.Flow
	add(model.HasMark, "mark=%d", f.Mark)
	add(model.HasSecmark, "secmark=%d", e.Secmark)
	add(model.HasSecctx, "secctx=%s", model.Escape(e.Extra.Secctx))
	if f.ZoneDir == model.ZoneBoth {
		add(model.HasZone, "zone=%d", f.Zone)
	}
	end := o.Now / 1e9
	if e.Has&model.HasStop != 0 && e.Stop != 0 {
		end = e.Stop / 1e9
	}
	add(model.HasStart, "delta-time=%d", uint64(end-e.Start/1e9))
	if o.KernelTime {
		add(model.HasStart, "[start=%s]", time.Unix(0, e.Start).In(o.Location).Format(time.ANSIC))
		add(model.HasStop, "[stop=%s]", time.Unix(0, e.Stop).In(o.Location).Format(time.ANSIC))
	}
	add(model.HasHelper, "helper=%s", model.Escape(f.Helper.String()))
	add(model.HasUse, "use=%d", e.Use)
	if o.ID {
		add(model.HasID, "id=%d", f.ID)
	}
	if o.Labels != nil {
		var names []string
		for bit := range o.Labels {
			if bit < model.LabelBits && e.Extra.Labels.Bit(bit) && o.Labels[bit] != "" {
				names = append(names, o.Labels[bit])
			}
		}
		if names == nil {
			add(model.HasLabels, "labels")
		} else {
			add(model.HasLabels, "labels=%s", strings.Join(names, ","))
		}
	}
}

func randomOptions(seed uint64) Options {
	o := Options{Now: testNow, Location: time.FixedZone("x", 3600), Extended: seed&1 != 0, ID: seed&2 != 0,
		KernelTime: seed&4 != 0, Timestamp: seed&8 != 0}
	if seed&16 != 0 {
		o.Labels = make(LabelNames, 100)
		for i := range o.Labels {
			if i%3 != 0 {
				o.Labels[i] = fmt.Sprintf("label-%d", i)
			}
		}
	}
	return o
}

func FuzzAppendConntrack(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, seed, opt uint64) {
		e, o := randomEvent(seed), randomOptions(opt)
		if diff := cmp.Diff(slowConntrack(e, o), string(AppendConntrack(nil, e, o))); diff != "" {
			t.Fatalf("seed %d: unexpected line (-want +got):\n%s", seed, diff)
		}
	})
}

func TestAppendExpect(t *testing.T) {
	tuple := func(src, dst string, sport, dport uint16) model.Tuple {
		e := flow(model.ProtoTCP, src+" "+dst, sport, dport, src+" "+dst, 0, 0)
		return e.Flow.Orig()
	}
	x := model.Expect{Kind: model.Dump, HasTimeout: true, Timeout: 299, HasClass: true, HasFlags: true, Helper: "ftp",
		Tuple:  tuple("10.99.0.1", "10.98.0.1", 0, 51210),
		Mask:   tuple("255.255.255.255", "255.255.255.255", 0, 65535),
		Master: tuple("10.99.0.1", "10.98.0.1", 38172, 21)}
	const line = "proto=6 src=10.99.0.1 dst=10.98.0.1 sport=0 dport=51210 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.99.0.1 master-dst=10.98.0.1 sport=38172 dport=21 "
	flags := x
	flags.Kind, flags.HasTimeout, flags.HasZone, flags.Zone = model.Destroy, false, true, 5
	flags.Flags, flags.Helper = model.ExpectPermanent|model.ExpectUserspace, ""
	for _, tt := range []struct {
		name string
		x    model.Expect
		o    Options
		want string
	}{
		{"row", x, Options{}, "299 " + line + "class=0 helper=ftp"},
		{"time", x, Options{Timestamp: true, Now: 1_795_331_587_013_850_000}, "[1795331587.13850 ]\t299 " + line + "class=0 helper=ftp"},
		{"event", flags, Options{}, "[DESTROY] " + line + "zone=5 PERMANENT,USERSPACE class=0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(AppendExpect(nil, &tt.x, tt.o))); diff != "" {
				t.Errorf("unexpected line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendStats(t *testing.T) {
	s := model.CPUStats{CPU: 0, Has: 0xff14 | 1<<13}
	s.Values[4], s.Values[8], s.Values[12] = 3, 3, 1
	for _, tt := range []struct{ got, want string }{
		{string(AppendStats(nil, &s)), "cpu=0   \tfound=0 invalid=3 insert=3 insert_failed=0 drop=0 early_drop=0 error=1 search_restart=0 clash_resolve=0 chaintoolong=0 "},
		{string(AppendExpectStats(nil, &model.CPUStats{CPU: 12345, Has: 14, Values: [16]uint32{1: 1, 2: 4, 3: 2}})), "cpu=12345\texpect_new=1 expect_create=4 expect_delete=2 "},
		{string(AppendStatsJSON(nil, &model.CPUStats{CPU: 1, Has: 4, Values: [16]uint32{2: 9}}, false)), `{"cpu":1,"found":9}`},
		{string(AppendStatsJSON(nil, &model.CPUStats{CPU: 1, Has: 4, Values: [16]uint32{2: 9}}, true)), `{"cpu":1,"expect_create":9}`},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("unexpected statistics (-want +got):\n%s", diff)
		}
	}
}

func TestParseLabels(t *testing.T) {
	got := ParseLabels("# bit name\n0 zero\n\n3\tthree  words \n3 again\n 0x10 hex\n7 zero\n9 b_d\n1024 far\nx y\n011 oct\n12\n130 high\r\n")
	want := make(LabelNames, 131)
	want[0], want[3], want[16], want[9], want[130] = "zero", "three  words", "hex", "oct", "high"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected names (-want +got):\n%s", diff)
	}
	if bit, ok := got.Bit("hex"); bit != 16 || !ok {
		t.Errorf("Bit(hex) = %d, %v", bit, ok)
	}
	if ParseLabels("# nothing\n1 _\n") != nil {
		t.Error("a map without labels is not nil")
	}
}

// FuzzParseLabels looks whether every name that is read is one that conntrack would take, found again, and once.
func FuzzParseLabels(f *testing.F) {
	f.Add("0 eth0-in\n# c\n 0x1f\thex name \n")
	f.Add("9 a\n9 b\n10 a\n-1 x\n1023 far\n1024 too far\n\x00 z\n99999999999999999999 y")
	f.Fuzz(func(t *testing.T, text string) {
		names := ParseLabels(text)
		if names != nil && names[len(names)-1] == "" {
			t.Fatalf("%q: the last bit has no name", names)
		}
		for bit, name := range names {
			if name == "" {
				continue
			}
			if again, ok := names.Bit(name); again != bit || !ok || !saneLabel(name) || strings.TrimSpace(name) != name || bit >= 1024 {
				t.Fatalf("bit %d is %q, which is bit %d", bit, name, again)
			}
		}
	})
}
