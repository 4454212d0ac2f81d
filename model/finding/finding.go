package finding

import (
	"strconv"

	"ctview/model"
)

// A Severity says how soon somebody should look. The higher the worse.
type Severity uint8

// The severities.
const (
	Note    Severity = iota // something could be better; listed, and nothing to be alarmed about
	Warning                 // connections suffer, or will
	Severe                  // packets of users are being dropped
)

var severityNames = [...]string{Note: "note", Warning: "warning", Severe: "severe"}

// String returns the severity's name: note, warning or severe.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Place is the screen that shows a finding best.
type Place uint8

// The places.
const (
	InFlows Place = iota
	InGroups
	InEvents
	InStats
	InExpect
	InNotrack
)

// A Finding is one thing that is wrong. It is plain data and belongs to the caller. Texts are not escaped.
type Finding struct {
	Name     string // of the check, such as "syn-flood-source": what scripts ask for
	Subject  string // whom it is about, such as an address; "" for the namespace
	Text     string // one sentence with its numbers
	Since    int64  // when it was first found, Unix nanoseconds
	Severity Severity
	Filter   string // filter text that the flows match which prove it, "" where no flows do
	Place    Place
	Cures    []Cure

	// Amount is what grows when it gets worse: flows, packets, percent. It is what an acknowledgement is measured by.
	Amount int64
}

// A Cure is one way to mend it.
type Cure struct {
	What    string // what the command does, or what to do where there is none
	Command string // a line for a shell, "" for none
}

// count writes n flows or packets with commas between thousands: 7,725.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes n of a thing: 1 flow, 7,725 flows.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(n) + " " + thing
}

// percent writes part of all, in whole percent. It cuts, so that only all of them are 100 %.
func percent[T int | uint64](part, all T) string {
	return strconv.FormatUint(uint64(part)*100/max(uint64(all), 1), 10) + " %"
}

// share is part of all.
func share(part, all int) float64 { return float64(part) / float64(max(all, 1)) }

func address(f model.Family, a [16]byte) string { return string(model.AppendAddr(nil, f, a)) }
