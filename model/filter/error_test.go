package filter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"ctview/model"
)

// rejected are wrong filters with the place of the fault in bytes and the error's text.
var rejected = []struct {
	text     string
	pos, end int
	want     string
}{
	// and with or
	{"tcp or udp and dport 53", 11, 14, `"and" and "or" together: write (tcp or udp) and dport 53, or tcp or (udp and dport 53)`},
	{"tcp and udp or icmp", 12, 14, `"and" and "or" together: write tcp and (udp or icmp), or (tcp and udp) or icmp`},
	{"tcp udp or icmp", 8, 10, `"and" and "or" together: write tcp (udp or icmp), or (tcp udp) or icmp`},
	{"(tcp or udp and nat) or (icmp and nat or dying)", 12, 15, `"and" and "or" together: write ((tcp or udp) and nat) or (icmp and (nat or dying)), or (tcp or (udp and nat)) or ((icmp and nat) or dying)`},
	{"not tcp or udp and dport 53", 15, 18, `"and" and "or" together: write (not tcp or udp) and dport 53, or not tcp or (udp and dport 53)`},
	{"@mixed", 0, 6, `in @mixed: "and" and "or" together: write (tcp or udp) and nat, or tcp or (udp and nat)`},

	// bare values
	{"443", 0, 3, `443: write port 443 or zone 443`},
	{"70000", 0, 5, `70000: write mark 70000 or id 70000`},
	{"0x1f", 0, 4, `0x1f: write port 0x1f or zone 0x1f`},
	{"5000000000", 0, 10, `5000000000: write bytes > 5000000000`},
	{"8000-8999", 0, 9, `8000-8999: write port 8000-8999`},
	{"10M", 0, 3, `10M: write bytes > 10M or rate > 10M or age > 10M`},
	{"-5", 0, 2, `"-5" is no address and no field: write for example port 443 or host 10.0.0.1`},
	{"30s", 0, 3, `30s: write age > 30s`},

	// unknown words
	{"foo", 0, 3, `unknown word "foo": to search for a text put it in double quotes`},
	{"estabilshed", 0, 11, `unknown word "estabilshed": did you mean state established?`},
	{"established", 0, 11, `unknown word "established": write state established or ct state established`},
	{"syn_sent", 0, 8, `unknown word "syn_sent": write state syn_sent`},
	{"new", 0, 3, `unknown word "new": write ct state new`},
	{"ftp", 0, 3, `unknown word "ftp": write helper ftp or port ftp`},
	{"https", 0, 5, `unknown word "https": write port https`},
	{"esp", 0, 3, `unknown word "esp": write proto 50`},
	{"opening", 0, 7, `unknown word "opening": write phase opening`},
	{"hw_offload", 0, 10, `unknown word "hw_offload": write status hw_offload`},
	{"timewait", 0, 8, `unknown word "timewait": write state time_wait or state timewait`},
	{"synsent", 0, 7, `unknown word "synsent": write state syn_sent`},
	{"est", 0, 3, `unknown word "est": did you mean state established or dst?`},
	{"top", 0, 3, `unknown word "top": to search for a text put it in double quotes`},
	{"tpc", 0, 3, `unknown word "tpc": did you mean tcp?`},
	{"tcpp", 0, 4, `unknown word "tcpp": did you mean tcp?`},
	{"tvp", 0, 3, `unknown word "tvp": did you mean tcp?`},
	{"ucp", 0, 3, `unknown word "ucp": did you mean udp?`},
	{"unasured", 0, 8, `unknown word "unasured": did you mean not assured?`},
	{"helpr ftp", 0, 5, `unknown word "helpr": did you mean helper?`},
	{"sorce 10.0.0.1", 0, 5, `unknown word "sorce": did you mean src?`},
	{"srcip 10.0.0.1", 0, 5, `unknown word "srcip": write src`},
	{"proto:tcp", 0, 9, `unknown word "proto:tcp": write proto tcp`},
	{"bytes:10M", 0, 9, `unknown word "bytes:10M": write bytes > 10M`},
	{"dport:443", 0, 9, `unknown word "dport:443": write dport 443`},
	{"ip.src == 10.0.0.1", 0, 6, `unknown word "ip.src": write src`},
	{"tcp.port == 80", 0, 8, `unknown word "tcp.port": write tcp and port`},
	{"portrange 1-5", 0, 9, `unknown word "portrange": write port`},
	{"bücher", 0, 7, `unknown word "bücher": to search for a text put it in double quotes`},

	// names
	{"state estabilshed", 6, 17, `unknown state "estabilshed": did you mean established?`},
	{"state new", 6, 9, `unknown state "new": write ct state new`},
	{"state {established, new}", 20, 23, `unknown state "new": write ct state new`},
	{"ct state syn_sent", 9, 17, `unknown ct state "syn_sent": write state syn_sent`},
	{"ctstate estab", 8, 13, `unknown ct state "estab": did you mean established?`},
	{"state foo", 6, 9, `unknown state "foo": known are established, syn_sent, syn_recv, fin_wait, close_wait, last_ack …`},
	{"state", 5, 5, "state wants a state: for example established, syn_sent or {close, time_wait}"},
	{"state <  3", 6, 7, "state can't be compared with <: write =, != or ~"},
	{"state ~ \"xyz\"", 8, 13, `no state contains "xyz": write a part of one`},
	{"state ~", 7, 7, `state ~ wants a text: for example state ~ "ft"`},
	{"phase opne", 6, 10, `unknown phase "opne": did you mean open?`},
	{"proto tpc", 6, 9, `unknown protocol "tpc": did you mean tcp?`},
	{"proto 300", 6, 9, "protocol 300 is too large: protocols go from 0 to 255"},
	{"family ipv5", 7, 11, `unknown family "ipv5": did you mean ipv4 or ipv6?`},
	{"status asured", 7, 13, `unknown status "asured": did you mean assured?`},
	{"status foo", 7, 10, `unknown status "foo": known are expected, seen_reply, assured, confirmed, src_nat, dst_nat …`},
	{"label nope", 6, 10, `unknown label "nope": write its bit, 0 to 127, or name it in connlabel.conf`},
	{"label 200", 6, 9, "label 200 is too large: labels are bits from 0 to 127"},
	{"label voi", 6, 9, `unknown label "voi": did you mean voip?`},
	{"helper", 6, 6, "helper wants a helper's name: for example ftp, {sip, ftp} or none"},
	{"helper and tcp", 7, 10, "helper wants a helper's name: for example ftp, {sip, ftp} or none"},
	{"helper {ftp,}", 12, 13, "helper wants a helper's name: for example ftp, {sip, ftp} or none"},
	{"helper {}", 7, 9, "the set is empty: write values between the braces"},
	{"helper {ftp", 7, 8, `"{" is never closed: add "}"`},
	{"helper {ftp sip}", 12, 15, `"sip" in a set: put a comma before it, or close the set with }`},

	// addresses
	{"src", 3, 3, "src wants an address: for example 10.0.0.1, 10.0.0.0/8, 2001:db8::/32 or {10.0.0.1, 10.0.0.2}"},
	{"src and tcp", 4, 7, "src wants an address: for example 10.0.0.1, 10.0.0.0/8, 2001:db8::/32 or {10.0.0.1, 10.0.0.2}"},
	{"src 10.0.0", 4, 10, `"10.0.0" is no address: did you mean 10.0.0.0/24?`},
	{"src 10", 4, 6, `"10" is no address: write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32`},
	{"src 10.0.0.256", 4, 14, `"10.0.0.256" is no address: write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32`},
	{"src 10.0.0.0/33", 4, 15, "prefix /33 is too long: IPv4 prefixes go from /0 to /32"},
	{"src 2001:db8::/129", 4, 18, "prefix /129 is too long: IPv6 prefixes go from /0 to /128"},
	{"src 10.0.0.0/x", 4, 14, `"x" is no prefix length: IPv4 prefixes go from /0 to /32`},
	{"src 10.0.0.0/255.255.0.0", 4, 24, `netmask "255.255.0.0": write 10.0.0.0/16`},
	{"src 10/8", 4, 8, `"10/8" is no address: did you mean 10.0.0.0/8?`},
	{"src example.com", 4, 15, `"example.com" is no address: names are not looked up, write the address`},
	{"src fe80::1%eth0", 4, 16, `"fe80::1%eth0" names an interface, and the kernel's tuples have none: write fe80::1`},
	{"src 10.0.0.1:80", 4, 15, `"10.0.0.1:80" is an address with a port: write src 10.0.0.1 and sport 80`},
	{"dst [2001:db8::1]:443", 4, 5, `"[" means nothing here: write the address without brackets and its port by itself: dst 2001:db8::1 and dport 443`},
	{"10.0.0.1:80", 0, 11, `"10.0.0.1:80" is an address with a port: write host 10.0.0.1 and port 80`},
	{"10.0.0", 0, 6, `"10.0.0" is no address: did you mean 10.0.0.0/24?`},
	{"ip saddr 2001:db8::1", 9, 20, "2001:db8::1 is an IPv6 address: write ip6 in place of ip"},
	{"orig ip6 saddr 10.0.0.1", 15, 23, "10.0.0.1 is an IPv4 address: write ip in place of ip6"},
	{"ip6 and src 10.0.0.1 ip6 saddr 10.0.0.1", 31, 39, "10.0.0.1 is an IPv4 address: write ip in place of ip6"},
	{"src > 10.0.0.1", 4, 5, "src can't be compared with >: write = or !="},
	{"src 10.0.0.1-10.0.0.9", 4, 21, `"10.0.0.1-10.0.0.9" is a range: write prefixes, or the addresses in braces`},
	{"src ~ \"10\"", 4, 5, "src can't be compared with ~: write = or !="},

	// ports
	{"port", 4, 4, "port wants a port: for example 443, 8000-8999, https or {80, 443}"},
	{"port 70000", 5, 10, "port 70000 is too large: ports go from 0 to 65535"},
	{"port 1-70000", 5, 12, "port 70000 is too large: ports go from 0 to 65535"},
	{"port 9000-8000", 5, 14, "the range 9000-8000 is empty: write 8000-9000"},
	{"port 80-", 5, 8, `"80-" is no port: write for example 443, 8000-8999, https or {80, 443}`},
	{"port htpps", 5, 10, `unknown service "htpps": did you mean https?`},
	{"port nosuch", 5, 11, `unknown service "nosuch": write its number`},
	{"port 8x", 5, 7, `"8x" is no port: write for example 443, 8000-8999, https or {80, 443}`},
	{"dport > {80}", 8, 9, "a set can't be compared with >: write one number, or = for a set"},
	{"dport > 80-90", 8, 13, `"80-90" can't be compared with >: write one number`},
	{"dport > ", 8, 8, "dport wants a port: for example 443, 8000-8999, https or {80, 443}"},
	{"port 80..90", 5, 11, `"80..90" is no range: write 80-90`},

	// numbers
	{"zone 70000", 5, 10, "zone 70000 is too large: zones go from 0 to 65535"},
	{"zone", 4, 4, "zone wants a number: for example 5 or {0, 5}"},
	{"zone five", 5, 9, `"five" is no number: write for example 5 or {0, 5}`},
	{"zone {1, x}", 9, 10, `"x" is no number: write for example 5 or {0, 5}`},
	{"zone > {1}", 7, 8, "a set can't be compared with >: write one number, or = for a set"},
	{"zone > 1-5", 7, 10, `"1-5" can't be compared with >: write one number`},
	{"zone -1", 5, 7, `"-1" is below 0: write for example 5`},
	{"mark -1", 5, 7, `"-1" is below 0: as 32 bits it is 0xffffffff`},
	{"mark {1, -0x10}", 9, 14, `"-0x10" is below 0: as 32 bits it is 0xfffffff0`},
	{"mark -9999999999", 5, 16, `"-9999999999" is below 0: write for example 0x10`},
	{"port -1", 5, 7, `"-1" is below 0: write for example 443`},
	{"bytes > -1M", 8, 11, `"-1M" is below 0: write for example 10M`},
	{"age < -5s", 6, 9, `"-5s" is below 0: write for example 30s`},
	{"mark 0x1ffffffff", 5, 16, "mark 0x1ffffffff is too large: marks go from 0 to 0xffffffff"},
	{"mark 0x11/0xf0", 5, 14, `"0x11/0xf0" has bits outside the mask and so never matches: did you mean 0x10/0xf0?`},
	{"mark 0x10/zz", 5, 12, `"0x10/zz" is no number: write for example 16, 0x10 or 0x10/0xf0`},
	{"mark & 0xf0", 11, 11, "mark with a mask wants == or !=: for example mark & 0xf0 == 0x10"},
	{"mark & 0xf0 == ", 15, 15, "mark wants a number: for example 16, 0x10 or 0x10/0xf0"},
	{"mark & == 1", 5, 6, `"&" wants a mask: for example mark & 0xf0 == 0x10`},
	{"mark and", 5, 8, "mark wants a number: for example 16, 0x10 or 0x10/0xf0"},
	{"id 4294967296", 3, 13, "id 4294967296 is too large: ids go from 0 to 4294967295"},
	{"icmp type 256", 10, 13, "icmp_type 256 is too large: ICMP types go from 0 to 255"},
	{"icmp_id 70000", 8, 13, "icmp_id 70000 is too large: ICMP identifiers go from 0 to 65535"},
	{"srckey 65536", 7, 12, "srckey 65536 is too large: GRE keys go from 0 to 65535"},

	// amounts
	{"bytes", 5, 5, "bytes wants a comparison: write bytes > 10M or bytes < 10M"},
	{"bytes 10M", 6, 9, "bytes wants a comparison: write bytes > 10M or bytes < 10M"},
	{"bytes >", 7, 7, "bytes wants a number of bytes: for example 4096, 10M or 1.5Gi"},
	{"bytes > foo", 8, 11, `"foo" is no amount: write for example bytes > 10M`},
	{"bytes > 10X", 8, 11, `unknown unit "X" in 10X: bytes take k, M, G, T (1000) and Ki, Mi, Gi, Ti (1024)`},
	{"bytes > 10Mbit", 8, 14, `unknown unit "Mbit" in 10Mbit: bytes take k, M, G, T (1000) and Ki, Mi, Gi, Ti (1024)`},
	{"bytes > 5MB/s", 8, 13, `unknown unit "MB/s" in 5MB/s: bytes take k, M, G, T (1000) and Ki, Mi, Gi, Ti (1024)`},
	{"bytes > 99999999999999999999", 8, 28, "99999999999999999999 is too large: write a smaller value"},
	{"bytes > 10 M", 8, 12, "a blank before the unit: write 10M"},
	{"bytes in 5", 6, 8, "bytes wants a comparison: write bytes > 10M or bytes < 10M"},
	{"bytes > {1}", 8, 9, "bytes takes one value: write for example bytes > 10M"},
	{"bytes ~ \"5\"", 6, 7, "bytes wants a comparison: write bytes > 10M or bytes < 10M"},
	{"packets > 10B", 10, 13, `unknown unit "B" in 10B: packets take k, M, G and T`},
	{"rate > 5Mb", 7, 10, "5Mb could be bits or bytes: write 5Mbit or 5MB/s"},
	{"rate", 4, 4, "rate wants a comparison: write rate > 1MB/s or rate < 1MB/s"},
	{"age > 5min", 6, 10, `unknown unit "min" in 5min: times take d, h, m and s, as in 1h30m`},
	{"age > 1.5h", 6, 10, "1.5h is not whole: write for example 1h30m"},
	{"age > 5 s", 6, 9, "a blank before the unit: write 5s"},
	{"age > 10ms", 6, 10, `unknown unit "ms" in 10ms: times take d, h, m and s, as in 1h30m`},
	{"age 30s", 4, 7, "age wants a comparison: write age > 30s or age < 30s"},
	{"orig age > 5s", 0, 4, `age has no direction: leave "orig" out`},
	{"reply mark 5", 0, 5, `mark has no direction: leave "reply" out`},
	{"orig", 0, 4, `"orig" wants a field: write for example orig src 10.0.0.1 or orig bytes > 1M`},

	// what can follow what
	{"reply", 0, 5, `"reply" wants a field: write for example reply src 10.0.0.1 or reply bytes > 1M`},
	{"reply foo", 6, 9, `"foo" can't follow "reply": write for example reply src 10.0.0.1 or reply bytes > 1M`},
	{"reply assured", 6, 13, `"assured" can't follow "reply": leave "reply" out`},
	{"orig ip tcp", 8, 11, `"tcp" can't follow "orig": leave "orig" out`},
	{"orig ip dport 5", 8, 13, `"dport" is no address: leave the family out, or write saddr or daddr`},
	{"ct", 0, 2, `nothing follows "ct": write for example ct state established or ct mark 1`},
	{"ct foo", 3, 6, `"foo" can't follow "ct": write for example ct state established or ct mark 1`},
	{"ct assured", 3, 10, `"assured" can't follow "ct": leave "ct" out`},
	{"ct and", 3, 6, `"and" can't follow "ct": write for example ct state established or ct mark 1`},
	{"ct stat new", 3, 7, `"stat" can't follow "ct": did you mean state?`},

	// structure
	{"and tcp", 0, 3, `"and" has nothing before it: take it out`},
	{"tcp and", 4, 7, `nothing follows "and": add what it joins, or take it out`},
	{"tcp and or udp", 8, 10, `"or" can't follow "and": take one of them out`},
	{"or", 0, 2, `"or" has nothing before it: take it out`},
	{"not", 0, 3, `nothing follows "not": add what it joins, or take it out`},
	{"tcp and not", 8, 11, `nothing follows "not": add what it joins, or take it out`},
	{"tcp not", 4, 7, `nothing follows "not": add what it joins, or take it out`},
	{"!", 0, 1, `nothing follows "not": add what it joins, or take it out`},
	{"()", 0, 2, "the parentheses are empty: take them out"},
	{"tcp (", 4, 5, `"(" is never closed: add ")"`},
	{"(tcp", 0, 1, `"(" is never closed: add ")"`},
	{"((tcp)", 0, 1, `"(" is never closed: add ")"`},
	{"tcp)", 3, 4, `")" without "(": take it out`},
	{"tcp and (udp or (icmp)", 8, 9, `"(" is never closed: add ")"`},
	{")", 0, 1, `")" without "(": take it out`},
	{"}", 0, 1, `"}" without "{": take it out`},
	{"{80}", 0, 1, `"{" without a field before it: write for example port {80, 443}`},
	{"in {80}", 0, 2, `"in" without a field before it: write for example port in {80, 443}`},
	{"tcp, udp", 3, 4, `"," stands between values of a set only: write "and" or "or", or braces: port {80, 443}`},
	{"tcp & udp", 4, 5, `"&" stands after mark only: write "and"`},
	{"tcp | udp", 4, 5, `"|" means nothing here: write "or"`},
	{"tcp; udp", 3, 4, `";" means nothing here: write "and" or "or"`},
	{"tcp = udp", 4, 5, `"=" without a field before it: write for example bytes > 10M or dport = 443`},
	{"tcp > 5", 4, 5, `">" without a field before it: write for example bytes > 10M or dport = 443`},
	{"= 5", 0, 1, `"=" without a field before it: write for example bytes > 10M or dport = 443`},
	{"\"abc", 0, 1, `the quote is never closed: add " at its end`},
	{"helper \"ft", 7, 8, `the quote is never closed: add " at its end`},
	{"\"\"", 0, 2, "the quotes are empty: write the text to search for between them"},
	{"'", 0, 1, "the quote is never closed: add ' at its end"},
	{"tcp #5", 4, 5, `"#" means nothing here: take it out, or put the text in double quotes`},
	{"a\x1b[31mb", 1, 2, `"\x1b" means nothing here: take it out, or put the text in double quotes`},
	{"\x00", 0, 1, `"\x00" means nothing here: take it out, or put the text in double quotes`},

	// saved filters
	{"@", 0, 1, `"@" without a name: write the name of a saved filter behind it`},
	{"@nosuch", 0, 7, `unknown saved filter "@nosuch"`},
	{"@nois", 0, 5, `unknown saved filter "@nois": did you mean @noisy?`},
	{"@me", 0, 3, "in @myself: @me refers to itself: @me → @myself → @me"},
	{"@empty", 0, 6, "@empty is empty and so matches everything: leave it out"},
	{"@broken", 0, 7, `in @broken: unknown word "foo": to search for a text put it in double quotes`},
	{"tcp and @broken", 8, 15, `in @broken: unknown word "foo": to search for a text put it in double quotes`},
}

