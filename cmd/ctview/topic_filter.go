package main

import (
	"fmt"
	"strings"

	"ctview/model"
)

// The text about the filter language stands here once: "help filter", ctview-filter(7) and docs/filter.md are made of it
// (filterTopic, manual, filterDocument). Paragraphs and points are in Markdown's `…` and **…**.

// A filterExample is a filter that somebody may want, and what it finds. TestFilterExamples finds it in a real table.
type filterExample struct{ text, finds string }

// filterExamples are what the language is learned from, the first ones most.
var filterExamples = []filterExample{
	{"state established and zone 5 and helper ftp", "established FTP control connections in zone 5"},
	{"src 10.0.0.0/8", "flows begun from that network"},
	{"dport 443", "flows to that port"},
	{"bytes > 10M", "flows that moved more than 10,000,000 bytes, both directions together"},
	{"not assured", "flows that the kernel may drop early when the table is full"},
	{"tcp and dport {22, 80, 443, 8000-8999}", "TCP to any of these ports"},
	{"host 203.0.113.7", "that address as source or destination, before or after translation"},
	{"udp and unreplied and age > 30s", "UDP that nobody has answered for half a minute"},
	{"snat and reply dst 192.0.2.1", "flows whose source was translated to that address"},
	{"dst net 2001:db8::/32", "flows to that network"},
	{"mark 0x10/0xf0", "flows whose mark has the bits 0x10 under the mask 0xf0"},
	{"state {syn_sent, syn_recv}", "half-open TCP"},
	{"rate > 5Mbit", "flows faster than that at the moment"},
	{"timeout < 10s and not state time_wait", "flows about to end, except the ordinary ones"},
	{"(src 192.168.1.0/24 or src 192.168.2.0/24) and dport 53", "DNS from two networks"},
	{"zone != 0", "everything outside the default zone"},
	{"ct original ip saddr 192.168.0.0/16 and ct reply ip daddr 192.0.2.1", "as copied from an nft rule"},
	{"expected by ftp", "the data connections of FTP sessions"},
	{"expected and master dport {21, 5060}", "flows that an FTP or SIP session announced"},
	{"dnat and not dst 192.168.0.0/16", "translated destinations, except these"},
	{"@noisy and not port 22", "the saved filter `noisy`, less port 22"},
	{"orig bytes > 10M and reply bytes < 1M", "uploads"},
	{"tcp dport 443 state SYN-SENT", "three conditions side by side"},
	{"ct state established,related", "nft's most common rule"},
	{"status {seen_reply, helper}", "flows with one of these status bits"},
	{"icmp type 8 and unreplied", "pings without an answer"},
	{"label none", "flows without labels"},
	{"gre and srckey 0x10", "tunnels with that key"},
	{"reply port 40000-50000", "translated ports of a range"},
	{"proto != {tcp, udp}", "everything else"},
	{"proc sshd and user root", "flows whose socket on this machine such a process holds"},
	{"forwarded and dport 443", "flows to that port that pass through"},
	{"iif lan and oif wan", "flows that are forwarded from one interface to the other, by the routes"},
	{"nat and not (src 192.168.0.0/16 or dst 192.168.0.0/16)", "translation that should not be there"},
}

// filterIntro are the paragraphs before the examples.
var filterIntro = []string{
	"One language for `ctview list FILTER`, `events`, `count`, `delete`, `update` and `flush`, for `notrack`, the `/` bar of the screen and " +
		"saved filters. `ctview explain FILTER` shows how a filter is understood and which part of it the kernel does.",
	"A filter is made of conditions, joined by `and`, `or`, `not` and parentheses. Two conditions side by side mean *and*. " +
		"An empty filter matches everything. Words are the same in small and capital letters, and `-` is the same as `_`.",
}

