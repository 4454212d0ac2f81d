package filter

import (
	"errors"
	"testing"
)

func TestRuleFromFilter(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"src 10.0.0.0/8 and tcp and dport 25", "tcp 10.0.0.0/8 > any:25"},
		{"tcp dport 80 src 10.0.0.1 dst 10.0.0.2 sport 1000", "tcp 10.0.0.1:1000 > 10.0.0.2:80"},
		{"udp and dport 8000-8999 and iif lan0", "udp any > any:8000-8999 iif lan0"},
		{"iif lan0 and udp dport 53", "udp any > any:53 iif lan0"},
		{"ip6 and udp and dport domain", "udp ip6 any > any:53"},
		{"host 10.0.0.1", "ip any > 10.0.0.1"},
		{"port 53 and udp", "udp any > any:53"},
		{"gre dst 10.0.0.2", "gre any > 10.0.0.2"},
		{"proto 50", "50 any > any"},
		{"icmp icmp_type 8 dst 10.0.0.2", "icmp any > 10.0.0.2 type 8"},
		{"(tcp and (dst 2001:db8::/32))", "tcp any > 2001:db8::/32"},
	} {
		r, err := ParseRule(tt.in)
		if err != nil || r.String() != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.in, r, err, tt.want)
		}
	}
}

func TestRuleFromFilterErrors(t *testing.T) {
	const flows = " Exact rules for the flows that match now can: --flows, or Ctrl-a and N on the screen"
	for _, tt := range []struct{ in, at, msg string }{
		{"zone 5", "zone 5", `a NOTRACK rule cannot match "zone 5": the zone is given to a packet by tracking, after NOTRACK has decided.` + flows},
		{"tcp and dport 80 and state established", "state established", `a NOTRACK rule cannot match "state established": a state is kept by tracking, which NOTRACK comes before.` + flows},
		{"bytes > 10M and tcp", "bytes > 10M", `a NOTRACK rule cannot match "bytes > 10M": amounts are counted for tracked flows only.` + flows},
		{"snat and dst 10.0.0.1", "snat", `a NOTRACK rule cannot match "snat": it is known of tracked flows only.` + flows},
		{"dport 80", "port", "a port needs a protocol: write tcp or udp with it"},
		{"tcp or udp", " or ", `a NOTRACK rule cannot say "or": add one rule for each part of (tcp or udp)`},
		{"not tcp and dst 10.0.0.1", "not ", `a NOTRACK rule cannot say "not": leave not tcp out`},
		{"tcp dport {80, 443}", "dport {80, 443}", `a NOTRACK rule takes one value or range, not "dport {80, 443}"`},
		{"dst != 10.0.0.1", "dst != 10.0.0.1", `a NOTRACK rule takes one value or range, not "dst != 10.0.0.1"`},
		{"src 10.0.0.1 and src 10.0.0.2", "src 10.0.0.2", `"src 10.0.0.2": a NOTRACK rule has one src`},
		{"tcp and host 10.0.0.1 and dport 80", "tcp and host 10.0.0.1 and dport 80", `"host" and "port" mean either end: with another address or port beside, write src, dst, sport or dport`},
		{"reply src 10.0.0.1", "reply src 10.0.0.1", `a NOTRACK rule is written in the original direction, not as "reply src 10.0.0.1": the answers are matched with it`},
		{"src 10.0.0.1 and dst 2001:db8::1", "src 10.0.0.1 and dst 2001:db8::1", "the two addresses are of different families"},
		{"tcp", "tcp", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"", "", "the rule matches every packet: name an address, a protocol with a port, or an interface"},
		{"iif", "iif", "iif needs a value"},
		{"@noisy", "", ""},
	} {
		_, err := ParseRule(tt.in)
		var fe *Error
		if !errors.As(err, &fe) {
			t.Errorf("%q: error %v, want a *Error", tt.in, err)
			continue
		}
		if tt.msg != "" && (fe.Msg != tt.msg || fe.Text[fe.Pos:fe.End] != tt.at) {
			t.Errorf("%q: %q at %q\nwant %q at %q", tt.in, fe.Msg, fe.Text[fe.Pos:fe.End], tt.msg, tt.at)
		}
	}
}
