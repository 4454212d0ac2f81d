// Package ctnl turns the kernel's connection tracking into model events, and requests into changes of the kernel's
// table. It speaks ctnetlink (<linux/netfilter/nfnetlink_conntrack.h>) and runs on Linux only.
//
// # Sockets
//
// One socket per purpose, each in the network namespace of a Netns and each with one reader:
//
//	Watcher   joins NFNLGRP_CONNTRACK_NEW, _UPDATE, _DESTROY (and _EXP_* on request) and only listens
//	Dump      one dump, then closed
//	Kernel    requests and their answers, one exchange at a time
//	Syncer    a Watcher, a Kernel and a Dump now and then, to keep a table in step
//	Record    a Watcher and a Dump, written to a file; Replay reads it and needs no socket
//
// Of flows, datagrams are read straight into a fixed buffer and decoded there (Decoder); nothing is allocated per flow.
// mdlayher/netlink opens, binds and polls the sockets, ti-mo/netfilter names subsystems and groups. What is asked seldom,
// ti-mo/conntrack asks (control.go): the count, flushes, the statistics of expectations, single creations and updates as
// far as it can say them; it also reads expectations, and is what the decoder of flows is tested against.
// docs/upstream.md tells why no more of it is used.
//
// # Privileges
//
// Everything needs CAP_NET_ADMIN in the user namespace that owns the network namespace, joining a group included.
// Entering another namespace needs CAP_SYS_ADMIN, a receive buffer above net.core.rmem_max CAP_NET_ADMIN in the
// initial user namespace. The per-CPU statistics in /proc need nothing.
//
// # Loss
//
// The kernel drops events when the socket's buffer is full. The Watcher reads the socket's drop counter (SO_MEMINFO)
// after each batch, so the number lost is exact; a Syncer then dumps the table beside the events until both agree.
// A table is never corrected by guessing: what the kernel says is the only truth.
//
// # Goroutines
//
// No constructor starts one. Run methods block until their context ends; what they start ends before they return.
package ctnl
