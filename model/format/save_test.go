package format

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

// saveEvents returns the events of TestAppendSave: everything at once; NAT of addresses, of a port alone, of an ICMP
// identifier; and the protocols that have options of their own.
func saveEvents() (all, nat, port, ping, sctp, dccp, gre, esp model.Event) {
	all = testFlow()
	all.Has |= model.HasLabels | model.HasSecmark
	all.Flow.Mark, all.Secmark = 9, 3
	all.Flow.Status |= model.StatusExpected
	all.Extra.Labels.Set(1)
	all.Extra.Labels.Set(2)
	all.Flow.Helper = model.HelperFor([]byte(`my "helper"\`))

	nat = flow(model.ProtoTCP, "10.99.0.1 10.99.0.254", 41001, 8443, "10.98.0.1 10.98.0.254", 8080, 41001)
	nat.Has |= model.HasTimeout | model.HasProtoinfo
	nat.Kind, nat.PortID = model.Update, 7
	nat.Timeout, nat.Flow.State = 431938, model.TCPEstablished
	nat.Flow.Status = model.StatusSeenReply | model.StatusAssured | model.StatusSrcNAT | model.StatusDstNAT |
		model.StatusSrcNATDone | model.StatusDstNATDone

	port = flow(model.ProtoUDP, "fd00:99::1 fd00:98::1", 53, 53, "fd00:98::1 fd00:99::1", 53, 1024)
	port.Flow.Status = model.StatusSrcNAT | model.StatusSrcNATDone | model.StatusDstNATDone

	ping = flow(model.ProtoICMP, "10.99.0.1 10.98.0.1", 4660, 8<<8, "10.98.0.1 10.98.0.254", 4661, 0)
	ping.Kind = model.Destroy
	ping.Flow.Status = model.StatusSrcNAT | model.StatusSrcNATDone

	sctp = flow(model.ProtoSCTP, "1.1.1.1 2.2.2.2", 10, 20, "2.2.2.2 1.1.1.1", 20, 10)
	sctp.Has = sctp.Has&^model.HasStatus | model.HasProtoinfo | model.HasSCTPInfo
	sctp.Flow.State, sctp.Flow.Zone, sctp.Flow.ZoneDir = 8, 6, model.ZoneReply
	sctp.SCTP.VTag = [2]uint32{networkOrder(1), networkOrder(0x55550000)}
	dccp = flow(model.ProtoDCCP, "1.1.1.1 2.2.2.2", 0, 0, "2.2.2.2 1.1.1.1", 0, 0)
	gre = flow(model.ProtoGRE, "10.98.0.1 10.98.0.254", 0, 4660, "10.98.0.254 10.98.0.1", 4660, 0)
	gre.Flow.Zone, gre.Flow.ZoneDir = 6, model.ZoneOrig
	esp = flow(50, "::1 ::2", 0, 0, "::2 ::3", 0, 0)
	return
}

func TestAppendSave(t *testing.T) {
	all, nat, port, ping, sctp, dccp, gre, esp := saveEvents()
	for _, tt := range []struct {
		name       string
		e          model.Event
		want, full string
	}{
		{"everything", all,
			`-A -t 431999 -u EXPECTED,SEEN_REPLY,ASSURED -c 3 -w 7 -s 10.141.10.2 -d 192.168.10.2 -r 192.168.10.2 -q 10.141.10.2 -p tcp --sport 40224 --dport 12345 --reply-port-src 12345 --reply-port-dst 40224 --state ESTABLISHED`,
			"# orig-packets=12 orig-bytes=3400 reply-packets=9 reply-bytes=9999 start=2023-11-14T22:13:20.000000000Z expected secmark=3 secctx=system_u:object_r:http_packet_t:s0\n" +
				`-A -t 431999 -u SEEN_REPLY,ASSURED -m 9 --label-add "a b,2" --helper "my \"helper\"\\" -w 7 -s 10.141.10.2 -d 192.168.10.2 -r 192.168.10.2 -q 10.141.10.2 -p tcp --sport 40224 --dport 12345 --reply-port-src 12345 --reply-port-dst 40224 --state ESTABLISHED`},
		{"nat", nat,
			`-U -t 431938 -u SEEN_REPLY,ASSURED -s 10.99.0.1 -d 10.99.0.254 -g 10.98.0.1 -n 10.98.0.254 -p tcp --sport 41001 --dport 8443 --reply-port-src 8080 --reply-port-dst 41001 --state ESTABLISHED [USERSPACE] portid=7`,
			`-U -t 431938 -u SEEN_REPLY,ASSURED -s 10.99.0.1 -d 10.99.0.254 -g 10.98.0.1 -n 10.98.0.254 -p tcp --sport 41001 --dport 8443 --reply-port-src 8080 --reply-port-dst 41001 --state ESTABLISHED`},
		{"a port alone", port,
			`-A -u UNSET -s fd00:99::1 -d fd00:98::1 -r fd00:98::1 -q fd00:99::1 -p udp --sport 53 --dport 53 --reply-port-src 53 --reply-port-dst 1024`,
			`-A -u UNSET -s fd00:99::1 -d fd00:98::1 -r fd00:98::1 -n [fd00:99::1]:1024 -p udp --sport 53 --dport 53 --reply-port-src 53 --reply-port-dst 53`},
		{"icmp", ping,
			`-D -u UNSET -s 10.99.0.1 -d 10.98.0.1 -r 10.98.0.1 -n 10.98.0.254 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 4660`,
			`-D -u UNSET -s 10.99.0.1 -d 10.98.0.1 -r 10.98.0.1 -n 10.98.0.254:4661 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 4660`},
		{"sctp", sctp,
			`-A --reply-zone 6 -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p sctp --sport 10 --dport 20 --reply-port-src 20 --reply-port-dst 10 --state (null) --orig-vtag 1 --reply-vtag 1431633920`,
			`-A --reply-zone 6 -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p sctp --sport 10 --dport 20 --reply-port-src 20 --reply-port-dst 10 --state HEARTBEAT_SENT --orig-vtag 1 --reply-vtag 1431633920`},
		{"dccp", dccp, `-A -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p dccp`, ""},
		{"gre", gre, `-A -u UNSET --orig-zone 6 -s 10.98.0.1 -d 10.98.0.254 -r 10.98.0.254 -q 10.98.0.1 -p gre --srckey 0 --dstkey 4660 --reply-key-src 4660 --reply-key-dst 0`, ""},
		{"unknown", esp, `-A -u UNSET -s ::1 -d ::2 -r ::2 -q ::3 -p 50`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Now: testNow, Labels: LabelNames{1: "a b"}}
			if diff := cmp.Diff(tt.want, string(AppendSave(nil, &tt.e, o))); diff != "" {
				t.Errorf("unexpected save line (-want +got):\n%s", diff)
			}
			if tt.full == "" {
				tt.full = tt.want
			}
			if diff := cmp.Diff(tt.full, string(AppendFullSave(AppendSaveNote(nil, &tt.e), &tt.e, o))); diff != "" {
				t.Errorf("unexpected full save (-want +got):\n%s", diff)
			}
		})
	}
}

// networkOrder returns what a big-endian word of that value is on this machine (htonl).
func networkOrder(v uint32) uint32 {
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, v))
}

// FuzzAppendFullSave looks whether a full save is a comment at most and one line of closed quotes.
func FuzzAppendFullSave(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		e := randomEvent(seed)
		lines := strings.Split(string(AppendFullSave(AppendSaveNote(nil, e), e, randomOptions(seed))), "\n")
		for _, line := range lines {
			checkText(t, []byte(line))
		}
		last := lines[len(lines)-1]
		if len(lines) > 2 || len(lines) == 2 && lines[0][0] != '#' || last[0] != '-' || last[len(last)-1] == ' ' {
			t.Fatalf("%q", lines)
		}
		quoted := false
		for i := 0; i < len(last); i++ {
			switch {
			case last[i] == '\\' && quoted:
				i++
			case last[i] == '"':
				quoted = !quoted
			}
		}
		if quoted {
			t.Fatalf("%s: an open quote", last)
		}
	})
}
