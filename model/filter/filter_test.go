package filter

import (
	"math/rand/v2"
	"strings"
	"testing"

	"ctview/model"
)

// accepted are filters with their canonical text.
var accepted = []struct{ text, want string }{
	{"state established and zone 5 and helper ftp", "(state established and zone 5 and helper ftp)"},
	{"src 10.0.0.0/8", "src 10.0.0.0/8"},
	{"dport 443", "dport 443"},
	{"bytes > 10M", "bytes > 10M"},
	{"not assured", "not assured"},
	{"tcp and dport {22, 80, 443, 8000-8999}", "(tcp and dport {22, 80, 443, 8000-8999})"},
	{"host 203.0.113.7", "host 203.0.113.7"},
	{"udp and unreplied and age > 30s", "(udp and unreplied and age > 30s)"},
	{"snat and reply dst 198.51.100.2", "(snat and reply dst 198.51.100.2)"},
	{"dst net 2001:db8::/32", "dst 2001:db8::/32"},
	{"mark 0x10/0xf0", "mark 0x10/0xf0"},
	{"state {syn_sent, syn_recv}", "state {syn_sent, syn_recv}"},
	{"rate > 5Mbit", "rate > 5Mbit"},
	{"timeout < 10s and not state time_wait", "(timeout < 10s and not state time_wait)"},
	{"(src 192.168.1.0/24 or src 192.168.2.0/24) and dport 53", "((src 192.168.1.0/24 or src 192.168.2.0/24) and dport 53)"},
	{"zone != 0", "zone != 0"},
	{"ct original ip saddr 10.0.0.0/8 and ct reply ip daddr 198.51.100.2", "(src 10.0.0.0/8 and reply dst 198.51.100.2)"},
	{"expected and master dport {21, 5060}", "(expected and master dport {21, 5060})"},
	{"dnat and not dst 192.168.0.0/16", "(dnat and not dst 192.168.0.0/16)"},
	{"@noisy and not port 22", "((host 203.0.113.7 or port 53) and not port 22)"},
	{"orig bytes > 1G and reply bytes < 1M", "(orig bytes > 1G and reply bytes < 1M)"},
	{"tcp dport 443 state SYN-SENT", "(tcp and dport 443 and state syn_sent)"},

	// how things join
	{"tcp or udp or icmp", "(tcp or udp or icmp)"},
	{"(tcp and nat) or udp", "((tcp and nat) or udp)"},
	{"tcp || udp", "(tcp or udp)"},
	{"TCP AND NOT (Assured OR dying)", "(tcp and not (assured or dying))"},
	{"not not tcp", "tcp"},
	{"!tcp", "not tcp"},
	{"not (not tcp)", "tcp"},
	{"((tcp))", "tcp"},
	{"tcp and (nat and dying)", "(tcp and nat and dying)"},
	{"@web", "(tcp and dport {80, 443})"},
	{"not @both", "not ((tcp and dport {80, 443}) or host 203.0.113.7 or port 53)"},
	{"@WEB nat", "(tcp and dport {80, 443} and nat)"},

	// the flow that a flow was expected by
	{"master src 10.0.0.0/8", "master src 10.0.0.0/8"},
	{"MASTER host 10.0.0.1", "master host 10.0.0.1"},
	{"master dst != {10.0.0.1, 2001:db8::/32}", "master dst != {10.0.0.1, 2001:db8::/32}"},
	{"not master port ftp", "not master port 21"},
	{"master sport > 1023", "master sport > 1023"},
	{"master helper ftp", "master helper ftp"},
	{"expected by ftp", "master helper ftp"},
	{"Expected BY {sip, ftp} or udp", "(master helper {sip, ftp} or udp)"},
	{"expected by none", "master helper none"},
	{"expected by != ftp", "master helper != ftp"},
	{"not master helper ~ \"ft\"", "not master helper ~ \"ft\""},
	{"expected master helper != sip", "(expected and master helper != sip)"},

	// addresses
	{"10.0.0.1", "host 10.0.0.1"},
	{"2001:db8::1 or 10.0.0.0/8", "(host 2001:db8::1 or net 10.0.0.0/8)"},
	{"src host 10.0.0.1", "src 10.0.0.1"},
	{"src = 10.1.2.3/8", "src 10.0.0.0/8"},
	{"saddr in {10.0.0.1, 10.0.0.2/32}", "src {10.0.0.1, 10.0.0.2}"},
	{"ip saddr 10.0.0.1 ip daddr 10.0.0.2", "(ip and src 10.0.0.1 and ip and dst 10.0.0.2)"},
	{"reply ip6 saddr 2001:DB8::1", "reply src 2001:db8::1"},
	{"net != {10.0.0.0/8,192.168.0.0/16}", "net != {10.0.0.0/8, 192.168.0.0/16}"},
	{"orig host 10.0.0.1", "orig host 10.0.0.1"},
	{"reply net 10.0.0.0/8", "reply net 10.0.0.0/8"},
	{"src 0.0.0.0/0", "src 0.0.0.0/0"},

	// ports
	{"dst port 443", "dport 443"},
	{"src port https", "sport 443"},
	{"port ssh", "port 22"},
	{"dport{80,443}", "dport {80, 443}"},
	{"dport 80,443", "dport {80, 443}"},
	{"dport != 22", "dport != 22"},
	{"reply port 1-1024", "reply port 1-1024"},
	{"ct original proto-dst 443", "dport 443"},
	{"sport >= 1024", "sport >= 1024"},
	{"dport ours", "dport 8765"},
	{"udp dport netbios_ns", "(udp and dport 137)"},
	{"port 0x50", "port 80"},

	// amounts
	{"bytes>=1.5Gi", "bytes >= 1536Mi"},
	{"bytes = 0", "bytes = 0"},
	{"bytes == 4096B", "bytes = 4Ki"},
	{"ct reply bytes != 10kB", "reply bytes != 10k"},
	{"packets > 10k", "packets > 10k"},
	{"avgpkt < 100", "avgpkt < 100"},
	{"ct original avgpkt < 100", "orig avgpkt < 100"},
	{"rate > 1MB/s", "rate > 1MB/s"},
	{"reply rate > 100k", "reply rate > 100kB/s"},
	{"rate < 1Gbit/s", "rate < 1Gbit"},
	{"rate > 7bit", "rate > 7bit"},
	{"pps > 1k/s", "pps > 1k"},
	{"age > 1d12h", "age > 1d12h"},
	{"age <= 90", "age <= 1m30s"},
	{"ct expiration < 10s", "timeout < 10s"},
	{"lived < 1s", "lived < 1s"},
	{"LIVED >= 1h30m", "lived >= 1h30m"},
	{"ended 2m", "ended <= 2m"},
	{"ended 90", "ended <= 1m30s"},
	{"ended > 10s", "ended > 10s"},
	{"ended == 5s", "ended = 5s"},
	{"not ended 2m and ended", "(not ended <= 2m and dying)"},
	{"ended 10.0.0.1", "(dying and host 10.0.0.1)"},
	{"ended and 2001:db8::1", "(dying and host 2001:db8::1)"},
	{"ended != 30s", "ended != 30s"},

	// numbers
	{"zone {5, 7}", "zone {5, 7}"},
	{"zone > 3", "zone > 3"},
	{"orig zone 5 or reply zone 0", "(orig zone 5 or reply zone 0)"},
	{"ct original zone 5", "orig zone 5"},
	{"ct mark 0x10", "mark 0x10"},
	{"ct mark and 0xf0 == 0x10", "mark 0x10/0xf0"},
	{"mark & 0xf0 != 16", "mark != 0x10/0xf0"},
	{"mark {1, 0x10/0xf0, 0x20-0x2f}", "mark {1, 0x10/0xf0, 0x20-0x2f}"},
	{"id 3409467955", "id 3409467955"},
	{"icmp type 8", "(icmp and icmp_type 8)"},
	{"icmp id 4711", "(icmp and icmp_id 4711)"},
	{"icmpv6 and icmp-type {128, 129} icmp-code 0", "(icmpv6 and icmp_type {128, 129} and icmp_code 0)"},
	{"reply icmp_type 0", "reply icmp_type 0"},
	{"gre srckey 16 dstkey 0x10", "(gre and srckey 16 and dstkey 16)"},

	// names
	{"ct state established,related", "ctstate {established, related}"},
	{"ctstate NEW", "ctstate new"},
	{"state = {FIN_WAIT, time-wait}", "state {fin_wait, time_wait}"},
	{`state "ESTABLISHED"`, "state established"},
	{`state ~ "syn"`, `state ~ "syn"`},
	{"state offload", "state offload"},
	{"phase opening", "phase opening"},
	{"phase != {open, closing}", "phase != {open, closing}"},
	{"proto tcp", "tcp"},
	{"ct protocol {tcp, 17, esp}", "proto {tcp, udp, 50}"},
	{"proto 50", "proto 50"},
	{"family ipv6", "ip6"},
	{"ct l3proto != ip", "family != ipv4"},
	{"ip", "ip"},
	{"ct status assured", "status assured"},
	{"status {snat, dnat}", "status {src_nat, dst_nat}"},
	{"status != seen-reply", "status != seen_reply"},
	{`ct helper "ftp"`, "helper ftp"},
	{"helper != ftp", "helper != ftp"},
	{"helper none", "helper none"},
	{`helper {"none", "and", "a b"}`, `helper {"none", "and", "a b"}`},
	{"helper Q.931", "helper Q.931"},
	{"helper ~ netb", `helper ~ "netb"`},
	{"label voip", "label 3"},
	{"ct label {VOIP, 77, none}", "label {3, 77, none}"},
	{`label ~ "ul"`, `label ~ "ul"`},
	{`secctx "system_u:object_r:unlabeled_t:s0"`, "secctx system_u:object_r:unlabeled_t:s0"},
	{"secctx ~ ssh_t", `secctx ~ "ssh_t"`},

	// who holds the sockets
	{"pid 1234", "pid 1234"},
	{"pid != {1, 1234}", "pid != {1, 1234}"},
	{"orig pid < 500", "orig pid < 500"},
	{"not reply pid 70", "not reply pid 70"},
	{"proc sshd", "proc sshd"},
	{"iifname eth0", "iif eth0"},
	{"oif != {wan, none}", "oif != {wan, none}"},
	{"oif ~ \"WAN\"", `oif ~ "WAN"`},
	{"process != sshd", "proc != sshd"},
	{"proc {nginx, none}", "proc {nginx, none}"},
	{"proc none", "proc none"},
	{"not proc none", "not proc none"},
	{"orig proc none and reply proc sshd", "(orig proc none and reply proc sshd)"},
	{"orig proc != sshd", "orig proc != sshd"},
	{"proc ~ \"Ngin\"", `proc ~ "Ngin"`},
	{"user www-data", "user www-data"},
	{"uid 0 or reply user 33", "(user 0 or reply user 33)"},
	{"user != none", "user != none"},
	{"cgroup ssh.service", "cgroup ssh.service"},
	{`cgroup "/system.slice/ssh.service"`, `cgroup /system.slice/ssh.service`},
	{"container 3f2a9c1b2d4e", "cgroup 3f2a9c1b2d4e"},
	{"cgroup ~ docker", `cgroup ~ "docker"`},
	{"reply cgroup none", "reply cgroup none"},
	{"forwarded", "forwarded"},
	{"not local and not forwarded", "(not local and not forwarded)"},
	{`"192.168.1."`, `"192.168.1."`},
	{`'it''s'`, `("it" and "s")`},
	{`"say \"hi\" \\ \x1b"`, `"say \"hi\" \\ \x1b"`},
	{"fixed dying expected offload nat", "(fixed and dying and expected and offload and nat)"},
}

