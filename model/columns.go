package model

import (
	"fmt"
	"strings"
)

// A Column names a value of a flow that can be shown, sorted by and asked for. Its text form (String, ParseColumn) is
// the one that --sort, --columns and the TUI share. The zero value is no column: sorting by it keeps the table's own
// order, which costs nothing.
type Column uint8

// The columns. Addresses and ports are those of the original tuple unless the name says reply; sums are over both
// directions.
const (
	ColNone Column = iota
	ColProto
	ColState // what StateText says, in alphabetical order
	ColSrc   // address, then port
	ColDst   // address, then port
	ColSport
	ColDport
	ColNAT
	ColZone
	ColHelper
	ColFlags
	ColTimeout
	ColRate // bytes per second
	ColBytes
	ColPackets
	ColPPS // packets per second
	ColAge // ascending: the youngest first
	ColMark
	ColID
	ColFamily
	ColCtState
	ColPhase
	ColStatus
	ColReplySrc
	ColReplyDst
	ColReplySport
	ColReplyDport
	ColOrigBytes
	ColReplyBytes
	ColOrigPackets
	ColReplyPackets
	ColOrigRate
	ColReplyRate
	ColAvgPkt
	ColLabels
	ColSecctx
	ColMaster
	ColStart // ascending: the oldest first
	ColPID   // who holds the flow's socket on this machine: see Owner
	ColProc
	ColUser
	ColCgroup
	ColIif // by the routes: see Route
	ColOif

	NumColumns // how many there are, ColNone among them
)

var columnNames = [NumColumns]string{
	ColNone: "none", ColProto: "proto", ColState: "state", ColSrc: "src", ColDst: "dst", ColSport: "sport",
	ColDport: "dport", ColNAT: "nat", ColZone: "zone", ColHelper: "helper", ColFlags: "flags", ColTimeout: "timeout",
	ColRate: "rate", ColBytes: "bytes", ColPackets: "packets", ColPPS: "pps", ColAge: "age", ColMark: "mark",
	ColID: "id", ColFamily: "family", ColCtState: "ctstate", ColPhase: "phase", ColStatus: "status",
	ColReplySrc: "reply-src", ColReplyDst: "reply-dst", ColReplySport: "reply-sport", ColReplyDport: "reply-dport",
	ColOrigBytes: "orig-bytes", ColReplyBytes: "reply-bytes", ColOrigPackets: "orig-packets",
	ColReplyPackets: "reply-packets", ColOrigRate: "orig-rate", ColReplyRate: "reply-rate", ColAvgPkt: "avgpkt",
	ColLabels: "labels", ColSecctx: "secctx", ColMaster: "master", ColStart: "start",
	ColPID: "pid", ColProc: "proc", ColUser: "user", ColCgroup: "cgroup", ColIif: "iif", ColOif: "oif",
}

// columnAliases are other words that people try.
var columnAliases = map[string]Column{
	"source": ColSrc, "saddr": ColSrc, "destination": ColDst, "daddr": ColDst, "protocol": ColProto,
	"expires": ColTimeout, "label": ColLabels, "ct-state": ColCtState, "started": ColStart, "none": ColNone,
	"process": ColProc, "command": ColProc, "uid": ColUser, "container": ColCgroup, "iifname": ColIif, "oifname": ColOif,
}

// String returns the column's name as the command line takes it.
func (c Column) String() string {
	if c < NumColumns {
		return columnNames[c]
	}
	return ""
}

// Columns returns every column that has a value, in the order in which they are listed to people.
func Columns() []Column {
	cs := make([]Column, 0, NumColumns-1)
	for c := ColNone + 1; c < NumColumns; c++ {
		cs = append(cs, c)
	}
	return cs
}

// ParseColumn reads a name as String writes it. Case does not matter and "_" is "-". The error names the nearest
// column.
func ParseColumn(s string) (Column, error) {
	w := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
	for c, n := range columnNames {
		if n == w {
			return Column(c), nil
		}
	}
	if c, ok := columnAliases[w]; ok {
		return c, nil
	}
	if n := Nearest(w, columnNames[1:]); n != "" {
		return ColNone, fmt.Errorf("unknown column %q: did you mean %s?", s, n)
	}
	return ColNone, fmt.Errorf("unknown column %q: columns are %s", s, strings.Join(columnNames[1:], " "))
}

// Nearest returns the name that needs the fewest edits to become w, or a longer one that w begins; "" if none is
// near.
func Nearest(w string, names []string) string {
	best, cost := "", len(w)/3+2
	for _, n := range names {
		d := EditDistance(w, n)
		if len(w) >= 2 && strings.HasPrefix(n, w) {
			d = 1
		}
		if d < cost {
			best, cost = n, d
		}
	}
	return best
}

// EditDistance counts the bytes to add, drop or replace to make b of a (Levenshtein): what suggestions for a mistyped
// word are ranked by. It costs len(a)·len(b) steps and one allocation.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			sub := diag
			if a[i] != b[j] {
				sub++
			}
			diag = row[j+1]
			row[j+1] = min(sub, diag+1, row[j]+1)
		}
	}
	return row[len(b)]
}
