// Package filter is the filter language: what a person types after "/", "list" or "delete".
//
//	text ──lex──▶ tokens ──parse──▶ nodes ──compile──▶ Filter ──Match──▶ yes, no, not known
//	                 │                │                   ├──Kernel──▶ model.KernelFilter, what the kernel may sort out
//	                 │                │                   └──Explain─▶ words for people
//	                 │                └──RuleFromFilter──▶ model.Rule, for NOTRACK
//	                 └──Complete, Error: what could stand here instead
//
// A Filter is immutable and safe for concurrent use; Match does not allocate. The package knows nothing of tables,
// kernels or screens, reads no clock and asks nobody for names: what it may know beside the language comes in Options.
package filter