func TestParse(t *testing.T) {
	for _, tt := range accepted {
		if tt.want == "" {
			continue
		}
		f, err := Parse(tt.text, testOptions)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := f.String(); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.text, got, tt.want)
		}
		if got := f.Text(); got != tt.text {
			t.Errorf("Text() = %q, want %q", got, tt.text)
		}
		checkFixedPoint(t, f)
	}
}

// checkFixedPoint fails if the canonical text of f does not parse to a filter with the same text.
func checkFixedPoint(t *testing.T, f *Filter) *Filter {
	t.Helper()
	g, err := Parse(f.String(), testOptions)
	if err != nil {
		t.Fatalf("%q has the canonical text %q: %v", f.Text(), f.String(), err)
	}
	if g.String() != f.String() {
		t.Fatalf("%q has the canonical text %q, and that has %q", f.Text(), f.String(), g.String())
	}
	return g
}

func TestParseEmpty(t *testing.T) {
	for _, text := range []string{"", "  ", "\t\n"} {
		f, err := Parse(text, Options{})
		if f != nil || err != nil {
			t.Errorf("Parse(%q) = %v, %v; want nil, nil", text, f, err)
		}
	}
	var f *Filter
	if !f.Match(&model.Flow{}, nil, 0) {
		t.Error("the nil filter does not match")
	}
	if m, u := f.MatchKnown(&model.Flow{}, nil, 0); !m || u {
		t.Errorf("the nil filter: %v, %v", m, u)
	}
	if f.String() != "" || f.Text() != "" || f.NeedsExtra() || f.Names() != nil || f.Kernel() != (model.KernelFilter{}) || f.UnknownNoun() != "" {
		t.Error("the nil filter is not empty")
	}
}

