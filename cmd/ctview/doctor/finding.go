package doctor

import (
	"fmt"

	"ctview/model"
	"ctview/model/format"
)

// A Finding is one line of ctview doctor. Value and Cure are unescaped.
type Finding struct {
	Check string `json:"check"`
	Mark  Mark   `json:"mark"`
	Value string `json:"value"`
	Cure  string `json:"cure,omitempty"` // "" where there is none, or none is needed
	Err   error  `json:"-"`              // of a bad one: what keeps ctview from working
}

// A Mark says how good a finding is.
type Mark int

const (
	OK      Mark = iota
	Unknown      // could not be told without more permission
	Note         // ctview works, and something is less than it could be
	Bad          // ctview cannot work
)

var (
	markSigns = [...]string{OK: "ok", Unknown: "?", Note: "!", Bad: "!!"}
	markNames = [...]string{OK: "ok", Unknown: "unknown", Note: "note", Bad: "bad"}
)

// MarshalText implements encoding.TextMarshaler.
func (m Mark) MarshalText() ([]byte, error) { return []byte(markNames[m]), nil }

// AppendTable appends a table with the cure of each finding on a line of its own below it.
func AppendTable(dst []byte, all []Finding) []byte {
	width := 0
	for _, f := range all {
		width = max(width, len(f.Check))
	}
	for _, f := range all {
		dst = fmt.Appendf(dst, "%-2s  %-*s  %s\n", markSigns[f.Mark], width, f.Check, model.Escape(f.Value))
		if f.Cure != "" {
			dst = fmt.Appendf(dst, "    %-*s  cure: %s\n", width, "", model.Escape(f.Cure))
		}
	}
	return dst
}

// AppendJSON appends a JSON object a line.
func AppendJSON(dst []byte, all []Finding) []byte {
	for _, f := range all {
		f.Value, f.Cure = model.Escape(f.Value), model.Escape(f.Cure)
		dst = format.AppendJSONLine(dst, f)
	}
	return dst
}
