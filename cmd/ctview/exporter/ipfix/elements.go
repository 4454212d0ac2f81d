package ipfix

// An element is an information element in a template: its number, whose number that is, and how many bytes it takes.
type element struct {
	id, size   uint16
	enterprise uint32 // 0: IANA's
}

// Enterprise numbers.
const (
	reverse   = 29305 // RFC 5103: of the reply direction
	netfilter = 21373
	// Examples is the number that RFC 5612 keeps for examples.
	Examples = 32473
	ours     = 1<<32 - 1 // stands for the number that the Encoder was given
)

// varlen is the size of an element whose values tell their own length (RFC 7011 section 7).
const varlen = 65535

// The information elements of IANA that are used here.
const (
	octetDeltaCount                  = 1
	packetDeltaCount                 = 2
	protocolIdentifier               = 4
	sourceTransportPort              = 7
	sourceIPv4Address                = 8
	destinationTransportPort         = 11
	destinationIPv4Address           = 12
	sourceIPv6Address                = 27
	destinationIPv6Address           = 28
	icmpTypeCodeIPv4                 = 32
	exportedFlowRecordTotalCount     = 42
	applicationName                  = 96
	flowEndReason                    = 136
	icmpTypeCodeIPv6                 = 139
	exportingProcessID               = 144
	flowID                           = 148
	observationDomainID              = 149
	flowStartMilliseconds            = 152
	flowEndMilliseconds              = 153
	notSentFlowTotalCount            = 166
	notSentPacketTotalCount          = 167
	notSentOctetTotalCount           = 168
	postNATSourceIPv4Address         = 225
	postNATDestinationIPv4Address    = 226
	postNAPTSourceTransportPort      = 227
	postNAPTDestinationTransportPort = 228
	natEvent                         = 230
	ingressVRFID                     = 234
	postNATSourceIPv6Address         = 281
	postNATDestinationIPv6Address    = 282
	observationDomainName            = 300
	selectorAlgorithm                = 304
	samplingPacketInterval           = 305
	samplingPacketSpace              = 306
	observationTimeMilliseconds      = 323
)

// The elements of enterprises.
const (
	netfilterMark    = 4 // of netfilter: CTA_MARK
	conntrackStatus  = 1 // of ours: the IPS_* bits, CTA_STATUS
	conntrackState   = 2 // of ours: the state of the protocol's tracker, CTA_PROTOINFO_TCP_STATE and its like
	conntrackZoneDir = 3 // of ours: the zone holds for one direction only: 1 the original, 2 the reply
	lostEvents       = 4 // of ours: events that the kernel dropped because they were not read in time
	unheardEnds      = 5 // of ours: flows of which no end was heard; flowEndReason 5 in their records
)

// facts are what a flow record tells beyond what every one does; each set of them has a template.
type facts uint16

const (
	factIPv6 facts = 1 << iota
	factPorts
	factICMP // the identifier as source port, type and code
	factStart
	factCounters
	factNAT
	factNATEvent
	factState
	factZoneDir
	factHelper
	allFacts = 1<<iota - 1
)

// Numbers of templates.
const (
	templateDomain = 256
	templateLoss   = 257
	templateFlow   = 1024 // and facts
)

// elements returns the template of flows of which f is known, in the order in which Encoder.values writes them.
func (f facts) elements() (all []element) {
	add := func(is facts, es ...element) {
		if f&is == is {
			all = append(all, es...)
		}
	}
	version := func(v4, v6 uint16) element {
		if f&factIPv6 != 0 {
			return element{v6, 16, 0}
		}
		return element{v4, 4, 0}
	}
	icmp := element{icmpTypeCodeIPv4, 2, 0}
	if f&factIPv6 != 0 {
		icmp.id = icmpTypeCodeIPv6
	}
	add(factStart, element{flowStartMilliseconds, 8, 0})
	add(0, element{flowEndMilliseconds, 8, 0},
		version(sourceIPv4Address, sourceIPv6Address), version(destinationIPv4Address, destinationIPv6Address),
		element{protocolIdentifier, 1, 0}, element{flowEndReason, 1, 0})
	add(factPorts, element{sourceTransportPort, 2, 0}, element{destinationTransportPort, 2, 0})
	add(factICMP, element{sourceTransportPort, 2, 0}, icmp)
	add(0, element{ingressVRFID, 4, 0}, element{flowID, 4, 0})
	add(factCounters, element{octetDeltaCount, 8, 0}, element{packetDeltaCount, 8, 0},
		element{octetDeltaCount, 8, reverse}, element{packetDeltaCount, 8, reverse})
	add(factNAT, version(postNATSourceIPv4Address, postNATSourceIPv6Address), version(postNATDestinationIPv4Address, postNATDestinationIPv6Address))
	add(factNAT|factPorts, element{postNAPTSourceTransportPort, 2, 0}, element{postNAPTDestinationTransportPort, 2, 0})
	add(factNAT|factICMP, element{postNAPTSourceTransportPort, 2, 0})
	add(factNATEvent, element{observationTimeMilliseconds, 8, 0}, element{natEvent, 1, 0})
	add(0, element{conntrackStatus, 4, ours}, element{netfilterMark, 4, netfilter})
	add(factState, element{conntrackState, 1, ours})
	add(factZoneDir, element{conntrackZoneDir, 1, ours})
	add(factHelper, element{applicationName, varlen, 0})
	return all
}

// The options templates; the first element of each is its scope.
var (
	elementsDomain = []element{{observationDomainID, 4, 0},
		{selectorAlgorithm, 2, 0}, {samplingPacketInterval, 4, 0}, {samplingPacketSpace, 4, 0}, {observationDomainName, varlen, 0}}
	elementsLoss = []element{{exportingProcessID, 4, 0},
		{notSentFlowTotalCount, 8, 0}, {notSentPacketTotalCount, 8, 0}, {notSentOctetTotalCount, 8, 0}, {exportedFlowRecordTotalCount, 8, 0},
		{lostEvents, 8, ours}, {unheardEnds, 8, ours}}
)

// appendTemplate appends a set with one template (RFC 7011 section 3.4); scopes is 0 for a template of flows.
func appendTemplate(b []byte, id uint16, scopes int, es []element, enterprise uint32) []byte {
	begin := len(b)
	set := uint16(setTemplates)
	if scopes > 0 {
		set = setOptions
	}
	b = be.AppendUint16(b, set)
	b = be.AppendUint16(b, 0)
	b = be.AppendUint16(b, id)
	b = be.AppendUint16(b, uint16(len(es)))
	if scopes > 0 {
		b = be.AppendUint16(b, uint16(scopes))
	}
	for _, e := range es {
		if e.enterprise == ours {
			e.enterprise = enterprise
		}
		if e.enterprise == 0 {
			b = be.AppendUint16(b, e.id)
			b = be.AppendUint16(b, e.size)
			continue
		}
		b = be.AppendUint16(b, e.id|1<<15)
		b = be.AppendUint16(b, e.size)
		b = be.AppendUint32(b, e.enterprise)
	}
	be.PutUint16(b[begin+2:], uint16(len(b)-begin))
	return b
}

// sizeOf returns how many bytes a record takes, its variable parts not counted.
func sizeOf(es []element) (n int) {
	for _, e := range es {
		if e.size != varlen {
			n += int(e.size)
		}
	}
	return n
}
