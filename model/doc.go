// Package model holds the flows that the kernel tracks and answers questions about them.
//
// A Table takes batches of events from one goroutine and queries from another; it is safe for that and documents the
// cost of each call. The package reads no clock, opens no socket and draws nothing: time comes in as an argument, so
// every test is deterministic. It imports the standard library alone.
package model