func TestParseErrors(t *testing.T) {
	for _, tt := range rejected {
		f, err := Parse(tt.text, testOptions)
		if err == nil {
			t.Errorf("%q: no error but %s", tt.text, f)
			continue
		}
		checkError(t, tt.text, err)
		e := err.(*Error)
		if e.Pos != tt.pos || e.End != tt.end || e.Error() != tt.want {
			t.Errorf("%q:\n got %d-%d %s\nwant %d-%d %s", tt.text, e.Pos, e.End, e, tt.pos, tt.end, tt.want)
		}
	}
}

// What an error suggests gets further than the text did: it parses, or fails later.
func TestSuggestions(t *testing.T) {
	for _, tt := range rejected {
		_, err := Parse(tt.text, testOptions)
		e := err.(*Error)
		for i := range e.Suggestions {
			fixed, at := e.Fixed(i)
			_, err := Parse(fixed, testOptions)
			if again, ok := err.(*Error); ok && again.Pos < min(at, e.End) {
				t.Errorf("%q: suggests %q, and that is wrong at %d: %v", tt.text, fixed, again.Pos, err)
			}
		}
	}
}

func TestCaret(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"state estabilshed", "  state estabilshed\n        ^~~~~~~~~~~"},
		{"dport", "  dport\n       ^"},
		{"tcp)", "  tcp)\n     ^"},
		{`"é日" foo`, "  \"é日\" foo\n        ^~~"},
		{"tcp a\x1bb", `  tcp a\x1bb` + "\n       ^~~~"},
	} {
		_, err := Parse(tt.text, Options{})
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := e.Caret("  "); got != tt.want {
			t.Errorf("%q:\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	var fe *Error
	if !errors.As(err, &fe) {
		t.Fatalf("Parse(%q): %T is no *Error", text, err)
	}
	if fe.Text != text || fe.Pos < 0 || fe.End < fe.Pos || fe.End > len(text) || fe.Msg == "" {
		t.Fatalf("Parse(%q): bad error %+v", text, fe)
	}
	for i := range fe.Suggestions {
		s, at := fe.Fixed(i)
		if at < 0 || at > len(s) {
			t.Fatalf("Parse(%q): Fixed(%d) = %q, %d", text, i, s, at)
		}
	}
	for _, s := range []string{fe.Error(), fe.Caret("  ")} {
		if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 }); i >= 0 || !utf8.ValidString(s) {
			t.Fatalf("Parse(%q): error text %q has control characters", text, s)
		}
	}
	if strings.Contains(fe.Error(), "\n") {
		t.Fatalf("Parse(%q): more than one line: %q", text, fe.Error())
	}
	if fe.Mixed {
		for _, s := range fe.Suggestions {
			if _, err := Parse(s, testOptions); err != nil {
				t.Fatalf("Parse(%q) suggests %q: %v", text, s, err)
			}
		}
	}
}

