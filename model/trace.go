package model

// A TraceStep is one rule that matched a packet, or the end of a chain, as the kernel's nftrace told it. Texts are those of
// whoever wrote the ruleset, unescaped.
type TraceStep struct {
	Family  string // of the table, as nft writes it: inet, ip, …
	Table   string
	Chain   string
	Kind    TraceKind
	Handle  uint64 // of the rule (nft -a shows it), 0 without one
	Rule    string // as nft would write it; "" where it was not found, having gone meanwhile
	Verdict string // accept, drop, continue, jump CHAIN, …
	Mark    uint32 // of the packet, after the rule
	In, Out string // interfaces, "" where there is none yet
	// Tuple is the packet's where the kernel told it, which it does once a chain; HasTuple says so.
	Tuple    Tuple
	HasTuple bool
}

// A TraceKind says what a TraceStep is.
type TraceKind uint8

// The kinds (enum nft_trace_types).
const (
	TracePolicy TraceKind = 1 // a base chain's policy
	TraceReturn TraceKind = 2 // the end of a chain that was jumped to
	TraceRule   TraceKind = 3 // a rule that matched
)

// A TracePacket is one packet's way through the nftables rules of a namespace. Its payload is never read.
type TracePacket struct {
	At    int64 // Unix nanoseconds: when ctview read the first step
	Tuple Tuple // as the packet came
	Reply bool  // it is of the flow's reply direction
	TCP   string
	Len   int // bytes, as its IP header says
	In    string
	Steps []TraceStep
	// Cut says that steps may be missing: the kernel had no room for messages, or sent what cannot be read.
	Cut bool
}

// Ended returns the step that ended the packet's way, nil where every chain let it pass.
func (p *TracePacket) Ended() *TraceStep {
	if n := len(p.Steps); n > 0 {
		switch s := &p.Steps[n-1]; s.Verdict {
		case "drop", "stolen", "queue":
			return s
		}
	}
	return nil
}