// filterRules are what people stumble over.
var filterRules = []string{
	"**`and` with `or` needs parentheses.** `tcp or udp and dport 53` is an error; its text offers both readings. `not` binds to the " +
		"next condition only.",
	"**`src`, `dst`, `sport`, `dport` are the original direction**, what the first packet had. `reply src` and so on are the reply " +
		"direction, where translated addresses show. `host`, `net` and `port` ask all four; `orig host` or `reply port` ask two.",
	"**`state` is what the STATE column shows**: the protocol's own state, or `replied`, `unreplied`, `offload`. **`ct state`** (or " +
		"`ctstate`) is nft's and iptables' meaning: `new` without a reply, `established` as soon as a reply was seen, whatever the " +
		"protocol says, `related` for a flow that another one announced. `phase` is `opening`, `open`, `closing` or `closed` for every " +
		"protocol.",
	"**`zone 5`** is true if the flow is in zone 5 in either direction; `orig zone 5` and `reply zone 5` ask one direction, where a " +
		"zone tied to the other direction counts as 0.",
	"**`!=` is plain negation**: `helper != ftp` is also true for flows without a helper, `dport != 22` for ICMP.",
	"**What the kernel did not tell is neither true nor false.** Without accounting a flow has no byte count: then neither " +
		"`bytes > 1M` nor `not bytes > 1M` finds it, and ctview says how many flows that concerns. The age of a flow that began before " +
		"timestamps were switched on is at least as long as ctview has known it; what follows from that is decided.",
	"**`rate` and `pps` take two readings**: the screen has them; `list`, `count`, `delete`, `flush` and `notrack add --flows` with " +
		"`--over 1s`, which reads the table twice. Without it, and in commands that read once, the words are refused.",
	"**An event's `age` is the flow's at the event**: none at its NEW, at its DESTROY the time that it lived. Where the kernel keeps " +
		"no timestamps the other events do not tell it; `ctview events` and the screen say so. A flow has **`ended`** with its DESTROY.",
	"**`ended` and `lived` are for the screen Recent and for events**, which know flows that are gone; no flow of the table has ended. " +
		"A flow that has not is neither `lived > 1h` nor `ended 2m`, and so it is `not ended 2m`.",
	"**A data connection has no helper**: that of its session is asked for by `expected by ftp`, which is `master helper ftp`, and is " +
		"known as long as the session is in the table. Of a flow's events only NEW names its master.",
	"**`pid`, `proc`, `user`, `cgroup` ask who holds the socket** of a flow on this machine, at either end; `orig proc curl` asks the end " +
		"that began it, `reply proc sshd` the one that answers. `proc none` is what the column shows as `-`. A flow is **`forwarded`** with " +
		"neither end on this machine, **`local`** with both. Sockets are TCP's and UDP's in the namespace that is watched, looked up now and " +
		"then: what is younger is not known yet. To see the processes of other users takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, as root " +
		"has; without, they are not known. Events and recordings know none of it.",
	"**`iif` and `oif` are derived**: an entry knows no interface. Of a flow that is forwarded the kernel is asked for the route of its next " +
		"packet, with its source, interface and mark, and for that of an answer, which leaves by `iif` where both directions go one way. " +
		"`none` is what the columns show as `-`: flows that begin or end here, and those of which it is not known, as where the flow's mark " +
		"makes a difference and no rule gives it to packets. A mark that only packets have is not seen.",
	"**An unknown word is an error**, never a text to search for. Text is searched in double quotes: `\"192.168.1.\"` finds it in " +
		"protocol, state, addresses and ports, helper, labels and security context.",
	"A number alone is an error: write `port 443` or `zone 443`. An address alone means `host`.",
	"Names are never looked up. Ports can be given by the name of a service.",
}

