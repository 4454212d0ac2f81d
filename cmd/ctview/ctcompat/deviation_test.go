package ctcompat

import (
	"strings"
	"testing"
)

// A deviation is a command line with which ctview knowingly does something else than conntrack(8), as
// docs/conntrack-compat.md tells. The texts are parts of stderr; left is how many flows are left of deviationSeed.
type deviation struct {
	name         string
	line         string
	theirs, ours string
	theirCode    int
	ourCode      int
	theirLeft    int
	ourLeft      int
}

var deviationSeed = []string{
	"-s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 80 -t 1000 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
	"-s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 53 -t 1000",
	"-s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 53 -t 1000 -w 5",
	"-s 10.0.0.1 -d 10.0.0.2 -p gre --srckey 5 --dstkey 6 -t 1000",
	"-s 10.0.0.1 -d 10.0.0.2 -p gre --srckey 7 --dstkey 8 -t 1000",
	"-s 10.0.0.1 -d 10.0.0.2 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 1000 -n 192.0.2.7",
	"-s fd00::1 -d fd00::2 -p udp --sport 1 --dport 53 -t 1000 -n fd00:7::1",
	"-s fd00::1 -d fd00::2 -p udp --sport 2 --dport 53 -t 1000 -n fd00:7::2",
	"-s fd00::1 -d fd00::2 -p udp --sport 3 --dport 53 -t 1000 -g fd00:8::1",
	"-s fd00::1 -d fd00::2 -p sctp --sport 1 --dport 80 -t 1000 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
}

const noMatch = ": 0 flow entries have been "

