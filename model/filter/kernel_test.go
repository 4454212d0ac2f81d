package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKernel shows what is left to the kernel; that it is never too much is shown beside Match, on random flows.
func TestKernel(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"tcp", ""},
		{"zone 5", "zone 5"},
		{"zone 0", "zone 0"},
		{"orig zone 5", "zone 5"},
		{"reply zone 0", ""}, // also those whose zone is tied to the original direction
		{"zone != 5", ""},
		{"not zone 5", ""},
		{"zone {5, 7}", ""},
		{"zone 5 and zone 7", "zone 5"}, // nothing matches; either is right
		{"tcp and zone 5 and not (mark 1 or assured)", "zone 5, not assured"},
		{"(tcp and zone 5) or (udp and zone 5)", "zone 5"},
		{"(tcp and zone 5) or udp", ""},
		{"zone 5 or zone 7", ""},
		{"src 10.0.0.0/8", "ipv4"},
		{"src 2001:db8::/32 or dst fe80::1", "ipv6"},
		{"host {10.0.0.1, fe80::1}", ""},
		{"not src 10.0.0.0/8", ""},
		{"src != 10.0.0.0/8", ""},
		{"ip6", "ipv6"},
		{"not ip6", ""},
		{"mark 0x10/0xf0", "mark 0x10/0xf0"},
		{"mark 1 and mark 0x10/0xf0", "mark 1"}, // contradicts itself
		{"mark 0x10/0xf0 and mark 1/0xf", "mark 0x11/0xff"},
		{"mark {1, 3}", "mark 1/0xfffffffd"},
		{"mark 0x10-0x1f", "mark 0x10/0xfffffff0"},
		{"mark > 0xfffffff0", "mark 0xfffffff0/0xfffffff0"},
		{"mark != 1", ""},
		{"assured", "assured"},
		{"not assured", "not assured"},
		{"unreplied and expected", "expected, not seen_reply"},
		{"not unreplied", "seen_reply"},
		{"snat", ""}, // also flows whose tuples differ without the bit
		{"not nat", "not src_nat, not dst_nat"},
		{"offload", ""},
		{"not offload", "not offload, not hw_offload"},
		{"status helper", "helper"},
		{"status {assured, dying}", ""},
		{"status != {assured, dying}", "not assured, not dying"},
		{"ct state established", "seen_reply"},
		{"ct state new", "not expected, not seen_reply"},
		{"ct state {new, related}", "not seen_reply"},
		{"ct state != established", "not seen_reply"},
		{"ct state invalid", ""},
		{"state replied", "seen_reply"},
		{"state unreplied", "not seen_reply"},
		{"state established", ""},
		{"src 10.0.0.1 and zone 5 and mark 1 and assured", "ipv4, zone 5, mark 1, src 10.0.0.1, assured"},
		{"src 10.0.0.1 and dst 192.0.2.7 and tcp and dport 443", "ipv4, tcp, src 10.0.0.1, dst 192.0.2.7, dport 443"},
		{"reply src 192.0.2.7 and udp and reply sport 53", "ipv4, udp, udp, reply src 192.0.2.7, reply sport 53"},
		{"sctp and dst 192.0.2.7 and dport 443", "ipv4, sctp, dst 192.0.2.7"}, // the kernel compares no ports of SCTP
		{"dst 192.0.2.7 and dport 443", "ipv4, dst 192.0.2.7"},                // and none where no protocol is said
		{"tcp and dport 443", ""}, // and nothing where no family is
		{"ip and tcp and dport 443", "ipv4, tcp, dport 443"},
		{"ip6 and tcp and dport 443", "ipv6, tcp, dport 443"},
		{"src 2001:db8::1", "ipv6"}, // its match of IPv6 addresses is inverted
		{"src 10.0.0.1 and (dport 80 or dport 443)", "ipv4, src 10.0.0.1"},
		{"tcp and (src 10.0.0.1 or src 10.0.0.2)", "ipv4, tcp"},
		{"src 10.0.0.1 and src 10.0.0.2", "ipv4, src 10.0.0.1"}, // nothing matches; either is right
		{"not src 10.0.0.1", ""},
		{"src {10.0.0.1, 10.0.0.2}", "ipv4"},
		{"host 10.0.0.1", "ipv4"},
		{"ip and icmp and src 10.0.0.1", "ipv4, icmp, src 10.0.0.1"},
		{"bytes > 1M and zone 5", "zone 5"},
		{"not (bytes > 1M or zone 5)", ""},
		{"not (bytes > 1M or not zone 5)", "zone 5"},
		{"@web", ""},
	} {
		f, err := Parse(tt.text, testOptions)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := kernelText(f.Kernel()); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "filter  none: every flow matches\nkernel  sends everything"},
		{"tcp dport https", "filter  (tcp and dport 443)\nkernel  sends everything; ctview filters"},
		{"state established and zone 5 and helper ftp", `filter  (state established and zone 5 and helper ftp)
kernel  sends only what is zone 5; ctview filters the rest and checks this again
note    state established is what the STATE column shows, so tcp, sctp only; nft's meaning, a reply was seen, is "ct state established"`},
		{"ct state related,invalid", `filter  ctstate {related, invalid}
kernel  sends only what is expected, not seen_reply; ctview filters the rest and checks this again
note    ct state as nft means it; related: expected by another flow, no reply yet; invalid: packets only, no flow is that`},
	} {
		f, err := Parse(tt.text, testOptions)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, f.Explain()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.text, diff)
		}
	}
	for _, tt := range accepted {
		f, err := Parse(tt.text, testOptions)
		if err != nil {
			continue
		}
		for _, n := range f.Notes() {
			if n == "" || strings.ContainsAny(n, "\n\x1b") {
				t.Errorf("%s: note %q", tt.text, n)
			}
		}
	}
}

func TestFilterNames(t *testing.T) {
	f, err := Parse("zone 5 and (reply dport 443 or bytes > 1M or orig rate > 1) and zone 7 and tcp", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"zone", "reply dport", "bytes", "orig rate", "tcp"}, f.Names()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := f.UnknownNoun(), "byte count or rate"; got != want {
		t.Errorf("UnknownNoun() = %q, want %q", got, want)
	}
	for _, tt := range []struct{ text, want string }{
		{"bytes > 1", "1 event without byte count"},
		{"bytes > 1 or pps > 1", "1 event without byte count or packet rate"},
		{"expected by ftp", "1 event whose master is not known"},
		{"forwarded or user root", "1 event whose place or user is not known"},
		{"age > 1s and proc sshd and master helper sip", "1 event without age, or whose process or master is not known"},
	} {
		if got := mustParse(t, tt.text).UnknownText(1, "event"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
	if f.NeedsExtra() {
		t.Error("NeedsExtra() without labels")
	}
	for _, text := range []string{"label 5", "secctx none", `not "x"`, "tcp and secctx ~ x"} {
		if f, err := Parse(text, Options{}); err != nil || !f.NeedsExtra() {
			t.Errorf("%s: NeedsExtra() = false", text)
		}
	}
}
