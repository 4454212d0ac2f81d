// Package ruleset reads the packet filter of a network namespace: what nft, iptables-nft and iptables-legacy have left in
// it, ctview's own rules among them.
//
//	nf_tables ── netlink dump ──▶ Reader.Read ─▶ Ruleset ─┬▶ RuleText: a rule as nft would write it
//	                                                      ├▶ Tracking, Look: what uses conntrack
//	x_tables ── iptables-legacy-save ─▶ ParseSave ─▶ XTRule ┴▶ Others: NOTRACK rules that ctview did not make
//
// A Ruleset is one generation of the kernel's rules and belongs to the caller; elements of sets are read on demand. The
// marks by which ctview knows its own rules (Tag, Ours) stand here, because every reader has to tell them apart.
//
// It never writes to the kernel, makes no table (iptables -L would), and does not judge what a rule does to a packet:
// that is package dryrun. What a Reader returns is foreign input, lengths are checked, texts are not escaped.
package ruleset
