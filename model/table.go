package model

import "sync"

// A Table holds the flows of one namespace.
type Table struct {
	mu sync.Mutex
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{} }

// Apply merges events in their order.
func (t *Table) Apply(now int64, evs []Event) {}

// View answers q.
func (t *Table) View(q *Query, v *View) {}
