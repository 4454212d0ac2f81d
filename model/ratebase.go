package model

import "time"

// RateWindow is the shortest time that a rate is told of: over the milliseconds since a key was pressed, a handful of packets
// is thousands a second. A twentieth less will do, or every other tick of a second's clock would have no rate.
const RateWindow = time.Second

// A RateBase keeps readings of counters until they are old enough to tell rates by. The zero value has none. It is not safe
// for concurrent use.
type RateBase[R any] struct {
	past []dated[R] // the oldest first, a tenth of RateWindow apart at least
}

type dated[R any] struct {
	at int64 // Unix nanoseconds
	r  R
}

// Add keeps reading r of the time at, Unix nanoseconds, and returns the newest reading that is RateWindow older, with the time
// between them; nil where there is none: then no rate is known. A clock that was set back begins anew.
func (b *RateBase[R]) Add(at int64, r R) (base *R, span time.Duration) {
	if n := len(b.past); n > 0 && at < b.past[n-1].at {
		b.past = b.past[:0]
	}
	old := -1
	for i := range b.past {
		if time.Duration(at-b.past[i].at) >= RateWindow-RateWindow/20 {
			old = i
		}
	}
	if old >= 0 {
		found := b.past[old]
		base, span = &found.r, time.Duration(at-found.at)
		b.past = append(b.past[:0], b.past[old:]...)
	}
	if n := len(b.past); n == 0 || time.Duration(at-b.past[n-1].at) >= RateWindow/10 {
		b.past = append(b.past, dated[R]{at, r})
	}
	return base, span
}