// checkAgainstReference compares f with the slow evaluator on n random flows.
func checkAgainstReference(t *testing.T, f *Filter, r *rand.Rand, n int) {
	t.Helper()
	k := f.Kernel()
	for range n {
		fl, x := randomFlow(r)
		want := slowEval(f.root, fl, x, testNow)
		match, unknown := f.MatchKnown(fl, x, testNow)
		if match != (want == isTrue) || unknown != (want == isUnknown) {
			t.Fatalf("%s\nflow %+v\nextra %+v\nmatch %v unknown %v, want truth %d", f, fl, x, match, unknown, want)
		}
		past := pickOf[int64](r, 0, 999e6, 1e9, 5e9, 30e9, 31e9, 120e9, 1800e9)
		last := *fl
		last.Status |= model.StatusDying
		want = slowEnded(f.root, &last, x, testNow-past, past)
		match2, unknown := f.MatchEnded(fl, x, testNow-past, testNow)
		if match2 != (want == isTrue) || unknown != (want == isUnknown) {
			t.Fatalf("%s, ended %d ns ago\nflow %+v\nextra %+v\nmatch %v unknown %v, want truth %d", f, past, fl, x, match2, unknown, want)
		}
		if got := f.Match(fl, x, testNow); got != match {
			t.Fatalf("%s: Match = %v, MatchKnown = %v", f, got, match)
		}
		if match && !k.Match(fl) {
			t.Fatalf("%s\nmatches %+v\nwhich the kernel filter %+v (%s) keeps back", f, fl, k, kernelText(k))
		}
	}
}

func TestMatchAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range accepted {
		if f, err := Parse(tt.text, testOptions); err == nil {
			checkAgainstReference(t, f, r, 300)
		}
	}
	for range 3000 {
		text := randomFilter(r, 3)
		f, err := Parse(text, testOptions)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		checkAgainstReference(t, checkFixedPoint(t, f), r, 30)
	}
}

// randomFilter joins accepted filters at random, with parentheses where they must be.
func randomFilter(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		for {
			if tt := accepted[r.IntN(len(accepted))]; tt.want != "" {
				return tt.want
			}
		}
	}
	if r.IntN(4) == 0 {
		return "not (" + randomFilter(r, depth-1) + ")"
	}
	parts := make([]string, 2+r.IntN(2))
	for i := range parts {
		parts[i] = "(" + randomFilter(r, depth-1) + ")"
	}
	return strings.Join(parts, pickOf(r, " and ", " or ", " ", " && ", " || "))
}

func FuzzParse(f *testing.F) {
	for i, tt := range accepted {
		f.Add(tt.text, uint64(i))
	}
	for i, tt := range rejected {
		f.Add(tt.text, uint64(i))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		filter, err := Parse(text, testOptions)
		if err != nil {
			checkError(t, text, err)
			return
		}
		if filter == nil {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		checkAgainstReference(t, filter, r, 20)
		checkAgainstReference(t, checkFixedPoint(t, filter), r, 5)
		_ = filter.Explain()
	})
}
