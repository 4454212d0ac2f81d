// Package confine gives up what a process was started with and does not need, so that whoever takes it over gets little.
//
//	started with ─▶ Keep: every thread, for good ─▶ in effect: CAP_NET_ADMIN ─▶ With: one more, for one act, on one thread
//
// What Keep left in the permitted set is what With can put into effect; the rest is gone, for children too, for no_new_privs
// stands. It is all done with system calls on every thread of the process, which Go can do only where no C is linked in: a
// program built with cgo keeps what it has, and ErrCgo says so.
package confine
