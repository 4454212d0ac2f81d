package format

import (
	"time"

	"ctview/model"
)

func (o *Options) location() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

func (o *Options) progname(portid uint32) string {
	if o.Progname == nil {
		return ""
	}
	return o.Progname(portid)
}

// eventTime returns when the event happened by the kernel's clock or, where its message does not tell, when it is
// printed, Unix nanoseconds.
func eventTime(e *model.Event, o *Options) int64 {
	if e.Has.Has(model.HasTime) {
		return e.Time
	}
	return o.Now
}

// deltaTime returns how many seconds the flow has lived or did live: the difference of whole seconds, as conntrack
// counts them. A clock that was set back makes it negative, which conntrack prints as a huge number.
func deltaTime(e *model.Event, now int64) int64 {
	stop := e.Stop
	if stop == 0 || !e.Has.Has(model.HasStop) {
		stop = now
	}
	return stop/second - e.Start/second
}

// appendTimePrefix appends a flow event's "[SEC.USEC]" and tab.
func appendTimePrefix(dst []byte, ns int64) []byte {
	dst = appendPadded(append(dst, '['), uint64(ns/second), 8)
	dst = appendPadded(append(dst, '.'), uint64(ns%second/1000), 6)
	return append(dst, "]\t"...)
}

// appendCtime appends a time as ctime(3) writes it, without the line end.
func appendCtime(dst []byte, ns int64, loc *time.Location) []byte {
	return time.Unix(ns/second, 0).In(loc).AppendFormat(dst, time.ANSIC)
}

// AppendRFC3339 appends a time in UTC with all nine digits of its nanoseconds, so that the texts sort as the times do.
// An int64 of nanoseconds reaches from 1677 to 2262: years have four digits.
func AppendRFC3339(dst []byte, ns int64) []byte {
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = appendPadded(dst, uint64(year), 4)
	dst = appendPadded(append(dst, '-'), uint64(month), 2)
	dst = appendPadded(append(dst, '-'), uint64(day), 2)
	dst = appendPadded(append(dst, 'T'), uint64(hour), 2)
	dst = appendPadded(append(dst, ':'), uint64(minute), 2)
	dst = appendPadded(append(dst, ':'), uint64(sec), 2)
	dst = appendPadded(append(dst, '.'), uint64(t.Nanosecond()), 9)
	return append(dst, 'Z')
}

// appendClock appends the time of day to the millisecond: 12:04:31.250.
func appendClock(dst []byte, ns int64, loc *time.Location) []byte {
	t := time.Unix(0, ns).In(loc)
	hour, minute, sec := t.Clock()
	dst = append(appendPadded(dst, uint64(hour), 2), ':')
	dst = append(appendPadded(dst, uint64(minute), 2), ':')
	dst = append(appendPadded(dst, uint64(sec), 2), '.')
	return appendPadded(dst, uint64(t.Nanosecond()/1e6), 3)
}
