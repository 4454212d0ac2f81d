// Command ctview inspects the kernel's connection tracking table, live. See README.md, or `ctview help`.
//
// The package wires the parts together, and is the only place that knows all of them:
//
//	main ─▶ root ─▶ a command ─▶ ctnl ─▶ kernel      what a command prints, print.go and group.go shape
//	          └──▶ screen ─▶ tui ◀─ screen_*.go ─▶ ctnl, model       the adapters: what tui asks for, made of ctnl
//
// A command is one file of its name (list.go, notrack.go); what belongs to it is COMMAND_THING.go. setting.go, tuple.go,
// filter.go read what several commands take; hint.go turns an error into a message, a cure and an exit code; config*.go
// is the configuration. Rooms below: doctor (what this machine can do), ctcompat (conntrack(8)), names (a resolver), geo
// (MaxMind files), bench (make bench).
//
// Only this package writes to the standard streams and decides exit codes. It keeps no state of flows and speaks no
// netlink.
package main
