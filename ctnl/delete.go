package ctnl

import (
	"context"
	"errors"
	"fmt"

	"ctview/model"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// A Target names a flow to delete. With an ID other than 0 the kernel deletes only the flow that has it; without one
// also the flow whose reply tuple it is. An ID does not tell a flow made again with the same tuple from the old one:
// that often has the same (nf_ct_get_id).
type Target struct {
	Key model.Key
	ID  uint32
}

// A Failure is a request, by its place in the list, that the kernel refused.
type Failure struct {
	Index int
	Err   error
}

// A DeleteResult says what became of each target.
type DeleteResult struct {
	Deleted int
	Gone    int   // were no more, or had another ID
	GoneAt  []int // which of the targets those are, counted as in Failure
	Failed  []Failure
}

// Delete deletes one flow by original tuple, zone and, if not 0, ID. The error wraps ErrGone where there is none such,
// ErrBusy where it is offloaded.
func (k *Kernel) Delete(ctx context.Context, key model.Key, id uint32) error {
	if id == 0 { // ask for it: the kernel would also take a flow whose reply tuple this is
		e, err := k.Get(ctx, key)
		if err != nil {
			return err
		}
		id = e.Flow.ID
	}
	return k.with(ctx, "delete", func(x *exchange) error {
		x.delete(&Target{key, id}, unix.NLM_F_ACK)
		return x.ack(ctx)
	})
}

// delete writes a deletion. It always has a tuple: without one the kernel empties the table.
func (x *exchange) delete(t *Target, flags uint16) {
	r := x.begin(netfilter.NFSubsysCTNetlink, ctDelete, flags, t.Key.Family, 0)
	r.key(&t.Key)
	if t.ID != 0 {
		r.uint32(ctaID, t.ID)
	}
	r.end()
}

// DeleteMany deletes many flows, hundreds per system call, on a socket of its own. progress, if not nil, is told now
// and then how many are done. What the kernel refused is in the result; the error says why DeleteMany ended early, in
// which case the targets after the last progress may or may not be deleted.
func (k *Kernel) DeleteMany(ctx context.Context, targets []Target, progress func(done int)) (DeleteResult, error) {
	var res DeleteResult
	err := k.alone(ctx, "delete", func(x *exchange) error {
		return x.deleteAll(ctx, targets, 0, &res, progress)
	})
	return res, err
}

// DeleteFrom is DeleteMany for targets that are still being found: it deletes what comes over batches until that is
// closed, beside the dump, say, that finds it. A Failure's Index counts over all batches; batches of MaxWindow suit the
// kernel best. After an error it goes on receiving, so that the sender is never blocked, and deletes nothing more.
func (k *Kernel) DeleteFrom(ctx context.Context, batches <-chan []Target, progress func(done int)) (DeleteResult, error) {
	var res DeleteResult
	at := 0
	err := k.alone(ctx, "delete", func(x *exchange) error {
		for targets := range batches {
			if err := x.deleteAll(ctx, targets, at, &res, progress); err != nil {
				return err
			}
			at += len(targets)
		}
		return nil
	})
	for range batches {
	}
	return res, err
}

// deleteAll deletes targets, the first of which has the index at, and adds to res.
func (x *exchange) deleteAll(ctx context.Context, targets []Target, at int, res *DeleteResult, progress func(done int)) error {
	done, refused := 0, 0
	err := x.pipeline(ctx, len(targets),
		func(i int, flags uint16) { x.delete(&targets[i], flags) },
		func(i int, err error) {
			refused++
			if errors.Is(err, ErrGone) {
				res.Gone++
				res.GoneAt = append(res.GoneAt, at+i)
			} else {
				res.Failed = append(res.Failed, Failure{at + i, err})
			}
		},
		func(n int) {
			done = n
			if progress != nil {
				progress(at + n)
			}
		})
	res.Deleted += max(0, done-refused)
	return err
}

// alone runs fn on an exchange of its own.
func (k *Kernel) alone(ctx context.Context, what string, fn func(x *exchange) error) error {
	x, err := newExchange(k.ns)
	if err != nil {
		return fmt.Errorf("ctnl: %s: %w", what, err)
	}
	defer x.s.close()
	defer x.s.cancelOn(ctx)()
	if err := fn(x); err != nil {
		return fmt.Errorf("ctnl: %s: %w", what, err)
	}
	return nil
}
