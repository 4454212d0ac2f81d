package model

// A Setting is a sysctl's value; OK is false where it cannot be read.
type Setting struct {
	Value int64
	OK    bool
}

// A System is what the kernel says of conntrack in one namespace beside the flows. Plain data, made by ctnl.
type System struct {
	Host      string // host name
	Netns     string // as asked for with --netns, "" for ctview's own
	UID       int
	Entries   uint32 // CT_GET_STATS: entries, those dying and expired but not yet collected included
	EntriesOK bool
	Max       Setting // nf_conntrack_max: one number for the host, compared with each namespace's own entries
	Buckets   Setting // nf_conntrack_buckets, host-wide
	Acct      Setting // nf_conntrack_acct
	Timestamp Setting // nf_conntrack_timestamp
	Events    Setting // nf_conntrack_events: 0 off, 1 on, 2 while somebody listens
	TCPLoose  Setting // nf_conntrack_tcp_loose
	ExpectMax Setting // nf_conntrack_expect_max

	// TCPTimeouts is indexed by TCP State; the others by protocol where one timeout says it all.
	TCPTimeouts [10]Setting

	// Seconds of nf_conntrack_udp_timeout, _udp_timeout_stream, _icmp_timeout, _icmpv6_timeout and _generic_timeout.
	UDPTimeout, UDPStream, ICMPTimeout, ICMPv6Timeout, GenericTimeout Setting

	// Tracking says whether rules make the namespace track connections; it is asked for while the table is empty.
	Tracking Tracking

	RcvBuf       int  // bytes of the event socket's buffer as the kernel counts them (twice what was asked)
	RcvBufHeld   bool // net.core.rmem_max made it smaller than was asked for
	RcvBufScarce bool // less than the default was asked for: an eighth of the memory that was free
}

// Tracking is what the rules of a namespace say of connection tracking. The zero value is not known.
type Tracking struct {
	Known      bool
	IPv4, IPv6 bool // a rule makes the kernel track connections of the family
}
