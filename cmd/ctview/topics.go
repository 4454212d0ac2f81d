package main

import (
	"strings"

	"ctview/model"
	"ctview/model/format"

	"github.com/spf13/cobra"
)

// helpTopics are the pages of "ctview help" that are no commands.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "filter", Short: "the filter language", Long: filterTopic()},
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
	model.ColPID:    "process that holds its socket on this machine, +N: and N more; or forwarded",
	model.ColProc:   "that process's name; A>B where both ends are here",
	model.ColUser:   "user of that socket",
	model.ColCgroup: "cgroup of that process; of a container its engine and id",
	model.ColIif:    "interface that a forwarded flow comes in by, as the routes of its answers tell",
	model.ColOif:    "interface that it leaves by, as the routes tell",
}

// columnsOf are the columns of each form of output that has some.
var columnsOf = []struct {
	name    string
	columns func() []model.Column
}{
	{"-o table", func() []model.Column { return format.TableColumns(false) }},
	{"-o wide", func() []model.Column { return format.TableColumns(true) }},
	{"-o csv", format.CSVColumns},
}

// columnsTopic lists the columns, the default ones first.
func columnsTopic() string {
	var b strings.Builder
	b.WriteString("The columns of --columns and --sort:\n\n")
	for _, c := range model.Columns() {
		b.WriteString("  " + c.String() + strings.Repeat(" ", 15-model.Width(c.String())) + columnMeanings[c] + "\n")
	}
	for _, o := range columnsOf {
		b.WriteString("\n" + o.name + " shows")
		for _, c := range o.columns() {
			b.WriteString(" " + c.String())
		}
	}
	b.WriteByte('\n')
	return b.String()
}
