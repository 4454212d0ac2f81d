// Command ctview-exporter tells Prometheus what conntrack does on this machine, and an IPFIX collector what flows there were. It is a
// program of its own so that the router's ctview holds neither net/http nor protobuf; TestImportsExporter (cmd/ctview) keeps it so.
//
//	kernel ──events, dumps──▶ ctnl.Syncer ─▶ table.Table ─┐ totals, kept with every event
//	kernel ◀─statistics, count, settings──────────────────┤
//	kernel ◀─NOTRACK rules, every half minute─────────────┴─▶ collector ◀── GET /metrics
//	                         table.Table ──ends, what goes on──▶ sender ─▶ ipfix.Encoder ──▶ an IPFIX collector
//	kernel ◀─counters of what goes on, one by one─────────────────┘
//
// A namespace is one watching (namespace.go); a scrape reads totals and asks the kernel three short questions, whatever the
// number of flows: it never dumps the table. Label sets are bounded (bounded.go). Nothing in the kernel is changed.
//
// Goroutines: run (main.go) starts one for the server and one or two (IPFIX) a namespace; all end with the context of the process.
package main
