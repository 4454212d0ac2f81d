// Package dryrun walks imagined packets through the rules that somebody else has installed, to tell before a NOTRACK rule
// is there what it would do: who drops the packets once they are untracked, who translates them, who puts them in a zone.
//
//	model.Rule ─▶ paths (forwarded, in, out, loopback) ─▶ packet: what is known of its bytes and interfaces
//	                                                          │
//	ruleset.Ruleset ─▶ evaluator.hook, one after another ◀────┤
//	legacy tables ───▶ xtEvaluator.hook ◀─────────────────────┘──▶ accepts | drops, and the rules met
//
// Answers have three values: yes, no and maybe. What it does not know of a packet or of an expression makes an answer a
// maybe, never wrong. A Survey belongs to its caller and to one goroutine.
//
// It never changes anything, sends no packet, and does not look at flows that exist: what those tell, package notrack
// weighs against the answers here.
package dryrun
