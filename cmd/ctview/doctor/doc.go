// Package doctor looks at a kernel, a namespace and a user's rights, and says what ctview can do with them and the cure
// for what it cannot.
//
//	namespace ─▶ Examine ─▶ Exam ─▶ Judge ─▶ []Finding ─▶ AppendTable, AppendJSON
//	             (reads)            (pure)
//
// Start at Judge: a check is a method of Exam there or in firewall.go. The package changes nothing, prints nothing, and
// knows no exit codes: a finding that keeps ctview from working carries its error, and the command says what that means.
package doctor
