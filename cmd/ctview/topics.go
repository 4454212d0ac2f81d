package main

import (
	"strings"

	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

const filterTopic = `A filter is predicates joined by and, or, not and ( ). Two side by side are joined by and; and mixed with or needs
parentheses. The same language is in list, events, count, delete, update, flush, notrack and behind / in the TUI.

  src 10.0.0.0/8                 source of the original direction, an address or a prefix; dst likewise
  dport 443   port {80, 8000-8999}   ports, ranges, sets, service names; sport, dport, or either
  host 203.0.113.7   net 2001:db8::/32   any of the four addresses; a bare address is a host
  reply dst 198.51.100.2         the same of the reply direction
  tcp  udp  icmp  ip  ip6  proto 50      protocol, family
  state syn_sent                 what the STATE column shows; also replied, unreplied, offload
  ct state established           new, established, related as nft means them
  phase opening                  opening, open, closing, closed
  zone 5   orig zone 5           conntrack zone
  mark 0x10/0xf0                 (mark & 0xf0) == 0x10
  helper ftp   label eth0-in   status assured
  assured  replied  unreplied  snat  dnat  nat  offload  expected  dying  fixed
  bytes > 10M   packets < 5   rate > 5Mbit   age > 1h   timeout < 10s   orig bytes > 1G
  "text"                         somewhere in the row
  @name                          a saved filter of the configuration

  = != < <= > >= compare; != is plain negation. k M G are powers of 1000, Ki Mi Gi of 1024.

What the kernel does not tell (bytes without accounting) is neither true nor false: neither a comparison with it nor its
negation finds the flow, and ctview says how many flows that concerns. rate and pps take two readings: --over 1s.
"ctview explain FILTER" shows how a filter was understood.
`

// helpTopics are the pages of "ctview help" that are no commands.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "filter", Short: "the filter language", Long: filterTopic},
		{Use: "columns", Short: "the columns of --columns and --sort", Long: columnsTopic()},
	}
}

// columnMeanings tells what a column shows.
var columnMeanings = map[model.Column]string{
	model.ColProto: "protocol", model.ColState: "state of the protocol's tracker; replied or unreplied where it has none",
	model.ColSrc: "address and port that the first packet came from", model.ColDst: "address and port that it went to",
	model.ColSport: "source port; identifier of ICMP, key of GRE", model.ColDport: "destination port; type/code of ICMP, key of GRE",
	model.ColNAT: "what is translated: S source, D destination", model.ColZone: "zone; o or r: of that direction only",
	model.ColHelper:  "helper that reads the flow",
	model.ColFlags:   "A assured, U unreplied, E expected, O offloaded, H helper, F fixed timeout, D dying",
	model.ColTimeout: "time until it ends if no packet comes", model.ColRate: "bytes a second, both directions (--over)",
	model.ColBytes: "bytes, both directions", model.ColPackets: "packets, both directions",
	model.ColPPS: "packets a second, both directions (--over)", model.ColAge: "time since it began; > where its start is not known",
	model.ColMark: "connection mark", model.ColID: "the kernel's number of the flow", model.ColFamily: "ipv4 or ipv6",
	model.ColCtState: "what nft's ct state calls its next packets", model.ColPhase: "opening, open, closing or closed, for every protocol",
	model.ColStatus: "bits of the kernel's status", model.ColReplySrc: "address and port that answers come from",
	model.ColReplyDst: "address and port that answers go to", model.ColReplySport: "source port of answers",
	model.ColReplyDport: "destination port of answers", model.ColOrigBytes: "bytes of the original direction",
	model.ColReplyBytes: "bytes of the reply direction", model.ColOrigPackets: "packets of the original direction",
	model.ColReplyPackets: "packets of the reply direction", model.ColOrigRate: "bytes a second of the original direction (--over)",
	model.ColReplyRate: "bytes a second of the reply direction (--over)", model.ColAvgPkt: "mean bytes of a packet",
	model.ColLabels: "connection labels, by name where connlabel.conf has one", model.ColSecctx: "LSM security context",
	model.ColMaster: "flow that announced this one", model.ColStart: "when it began; < where it was there before ctview",
}

// columnsTopic lists the columns, the default ones first.
func columnsTopic() string {
	var b strings.Builder
	b.WriteString("The columns of --columns and --sort:\n\n")
	for _, c := range model.Columns() {
		b.WriteString("  " + c.String() + strings.Repeat(" ", 15-model.Width(c.String())) + columnMeanings[c] + "\n")
	}
	for _, w := range []struct {
		name string
		cols []model.Column
	}{{"table", format.TableColumns(false)}, {"wide", format.TableColumns(true)}, {"csv", format.CSVColumns()}} {
		b.WriteString("\n-o " + w.name + " shows")
		for _, c := range w.cols {
			b.WriteString(" " + c.String())
		}
	}
	b.WriteByte('\n')
	return b.String()
}
