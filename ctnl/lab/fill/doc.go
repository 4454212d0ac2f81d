// Package fill makes conntrack tables for benchmarks and for tests under load: as many flows as asked for, by
// ctnetlink, hundreds in one system call, and a churn of creations, updates and deletions among them.
//
// What flow number i is depends only on i (see Key and Attrs), so a reader can tell what it must see. A Filler works
// in one namespace and is for one goroutine; it imports nothing of ctnl, whose tests it serves. The kernel makes flows
// under one lock, so a second Filler makes nothing faster.
package fill
