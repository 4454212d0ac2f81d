// Command bench measures the figures that ctview promises (docs/performance.md) and prints them as a table, beside what
// other programs need for the same: conntrack(8), iptstate(8), flowtop(8) where they are installed, and a bare read(2)
// loop that parses nothing. It is run by `make bench`, as root, and is no part of the program.
//
// Everything happens in network namespaces of its own. Where nf_conntrack_max is too small for the flows, it is raised
// for the whole host and put back at the end, also on a signal or a panic; only SIGKILL leaves it raised. Programs that
// are compared run alternately, and the ratios are medians of ratios: a busy machine slows both. No figure fails: what
// misses is marked, and the exit code is 0.
package main
