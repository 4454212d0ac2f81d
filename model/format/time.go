package format

import (
	"strconv"
	"time"

	"ctview/model"
)

// A TimeForm is how times are written for people, and in CSV. JSON has RFC 3339 in UTC always, the forms of conntrack(8) theirs.
type TimeForm uint8

// The forms.
const (
	TimeOwn      TimeForm = iota // local in tables, TimeRFC3339 in CSV
	TimeLocal                    // date and time of day in Options.Location
	TimeUTC                      // the same in UTC, with a Z behind it
	TimeRFC3339                  // 2006-01-02T15:04:05.000000000Z
	TimeUnix                     // seconds since 1970 with six digits of their parts
	TimeRelative                 // since Options.Begin: -3h20m, +12.345s
)

// TimeForms are the names of the forms that can be asked for, TimeLocal's first.
var TimeForms = []string{"local", "utc", "rfc3339", "unix", "relative"}

// AppendTime appends a time, Unix nanoseconds, as o.Times has it; layout is that of package time for the local time and UTC.
func AppendTime(dst []byte, ns int64, layout string, o *Options) []byte {
	switch o.Times {
	case TimeUTC:
		return append(time.Unix(0, ns).UTC().AppendFormat(dst, layout), 'Z')
	case TimeRFC3339:
		return AppendRFC3339(dst, ns)
	case TimeUnix:
		dst = append(strconv.AppendInt(dst, ns/second, 10), '.')
		return appendPadded(dst, uint64(ns%second/1000), 6)
	case TimeRelative:
		return appendRelative(dst, ns, o.Begin)
	}
	return time.Unix(0, ns).In(o.location()).AppendFormat(dst, layout)
}

// appendRelative appends the time from begin to ns: below a minute with milliseconds, above as durations are everywhere.
func appendRelative(dst []byte, ns int64, begin *int64) []byte {
	d := time.Duration(ns)
	if begin != nil {
		d -= time.Duration(*begin)
	}
	sign := byte('+')
	if d < 0 {
		sign, d = '-', -d
	}
	dst = append(dst, sign)
	if d >= time.Minute {
		return model.AppendDurationLong(dst, d)
	}
	return append(strconv.AppendFloat(dst, float64(d.Milliseconds())/1000, 'f', 3, 64), 's')
}

// appendCSVTime appends a time as a field of CSV.
func appendCSVTime(dst []byte, ns int64, o *Options) []byte {
	if o.Times == TimeOwn {
		return AppendRFC3339(dst, ns)
	}
	return AppendTime(dst, ns, "2006-01-02 15:04:05.000000000", o)
}

// appendEventTime appends the time of an event for a table.
func appendEventTime(dst []byte, ns int64, o *Options) []byte {
	if o.Times <= TimeLocal {
		return appendClock(dst, ns, o.location())
	}
	return AppendTime(dst, ns, "15:04:05.000", o)
}

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