// filterWords are the words of the language with their values.
var filterWords = [][2]string{
	{"`src` `dst` `host` `net` (`saddr` `daddr`)", "addresses and prefixes: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`"},
	{"`sport` `dport` `port` (`src port`, `dst port`, `proto-src`, `proto-dst`)", "`443`, `8000-8999`, `https`; also `dport < 1024`"},
	{"`bytes` `avgpkt` `packets` `pps`", "with `<` `<=` `>` `>=` `=` `!=`: `10M`, `1.5Gi`, `4096`"},
	{"`rate`", "bytes a second `100k`, `1MB/s`, or bits `5Mbit`"},
	{"`age` `timeout` (`expiration`)", "`30s`, `5m`, `2h`, `1d12h`; a bare number is seconds"},
	{"`lived` `ended`", "times of flows that have ended: `lived < 1s` their whole life, `ended 2m` no longer ago, `ended > 10s`"},
	{"`zone` `mark` `id`", "numbers, `0x10`, ranges `1-9`, masks `0x10/0xf0`; also with `<` and `>`; `mark & 0xf0 == 0x10` as in nft"},
	{"`icmp_type` `icmp_code` `icmp_id`", "numbers; `icmp type 8`, `icmp code 0`, `icmp id 4711` are the same right behind `icmp` or `icmpv6`"},
	{"`srckey` `dstkey`", "the keys of GRE"},
	{"`state` `ct state` `phase` `proto` `family` `status`", "names; `proto` also numbers"},
	{"`helper` `label` `secctx`", "names; `label` also bits; `none` for flows without (also `nat none`, `snat none`, `dnat none`)"},
	{"`pid`", "numbers; also with `<` and `>`"},
	{"`proc` `user` `cgroup` (`process`, `uid`, `container`)", "names as they are written; `user` also numbers; `cgroup` a path, its last part " +
		"(`ssh.service`) or a container's id; `none` for what is not known"},
	{"`iif` `oif` (`iifname`, `oifname`)", "names of interfaces; `none` for what is not forwarded, or not known"},
	{"`tcp` `udp` `icmp` `icmpv6` `sctp` `dccp` `gre` `udplite` `ip` `ip6`", "stand alone"},
	{"`assured` `replied` `unreplied` `snat` `dnat` `nat` `offload` `expected` `dying` `ended` `fixed` `forwarded` `local`", "stand alone"},
	{"`orig` (`original`) `reply`", "before an address, a port, an amount or who holds a socket: of that direction; amounts without are the sum"},
	{"`master`", "before `src`, `dst`, `host`, `sport`, `dport`, `port`, `helper`: of the flow that announced this one"},
}

// filterNotes are about the values.
var filterNotes = []string{
	"Several values stand in braces, `{22, 80}`, or between commas, `22,80`: any of them.",
	"`=`, `==`, `in` or nothing mean the same; `~` asks whether a name contains a text: `helper ~ \"ft\"`.",
	"k M G T are powers of 1000, Ki Mi Gi Ti of 1024.",
	"`ct` may stand before every word that nft writes it with.",
	"Strings are in double or single quotes, with `\\\"`, `\\\\` and `\\x1b` as usual.",
	"In a shell, put the filter in single quotes: `ctview list 'tcp and (dport 80 or dport 443)'`.",
}

// topicWidth is how wide help is where it is text.
const topicWidth = 110

// plainText takes Markdown's marks of s away but the quotes of code, which a terminal's reader knows, too.
func plainText(s string) string {
	return strings.NewReplacer("**", "", "*and*", "and").Replace(s)
}

// filterTopic is "help filter".
func filterTopic() string {
	var b strings.Builder
	for _, p := range filterIntro {
		b.WriteString(wrapped(plainText(p), "", "", topicWidth) + "\n")
	}
	for _, e := range filterExamples {
		const column = 42
		text := "  " + e.text
		if len(text) > column-2 {
			text += "\n"
			b.WriteString(text + strings.Repeat(" ", column))
		} else {
			fmt.Fprintf(&b, "%-*s", column, text)
		}
		b.WriteString(plainText(e.finds) + "\n")
	}
	b.WriteString("\nWords and their values:\n\n")
	for _, w := range filterWords {
		b.WriteString(wrapped(strings.ReplaceAll(w[0], "`", "")+": "+plainText(w[1]), "  ", "      ", topicWidth))
	}
	b.WriteByte('\n')
	for _, points := range [][]string{filterNotes, filterRules} {
		for _, p := range points {
			b.WriteString(wrapped(plainText(p), "* ", "  ", topicWidth))
		}
	}
	return b.String()
}

// wrapped returns s in lines of at most width cells, with first before the first and then before the others.
func wrapped(s, first, then string, width int) string {
	var b strings.Builder
	line := first
	for i, w := range strings.Fields(s) {
		switch {
		case i == 0:
			line += w
		case model.Width(line)+1+model.Width(w) > width:
			b.WriteString(line + "\n")
			line = then + w
		default:
			line += " " + w
		}
	}
	return b.String() + line + "\n"
}
