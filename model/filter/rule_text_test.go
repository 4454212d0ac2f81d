package filter

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ctview/model"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var cmpPrefix = cmp.Options{cmpopts.EquateComparable(netip.Prefix{})}

func TestParseRule(t *testing.T) {
	for _, tt := range []struct {
		in, out string // out: String of the result, "" if in itself
		want    model.Rule
	}{
		{in: "tcp 10.0.0.1:1234 > 10.0.0.2:80",
			want: model.Rule{Family: model.IPv4, Proto: model.ProtoTCP, HasProto: true, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32"), Sport: model.Port(1234), Dport: model.Port(80)}},
		{in: "tcp 10.0.0.1:1234 -> 10.0.0.2:80", out: "tcp 10.0.0.1:1234 > 10.0.0.2:80",
			want: model.Rule{Family: model.IPv4, Proto: model.ProtoTCP, HasProto: true, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32"), Sport: model.Port(1234), Dport: model.Port(80)}},
		{in: "udp [2001:db8::1]:1 > [2001:db8::2]:53 one-way",
			want: model.Rule{Family: model.IPv6, Proto: model.ProtoUDP, HasProto: true, Src: pfx("2001:db8::1/128"), Dst: pfx("2001:db8::2/128"), Sport: model.Port(1), Dport: model.Port(53), OneWay: true}},
		{in: "udp 10.0.1.0/24 > any:53-54 iif lan0",
			want: model.Rule{Family: model.IPv4, Proto: model.ProtoUDP, HasProto: true, Src: pfx("10.0.1.0/24"), Dport: model.PortRange{Lo: 53, Hi: 54}, Iface: "lan0"}},
		{in: "udp 10.0.1.0/255.255.255.0 > any", out: "udp 10.0.1.0/24 > any",
			want: model.Rule{Family: model.IPv4, Proto: model.ProtoUDP, HasProto: true, Src: pfx("10.0.1.0/24")}},
		{in: "tcp ip6 any > any:80", want: model.Rule{Family: model.IPv6, Proto: model.ProtoTCP, HasProto: true, Dport: model.Port(80)}},
		{in: "tcp any > any:80", want: model.Rule{Proto: model.ProtoTCP, HasProto: true, Dport: model.Port(80)}},
		{in: "icmp 10.0.0.1 > 10.0.0.2 type 8 id 7",
			want: model.Rule{Family: model.IPv4, Proto: model.ProtoICMP, HasProto: true, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32"), ICMP: model.ICMPMatch{Type: 8, ID: 7, HasType: true, HasID: true}}},
		{in: "gre 10.0.0.1 > 10.0.0.2", want: model.Rule{Family: model.IPv4, Proto: model.ProtoGRE, HasProto: true, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32")}},
		{in: "50 10.0.0.1 > 10.0.0.2", want: model.Rule{Family: model.IPv4, Proto: 50, HasProto: true, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32")}},
		{in: "10.0.0.1 > 10.0.0.2", out: "ip 10.0.0.1 > 10.0.0.2", want: model.Rule{Family: model.IPv4, Src: pfx("10.0.0.1/32"), Dst: pfx("10.0.0.2/32")}},
		{in: "any > 2001:db8::/32", out: "ip6 any > 2001:db8::/32", want: model.Rule{Family: model.IPv6, Dst: pfx("2001:db8::/32")}},
		{in: "any any > any iif eth0 one-way", want: model.Rule{Iface: "eth0", OneWay: true}},
		{in: "tcp [2001:db8::]/32:80 > any", out: "tcp [2001:db8::/32]:80 > any",
			want: model.Rule{Family: model.IPv6, Proto: model.ProtoTCP, HasProto: true, Src: pfx("2001:db8::/32"), Sport: model.Port(80)}},
	} {
		got, err := ParseRule(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmpPrefix); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.in, diff)
		}
		want := tt.out
		if want == "" {
			want = tt.in
		}
		if got.String() != want {
			t.Errorf("%s: String = %q, want %q", tt.in, got.String(), want)
		}
	}
}

func TestParseRuleErrors(t *testing.T) {
	for _, tt := range []struct{ in, at, msg string }{
		{"10.0.0.1:1 > 10.0.0.2:80", "10.0.0.1:1", "a port needs a protocol that has ports: tcp, udp, udplite, sctp or dccp"},
		{"any > 10.0.0.2:80", "10.0.0.2:80", "a port needs a protocol that has ports: tcp, udp, udplite, sctp or dccp"},
		{"tcp [2001:db8::1]:1 > 10.0.0.0/8:80", "10.0.0.0/8:80", "10.0.0.0/8:80 is IPv4, but [2001:db8::1]:1 is IPv6: both sides of a rule are of one family"},
		{"tcp 2001:db8::/255.255.0.0 > any:80", "2001:db8::/255.255.0.0", "255.255.0.0 is an IPv4 mask, 2001:db8:: an IPv6 address: write a length, as in 2001:db8::/64"},
		{"tcp 10.0.0.1/8 > any:80", "10.0.0.1/8", "10.0.0.1/8 has bits set behind /8: did you mean 10.0.0.0/8?"},
		{"tcp 10.0.0.1:99999 > any", "10.0.0.1:99999", `"99999" is not a port (1-65535)`},
		{"tcp 10.0.0.1:9-3 > any", "10.0.0.1:9-3", "the port range 9-3 is empty"},
		{"tpc 10.0.0.1 > 10.0.0.2", "tpc", `unknown protocol "tpc"`},
		{"tcp 10.0.0.1:5 > 10.0.0.2:6 zone 5", "zone", `unknown word "zone" in a rule`},
		{"tcp 10.0.0.1:5 > ", "", "expected an address, a prefix or any"},
		{"tcp 10.0.0.1:5 > 10.0.0.300:1", "10.0.0.300:1", `"10.0.0.300" is not an address`},
		{"icmp 2001:db8::1 > 2001:db8::2", "2001:db8::1", "icmp packets have no IPv6 addresses"},
		{"udp 10.0.0.1:1 > 10.0.0.2:2 iif", "iif", "iif needs a value"},
		{"any any > any iif x", "any any > any iif x", "the answers to it could be any packet: say one-way, or name an address or a protocol with a port"},
		{"any > any", "any > any", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"tcp any > any", "tcp any > any", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"ip 0.0.0.0/0 > any", "ip 0.0.0.0/0 > any", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"any > 0.0.0.0/0", "any > 0.0.0.0/0", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"0.0.0.0/0 > 0.0.0.0/0", "0.0.0.0/0 > 0.0.0.0/0", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"ip6 ::/0 > any", "ip6 ::/0 > any", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"tcp ::/0 > ::/0", "tcp ::/0 > ::/0", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"tcp any > any:1-65535", "tcp any > any:1-65535", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"tcp 0.0.0.0/0:1-65535 > 0.0.0.0/0:1-65535 one-way", "tcp 0.0.0.0/0:1-65535 > 0.0.0.0/0:1-65535 one-way", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"src 0.0.0.0/0", "src 0.0.0.0/0", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"dport 1-65535 and tcp", "dport 1-65535 and tcp", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"0.0.0.0/0 > any iif x", "0.0.0.0/0 > any iif x", "the answers to it could be any packet: say one-way, or name an address or a protocol with a port"},
		{"tcp any > ::/0 iif x", "tcp any > ::/0 iif x", "the answers to it could be any packet: say one-way, or name an address or a protocol with a port"},
		{"ip6 icmp any > any", "ip6 icmp any > any", "icmp is a protocol of IPv4 and icmpv6 of IPv6: the rule would match nothing"},
	} {
		_, err := ParseRule(tt.in)
		var fe *Error
		if !errors.As(err, &fe) {
			t.Errorf("%q: error %v, want a *Error", tt.in, err)
			continue
		}
		if fe.Msg != tt.msg || tt.in[fe.Pos:fe.End] != tt.at {
			t.Errorf("%q: %q at %q, want %q at %q", tt.in, fe.Msg, tt.in[fe.Pos:fe.End], tt.msg, tt.at)
		}
	}
}

func testFlow(text string, status model.Status) *model.Flow {
	r, err := ParseRule(text)
	if err != nil {
		panic(err)
	}
	o, p := r.Tuples()
	return &model.Flow{Key: model.Key{Src: o.Src, Dst: o.Dst, Sport: o.Sport, Dport: o.Dport, Proto: o.Proto, Family: o.Family},
		ReplySrc: p.Src, ReplyDst: p.Dst, ReplySport: p.Sport, ReplyDport: p.Dport, Status: status}
}

func TestRuleCovers(t *testing.T) {
	for _, tt := range []struct {
		rule, flow string
		want       bool
	}{
		{"tcp 10.0.0.1:1234 > 10.0.0.2:80", "tcp 10.0.0.1:1234 > 10.0.0.2:80", true},
		{"tcp 10.0.0.1:1234 > 10.0.0.2:80", "tcp 10.0.0.2:80 > 10.0.0.1:1234", true}, // picked up from the reply side
		{"tcp 10.0.0.1:1234 > 10.0.0.2:80", "udp 10.0.0.1:1234 > 10.0.0.2:80", false},
		{"tcp 10.0.0.1:1234 > 10.0.0.2:80", "tcp 10.0.0.1:1235 > 10.0.0.2:80", false},
		{"tcp any > any:80", "tcp [2001:db8::1]:5 > [2001:db8::2]:80", true},
		{"tcp ip any > any:80", "tcp [2001:db8::1]:5 > [2001:db8::2]:80", false},
		{"udp 10.0.0.0/8 > any:50-60 one-way", "udp 10.1.1.1:9 > 192.0.2.1:55", true},
		{"udp 10.0.0.0/8 > any:50-60 one-way", "udp 10.1.1.1:9 > 192.0.2.1:61", false},
		{"udp 10.0.0.0/8 > any:50-60", "udp 192.0.2.1:55 > 10.1.1.1:9", true},
		{"udp 10.0.0.0/8 > any:50-60 one-way", "udp 192.0.2.1:55 > 10.1.1.1:9", true}, // its replies match
		{"any any > any iif lan0 one-way", "udp 192.0.2.1:55 > 10.1.1.1:9", true},
	} {
		r, err := ParseRule(tt.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Covers(testFlow(tt.flow, 0)); got != tt.want {
			t.Errorf("%s covers %s: %v, want %v", tt.rule, tt.flow, got, tt.want)
		}
	}
	f := testFlow("tcp 10.0.0.1:1234 > 10.0.0.2:80", 0)
	r := model.RuleFromFlow(f)
	if got := r.String(); got != "tcp 10.0.0.1:1234 > 10.0.0.2:80" || !r.Exact() || !r.Covers(f) {
		t.Errorf("RuleFromFlow: %s, exact %v", got, r.Exact())
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"tcp 10.0.0.1:1234 > 10.0.0.2:80", "udp [2001:db8::1]:1 > any:53-54 iif lan0 one-way",
		"icmp 10.0.0.1 > 10.0.0.2 type 8 id 7", "any > 2001:db8::/32", "tcp [2001:db8::]/32:80 > any", "any any > any iif x one-way", "src 10.0.0.0/8 and tcp and dport 25 and iif lan0", "zone 5 or not tcp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			var fe *Error
			if !errors.As(err, &fe) || fe.Pos < 0 || fe.Pos > fe.End || fe.End > len(fe.Text) {
				t.Fatalf("%q: bad error %#v", s, err)
			}
			return
		}
		if model.Escape(r.Iface) != r.Iface {
			return // shown escaped, not meant to be read back
		}
		again, err := ParseRule(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q: String %q reads back as %q, %v", s, r.String(), again.String(), err)
		}
	})
}
