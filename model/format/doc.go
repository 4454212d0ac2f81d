// Package format turns what the kernel said of a flow into text: conntrack(8)'s plain line, XML and save line, JSON
// Lines, CSV and table cells; and the same for expectations and per-CPU statistics.
//
// Every function is pure: it appends to a slice that the caller owns and returns it, as strconv's do, without a line
// end. None of them allocates when the slice has room, except where its comment says so. They read no clock (Options
// carries the time) and no file (Options carries the names of labels and programs), and are safe for concurrent use.
//
// The text forms are those of conntrack 1.4.7 with libnetfilter_conntrack 1.0.9, byte for byte, with two exceptions
// that hold everywhere: a line is never cut at 1023 bytes, and bytes of names that a terminal would obey are escaped
// (model.AppendEscaped). What else conntrack gets wrong is chosen by Options.Fix.
package format
