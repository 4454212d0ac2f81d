// Package trace follows a few packets of one flow through the nftables rules of a namespace.
//
//	Plan ─▶ table inet ctview_trace_PID (owner: our socket): tuple, limit ─▶ meta nftrace set 1
//	kernel ─NFT_MSG_TRACE─▶ Tracer.Run ─▶ model.TracePacket, its rules' texts from package ruleset
//
// Start at Open. What it installs is one table of its own that decides nothing and reads no connection's state, so that it
// switches no tracking on; it belongs to the netlink socket (NFT_TABLE_F_OWNER) and is gone with the program, however
// that ends. The kernel itself marks no more than Plan.Packets packets in each direction: a ctview that stands still costs
// the router nothing. Rules of legacy iptables are not nftables': nothing is told of them (Tracer.Legacy).
package trace
