// Package states counts packets by the five states that conntrack gives them and samples those that have no entry:
// INVALID and UNTRACKED.
//
// The counters and samples come from a table of ctview's own (inet ctview_watch_PID), whose owner is a netlink socket:
// it is gone when ctview ends, however it ends. Its rules use "ct state", which switches connection tracking on in a
// namespace; so it is refused where tracking is not active already. Why a packet is INVALID is told by the kernel's
// log (nf_conntrack_log_invalid), which Reasons turns on and back.
package states
