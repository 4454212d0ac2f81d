package table

import (
	"ctview/model"
)

// minReading is how far apart two readings of counters must be to make a rate: the rows of a dump and the answer to a
// GET can come within a millisecond.
const minReading = second / 5

// unrated is the Rate[0] of a flow that has closed since its counters were read, until they are read again: what they grew
// by meanwhile is of its life, and no rate of now.
const unrated = -1

// unrate drops the rate of a flow that has just closed.
func (r *row) unrate() {
	r.Known &^= model.KnownRate
	r.Rate, r.PacketRate = [2]float32{unrated}, [2]float32{}
}

// lateReading is how much older than the one before a reading may be that is left out: the row of a dump and the answer to a GET
// overtake each other. One that is older still is of a clock that was set back.
const lateReading = 3 * second

// readCounters takes a reading of the flow's counters and makes rates of the difference to the last one. Counters that
// went back were zeroed by somebody (conntrack -z): no rate until the reading after.
func (t *Table) readCounters(now int64, slot uint32, e *model.Event) {
	if e.Flow.Known&model.KnownCounters == 0 {
		return
	}
	f := t.flows.at(slot)
	at := e.Flow.CountersAt
	if at == 0 {
		at = now
	}
	before, was := f.CountersAt, f.Rate
	closed := f.Rate[0] == unrated
	if f.Known&model.KnownCounters != 0 {
		dt := at - f.CountersAt
		switch {
		case dt < 0 && dt > -lateReading && e.Kind != model.Destroy:
			return
		case f.wentBack(&e.Flow):
			f.Known &^= model.KnownRate
			f.Rate, f.PacketRate = [2]float32{}, [2]float32{}
		case dt < 0: // the clock was set back: measure again from here
		case dt < minReading:
			if e.Kind != model.Destroy {
				return
			}
		default:
			per := float64(second) / float64(dt)
			for i := range 2 {
				f.Rate[i] = float32(float64(e.Flow.Bytes[i]-f.Bytes[i]) * per)
				f.PacketRate[i] = float32(float64(e.Flow.Packets[i]-f.Packets[i]) * per)
			}
			f.Known |= model.KnownRate
		}
	}
	f.Bytes, f.Packets, f.CountersAt = e.Flow.Bytes, e.Flow.Packets, at
	f.Known |= model.KnownCounters
	t.watches.sample(slot, f)
	if e.Kind != model.Destroy && f.Known&model.KnownRate != 0 {
		t.pasts.note(slot, f, before, was)
	}
	if closed {
		f.Known &^= model.KnownRate
		f.Rate, f.PacketRate = [2]float32{}, [2]float32{}
	}
}

func (r *row) wentBack(now *model.Flow) bool {
	return now.Bytes[0] < r.Bytes[0] || now.Bytes[1] < r.Bytes[1] ||
		now.Packets[0] < r.Packets[0] || now.Packets[1] < r.Packets[1]
}
