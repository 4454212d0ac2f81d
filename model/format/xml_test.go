package format

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

// sctpEvent is an event of a flow that conntrack's XML gets wrong in every way.
func sctpEvent() model.Event {
	e := flow(model.ProtoSCTP, "fd00:99::1 fd00:98::1", 1, 2, "fd00:98::1 fd00:99::1", 2, 1)
	e.Kind, e.PortID = model.Destroy, 4338
	e.Has |= model.HasProtoinfo | model.HasCountersOrig | model.HasHelper | model.HasSecctx | model.HasStart | model.HasStop |
		model.HasLabels | model.HasMaster
	e.Flow.State, e.Flow.Status = 4, model.StatusOffload|model.StatusAssured
	e.Flow.Packets[0], e.Flow.Bytes[0] = 3, 4
	e.Flow.Helper = model.HelperFor([]byte("a<b&\x1bc"))
	e.Extra.Secctx = `"x">` + "\uffff"
	e.Extra.Labels.Set(1)
	e.Extra.Master = e.Flow.Orig()
	e.Extra.MasterZone = 9
	e.Start, e.Stop = 1_700_000_000_900_000_000, 1_700_000_003_100_000_000
	return e
}

func TestAppendXML(t *testing.T) {
	all := testFlow()
	all.Has &^= model.HasSecctx | model.HasStop
	all.Has |= model.HasMark | model.HasLabels
	all.Flow.Mark = 42
	all.Extra.Labels.Set(1)
	icmp := flow(model.ProtoICMP, "10.0.0.1 10.0.0.2", 4711, 8<<8|1, "10.0.0.2 10.0.0.1", 4711, 1)
	icmp.Kind, icmp.Has = model.New, icmp.Has|model.HasTime
	icmp.Time = testNow
	const sides = `<meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.141.10.2</src><dst>192.168.10.2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>40224</sport><dport>12345</dport></layer4><counters><packets>12</packets><bytes>3400</bytes></counters></meta>` +
		`<meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>192.168.10.2</src><dst>10.141.10.2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>12345</sport><dport>40224</dport></layer4><counters><packets>9</packets><bytes>9999</bytes></counters></meta>`
	const sctpOrig = `<flow type="destroy"><meta direction="original"><layer3 protonum="10" protoname="ipv6"><src>fd00:99::1</src><dst>fd00:98::1</dst></layer3><layer4 protonum="132" protoname="sctp"><sport>1</sport><dport>2</dport></layer4><counters><packets>3</packets><bytes>4</bytes></counters></meta>` +
		`<meta direction="reply"><layer3 protonum="10" protoname="ipv6"><src>fd00:98::1</src><dst>fd00:99::1</dst></layer3><layer4 protonum="132" protoname="sctp"><sport>2</sport><dport>1</dport></layer4>`
	const master = `<meta direction="master"><layer3 protonum="10" protoname="ipv6"><src>fd00:99::1</src><dst>fd00:98::1</dst></layer3><layer4 protonum="132" protoname="sctp"><sport>1</sport><dport>2</dport></layer4><zone>9</zone></meta>`
	for _, tt := range []struct {
		name string
		e    model.Event
		o    Options
		want string
	}{
		{"row", all, Options{ID: true, KernelTime: true, Timestamp: true, Labels: LabelNames{1: "x y"}},
			"<flow>" + sides + `<meta direction="independent"><state>ESTABLISHED</state><timeout>431999</timeout><mark>42</mark><labels><label>x y</label></labels><zone>7</zone><use>2</use><id>777</id><assured/><timestamp><start>1700000000000000000</start></timestamp><deltatime>42</deltatime></meta><helper>ftp</helper></flow>`},
		{"event", icmp, Options{Timestamp: true},
			`<flow type="new"><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.1</src><dst>10.0.0.2</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.2</src><dst>10.0.0.1</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta>` +
				`<meta direction="independent"><unreplied/></meta><when><hour>22</hour><min>14</min><sec>02</sec><wday>3</wday><day>14</day><month>11</month><year>2023</year></when></flow>`},
		{"icmp mended", icmp, Options{Fix: FixICMP},
			`<flow type="new"><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.1</src><dst>10.0.0.2</dst></layer3><layer4 protonum="1" protoname="icmp"><type>8</type><code>1</code><id>4711</id></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.2</src><dst>10.0.0.1</dst></layer3><layer4 protonum="1" protoname="icmp"><type>0</type><code>1</code><id>4711</id></layer4></meta>` +
				`<meta direction="independent"><unreplied/></meta></flow>`},
		{"wrong as conntrack", sctpEvent(), Options{}, sctpOrig + `<counters><packets>0</packets><bytes>0</bytes></counters></meta>` +
			`<meta direction="independent"><state>FIN_WAIT</state><secctx>"x">` + "\uffff" + `</secctx><assured/><unreplied/><deltatime>2</deltatime></meta><helper>a<b&\x1bc</helper></flow> [USERSPACE] portid=4338 progname=prog`},
		{"mended without new elements", sctpEvent(), Options{Fix: FixState | FixEscape | FixTail | FixCounters}, sctpOrig + `</meta>` +
			`<meta direction="independent"><state>ESTABLISHED</state><secctx>&quot;x&quot;&gt;` + "\ufffd" + `</secctx><assured/><unreplied/><deltatime>2</deltatime></meta><helper>a&lt;b&amp;\x1bc</helper></flow>`},
		{"mended", sctpEvent(), Options{Fix: FixAll}, sctpOrig + `</meta>` + master +
			`<meta direction="independent"><state>ESTABLISHED</state><secctx>&quot;x&quot;&gt;` + "\ufffd" + `</secctx><assured/><unreplied/><offload/><deltatime>2</deltatime><portid>4338</portid><progname>prog</progname></meta><helper>a&lt;b&amp;\x1bc</helper></flow>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Now, tt.o.Location = testNow, time.UTC
			tt.o.Progname = func(uint32) string { return "prog" }
			if diff := cmp.Diff(tt.want, string(AppendXML(nil, &tt.e, tt.o))); diff != "" {
				t.Errorf("unexpected element (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzAppendXML looks whether mended XML is XML, whatever the kernel sends.
func FuzzAppendXML(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		o := randomOptions(seed)
		o.Fix = FixAll
		o.Progname = func(id uint32) string { return hostile[id%uint32(len(hostile))] }
		doc := append([]byte(XMLHead), AppendXML(nil, randomEvent(seed), o)...)
		checkText(t, AppendXML(nil, randomEvent(seed), o))
		checkXML(t, string(append(doc, XMLTail...)))
		doc = append([]byte(ExpectXMLHead), AppendExpectXML(nil, randomExpect(seed), o)...)
		checkXML(t, string(append(doc, ExpectXMLTail...)))
		o.Fix = 0
		checkText(t, AppendXML(nil, randomEvent(seed), o))
	})
}

func checkXML(t *testing.T, doc string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(doc))
	for {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
	}
}
