// Package model holds the facts: flows, tuples, protocols and their states, events, expectations, rules, and how each
// is written for people. Values only: nothing here keeps, reads or sends anything, and no function remembers a call,
// but for the names of helpers, which are interned for the life of the process.
//
// The rooms below it, and who imports whom:
//
//	model  ◀── model/filter   the language: text to a Filter, a Filter to an answer
//	  ▲            ▲
//	  └────────────┴── model/table    the state model: events in, views out
//	  ▲
//	  ├─────────────── model/format   flows and events as text, JSON, XML, CSV
//	  └── model/table ◀── model/finding  what is wrong, the proof, the cure
//
// All five import the standard library alone. Time comes in as an argument: no function reads a clock.
package model
