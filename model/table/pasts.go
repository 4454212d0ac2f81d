package table

// keepPasts is how many readings are kept of flows that nobody watches yet, of all together: 1.5 MB. Of a thousand flows that move bytes
// all the time, read once a second, that is a minute.
const keepPasts = 1 << 16

// A past is a reading of the counters of any flow. 24 bytes, no pointers.
type past struct {
	at   int64
	rate [2]float32
	slot uint32
	gen  uint8
}

// pasts are the last readings of the flows that move bytes, as a ring that gets its memory as it fills: what a detail begins with. Of a flow that rests, only the
// beginning and the end of the rest are kept.
type pasts struct {
	ring []past
	next int // place of the next one, once the ring is full
}

// note keeps the reading that f has just had; was is how it was before.
func (p *pasts) note(slot uint32, f *row, before int64, was [2]float32) {
	rests, rested := f.Rate == [2]float32{}, was == [2]float32{}
	if rests && rested {
		return
	}
	if rested {
		p.add(past{before, was, slot, f.Book.Gen})
	}
	p.add(past{f.CountersAt, f.Rate, slot, f.Book.Gen})
}

func (p *pasts) add(x past) {
	if len(p.ring) < keepPasts {
		p.ring = append(p.ring, x)
		return
	}
	p.ring[p.next] = x
	p.next = (p.next + 1) % keepPasts
}

// of appends the readings of the flow f of a slot, oldest first: those of flows that had the slot before are older than it.
func (p *pasts) of(slot uint32, f *row, dst []Reading) []Reading {
	for i := range p.ring {
		x := &p.ring[(p.next+i)%len(p.ring)]
		if x.slot == slot && x.gen == f.Book.Gen && x.at >= f.First {
			dst = append(dst, Reading{At: x.at, Rate: x.rate})
		}
	}
	return dst[max(len(dst)-keepReadings, 0):]
}