// Texts that are large or deep end in an error or a filter, soon.
func TestParseLimits(t *testing.T) {
	bomb := Options{Saved: map[string]string{"z": "tcp"}}
	for c := 'y'; c >= 'a'; c-- {
		bomb.Saved[string(c)] = "@" + string(c+1) + " or @" + string(c+1)
	}
	for _, tt := range []struct{ text, want string }{
		{strings.Repeat("(", 150) + "tcp" + strings.Repeat(")", 150), ""},
		{strings.Repeat("(", 100000) + "tcp", "too many parentheses in each other: take some out"},
		{strings.Repeat("not ", 100001) + "tcp", ""},
		{strings.Repeat("tcp or ", 10000) + "udp", ""},
		{strings.Repeat("tcp or ", 30000) + "udp", "the filter is too large: name addresses and ports in sets: host {10.0.0.1, 10.0.0.2}"},
		{"port {" + strings.Repeat("80,", 100000) + "443}", ""},
		{"@y", ""},
	} {
		f, err := Parse(tt.text, bomb)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || err.Error() != tt.want):
			t.Errorf("%.30s…: %v, want %q", tt.text, err, tt.want)
		case f != nil:
			f.Match(&model.Flow{}, nil, 0)
		}
	}
	if _, err := Parse("@a", bomb); err == nil || !strings.HasSuffix(err.Error(), "the filter is too large: use fewer saved filters in each other") {
		t.Errorf("a filter of 2^25 conditions: %.200v", err)
	}
}

