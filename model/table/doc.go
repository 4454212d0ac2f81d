// Package table is the state model: it keeps the flows that the kernel tracks and answers questions about them.
//
//	events, dumps ──Apply, Refresh──▶ slab + index + totals + log + ends ◀──View, Group, Recent, Changes, Get── screens, commands
//	       BeginDump … EndDump ─────▶ what is gone without an event
//	                                  queue of ends, if QueueEnds asks for one ◀──TakeEnds── who writes records of flows
//
// Down is push, up is pull: one goroutine applies events, any other asks, under one mutex. Answers are copies; nothing
// in them refers to the table. The package opens no socket, draws nothing and reads no clock: time comes in as an
// argument, so every test is deterministic. It never guesses: what the kernel did not tell is marked as not known.
//
// What the calls on a table cost, by the number n of flows in it, measured on one core of a busy virtual machine
// (make bench measures again). The table is locked meanwhile, but for Apply and EndDump, which let others in between.
//
//	call                      n = 1,000   100,000   1,000,000
//	Apply, an update             0.2 µs    0.2 µs      0.6 µs
//	Apply, an end and a NEW      0.8 µs    1.2 µs      1.5 µs
//	View, top of the order        13 µs    0.9 ms       12 ms
//	View, any depth               18 µs      1 ms    12–30 ms
//	View, a filter as well                          14–22 ms
//	View, nothing has changed                           2 µs
//	Group by source              126 µs    5.5 ms       42 ms   (121,000 groups)
//	Group by source and port     136 µs   10.5 ms      162 ms   (457,000 groups)
//	Recent                         1 ms    2.4 ms       25 ms   (65,536 flows that ended, as many begun)
//	Recent by source               4 ms     18 ms      190 ms
//	Get                          0.1 µs    0.2 µs      0.5 µs
//	Changes                   1–3 ms when the log is full
//
// What ended in the last five minutes is kept in 184 bytes a flow, 65,536 of them at most: 12 MB where so many end.
//
// A flow takes 136 bytes, 7 to 14 more in the index, and 12 while a View is kept. What few flows have is kept apart.
package table
