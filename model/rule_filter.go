package model

// RuleFromFilter returns the rule that says the same as a filter, where a raw rule can: addresses and prefixes of the
// original direction, the protocol, ports, the interface (iif). For anything else the error, always a *FilterError,
// names the part and why a packet cannot be matched by it before it is tracked.
func RuleFromFilter(text string) (Rule, error) {
	return Rule{}, &FilterError{Text: text, Pos: 0, End: len(text), Msg: "a rule from a filter is not available yet"}
}
