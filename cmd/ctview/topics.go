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

A value that the kernel does not tell (bytes without accounting) makes a comparison false, and ctview says so.
"ctview explain FILTER" shows how a filter was understood.
`

// helpTopics are the pages of "ctview help" that are no commands.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "filter", Short: "the filter language", Long: filterTopic},
		{Use: "columns", Short: "the columns of --columns and --sort", Long: columnsTopic()},
	}
}

// columnsTopic lists the columns, the default ones first.
func columnsTopic() string {
	var b strings.Builder
	b.WriteString("The columns of --columns and --sort:\n\n")
	for _, c := range model.Columns() {
		b.WriteString("  " + c.String() + "\n")
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