// TestRank: what finds nothing goes behind what finds something, in the list and in the sentence.
func TestRank(t *testing.T) {
	for _, tt := range []struct {
		text  string
		found []int
		tell  bool
		want  string
		list  string
	}{
		{"closed", []int{0, 3}, false, "write state closed or phase closed", "state closed,phase closed"},
		{"closed", []int{0, 1}, true, "write state closed (1 flow here) or phase closed (none here)", "state closed,phase closed"},
		{"closed", []int{5, 900}, false, "write phase closed or state closed", "phase closed,state closed"},
		{"443", []int{0, 2}, true, "write zone 443 (2 flows here) or port 443 (none here)", "zone 443,port 443"},
		{"stat", []int{-1, 0}, true, "did you mean snat or state?", "snat,state"},
		{"stat", []int{0, -1}, true, "did you mean snat or state?", "snat,state"},
		{"stat", []int{-1, 7}, true, "did you mean state (7 flows here) or snat?", "state,snat"},
		{"tcp or udp and dport 53", []int{0, 4}, true, "", ""},
	} {
		_, err := Parse(tt.text, Options{})
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%q: %v", tt.text, err)
		}
		was := e.Cure
		e.Rank(slices.Clone(tt.found), tt.tell)
		if tt.want == "" {
			tt.want, tt.list = was, strings.Join(e.Suggestions, ",")
		}
		if e.Cure != tt.want || strings.Join(e.Suggestions, ",") != tt.list {
			t.Errorf("%q %v: %q of %q, want %q of %q", tt.text, tt.found, e.Cure, e.Suggestions, tt.want, tt.list)
		}
		_, again := Parse(tt.text, Options{})
		if !errors.As(again, &e) || e.Cure != was {
			t.Errorf("%q: the next error has %q, want %q", tt.text, e.Cure, was)
		}
	}
}
