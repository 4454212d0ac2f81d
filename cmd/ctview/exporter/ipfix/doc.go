// Package ipfix writes IPFIX messages (RFC 7011) about flows of conntrack.
//
//	Record ──Encoder.Append──▶ message, with the templates that the collector lacks ──▶ whoever sends it
//
// It opens no socket and reads no clock. What is not known is not told: each set of facts about a flow has a template of its
// own (elements.go), told with the first record that needs it, so that a collector never reads a 0 for "no accounting".
//
// The two directions of a flow are one record, a biflow (RFC 5103): the elements of the reply are those of the original
// direction under the enterprise number 29305. What NAT makes of the original tuple is in the postNAT elements, with natEvent
// (RFC 8158) at the end of a NAT44 session.
//
// Elements of enterprises: IANA has none for conntrack's status bits, the state of its protocol tracker, or a mark.
//   - The mark goes out as element 4 of the Netfilter project (21373), as ulogd2 writes it: the same fact, its own number.
//   - Status, state, direction of a zone and the two counts of what was lost go out under a number that the user gives, and without
//     one under 32473, which RFC 5612 keeps for examples and nobody owns: ctview has no number of its own, and takes no other's.
//
// Why not github.com/vmware/go-ipfix: at v0.15.0 its go.mod brings 132 modules to choose versions from ("go mod graph" has 499
// lines: Kafka, Kubernetes, protobuf), of which a sender over UDP compiles in eight (DTLS, klog, x/crypto …); a record is a slice of
// element objects; elements of both directions have to be registered one by one. What is needed of it here is this package.
package ipfix
