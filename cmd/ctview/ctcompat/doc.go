// Package ctcompat is conntrack(8), option for option: what `ctview conntrack ARGS…` runs, and ctview itself when it is
// called by the name conntrack.
//
// It follows conntrack v1.4.7 (what Debian 12 ships) to the byte: command lines, outputs, summary lines, error texts and
// exit codes. Where that program destroys or misleads, this one does not; docs/conntrack-compat.md lists every such
// place. The tests run the real conntrack(8) beside this package in one namespace and compare.
//
// The flow of a command: getopt.go cuts the words, parse.go and proto.go fill a command (values.go reads the values),
// match.go chooses flows, and list.go, change.go, expect.go, event.go, stats.go and restore.go carry the command out.
package ctcompat
