package model

// A Filter is a compiled filter expression. nil matches every flow. It is immutable and safe for concurrent use.
type Filter struct {
	text string
}

// ParseOptions are the names that a filter may use besides the language's own.
type ParseOptions struct {
	Saved  map[string]string                // @name → filter text
	Labels func(name string) (bit int, ok bool) // connlabel.conf; nil: numbers only
}

// A FilterError says what is wrong with a filter text and where.
type FilterError struct {
	Text        string   // the whole filter
	Pos, End    int      // byte offsets of the offending part
	Msg         string   // e.g. `unknown state "estabilshed"`
	Suggestions []string // words or whole filters that were perhaps meant, best first
}

// Error returns the message with the suggestions, in one line.
func (e *FilterError) Error() string { return e.Msg }

// ParseFilter compiles text. An empty text gives nil, nil. The error is always a *FilterError.
func ParseFilter(text string, opt ParseOptions) (*Filter, error) { return nil, nil }

// Match reports whether the flow matches. x may be nil: no labels, no security context, no master. now is Unix
// nanoseconds. It does not allocate.
func (f *Filter) Match(fl *Flow, x *Extra, now int64) bool { return true }

// MatchKnown is Match that also tells whether the answer hangs on a value that the kernel did not tell.
func (f *Filter) MatchKnown(fl *Flow, x *Extra, now int64) (match, unknown bool) {
	return f.Match(fl, x, now), false
}

// NeedsExtra reports whether Match looks at the Extra.
func (f *Filter) NeedsExtra() bool { return false }
