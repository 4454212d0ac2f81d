package fill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A Churn says what Filler.Churn does.
type Churn struct {
	Ops  int    // operations in all; 0: until the context ends
	Rate int    // operations a second; 0: as fast as the kernel takes them
	From int    // the flows with numbers below exist and are left alone; new ones count up from here
	Live int    // how many flows of its own it keeps, about
	Seed uint64 // of the order of operations
}

// A Churned says what was done.
type Churned struct {
	Created, Updated, Destroyed int
	Refused                     int // by the kernel: flows that somebody else deleted, or that ended by themselves
	Live                        []int
}

// Ops returns how many operations were done.
func (c *Churned) Ops() int { return c.Created + c.Updated + c.Destroyed }

// Churn creates, updates and destroys flows at a rate: until it has c.Live flows of its own it mostly creates, then
// each kind is a third. The sequence is the same for the same Churn, except where ctx ends it; that is no error. The
// flows in Churned.Live are left.
func (f *Filler) Churn(ctx context.Context, c Churn) (done Churned, err error) {
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	next := c.From
	began := time.Now()
	for (c.Ops == 0 || done.Ops() < c.Ops) && ctx.Err() == nil {
		n := batch
		if c.Rate > 0 {
			due := int(time.Since(began).Seconds()*float64(c.Rate)) - done.Ops()
			if due <= 0 {
				time.Sleep(time.Millisecond)
				continue
			}
			n = min(n, due)
		}
		if c.Ops > 0 {
			n = min(n, c.Ops-done.Ops())
		}
		f.buf = f.buf[:0]
		for range n {
			next = f.step(rng, c, next, &done)
		}
		if next > MaxFlow {
			return done, fmt.Errorf("fill: churn: all %d flows are used up", MaxFlow)
		}
		refused, err := f.flush()
		done.Refused += refused
		if err != nil {
			return done, fmt.Errorf("fill: churn: %w", err)
		}
	}
	return done, nil
}

// step appends one operation to the buffer and returns the number of the next new flow.
func (f *Filler) step(rng *rand.Rand, c Churn, next int, done *Churned) int {
	live := len(done.Live)
	op := rng.IntN(3)
	switch {
	case live == 0 || live < c.Live && op != 1 || op == 0 && live < 2*c.Live+1:
		f.buf = create(f.buf, next)
		done.Live = append(done.Live, next)
		done.Created++
		return next + 1
	case op == 1:
		f.buf = update(f.buf, done.Live[rng.IntN(live)], 1+rng.Uint32N(255))
		done.Updated++
	default:
		at := rng.IntN(live)
		f.buf = destroy(f.buf, done.Live[at])
		done.Live[at] = done.Live[live-1]
		done.Live = done.Live[:live-1]
		done.Destroyed++
	}
	return next
}