var deviations = []deviation{
	{"bare delete", "-D", " 10 flow entries have been deleted", "-D without a filter would delete every entry, use -F", 0, 2, 0, 10},
	{"bare delete with output", "-D -o id", " 10 flow", "-D without a filter", 0, 2, 0, 10},
	{"delete by timeout alone", "-D -t 5", " 10 flow", "`--timeout' alone is no filter for -D", 0, 2, 0, 10},
	{"delete by timeout and family", "-D -t 5 -f ipv6", " 4 flow", "`--timeout' alone", 0, 2, 6, 10},
	{"delete unreplied", "-D -u UNREPLIED", " 10 flow", " 9 flow entries have been deleted", 0, 0, 0, 1},
	{"delete by negated status", "-D -u !ASSURED -p tcp", " 1 flow", noMatch, 0, 1, 9, 10},
	{"delete by NAT status", "-D -u SRC_NAT", " 10 flow", "`--status' names nothing to compare", 0, 2, 0, 10},
	{"delete by no status", "-D -u UNSET", " 10 flow", "`--status' names nothing", 0, 2, 0, 10},
	{"delete by S", "-D -u S", " 10 flow", "`--status' names nothing", 0, 2, 0, 10},
	{"delete by GRE key", "-D -p gre --srckey 5", " 2 flow", " 1 flow", 0, 0, 8, 9},
	{"delete by absent GRE key", "-D -p gre --srckey 99", " 2 flow", noMatch, 0, 1, 8, 10},
	{"delete by IPv6 NAT address", "-D -n fd00:7::1", " 2 flow", " 1 flow", 0, 0, 8, 9},
	{"delete by absent IPv6 NAT address", "-D -g fd00:8::9", " 1 flow", noMatch, 0, 1, 9, 10},
	{"delete by glued NAT address", "-D -n192.0.2.99", " 3 flow", noMatch, 0, 1, 7, 10},
	{"delete by NAT address behind =", "-D --src-nat=fd00:7::1", " 3 flow", " 1 flow", 0, 0, 7, 9},
	{"delete by empty prefix", "-D -s 1.2.3.4/", " 6 flow", "Invalid netmask", 0, 2, 4, 10},
	{"delete by bad mark", "-D -m abc", " 9 flow", "unexpected value 'abc' with -m option", 0, 2, 1, 10},
	{"delete by bad zone", "-D -w abc", " 9 flow", "unexpected value 'abc' with -w option", 0, 2, 1, 10},
	{"delete by big zone", "-D -w 65541", " 1 flow", "unexpected value '65541' with -w option", 0, 2, 9, 10},
	{"delete by --id apart", "-D --id 5", "", noMatch, -1, 1, 10, 10},
	{"flush a family", "-F -f ipv6", "connection tracking table has been emptied.", "connection tracking table has been emptied of ipv6 entries.", 0, 0, 0, 6},
	{"flush glued", "-Fexpect", "connection tracking table has", "expectation table has been emptied", 0, 0, 0, 10},
	{"flush glued nonsense", "-Fx", "connection tracking table has", "unknown type `x'", 0, 2, 0, 10},
	{"list glued", "-Lo extended", " 10 flow", "unknown type `o'", 0, 2, 10, 10},
	{"list by secmark", "-L -c 5", " 10 flow", "`--secmark' can't filter", 0, 2, 10, 10},
	{"list by mixed status", "-L -u SEEN_REPLY,!FIXED_TIMEOUT", noMatch, " 1 flow", 0, 0, 10, 10},
	{"list by two statuses", "-L -u SEEN_REPLY -u ASSURED", noMatch, " 1 flow", 0, 0, 10, 10},
	{"list by mark and status", "-L -m 5 -u ASSURED", noMatch, " 1 flow", 0, 0, 10, 10},
	{"list by any NAT and protocol", "-L -j fd00:7::1 -p udp", noMatch, " 1 flow", 0, 0, 10, 10},
	{"list by GRE key", "-L -p gre --dstkey 6", " 2 flow", " 1 flow", 0, 0, 10, 10},
	{"list by id", "-L --id 5", "", "Illegal option `--id' with this command", -1, 2, 10, 10},
	{"list by bad port", "-L -p tcp --sport abc", noMatch, "unexpected value 'abc' with --sport option", 0, 2, 10, 10},
	{"list by big port", "-L -p tcp --sport 65537", " 1 flow", "unexpected value '65537' with --sport option", 0, 2, 10, 10},
	{"list by bad ICMP type", "-L -p icmp --icmp-type 264", " 1 flow", "unexpected value '264' with --icmp-type option", 0, 2, 10, 10},
	{"list by SCTP state that is none", "-L -p sctp --state BOGUS", "", "unknown SCTP state `BOGUS'", -1, 2, 10, 10},
	{"list by SCTP heartbeat", "-L -p sctp --state HEARTBEAT_SENT", "", noMatch, -1, 0, 10, 10},
	{"output s", "-L -o s", "WARNING: ignoring SRC_NAT", "Bad parameter `s'", 0, 2, 10, 10},
	{"list by NAT and zero counters", "-L -z -n 192.0.2.7", " 1 flow", "Can't use -z with filtering parameters", 0, 2, 10, 10},
	{"create DCCP that is not tracked", "-I -s 10.1.0.1 -d 10.1.0.2 -p dccp -t 5", "You need to supply the `--state' option", " 1 flow", 2, 0, 10, 11},
	{"create offloaded", "-I -s 10.1.0.1 -d 10.1.0.2 -p 50 -t 5 -u OFFLOAD", " 1 flow", "`--status' can't set OFFLOAD", 0, 2, 11, 10},
	{"create with mark and status", "-I -s 10.1.0.1 -d 10.1.0.2 -p 50 -t 5 -u ASSURED -m 9", " 1 flow", " 1 flow", 0, 0, 11, 11},
	{"create with bad timeout", "-I -s 10.1.0.1 -d 10.1.0.2 -p 50 -t x", " 1 flow", "unexpected value 'x' with -t option", 0, 2, 10, 10},
	{"create with half a reply", "-I -s 10.1.0.1 -d 10.1.0.2 -r 10.1.0.2 -q 10.1.0.1 -p udp --sport 1 --dport 2 -t 5", "invalid parameters", " 1 flow", 1, 0, 10, 11},
	{"create ICMP before its address", "-I -p icmp --icmp-type 8 --icmp-code 0 -t 5 -s 10.1.0.1 -d 10.1.0.2", "invalid parameters", " 1 flow", 1, 0, 10, 11},
	{"get by reply", "-G -r fd00::2 -q fd00:7::1 -p udp --reply-port-src 53 --reply-port-dst 1", "invalid parameters", " 1 flow", 1, 0, 10, 10},
	{"get in a zone", "-G -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 53 -w 5", "Illegal option `--zone'", " 1 flow", 2, 0, 10, 10},
	{"update without family", "-U -p tcp -m 9", "Operation not supported", " 1 flow entries have been updated", 1, 0, 10, 10},
	{"update in a zone", "-U -s 10.0.0.1 -p udp -m 9", " 2 flow entries have been updated", " 2 flow entries have been updated", 0, 0, 10, 10},
	{"update by NAT address", "-U -n 192.0.2.7 -m 9", "Operation failed: Operation not supported", " 1 flow entries have been updated", 0, 0, 10, 10},
	{"update labels without room", "-U -f ipv4 -p tcp --label-add customer", "Operation failed: No space left on device", "Operation failed: No space left on device", 0, 1, 10, 10},
}

// TestDeviations checks of each that conntrack does what the documentation says it does, and ctview what it says.
func TestDeviations(t *testing.T) {
	w := newWorld(t)
	check := func(d *deviation, who string, how func(string, ...string) result, text string, code, left int) {
		w.seed(deviationSeed)
		r := how("", split(d.line)...)
		if !strings.Contains(r.Stderr, text) || r.Code != code {
			t.Errorf("%s: %s %s: code %d, stderr %q; want %d, %q", d.name, who, d.line, r.Code, r.Stderr, code, text)
		}
		if n := strings.Count(w.real("", "-L").Stdout, "\n"); n != left {
			t.Errorf("%s: %s %s: %d flows are left, want %d", d.name, who, d.line, n, left)
		}
	}
	for i := range deviations { // no subtests: they would run on other threads, outside
		d := &deviations[i]
		check(d, "conntrack", w.real, d.theirs, d.theirCode, d.theirLeft)
		check(d, "ctview conntrack", w.ours, d.ours, d.ourCode, d.ourLeft)
	}
}
