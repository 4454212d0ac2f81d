// Package term stands between Bubble Tea and the terminal: what arrives late, what the terminal was not made for, and who
// has it.
//
//	keyboard ─▶ Input: whole sequences, or none of their tail ─▶ Bubble Tea ─▶ Output: nothing that a VT cannot take ─▶ screen
//	shell ─▶ SIGTSTP, SIGCONT ─▶ Job: stops where a shell will go on with it, and has the terminal again only in its foreground
//
// Nothing here knows of flows, and nothing decides what a key does.
package term
