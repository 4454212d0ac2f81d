package ctnl

import (
	"context"
	"errors"

	"ctview/model"

	"github.com/ti-mo/netfilter"
)

// Get asks for one flow. The event is of Kind Dump. The error wraps ErrGone where there is no flow with k's original
// tuple in k's zone.
func (k *Kernel) Get(ctx context.Context, key model.Key) (e model.Event, err error) {
	err = k.with(ctx, "get", func(x *exchange) error {
		x.begin(netfilter.NFSubsysCTNetlink, ctGet, 0, key.Family, 0).key(&key)
		x.req.end()
		err := x.one(ctx, func(h header, payload []byte) error {
			return x.d.Message(nowNano(), h.typ, h.flags, h.portid, payload, &e)
		})
		if err == nil && !sameOrig(e.Flow.OrigTuple(), key.OrigTuple()) {
			return ErrGone // the tuple is the reply direction of another flow
		}
		return errnoError(err)
	})
	return e, err
}

// sameOrig reports whether a flow's original tuple is the one asked for. The kernel has no ports for protocols that it does
// not track, such as DCCP where it is not built in, whatever was asked for.
func sameOrig(got, asked model.Tuple) bool {
	if got.Sport == 0 && got.Dport == 0 {
		asked.Sport, asked.Dport = 0, 0
	}
	return got == asked
}

// GetMany asks for many flows, hundreds per system call, and calls fn once for each key, in no certain order: with the
// event (valid during the call) or with nil and the error, which wraps ErrGone where the flow is no more. An error
// that GetMany itself returns ended it early.
func (k *Kernel) GetMany(ctx context.Context, keys []model.Key, fn func(i int, e *model.Event, err error)) error {
	return k.with(ctx, "get", func(x *exchange) error {
		var e model.Event
		for at := 0; at < len(keys); {
			n := min(x.window, len(keys)-at)
			if err := x.getWindow(ctx, keys[at:at+n], at, &e, fn); err != nil {
				return err
			}
			at += n
		}
		return nil
	})
}

// getWindow sends one window of GETs. Each has exactly one answer.
func (x *exchange) getWindow(ctx context.Context, keys []model.Key, at int, e *model.Event, fn func(i int, e *model.Event, err error)) error {
	if x.seq > 1<<31 {
		x.seq = 0
	}
	first := x.seq + 1
	for i := range keys {
		x.begin(netfilter.NFSubsysCTNetlink, ctGet, 0, keys[i].Family, 0).key(&keys[i])
		x.req.end()
	}
	if err := x.send(ctx); err != nil {
		return err
	}
	now, left := nowNano(), len(keys)
	return x.answers(ctx, first, x.seq, func(h header, payload []byte, errno error) (bool, error) {
		i := int(h.seq - first)
		left--
		if errno != nil {
			fn(at+i, nil, errnoError(errno))
			return left == 0, nil
		}
		err := x.d.Message(now, h.typ, h.flags, h.portid, payload, e)
		switch {
		case err != nil:
			fn(at+i, nil, err)
		case e.Flow.Key != keys[i]:
			fn(at+i, nil, ErrGone)
		default:
			fn(at+i, e, nil)
		}
		return left == 0, nil
	})
}

// A Refresher takes the answers to GETs; *model.Table is one. now is when the questions were sent: what an event has
// told of a flow since is newer.
type Refresher interface {
	Refresh(now int64, evs []model.Event)
	Gone(now int64, keys []model.Key)
}

// Refresh asks for the flows named by keys and gives the answers to t: counters, timeouts and marks of those that
// exist, the names of those that do not.
func (k *Kernel) Refresh(ctx context.Context, keys []model.Key, t Refresher) error {
	return k.with(ctx, "get", func(x *exchange) error {
		var e model.Event
		var evs []model.Event
		var gone []model.Key
		for len(keys) > 0 {
			n := min(x.window, len(keys))
			evs, gone = evs[:0], gone[:0]
			now := nowNano()
			err := x.getWindow(ctx, keys[:n], 0, &e, func(i int, e *model.Event, err error) {
				switch {
				case e != nil:
					evs = append(evs, *e)
				case errors.Is(err, ErrGone):
					gone = append(gone, keys[i])
				}
			})
			t.Refresh(now, evs)
			t.Gone(now, gone)
			if err != nil {
				return err
			}
			keys = keys[n:]
		}
		return nil
	})
}
