// Package notrack takes traffic out of connection tracking, on request and for a limited time, and shows who else does.
//
//	Request ─▶ Preview: dryrun ─▶ Apply: backend.add (trial life) ─▶ delete covered flows ─▶ verify ─▶ Confirm: life
//	                                                                                            └─ leak ─▶ remove, say why
//	kernel ─▶ ruleset.Reader ─▶ List: what every ctview has installed, told by its marks
//
// An Installer drives one of two backends: nftables over netlink (table inet ctview) or the raw table of iptables. What is
// installed is kept in the kernel alone: comments of the set elements and rules say which rule they belong to, who made
// it and how long it is to live, so that a later ctview can confirm, list or remove it. Every rule has a time-out in
// the kernel until it is confirmed; a rule of a session stands in a table that belongs to the netlink socket
// (NFT_TABLE_F_OWNER) and is gone with the process.
//
// Start at Apply. Nothing that ctview did not make is ever changed; reading what others made is package ruleset, judging
// it package dryrun.
package notrack
