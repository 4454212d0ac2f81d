package model

import "slices"

// An Operator is what is known of the connections that the person at the terminal works over. The zero value is somebody who
// sits at the machine itself.
type Operator struct {
	// Sessions are the original tuples, as the socket of the daemon on this machine has them. They may be several: all
	// that look at one tmux.
	Sessions []Tuple
	Unknown  bool // there may be others: what is not among Sessions may still be the operator's
}

// Has reports whether f is one of the operator's connections, seen from either side of NAT.
func (o *Operator) Has(f *Flow) bool {
	if len(o.Sessions) == 0 {
		return false
	}
	a, b := f.Orig(), f.Reply()
	return slices.ContainsFunc(o.Sessions, func(t Tuple) bool {
		i := t.Invert()
		return a == t || a == i || b == t || b == i
	})
}
