package format

import (
	"time"

	"ctview/model"
)

// Options choose what the text forms show. The zero value is conntrack(8)'s plain output without any -o.
type Options struct {
	// Now is the time of printing, Unix nanoseconds: delta-time of a flow that has not ended counts up to it, and it
	// is the time of events whose message had none.
	Now int64
	// Location is the time zone of [start=…], <when> and of tables; nil is the local one. JSON and CSV are in UTC.
	Location *time.Location
	// Times is the form of times in tables and CSV.
	Times TimeForm
	// Begin is what TimeRelative counts from, Unix nanoseconds; nil: 1970. It is read when a time is written.
	Begin *int64

	Extended   bool // -o extended: the L3 protocol in front
	ID         bool // -o id
	KernelTime bool // -o ktimestamp: start and stop
	Timestamp  bool // -o timestamp: events begin with, or in XML contain, their time

	// Labels names the label bits. Plain and XML show labels only where it is not nil, as conntrack does only with
	// -o labels and a usable map; JSON and CSV show bits without a name as numbers.
	Labels LabelNames
	// Host returns the host name of an address, "" for none. Tables show it in place of the address, JSON beside it;
	// the other forms have no place for it. nil: numbers only.
	Host func(model.Family, [16]byte) string
	// Service returns the name of a port that tables show beside a host name, "" for none; it must need no escaping. nil:
	// numbers only.
	Service func(model.Proto, uint16) string
	// Progname returns the name of the program behind a netlink port, "" where it is unknown. nil: never known.
	Progname func(portid uint32) string

	Fix Fix
}

// A Fix is a set of corrections to what conntrack(8) gets wrong. None is made unless asked for.
type Fix uint16

// The corrections.
const (
	// FixState: XML names SCTP and DCCP states by the protocol's own list, not by TCP's; save names the SCTP states
	// HEARTBEAT_SENT and HEARTBEAT_ACKED, which conntrack prints as "(null)".
	FixState Fix = 1 << iota
	// FixEscape: XML escapes & < > " in helper, secctx and labels, and replaces what XML cannot hold. In a line of text blanks
	// in helper, secctx, labels and the name of a program are \x20, and commas in a label \x2c: else they forge fields.
	FixEscape
	// FixTail: no " [USERSPACE] …" after XML's </flow> or on a save line; both become loadable. (XML: as conntrack
	// 1.4.9 does; there the port is lost, here FixPort keeps it.)
	FixTail
	// FixPort: XML tells the port and program behind an event as <portid> and <progname> in the last <meta>.
	FixPort
	// FixICMP: XML has <type>, <code> and <id> of ICMP flows, which conntrack leaves out.
	FixICMP
	// FixOffload: XML has <offload/> or <hw_offload/>.
	FixOffload
	// FixCounters: XML shows the counters of each direction if that direction's came; conntrack looks at the original
	// direction's for both.
	FixCounters
	// FixMaster: XML tells the master tuple of an expected flow as <meta direction="master">.
	FixMaster

	// FixAll is every correction: what ctview's own -o xml and -o save use.
	FixAll = FixState | FixEscape | FixTail | FixPort | FixICMP | FixOffload | FixCounters | FixMaster
)
