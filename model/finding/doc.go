// Package finding names what is wrong with a namespace's connections, shows the proof and hands over the cure.
//
//	table.Table ──Walk, in slices──▶ Survey ─┐
//	statistics, settings, history, rules ────┴▶ Input ─▶ Engine.Judge ─▶ []Finding: sentence, since, filter, cures
//
// Start at Engine.Judge: a check is a function of the list in engine.go, from Input to findings. A check says nothing of
// what it does not know. Its numbers are counted, not estimated: a Survey first samples the table for who is worth a look,
// then counts those flow by flow.
//
// The package reads no clock, asks no kernel and changes nothing: time comes in as an argument, a cure is a line for the
// operator to paste. Texts may hold what others named (chains, helpers) and are not escaped.
package finding
